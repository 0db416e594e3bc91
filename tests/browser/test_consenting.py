"""Ann goes to the provider in a real browser and back: from her address to her mail, and again after a withdrawal."""

import re
import time

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from mailsync import engine, schedule
from mailsync.models import Mailbox, MailboxState
from tests.browser.looking import look
from tests.browser.test_connecting import ann, sign_in, worker
from tests.engine.conftest import Box
from tests.rigs.consenting import offered, provider

__all__ = ["ann", "offered", "provider", "worker"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

ADDRESS = "ann.consents@acme.example"


def allow(page: Page) -> None:
    expect(page.get_by_role("heading", name="The provider")).to_be_visible()
    expect(page.get_by_text(ADDRESS)).to_be_visible()
    page.get_by_role("button", name="Allow").click()


def test_ann_consents_and_reads_and_consents_again(world, worker, ann, offered, dovecot_oauth) -> None:
    dovecot_oauth.new_user(ADDRESS)
    dovecot_oauth.append(ADDRESS, b"Subject: Read by consent\r\nFrom: Zoe <zoe@x.example>\r\n\r\nHello\r\n")
    ann.goto("/mailboxes/connect/")
    ann.get_by_label("E-mail address").fill(ADDRESS)
    expect(ann.get_by_text("No password is needed")).to_be_visible()
    look(ann, "consent-hint")
    ann.get_by_label("Password or app password").fill("typed instead")
    ann.get_by_label("Password or app password").press("Enter")
    expect(ann).to_have_url(re.compile(r"/mailboxes/connect/\d+/$"))
    ann.goto("/mailboxes/connect/")
    ann.get_by_label("E-mail address").fill(ADDRESS)
    ann.get_by_role("button", name="Continue with Acme").click()
    expect(ann.get_by_role("heading", name="The provider")).to_be_visible()
    ann.go_back()
    expect(ann.get_by_label("E-mail address")).to_be_visible()
    ann.go_forward()
    allow(ann)
    expect(ann.get_by_text(f"{ADDRESS} gave its consent at Acme")).to_be_visible()
    expect(ann.get_by_role("heading", name="Folders to keep in step")).to_be_visible()
    ann.get_by_role("button", name="Connect and fetch my mail").click()
    expect(ann.get_by_text("Read by consent")).to_be_visible(timeout=30_000)
    box = box_of(world, dovecot_oauth)

    offered.withdraw(ADDRESS)
    sync_when_free(box)
    assert box.reload().state == MailboxState.WITHDRAWN
    ann.goto(f"/mailboxes/{box.mailbox.pk}/")
    look(ann, "consent-withdrawn")
    ann.get_by_role("button", name="Continue with Acme").click()
    allow(ann)
    expect(ann.get_by_text("works again. Nothing was lost.")).to_be_visible(timeout=30_000)
    expect(ann).to_have_url(re.compile(rf"/mailboxes/{box.mailbox.pk}/$"))
    assert box.reload().state == MailboxState.OK


@pytest.mark.slow
def test_without_javascript_a_link_leads_there_and_somebody_elses_consent_is_told(
    world, worker, browser, live_server, offered
) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    sign_in(context, world.ann, live_server.url)
    page = context.new_page()
    page.goto("/mailboxes/connect/")
    page.get_by_label("E-mail address").fill(ADDRESS)
    page.get_by_role("button", name="Test the connection").click()
    page.get_by_role("link", name="Continue with Acme").click()
    offered.set(person="zoe@acme.example")
    allow(page)
    told = page.get_by_text("You consented as zoe@acme.example, but this is about")
    for _second in range(10):
        if told.count():
            break
        page.wait_for_timeout(1000)
        page.reload()
    expect(told).to_be_visible()
    context.close()


def sync_when_free(box: Box) -> None:
    """The worker may still have the mailbox from its first fetch."""
    for _try in range(100):
        with box.acting():
            lease = schedule.claim(box.mailbox.pk, timezone.now(), even_if_not_due=True)
        if lease:
            engine.synchronise(lease, seconds=30)
            return
        time.sleep(0.2)
    raise AssertionError("the worker keeps the mailbox")


def box_of(world, server) -> Box:
    with world.acting():
        return Box(world, server, ADDRESS, Mailbox.objects.get(address=ADDRESS))
