"""Trouble in words: what is wrong, since when, what is missing, what happens next, and what one click can do."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mailsync import health
from mailsync.models import Mailbox, MailboxState, Operation, Schedule
from tests.world import World


def trouble(world: World, state: str, error: str = "It does not work.", **schedule: Any) -> Mailbox:
    """Ann's mailbox has been in trouble for two days."""
    now = timezone.now()
    with world.acting():
        boxes = Mailbox.objects.filter(pk=world.ann_box.pk)
        since = now - timedelta(days=2)
        boxes.update(state=state, last_error=error, troubled_since=since, synced_at=since)
        Schedule.objects.update_or_create(
            mailbox=world.ann_box, defaults={"account": world.acme, "leased_until": None, **schedule}
        )
        return boxes.get()


def page(world: World, who: Any, url: str = "/") -> str:
    return world.client(who).get(url).content.decode()


def test_a_wrong_password_says_since_when_what_is_missing_and_that_it_waits(world: World) -> None:
    trouble(world, MailboxState.REFUSED, "The server refuses this login and password: “no”.", due_at=None)
    shown = page(world, world.ann)
    for words in (
        "The server refuses this login and password: “no”.",
        "Since ",
        "Mail that came after ",
        "is not here yet.",
        "Nothing is tried until it is repaired.",
        f"/mailboxes/{world.ann_box.pk}/server/",
    ):
        assert words in shown
    assert "Try now" not in shown


@pytest.mark.parametrize(("refusals", "words"), [(1, "."), (2, ", then no more until it is repaired.")])
def test_a_refusal_that_is_tried_again_says_whether_that_is_the_last_time(
    world: World, refusals: int, words: str
) -> None:
    due = timezone.now() + timedelta(minutes=3)
    trouble(world, MailboxState.REFUSED, due_at=due, refusals=refusals)
    assert f"It is tried again at {health.near(due)}{words}" in page(world, world.ann)


def test_a_server_that_is_down_says_when_it_is_tried_again_and_can_be_tried_now(world: World) -> None:
    due = timezone.now() + timedelta(minutes=3)
    trouble(world, MailboxState.UNREACHABLE, due_at=due)
    shown = page(world, world.ann)
    assert f"It is tried again at {health.near(due)}." in shown
    assert "Try now" in shown


def test_a_mailbox_whose_worker_died_is_not_said_to_be_left_alone(world: World) -> None:
    """It waits for the tick, or for its turn among the others that were left behind."""
    over = timezone.now() - timedelta(minutes=2)
    trouble(world, MailboxState.UNREACHABLE, due_at=None, leased_until=over)
    shown = page(world, world.ann)
    assert f"It is tried again at {health.near(over)}." in shown
    assert "Nothing is tried" not in shown


def test_a_hurried_server_offers_no_button_that_would_hurry_it(world: World) -> None:
    until = timezone.now() + timedelta(hours=1)
    # A click has woken it; it rests all the same.
    trouble(world, MailboxState.BUSY, due_at=timezone.now(), rests_until=until)
    shown = page(world, world.ann)
    assert f"It is tried again at {health.near(until)}." in shown
    assert "Try now" not in shown
    assert ">Repair<" not in shown


def test_a_plan_without_mail_is_said_on_every_page_and_asks_for_no_repair(world: World) -> None:
    trouble(world, MailboxState.PAUSED, "Your company's plan has no mail at present.")
    shown = page(world, world.ann)
    assert "plan has no mail at present" in shown
    assert "as soon as the plan has mail again" in shown
    assert ">Repair<" not in shown


def test_what_waits_for_the_server_is_counted(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    trouble(world, MailboxState.UNREACHABLE, due_at=timezone.now())
    with world.acting():
        for uid in (1, 2, 3):
            Operation.objects.create(
                account=world.acme,
                mailbox=world.ann_box,
                kind="flag",
                folder=placement.folder,
                uid=uid,
                by=world.ann,
            )
    assert "3 changes made here wait for the server." in page(world, world.ann)


def test_who_may_only_read_is_told_and_gets_no_button(world: World) -> None:
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(
            state=MailboxState.UNREACHABLE, last_error="Down.", troubled_since=timezone.now()
        )
    assert "Try now" in page(world, world.ann)
    shown = page(world, world.bob)
    assert "Down." in shown
    assert "Try now" not in shown


def test_try_now_forgets_the_waiting_and_only_its_manager_may(world: World) -> None:
    late = timezone.now() + timedelta(hours=5)
    trouble(world, MailboxState.UNREACHABLE, due_at=late, rests_until=late, failures=9, refusals=3)
    url = f"/mailboxes/{world.ann_box.pk}/retry/"
    assert world.client(world.bob).post(url).status_code == 404
    answer = world.client(world.ann).post(url, {"next": "/mail/1/"})
    assert answer.headers["Location"] == "/mail/1/"
    row = Schedule.objects.get(mailbox=world.ann_box)
    assert (row.failures, row.refusals, row.rests_until) == (0, 0, None)
    assert row.due_at is not None
    assert row.due_at <= timezone.now()


def test_try_now_leaves_a_hurried_server_alone(world: World) -> None:
    until = timezone.now() + timedelta(hours=1)
    trouble(world, MailboxState.BUSY, due_at=until, rests_until=until)
    world.client(world.ann).post(f"/mailboxes/{world.ann_box.pk}/retry/")
    assert Schedule.objects.get(mailbox=world.ann_box).rests_until == until


def test_where_all_is_well_no_page_asks_for_health(world: World, django_assert_num_queries: Any) -> None:
    with world.acting(), django_assert_num_queries(0):
        assert health.of_ids([]) == []


@pytest.mark.parametrize("state", MailboxState.values)
def test_every_state_has_words_for_what_happens_next(world: World, state: str) -> None:
    trouble(world, state, due_at=None)
    with world.acting():
        [how] = health.of_ids([world.ann_box.pk])
    assert how.title
    assert how.next
    assert how.missing
