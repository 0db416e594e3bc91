"""Ann connects a mailbox in a real browser, from the address to the progress, with a real worker behind it."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from celery.contrib.testing.worker import start_worker
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from accounts.models import Employee
from config.celery import app
from mailsync.actions import remove_placements
from mailsync.models import FolderCheck, Mailbox, Schedule, SkippedMessage
from plans.subscriptions import change_plan
from tests.browser.looking import SHOTS, look
from tests.engine.conftest import connect as mailbox_at
from tests.world import session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def worker(world) -> Iterator[None]:
    """A Celery worker in this process, which takes what the pages hand over."""
    with start_worker(
        app, pool="solo", queues=["interactive", "bulk"], perform_ping_check=False, loglevel="WARNING"
    ):
        yield


@pytest.fixture
def ann(world, live_server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    sign_in(context, world.ann, live_server.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert not problems
    context.close()


def sign_in(context: BrowserContext, who: Employee, url: str) -> None:
    cookie = session_cookie(who)
    context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": url}])


def test_ann_connects_by_hand_and_sees_every_step(world, ann, worker, dovecot, smtp_sink):
    login, password = dovecot.new_user("ann.two@acme.example")
    dovecot.append(login, b"Subject: one\r\n\r\nHello\r\n", folder="Projects/Paris")
    ann.goto("/mailboxes/connect/")
    look(ann, "address")
    ann.get_by_label("E-mail address").fill("someone@gmail.com")
    expect(ann.get_by_text("Gmail needs an app password")).to_be_visible()
    look(ann, "hint")
    ann.get_by_label("E-mail address").fill(login)
    ann.get_by_label("Password or app password").fill(password)
    ann.get_by_text("Server details").click()
    ann.get_by_label("Incoming server (IMAP)").fill(dovecot.host)
    ann.locator("#id_imap_port").fill(str(dovecot.port))
    ann.locator("#id_imap_security").select_option("none")
    ann.get_by_label("Outgoing server (SMTP)").fill(smtp_sink.host)
    ann.locator("#id_smtp_port").fill(str(smtp_sink.port))
    ann.locator("#id_smtp_security").select_option("none")
    look(ann, "by-hand")
    ann.get_by_role("button", name="Test the connection").click()
    expect(ann.get_by_text(f"Signed in as {login}")).to_be_visible()
    expect(ann.get_by_text("takes your mail")).to_be_visible()
    look(ann, "tested")
    ann.get_by_role("link", name=re.compile("Go on|Choose folders")).click()
    expect(ann.get_by_role("heading", name="Folders to keep in step")).to_be_visible()
    look(ann, "choose")
    ann.get_by_label("Days to fetch").fill("30")
    ann.get_by_label("Junk").uncheck()
    ann.get_by_role("button", name="Connect and fetch my mail").click()
    expect(ann).to_have_url(re.compile(r"/$"))
    with world.acting():
        made = Mailbox.objects.get(address=login)
        assert made.fetch_days == 30
        assert not made.folders.get(path="Junk").syncing
        assert made.folders.get(path="Trash").special_use == "trash"
    ann.goto("/mailboxes/")
    look(ann, "mailboxes")
    ann.goto(f"/mailboxes/{made.pk}/")
    look(ann, "settings")
    ann.goto(f"/mailboxes/{made.pk}/disconnect/")
    look(ann, "disconnect")


def test_a_wrong_password_names_the_step_and_can_be_typed_again(ann, worker, dovecot):
    login, _password = dovecot.new_user("ann.three@acme.example")
    ann.goto("/mailboxes/connect/")
    ann.get_by_label("E-mail address").fill(login)
    ann.get_by_label("Password or app password").fill("not it")
    ann.get_by_text("Server details").click()
    ann.get_by_label("Incoming server (IMAP)").fill(dovecot.host)
    ann.locator("#id_imap_port").fill(str(dovecot.port))
    ann.locator("#id_imap_security").select_option("none")
    ann.get_by_role("button", name="Test the connection").click()
    expect(ann.locator("#steps").get_by_text("refuses this login and password")).to_be_visible(timeout=30_000)
    look(ann, "refused")
    ann.get_by_role("link", name="Change what I typed").click()
    expect(ann.get_by_label("E-mail address")).to_have_value(login)
    expect(ann.locator("#id_imap_port")).to_have_value(str(dovecot.port))
    expect(ann.get_by_label("Password or app password")).to_have_value("")


def test_without_javascript_every_page_still_leads_on(world, live_server, browser, worker, dovecot):
    login, password = dovecot.new_user("ann.four@acme.example")
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    sign_in(context, world.ann, live_server.url)
    page = context.new_page()
    page.goto("/mailboxes/connect/")
    page.get_by_label("E-mail address").fill(login)
    page.get_by_label("Password or app password").fill(password)
    page.get_by_text("Server details").click()
    page.get_by_label("Incoming server (IMAP)").fill(dovecot.host)
    page.locator("#id_imap_port").fill(str(dovecot.port))
    page.locator("#id_imap_security").select_option("none")
    page.get_by_role("button", name="Test the connection").click()
    page.get_by_role("link", name="Go on").click(timeout=30_000)
    page.get_by_role("button", name="Connect and fetch my mail").click()
    expect(page).to_have_url(re.compile(r"/$"))
    context.close()
    with world.acting():
        assert Mailbox.objects.filter(address=login).exists()


def test_trouble_progress_and_refusal_look_as_they_should(world, ann):
    now = timezone.now()
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(
            state="refused",
            last_error="The server refuses this login and password: “Authentication failed”.",
            troubled_since=now - timedelta(hours=3),
        )
        Mailbox.objects.filter(pk=world.team_box.pk).update(
            state="new", first_synced_at=None, first_sync_started_at=now - timedelta(seconds=40)
        )
        world.team_box.folders.filter(path="INBOX").update(wanted=12_408, fetched=4_136)
        world.ann_box.folders.filter(path="Sent").update(error="The server does not open this folder.")
        SkippedMessage.objects.create(
            account=world.acme,
            folder=world.ann_box.folders.get(path="INBOX"),
            uidvalidity=1,
            uid=4711,
            reason="The message is larger than 50 MB.",
        )
    ann.goto("/mailboxes/")
    look(ann, "mailboxes-trouble")
    ann.goto(f"/mailboxes/{world.ann_box.pk}/")
    look(ann, "settings-trouble")
    ann.goto(f"/mailboxes/{world.ann_box.pk}/server/")
    look(ann, "repair")
    ann.goto(f"/mailboxes/{world.team_box.pk}/")
    expect(ann.get_by_text("4\u202f136 of 12\u202f408")).to_be_visible()
    look(ann, "settings-fetching")
    ann.goto("/")
    expect(ann.get_by_text("4\u202f136 of 12\u202f408")).to_be_visible()
    if SHOTS:
        ann.screenshot(path=Path(SHOTS) / "inbox-fetching.png")
        ann.set_viewport_size({"width": 390, "height": 844})
        ann.screenshot(path=Path(SHOTS) / "inbox-fetching-390.png")
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(first_synced_at=now)
    expect(ann.get_by_text("messages are here")).to_be_visible()
    with world.acting():
        change_plan(world.acme, "free", on=timezone.localdate(), by=None)
    ann.goto("/mailboxes/connect/")
    look(ann, "free")
    ann.goto("/mailboxes/")
    look(ann, "mailboxes-free")


def test_ann_asks_whether_everything_is_here_and_what_was_missing_comes_back(
    world, ann, worker, dovecot, settings
):
    settings.MAIL_MAX_MESSAGE_BYTES = 20_000
    box = mailbox_at(world, dovecot)
    box.deliver("Old", days_ago=200)
    box.deliver("Giant", text="x" * 30_000)
    box.deliver("Lost")
    box.sync()
    with world.acting():
        remove_placements(list(box.chosen("Lost").values_list("pk", flat=True)))
    ann.goto(f"/mailboxes/{box.mailbox.pk}/")
    card = ann.locator("#completeness")
    expect(card.get_by_text("Not compared yet.")).to_be_visible()
    card.get_by_role("button", name="Check now").click()
    expect(card.get_by_text("Something differs without a reason.")).to_be_visible(timeout=30_000)
    reasons = card.locator(".ledger-reasons")
    expect(reasons.get_by_text("1 was missing without a reason: it is fetched again")).to_be_visible()
    reasons.get_by_text("1 too large or unreadable").click()
    expect(card.get_by_text("It is larger than")).to_be_visible()
    look(ann, "settings-missing")
    wait_for(lambda: box.subjects() == ["Lost"])
    card.get_by_role("button", name="Check now").click()
    expect(card.get_by_text("Yes. Every difference has its reason.")).to_be_visible(timeout=30_000)
    ann.goto(f"/mailboxes/{box.mailbox.pk}/complete/")
    ann.get_by_text("Earlier comparisons").click()
    look(ann, "complete")
    with ann.expect_download() as download:
        ann.get_by_role("link", name="Export as CSV").click()
    assert download.value.path().read_text().count("missing") == 1


def test_what_is_pressed_and_opened_while_a_comparison_runs_opens_and_stays_open(world, ann: Page) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        FolderCheck.objects.create(
            account=world.acme,
            mailbox=inbox.mailbox,
            folder=inbox,
            path="INBOX",
            server_count=3,
            here_count=3,
        )
        Schedule.objects.filter(mailbox=world.ann_box).update(check_asked_at=timezone.now())
    ann.goto(f"/mailboxes/{world.ann_box.pk}/complete/")
    ann.get_by_text("Earlier comparisons").hover()
    ann.mouse.down()
    hear_an_answer(ann)
    ann.mouse.up()
    hear_an_answer(ann)
    expect(ann.locator("#earlier-comparisons[open] ol")).to_be_visible()


def hear_an_answer(page: Page) -> None:
    """One that was asked for after this, and is shown where it is to be shown."""
    for _time in range(2):
        with page.expect_response(re.compile("/complete/$")):
            pass


def wait_for(holds) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)
