"""The mail server has afterwards what it had before, and what was purged here stays away, whatever the server does."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEntry
from mailsync import checking, schedule
from mailsync.models import Folder, FolderCheck, Mailbox, MailboxState, Message
from plans.subscriptions import change_plan
from retention.purge import purge
from tasks import actions as tasks
from tasks import deletion
from tests.engine.conftest import Box, box

__all__ = ["box"]  # fixture

pytestmark = pytest.mark.django_db(transaction=True)


def on_plan(box: Box, plan: str) -> None:
    """Ann's only mailbox, so that it has room in the smallest plan."""
    with box.acting():
        others = Mailbox.objects.filter(owner=box.world.ann).exclude(pk=box.mailbox.pk)
        others.update(disconnected_at=timezone.now())
        change_plan(box.world.acme, plan, on=box.world.acme.today(), by=None)


def forget_numbers(box: Box) -> None:
    """As the server does that gives all its folders another UIDVALIDITY."""
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox).update(uidvalidity=1)


def check(box: Box) -> list[FolderCheck]:
    with box.acting():
        schedule.ask_check(box.mailbox.pk, by_id=None)
    assert checking.check(box.world.acme.pk, box.mailbox.pk)
    with box.acting():
        return list(FolderCheck.objects.order_by("id"))


def test_the_server_is_untouched_and_what_left_stays_away(box: Box) -> None:
    """20 syncs, with moves, flags, new numbers, a comparison and a new plan in between."""
    for days in (3, 10, 20, 80):
        box.deliver(f"{days} days", days_ago=days)
    box.deliver("archived", folder="Archive", days_ago=40)
    box.deliver("on a task", days_ago=50)
    box.deliver("on a task that dies", days_ago=2)
    box.sync()
    with box.acting():
        tasks.create_from([box.one("on a task").message], by=box.world.ann)
        dying = tasks.create_from([box.one("on a task that dies").message], by=box.world.ann)
    before = box.server_view()

    on_plan(box, "basic")
    run = purge(box.world.acme.pk, timezone.now())
    with box.acting():
        deletion.ask_deletion(dying, keep_mail=False, by=box.world.ann)
    deletion.carry_out_deletion(box.world.acme.pk, dying.pk, timezone.now() + deletion.HELD)

    assert run
    assert run.expected == 4
    left = ["on a task", "3 days"]
    assert sorted(box.subjects()) == sorted(left)
    assert box.server_view() == before

    for _ in range(6):
        box.sync()
    assert box.reload().state == MailboxState.OK
    box.on_server("STORE", "1:*", "+FLAGS", "(\\Flagged)")
    box.sync()
    box.on_server("MOVE", "2", "Archive")  # "10 days", or whichever came second: none of them comes back
    box.on_server("COPY", "1:*", "Archive")
    for _ in range(3):
        box.sync()
    forget_numbers(box)
    for _ in range(3):
        box.sync()
    found = check(box)
    for _ in range(3):
        box.sync()
    purge(box.world.acme.pk, timezone.now())
    for _ in range(4):
        box.sync()

    with box.acting():
        assert set(Message.objects.values_list("subject", flat=True)) == set(left)
        assert not any(each.repaired for each in found), [each.differences for each in found]
        assert not AuditEntry.objects.filter(verb="purge.waits").exists()
    after = box.server_view()
    assert {digest for _, digest in after["INBOX"].values()} | {
        digest for _, digest in after["Archive"].values()
    } == {digest for rows in before.values() for _, digest in rows.values()}


def test_the_end_of_the_trial_touches_the_server_as_little(box: Box) -> None:
    for days in (1, 20):
        box.deliver(f"{days} days", days_ago=days)
    on_plan(box, "trial")
    box.sync()
    before = box.server_view()
    with box.acting():
        change_plan(box.world.acme, "trial", on=box.world.acme.today() - timedelta(days=15), by=None)

    purge(box.world.acme.pk, timezone.now())
    box.try_sync()

    assert box.server_view() == before
    assert box.subjects() == []
    on_plan(box, "professional")  # what is new comes again, what left is asked for by "fetch again"
    box.deliver("Welcome back", days_ago=0)
    box.sync()
    assert box.subjects() == ["Welcome back"]


def test_a_mailbox_that_reaches_further_than_the_plan_fetches_nothing_again(box: Box) -> None:
    box.deliver("old", days_ago=60)
    box.deliver("young", days_ago=1)
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(fetch_days=365, fetch_beyond_plan=True)
    on_plan(box, "basic")
    box.sync()
    before = box.server_view()
    assert sorted(box.subjects()) == ["old", "young"]

    purge(box.world.acme.pk, timezone.now())

    for _ in range(2):
        forget_numbers(box)
        box.sync()
        assert box.subjects() == ["young"]
    assert not any(each.repaired for each in check(box))
    assert box.server_view() == before
