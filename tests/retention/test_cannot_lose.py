"""Killed before any statement, run twice, run by two, raced by people who bind: never one message too many."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import tenancy
from crm import activities
from crm.matching import Ref
from crm.models import Activity, ActivityCopy, Contact
from mailsync import discarding, schedule
from mailsync.models import Message
from plans.subscriptions import change_plan
from retention import purge as purging
from retention import runs
from retention.models import RetentionRun, RunState
from retention.purge import purge
from tasks import actions as tasks
from tasks import binding, telling
from tasks.models import TaskMessage
from tests.consistency import assert_consistent
from tests.reading.factory import fill
from tests.retention.scenes import bind_to_client, bind_to_task, mail
from tests.world import World

DAY = timedelta(days=1)
# Seconds that one side waits in its turns, and the other in the reverse order: so that each comes first at times.
LATER = (0.0, 0.001, 0.003, 0.01, 0.03)


class Killed(BaseException):
    """The worker is gone: nothing of its own code runs any more."""


@contextmanager
def killed_before(statement: int) -> Iterator[list[int]]:
    """The n-th statement for the database is never sent."""
    sent = [0]

    def send(execute: Callable[..., Any], *arguments: Any) -> Any:
        sent[0] += 1
        if sent[0] == statement:
            raise Killed
        return execute(*arguments)

    with connection.execute_wrapper(send):
        yield sent


@pytest.mark.django_db
@pytest.mark.parametrize("step", [13, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
def test_a_worker_that_dies_before_any_statement_leaves_nothing_wrong(
    world: World, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """At every boundary of a batch and everywhere in its middle; the next worker finishes, and the sums are right."""
    monkeypatch.setattr(purging, "BATCH", 2)
    now = timezone.now()
    old = [mail(world, age=100 * DAY - number * DAY, at=now) for number in range(4)]
    bind_to_task(world, old[0])
    bind_to_client(world, old[1])
    young = mail(world, age=DAY, at=now)
    deaths = 0
    for statement in range(1, 1000, step):
        with transaction.atomic():
            try:
                with killed_before(statement) as sent:
                    purge(world.acme.pk, now)
            except Killed:
                deaths += 1
                purge(world.acme.pk, now)
            check(world, old, young)
            transaction.set_rollback(True)
        if sent[0] < statement:
            break
    assert deaths * step > 40


def check(world: World, old: list[Message], young: Message) -> None:
    with world.acting():
        assert set(Message.objects.values_list("pk", flat=True)) == {old[0].pk, young.pk}
        run = RetentionRun.objects.get()
        assert run.state == RunState.FINISHED
        assert {line.kind: (line.messages, line.bytes) for line in run.lines.all()} == {
            "removed": (2, old[2].size + old[3].size),
            "hidden": (1, old[1].size),
            "kept_task": (1, old[0].size),
        }
        assert_consistent(world.acme)


def together(*acts: Callable[[], object]) -> None:
    """Each in a thread of its own, with a connection of its own."""
    failed: list[BaseException] = []

    def run(act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_remove_and_count_each_message_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "BATCH", 5)
    now = timezone.now()
    with world.acting():
        fill(world.folder(world.ann_box), 60, newest=now - 91 * DAY)
        fill(world.folder(world.team_box), 30, newest=now - 91 * DAY)
        total = sum(Message.objects.values_list("size", flat=True))
    start = threading.Barrier(2)

    def work() -> None:
        start.wait(timeout=60)
        purge(world.acme.pk, now)

    together(work, work)

    with world.acting():
        run = RetentionRun.objects.get()
        assert run.state == RunState.FINISHED
        assert sum(run.lines.values_list("messages", flat=True)) == 90
        assert sum(run.lines.values_list("bytes", flat=True)) == total
        assert not Message.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("bound_to", ["task", "client"])
@pytest.mark.parametrize(
    "races", [40, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_a_link_that_is_made_while_the_purge_runs_wins_or_says_that_the_mail_has_left(
    world: World, races: int, bound_to: str
) -> None:
    """The plan keeps what is with a client, so both kinds of links keep."""
    now = timezone.now()
    with world.acting():
        change_plan(world.acme, "nfr", on=world.acme.today(), by=None)
        fill(world.folder(world.ann_box), races, newest=now - 91 * DAY)
        task = tasks.create("Answer", by=world.ann)
        contact = Contact.objects.create(account=world.acme, name="Zoe", responsible=world.ann)
        messages = list(Message.objects.order_by("pk").values_list("pk", flat=True))
        run = runs.begin(world.acme.pk, now)
        assert run
        RetentionRun.objects.update(state=RunState.RUNNING)
    start = threading.Barrier(2)
    bound: set[int] = set()

    def bind(message_id: int) -> None:
        with tenancy.acting_for(world.acme.pk):
            if bound_to == "task":
                binding.bind(task, [message_id], by=world.ann)
            else:
                activity = activities.kept_for(world.acme.pk, message_id)
                activities.bind(activity, Ref("contact", contact.pk), by=world.ann, alone=True)
        bound.add(message_id)

    def discard(message_id: int) -> None:
        with tenancy.acting_for(world.acme.pk):
            schedule.lock([world.ann_box.pk])
            held = discarding.hold(world.ann_box.pk, Message.objects.filter(pk=message_id))
            purging._remove(run, world.ann_box.pk, [message.pk for message in held])

    def each(act: Callable[[int], None], later: Sequence[float]) -> Callable[[], None]:
        def all_of_them() -> None:
            for message_id, seconds in zip(messages, itertools.cycle(later), strict=False):
                start.wait(timeout=60)
                time.sleep(seconds)
                try:
                    act(message_id)
                except (telling.CannotDo, activities.MessageLeft):
                    continue

        return all_of_them

    together(each(bind, LATER), each(discard, LATER[::-1]))

    with world.acting():
        here = set(Message.objects.values_list("pk", flat=True))
        on_task = TaskMessage.objects.filter(task=task).values_list("message_id", flat=True)
        copies = ActivityCopy.objects.filter(activity__bindings__contact=contact)
        with_client = copies.values_list("message_id", flat=True)
        assert sorted(on_task if bound_to == "task" else with_client) == sorted(here)
        assert not Activity.objects.filter(bindings=None).exists(), "half a link"
        assert bound == here
        assert sum(run.lines.values_list("messages", flat=True)) == races - len(here)
        assert_consistent(world.acme)
    assert 0 < len(here) < races, "one side won always: this was no race"
