"""Ann, Bob and the worker at the same moment: nobody waits for ever, nothing is done twice."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection, connections
from django.db.models import QuerySet
from django.utils import timezone

from accounts import tenancy
from accounts.models import Employee
from mailsync import actions, discarding, lanes, parking, replica, schedule, settling, transferring
from mailsync.connecting import CannotConnect
from mailsync.models import ConnectionTest, Folder, Mailbox, Operation, Placement, SpecialUse
from mailsync.sync.state import Place
from overview import bulk
from plans.subscriptions import change_plan
from retention import handing_over, leavers
from retention.models import HandedOver, Leaver
from tests.consistency import assert_consistent
from tests.world import World, mailbox

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*works: Callable[[], object]) -> None:
    """Each in a thread with a connection of its own, all released together; raises what any of them raises."""
    gate = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        try:
            gate.wait(10)
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result(60)


def letters(world: World, count: int) -> list[int]:
    inbox, archive = world.folder(world.team_box), world.folder(world.team_box, SpecialUse.ARCHIVE)
    half = count // 2
    return [
        *(world.message(inbox).pk for _ in range(half)),
        *(world.message(archive).pk for _ in range(half)),
    ]


def some(ids: list[int]) -> QuerySet[Placement]:
    return Placement.objects.filter(pk__in=ids)


def test_ann_and_bob_move_the_same_letters_in_opposite_directions(world):
    ids = letters(world, 12)
    archive, inbox = world.folder(world.team_box, SpecialUse.ARCHIVE), world.folder(world.team_box)

    def again(target: Folder, by, order: list[int]) -> None:
        for _ in range(15):
            with world.acting():
                actions.move(some(order), target, by=by)

    at_once(lambda: again(archive, world.ann, ids), lambda: again(inbox, world.bob, ids[::-1]))

    with world.acting():
        here = list(Placement.objects.filter(pk__in=ids).values_list("folder_id", flat=True))
        open_moves = Operation.objects.filter(state="pending").values_list("placement_id", flat=True)
        assert len(here) == len(ids)
        assert len(open_moves) == len(set(open_moves))


def test_two_people_flag_the_same_letters_at_once(world):
    ids = letters(world, 12)

    def again(flag: str, by) -> None:
        for number in range(15):
            with world.acting():
                actions.set_flags(some(ids), **{"remove" if number % 2 else "add": [flag]}, by=by)

    at_once(lambda: again("\\Seen", world.ann), lambda: again("\\Flagged", world.bob))

    with world.acting():
        flags = {tuple(p.flags) for p in some(ids)}
        assert flags == {("\\Flagged", "\\Seen")}
        assert Operation.objects.count() == len(ids)


def test_an_employee_acts_while_the_worker_writes_into_the_same_folder(world):
    """The worker holds the mailbox, then the folder; an act that took them the other way would deadlock."""
    ids = letters(world, 6)
    archive, inbox = world.folder(world.team_box, SpecialUse.ARCHIVE), world.folder(world.team_box)
    with world.acting():
        schedule.wake(world.team_box.pk)
        lease = schedule.claim(world.team_box.pk, timezone.now())
    assert lease

    def work() -> None:
        for number in range(60):
            with replica.writing(lease, (inbox, archive)[number % 2].pk):
                Folder.objects.filter(mailbox=world.team_box).update(wanted=number)

    def act() -> None:
        for number in range(30):
            with world.acting():
                actions.move(some(ids), (archive, inbox)[number % 2], by=world.ann)

    at_once(work, act)


def test_what_a_run_places_elsewhere_stays_when_its_old_folder_is_discarded(world):
    letter = world.message(world.folder(world.team_box, SpecialUse.ARCHIVE))
    with world.acting():
        Folder.objects.filter(pk=letter.folder_id).update(syncing=False)
        schedule.wake(world.team_box.pk)
        lease = schedule.claim(world.team_box.pk, timezone.now())
    assert lease

    def discard() -> None:
        try:
            discarding.discard_let_go(world.acme.pk, world.team_box.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with replica.writing(lease, world.folder(world.team_box).pk) as inbox:
            assert inbox
            replica.place(inbox, [Place(77, letter.message_id, frozenset())])
            discarded = pool.submit(discard)
            waited_for(discarded)
        discarded.result(60)

    with world.acting():
        [left] = Placement.objects.filter(folder__mailbox=world.team_box)
        assert (left.folder_id, left.uid, left.message_id) == (inbox.pk, 77, letter.message_id)
        assert_consistent(world.acme)


@pytest.mark.parametrize("what", ["transfer", "repair", "bring back"])
def test_what_a_page_does_to_a_mailbox_and_the_end_of_its_run_wait_for_each_other(
    world: World, what: str
) -> None:
    """The run holds the schedule and then writes its mailbox: a page that took them the other way deadlocked."""
    with world.acting():
        box = Mailbox.objects.select_related("owner").get(pk=world.ann_box.pk)
        second = mailbox(world.ann, "second@acme.example")
        if what == "bring back":
            change_plan(world.acme, "basic", on=world.acme.today(), by=None)
        schedule.wake(box.pk)
        lease = schedule.claim(box.pk, timezone.now())
        passed = login_of(box)
    assert lease
    acts = {
        "transfer": lambda: transferring.transfer(box, world.bob, by=world.adm),
        "repair": lambda: settling.repair(box, passed, by=world.ann),
        "bring back": lambda: parking.bring_back(second, instead_of=None, by=world.ann),
    }

    with ThreadPoolExecutor(1) as pool:
        with replica.writing(lease):
            done = pool.submit(alone, world, acts[what])
            waited_for(done)
            Mailbox.objects.filter(pk=box.pk).update(synced_at=timezone.now())
        done.result(60)


@pytest.mark.parametrize("what", ["disconnect", "transfer", "hand over", "give back", "end"])
def test_what_is_done_to_several_mailboxes_locks_them_in_the_order_of_everybody(
    world: World, what: str
) -> None:
    """Two who held one each and waited for the other's were both refused."""
    now = timezone.now()
    with world.acting():
        low = Mailbox.objects.select_related("owner").get(pk=world.ann_box.pk)
        high = mailbox(world.ann, "aaa@acme.example")
        leaver = Leaver.objects.create(
            account=world.acme,
            employee=world.ann if what != "give back" else world.cyd,
            heir=world.ann if what == "give back" else world.bob,
            by=world.adm,
            state={"hand over": "moving", "give back": "returning"}.get(what, "kept"),
            at=now,
            ends_at=now if what == "end" else now + timedelta(days=30),
        )
        if what == "give back":
            HandedOver.objects.create(
                account=world.acme, leaver=leaver, heir=world.ann, kind="mailboxes", ids=[high.pk, low.pk]
            )
        if what in ("hand over", "end"):
            Employee.objects.filter(pk=world.ann.pk).update(is_active=False)
    acts = {
        "disconnect": lambda: settling.disconnect_all([high, low], by=world.adm),
        "transfer": lambda: bulk.transfer([high, low], world.bob, keeps="", by=world.adm),
        "hand over": lambda: handing_over.work(world.acme.pk, leaver.pk, seconds=10),
        "give back": lambda: handing_over.work(world.acme.pk, leaver.pk, seconds=10),
        "end": lambda: leavers.look_after(world.acme.pk, now),
    }

    def act() -> None:
        try:
            if what in ("disconnect", "transfer"):
                alone(world, acts[what])
            else:
                acts[what]()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with world.acting():
            schedule.lock([low.pk])
            done = pool.submit(act)
            waited_for(done)
            schedule.lock([high.pk])
        done.result(60)

    with world.acting():
        boxes = Mailbox.objects.filter(pk__in=[low.pk, high.pk])
        before = {"disconnected_at": None} if what in ("disconnect", "end") else {"owner": world.ann}
        assert not boxes.filter(**before)


def test_a_login_that_was_tested_before_the_mailbox_changed_hands_is_not_written_over_the_new_one(
    world: World,
) -> None:
    with world.acting():
        box = Mailbox.objects.get(pk=world.ann_box.pk)
        passed = login_of(box, imap_host="elsewhere.example")

    with ThreadPoolExecutor(1) as pool:
        with world.acting():
            transferring.transfer(world.ann_box, world.bob, by=world.adm)
            done = pool.submit(alone, world, lambda: settling.repair(box, passed, by=world.ann))
            waited_for(done)
        with pytest.raises(CannotConnect):
            done.result(60)

    with world.acting():
        assert Mailbox.objects.get(pk=box.pk).imap_host == box.imap_host


def test_the_claims_of_a_run_and_of_a_comparison_wait_for_each_other(world: World, monkeypatch) -> None:
    box = world.ann_box
    done: list[Future[None]] = []
    with world.acting():
        schedule.wake(box.pk)
    real = lanes.has_room

    def has_room(*args, **options) -> bool:
        room = real(*args, **options)
        if not done:
            check = partial(schedule.claim_check, world.acme.pk, box.pk, timezone.now())
            done.append(pool.submit(alone, world, check))
            waited_for(done[0])
        return room

    monkeypatch.setattr(schedule, "has_room", has_room)
    with ThreadPoolExecutor(1) as pool:
        assert schedule.claim(box.pk, timezone.now())
        done[0].result(60)


def login_of(box: Mailbox, **columns: str) -> ConnectionTest:
    """A test of its login that has passed; inside `acting`."""
    tested = {
        "imap_host": box.imap_host,
        "login": box.login,
        "secret": b"sealed",
        "state": "passed",
    } | columns
    return ConnectionTest.objects.create(
        account_id=box.account_id, by=box.owner, mailbox=box, address=box.address, **tested
    )


def alone(world: World, work: Callable[[], object]) -> None:
    """In a transaction and a connection of its own."""
    try:
        with world.acting():
            work()
    finally:
        connections.close_all()


def waited_for(work: Future[None]) -> None:
    """Until it waits for a lock of ours, or is over."""
    with connection.cursor() as cursor:
        while not work.done():
            cursor.execute("SELECT FROM pg_locks WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))")
            if cursor.rowcount:
                return
            time.sleep(0.02)


def test_two_undos_over_two_mailboxes_in_opposite_order(world):
    mine = [world.message(world.folder(world.ann_box)).pk for _ in range(3)]
    teams = [world.message(world.folder(world.team_box)).pk for _ in range(3)]

    def both_ways(first: list[int], second: list[int], flag: str) -> None:
        for _ in range(10):
            with world.acting():
                actions.set_flags(some(second), add=["\\Answered"], by=world.ann)
            with world.acting():
                act = actions.set_flags(some([*first, *second]), add=[flag], by=world.ann)
            with world.acting():
                actions.undo(act, by=world.ann)

    at_once(
        lambda: both_ways(mine, teams, "\\Seen"),
        lambda: both_ways(teams, mine, "\\Flagged"),
    )

    with world.acting():
        assert all(p.flags in ([], ["\\Answered"]) for p in some([*mine, *teams]))


def test_a_click_waits_for_nobody_elses_company(world):
    """A lock of Acme's worker is not in the way of Other."""
    letter = world.message(world.folder(world.eve_box))

    with tenancy.acting_for(world.acme.pk):
        schedule.lock([world.ann_box.pk, world.team_box.pk])

        def act() -> None:
            with world.acting(world.other):
                actions.set_flags(some([letter.pk]), add=["\\Seen"], by=world.eve)

        at_once(act)
