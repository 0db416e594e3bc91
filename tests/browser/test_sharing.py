"""Two people in one mailbox, each in a browser of their own: given, noted, answered; and who is let in."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import Department
from mailsync.models import Mailbox, Operation, SpecialUse
from tests.browser.looking import look
from tests.browser.test_reading import row, sign_in_as
from tests.world import World

# What colleagues do comes by the stream at once, and by a look every 15 seconds where the stream is slow.
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@contextmanager
def page_of(browser: Browser, who, url: str) -> Iterator[Page]:
    context = browser.new_context(base_url=url, viewport={"width": 1440, "height": 900})
    sign_in_as(context, who, url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    yield page
    context.close()
    assert not [line for line in problems if "422" not in line]


def test_ann_gives_bob_a_message_with_a_note_and_sees_him_answer(
    world: World, live_server, browser: Browser
) -> None:
    inbox = world.folder(world.team_box)
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(smtp_host="smtp.acme.example")
    world.message(inbox, subject="Anchor chains")
    world.message(inbox, subject="Order 1208", text="Twelve buoys, please.\n" * 4)
    at = f"/mail/{inbox.pk}/"
    with (
        page_of(browser, world.ann, live_server.url) as ann,
        page_of(browser, world.bob, live_server.url) as bob,
    ):
        ann.goto(at)
        with bob.expect_response(lambda response: "/mail/events/" in response.url):
            bob.goto(at)
        row(ann, "Order 1208").get_by_role("link").click()
        team = ann.get_by_role("region", name="Team")
        expect(team.get_by_text("Nobody's yet")).to_be_visible()
        ann.keyboard.press("w")
        team.get_by_role("button", name="Bob Brown").press("Enter")
        expect(team.get_by_text("Assigned to Bob Brown")).to_be_visible()
        expect(row(ann, "Order 1208").locator(".whose")).to_have_text("Bob Brown")

        told = bob.locator(".notice").filter(has_text="assigned to you")
        told.get_by_role("link", name="Order 1208").click()
        his = bob.get_by_role("region", name="Team")
        expect(his.get_by_text("Assigned to you")).to_be_visible()
        expect(told).to_have_count(0)
        ann.locator("#message h2").click()
        ann.keyboard.press("n")
        ann.keyboard.type("@bro")
        expect(ann.get_by_role("option", name="Bob Brown")).to_be_visible()
        ann.keyboard.press("Enter")
        ann.keyboard.type("please call her first.")
        ann.keyboard.press("Control+Enter")
        expect(team.get_by_text("please call her first.")).to_be_visible()
        expect(his.locator(".note-text")).to_have_text("@Bob Brown please call her first.")
        team.get_by_role("button", name="Delete this note").click()
        expect(team.locator(".notes")).to_have_count(0)
        deleted = ann.locator("[data-toast]").filter(has_text="The note is deleted")
        deleted.get_by_role("button", name="Undo").click()
        expect(team.get_by_text("please call her first.")).to_be_visible()

        bob.locator("#message h2").click()
        bob.keyboard.press("r")
        expect(bob.get_by_role("textbox", name="Text of the message")).to_be_visible()
        expect(team.get_by_text("Bob Brown is answering")).to_be_visible()
        ann.evaluate("document.getElementById('toasts').replaceChildren()")
        look(ann, "team")
        ann.locator("#message h2").click()
        ann.keyboard.press("r")
        expect(ann.get_by_text("Bob Brown is answering this, too")).to_be_visible()
        look(ann, "answering-too")
        bob.goto(f"{at}?show=assigned:me")
        expect(row(bob, "Order 1208")).to_be_visible()
        expect(row(bob, "Anchor chains")).to_have_count(0)
        row(bob, "Order 1208").get_by_role("checkbox").check()
        bob.keyboard.press("e")
        expect(bob.get_by_text("1 archived")).to_be_visible()
        bob.goto(f"/mail/{world.folder(world.team_box, SpecialUse.ARCHIVE).pk}/")
        expect(row(bob, "Order 1208")).to_contain_text("Archived by you")
        look(bob, "archive")
        expect(ann.get_by_text("is answering this, too")).to_have_count(0)


def test_ann_lets_a_department_in_and_sees_before_whom_that_means(
    world: World, live_server, browser: Browser
) -> None:
    with world.acting():
        sales = Department.objects.create(account=world.acme, name="Sales")
        world.cyd.department = sales
        world.cyd.save()
    with page_of(browser, world.ann, live_server.url) as ann:
        ann.goto(f"/mailboxes/{world.team_box.pk}/sharing/")
        preview = ann.locator("#preview")
        ann.get_by_label("Give access to").select_option(label="Sales")
        ann.get_by_label("They may").select_option(label="Read and reply")
        expect(preview).to_contain_text("through Sales")
        ann.get_by_label("Bob Brown").select_option(label="No access")
        expect(preview.get_by_text("loses access")).to_be_visible()
        look(ann, "sharing")
        ann.get_by_role("button", name="Save").click()
        expect(ann.get_by_text("2 people have been told")).to_be_visible()
        ann.get_by_role("link", name="What each level allows").click()
        expect(ann.get_by_role("table")).to_be_visible()
        look(ann, "rights")


def test_ann_lets_each_read_for_themselves_and_what_she_reads_stays_bold_for_bob(
    world: World, live_server, browser: Browser
) -> None:
    inbox = world.folder(world.team_box)
    shared = world.message(inbox, subject="Read by all")
    at = f"/mail/{inbox.pk}/"
    unread = re.compile(r"\bunread\b")
    with (
        page_of(browser, world.ann, live_server.url) as ann,
        page_of(browser, world.bob, live_server.url) as bob,
        page_of(browser, world.bob, live_server.url) as second,
    ):
        bob.goto(at)
        row(bob, "Read by all").get_by_role("link").click()
        expect(bob.get_by_role("heading", name="Read by all")).to_be_visible()
        ann.goto(at)
        expect(row(ann, "Read by all")).not_to_have_class(unread)

        ann.goto(f"/mailboxes/{world.team_box.pk}/")
        card = ann.locator("#reading")
        expect(card).to_contain_text("what comes in is unread for Bob Brown")
        card.get_by_label("Each person has their own").check()
        card.get_by_role("button", name="Save whose it is").click()
        expect(ann.get_by_text("Each person has read and unread of their own.")).to_be_visible()
        look(ann, "reading-setting")
        order = world.message(inbox, subject="Order 1208", received_at=timezone.now())
        world.message(inbox, subject="Anchor chains", received_at=timezone.now())

        with second.expect_response(lambda response: "/mail/events/" in response.url):
            second.goto(at)
        bob.goto(at)
        badge = f"#n{inbox.pk}"
        expect(bob.locator(badge)).to_contain_text("2")
        ann.goto(at)
        row(ann, "Order 1208").get_by_role("link").click()
        expect(ann.locator(badge)).to_contain_text("1")
        bob.reload()
        expect(row(bob, "Order 1208")).to_have_class(unread)

        # Bob reads it, too: his other tab hears of it, and Ann's counts are hers.
        row(bob, "Order 1208").get_by_role("link").click()
        toolbar = bob.get_by_role("toolbar", name="With this message")
        expect(toolbar.get_by_role("button", name="Mark as unread, for you alone")).to_be_visible()
        expect(row(second, "Order 1208")).not_to_have_class(unread)
        expect(second.locator(badge)).to_contain_text("1")
        bob.goto(f"{at}?show=unread")
        expect(row(bob, "Anchor chains")).to_be_visible()
        expect(row(bob, "Order 1208")).to_have_count(0)
        look(bob, "reading-unread")
        bob.goto(f"/mail/{inbox.pk}/{order.pk}/")
        bob.keyboard.press("u")
        expect(second.locator(badge)).to_contain_text("2")
        ann.reload()
        expect(row(ann, "Order 1208")).not_to_have_class(unread)
        with world.acting():
            asked = Operation.objects.filter(by=world.bob).values_list("placement", flat=True)
            assert {*asked} == {shared.pk}, "the server hears of what was read for all, and of nothing else"
