"""After an upgrade Ann has her older mail fetched again and watches it come."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Account
from mailsync import engine, schedule
from plans.subscriptions import change_plan
from retention import telling
from tests.browser.looking import look
from tests.browser.test_reading import ann, context
from tests.engine.conftest import Box, connect
from tests.rigs.mailserver import MailServer
from tests.world import World

__all__ = ["ann", "context"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
MESSAGES = 60


def on_plan(box: Box, plan: str) -> None:
    with box.acting():
        box.world.ann.mailboxes.exclude(pk=box.mailbox.pk).update(disconnected_at=timezone.now())
        change_plan(box.world.acme, plan, on=box.world.acme.today(), by=None)


def a_little(box: Box) -> None:
    """What a worker does whose time is over at once."""
    with box.acting():
        lease = schedule.claim(box.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    engine.synchronise(lease, seconds=0)


def test_ann_fetches_again_and_sees_how_far_it_is(world: World, dovecot: MailServer, ann: Page) -> None:
    box = connect(world, dovecot, fetch_days=7)
    with box.acting():
        Account.objects.update(created_at=timezone.now() - timedelta(days=400))
    on_plan(box, "basic")
    for number in range(MESSAGES):
        box.deliver(f"Letter {number}", days_ago=80 - 1.3 * number)
    box.sync()
    here = len(box.subjects())
    assert 0 < here < 20
    on_plan(box, "professional")

    telling.tell(world.acme.pk)

    ann.goto("/")
    told = ann.locator("#plan-notices .notice").filter(has_text="Older mail may be fetched again")
    told.get_by_role("link", name="Mailboxes").click()
    ann.get_by_role("link", name=box.mailbox.address, exact=True).click()
    ann.get_by_role("button", name="Fetch again").click()
    expect(ann.get_by_role("status").first).to_contain_text("Older mail")
    progress = ann.locator(".fetching")
    expect(progress).to_contain_text("Asking the server what there is")
    look(ann, "fetching-again-asked")
    a_little(box)
    expect(progress).to_contain_text(f"0 of {MESSAGES}", timeout=30_000)
    with box.acting():
        box.mailbox.folders.filter(path="INBOX").update(fetched=27)
    expect(progress).to_contain_text(f"27 of {MESSAGES}", timeout=30_000)
    expect(progress).to_contain_text("left")
    look(ann, "fetching-again")
    ann.goto("/")
    look(ann, "fetching-again-mail")
    box.sync()
    ann.goto(f"/mailboxes/{box.mailbox.pk}/")
    expect(ann.get_by_role("button", name="Fetch again")).to_have_count(0)
    look(ann, "fetched-again")
    assert len(box.subjects()) == MESSAGES
