"""The purge as people meet it: what it removes, what it leaves, what it writes down, when it stops and asks."""

from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from accounts.models import AuditEntry
from crm.models import Activity, ActivityCopy
from mailsync import actions, replica
from mailsync.models import Attachment, Event, Folder, Message, Operation, Placement, Tombstone
from mailsync.sync.plan import plan_arrivals
from mailsync.sync.state import RemoteFolder, RemoteMessage
from plans.subscriptions import change_plan
from retention import purge as purging
from retention import runs
from retention.models import LineKind, RetentionRun, RunState
from retention.purge import ClocksDisagree, purge
from tests.reading.factory import fill
from tests.retention.scenes import bind_to_client, bind_to_task, mail
from tests.world import World

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def subjects(world: World) -> set[str]:
    with world.acting():
        return set(
            Placement.objects.filter(folder__mailbox=world.ann_box).values_list("message__subject", flat=True)
        )


def lines(world: World, run: RetentionRun | None) -> dict[str, tuple[int, int]]:
    assert run
    with world.acting():
        return {line.kind: (line.messages, line.bytes) for line in run.lines.all()}


def a_full_mailbox(world: World) -> dict[str, Message]:
    """Professional of 2024: 90 days, and what is with a client leaves, too."""
    now = timezone.now()
    attachments = [("a.txt", "text/plain", b"a")]
    box = {
        name: mail(world, age=age, at=now, subject=name, attachments=attachments)
        for name, age in {
            "old": 91 * DAY,
            "old, with a client": 91 * DAY,
            "old, on a task": 400 * DAY,
            "young": 89 * DAY,
        }.items()
    }
    bind_to_client(world, box["old, with a client"])
    bind_to_task(world, box["old, on a task"])
    return box


def test_the_old_leave_the_bound_and_the_young_stay_and_all_of_it_is_counted(world: World) -> None:
    box = a_full_mailbox(world)
    with world.acting():
        Event.objects.create(account=world.acme, message=box["old"], kind="gone", path="INBOX")

    run = purge(world.acme.pk, timezone.now())

    assert subjects(world) == {"old, on a task", "young"}
    assert run
    assert (run.state, run.plan, run.expected, run.copies) == (RunState.FINISHED, "professional", 2, 4)
    assert lines(world, run) == {
        LineKind.REMOVED: (1, box["old"].size),
        LineKind.HIDDEN: (1, box["old, with a client"].size),
        LineKind.KEPT_TASK: (1, box["old, on a task"].size),
    }
    with world.acting():
        assert Message.objects.count() == Attachment.objects.count() == 2
        assert Event.objects.count() == 0
        # With text, history and attachments: the activity has a copy of its own.
        activity = Activity.objects.get(kind="mail")
        assert activity.header == box["old, with a client"].header
        assert activity.body_id == box["old, with a client"].body_id
        assert not ActivityCopy.objects.filter(activity=activity).exists()
        assert activity.bindings.count() == 1
        # It cannot come back by its date, so nothing has to be remembered.
        assert not Tombstone.objects.exists()
        assert Folder.objects.get(mailbox=world.ann_box, special_use="inbox").total == 2


def test_the_second_purge_of_a_night_changes_nothing_more(world: World) -> None:
    a_full_mailbox(world)
    first = purge(world.acme.pk, timezone.now())
    before = lines(world, first)
    assert purge(world.acme.pk, timezone.now()) is None
    assert lines(world, first) == before
    with world.acting():
        assert RetentionRun.objects.count() == 1


def test_where_the_plan_keeps_what_is_with_a_client_it_stays_in_webmail(world: World) -> None:
    with world.acting():
        change_plan(world.acme, "nfr", on=world.acme.today(), by=None)  # only in the tables of 2019
    a_full_mailbox(world)
    run = purge(world.acme.pk, timezone.now())
    assert subjects(world) == {"old, with a client", "old, on a task", "young"}
    assert set(lines(world, run)) == {LineKind.REMOVED, LineKind.KEPT_CRM, LineKind.KEPT_TASK}


def test_when_the_trial_is_over_only_what_is_on_a_task_stays(world: World) -> None:
    a_full_mailbox(world)
    with world.acting():
        change_plan(world.acme, "trial", on=world.acme.today() - 15 * DAY, by=None)
    purge(world.acme.pk, timezone.now())
    assert subjects(world) == {"old, on a task"}
    with world.acting():
        assert Activity.objects.filter(kind="mail").count() == 1


def test_what_is_on_its_way_to_the_server_stays_another_night(world: World) -> None:
    box = a_full_mailbox(world)
    with world.acting():
        chosen = Placement.objects.filter(message=box["old"])
        actions.set_flags(chosen, add=["\\Flagged"], by=world.ann)
    purge(world.acme.pk, timezone.now())
    assert "old" in subjects(world)
    with world.acting():
        Operation.objects.update(state="done", finished_at=timezone.now())
    purge(world.acme.pk, timezone.now())
    assert "old" not in subjects(world)


def test_a_mailbox_whose_server_suddenly_shows_less_is_left_alone(world: World) -> None:
    box = a_full_mailbox(world)
    team = mail(world, age=91 * DAY, at=timezone.now(), folder=world.folder(world.team_box))
    with world.acting():
        Folder.objects.filter(mailbox=world.ann_box, special_use="inbox").update(held_back=900)
    run = purge(world.acme.pk, timezone.now())
    assert "old" in subjects(world)
    assert lines(world, run) == {
        LineKind.REMOVED: (1, team.size),
        LineKind.WAITS: (2, box["old"].size + box["old, with a client"].size),
        LineKind.KEPT_TASK: (1, box["old, on a task"].size),
    }


def test_the_database_refuses_to_delete_what_is_on_a_task_whatever_code_asks(world: World) -> None:
    bound = a_full_mailbox(world)["old, on a task"]
    with world.acting():
        with pytest.raises(ProtectedError):
            bound.delete()
        Placement.objects.all().delete()
        Attachment.objects.all().delete()
        with pytest.raises(IntegrityError, match="tasks_taskmessage"):
            delete_by_hand(bound)
        transaction.set_rollback(True)


def delete_by_hand(message: Message) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DELETE FROM mailsync_message WHERE id = %s", [message.pk])


@pytest.mark.parametrize("known_date", [True, False])
def test_mail_that_its_date_would_bring_back_is_remembered(world: World, known_date: bool) -> None:
    """Its server says a date to come, or none, which then is another at each look."""
    now = timezone.now().replace(microsecond=0)
    no_date = now - timedelta(minutes=1, microseconds=4711)  # our clock, which stands in
    inbox = world.folder(world.ann_box)
    message = world.message(inbox, received_at=now + 900 * DAY if known_date else no_date).message
    purge(world.acme.pk, now + 91 * DAY)

    with world.acting():
        assert not Message.objects.exists()
        assert Tombstone.objects.get().reason == "purged"
        later = message.received_at if known_date else no_date + 92 * DAY
        arrival = RemoteMessage(uid=9, flags=frozenset(), received_at=later, size=message.size)
        assert replica.possibly_known(inbox, [arrival], window_start=now) == [9]  # so its header is read
        header_hash = bytes(message.header_hash)
        local = replica.load(inbox, window_start=now, arrivals=[replace(arrival, identity=header_hash)])
        assert plan_arrivals(RemoteFolder(1, 9, (replace(arrival, identity=header_hash),)), local) == []


# The brake


def test_a_purge_that_would_take_most_of_the_mail_waits_for_an_admin(world: World) -> None:
    now = timezone.now()
    with world.acting():
        fill(world.folder(world.ann_box), 150, newest=now - 95 * DAY)
    mail(world, age=DAY, at=now, subject="young")

    run = purge(world.acme.pk, now)
    again = purge(world.acme.pk, now)

    assert run
    assert run == again
    assert (run.state, run.expected, run.copies) == (RunState.WAITING, 150, 151)
    with world.acting():
        assert Message.objects.count() == 151
        assert AuditEntry.objects.filter(verb="purge.waits").count() == 1
        assert runs.decide(run, go=True, by=world.adm)
        assert not runs.decide(run, go=False, by=world.adm)
    purge(world.acme.pk, now)
    with world.acting():
        run.refresh_from_db()
        assert (run.state, run.decided_by) == (RunState.FINISHED, world.adm)
        assert Message.objects.count() == 1


def test_an_admin_stops_it_and_it_asks_again_the_next_night(world: World) -> None:
    now = timezone.now()
    with world.acting():
        fill(world.folder(world.ann_box), 150, newest=now - 95 * DAY)
    run = purge(world.acme.pk, now)
    assert run
    with world.acting():
        assert runs.decide(run, go=False, by=world.adm)
        assert Message.objects.count() == 150
    later = purge(world.acme.pk, now)
    assert later
    assert (later.state, later.pk != run.pk) == (RunState.WAITING, True)


def test_what_became_too_old_last_night_asks_nobody_however_much_it_is(world: World) -> None:
    now = timezone.now()
    with world.acting():
        fill(world.folder(world.ann_box), 150, newest=now - 90 * DAY - timedelta(hours=1))
    run = purge(world.acme.pk, now)
    assert run
    assert run.state == RunState.FINISHED


def test_a_purge_that_waited_is_given_up_when_the_company_buys_a_longer_plan(world: World) -> None:
    now = timezone.now()
    with world.acting():
        change_plan(world.acme, "basic", on=world.acme.today(), by=world.adm)
        fill(world.folder(world.ann_box), 150, newest=now - 20 * DAY)
    waiting = purge(world.acme.pk, now)
    assert waiting
    assert waiting.state == RunState.WAITING
    with world.acting():
        change_plan(world.acme, "professional", on=world.acme.today(), by=world.adm)
        runs.decide(waiting, go=True, by=world.adm)
    assert purge(world.acme.pk, now) is None
    with world.acting():
        waiting.refresh_from_db()
        assert waiting.state == RunState.REPLACED
        assert Message.objects.count() == 150


def test_a_plan_that_is_bought_while_the_purge_runs_saves_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = timezone.now()
    with world.acting():
        change_plan(world.acme, "basic", on=world.acme.today(), by=world.adm)
    for number in range(4):
        mail(world, age=20 * DAY, at=now, subject=str(number))
    monkeypatch.setattr(purging, "BATCH", 2)
    real = purging._remove

    def then_upgrade(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        change_plan(world.acme, "professional", on=world.acme.today(), by=world.adm)

    monkeypatch.setattr(purging, "_remove", then_upgrade)
    run = purge(world.acme.pk, now)
    assert run
    assert run.state == RunState.REPLACED
    assert len(subjects(world)) == 2


@pytest.mark.parametrize("minutes", [-6, 6])
def test_where_the_clocks_disagree_nothing_is_purged(world: World, minutes: int) -> None:
    a_full_mailbox(world)
    with (
        time_machine.travel(timezone.now() + timedelta(minutes=minutes), tick=True),
        pytest.raises(ClocksDisagree),
    ):
        purge(world.acme.pk, timezone.now())
    assert len(subjects(world)) == 4
