"""What goes wrong around a sync, and that it ends well."""

import os
import random
import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from django.utils import timezone

from mailsync import actions, checking, engine, holding, outages, schedule
from mailsync.imap import session
from mailsync.models import Outage, Schedule
from mailsync.sync.brake import Brake
from tests.catalogue.conftest import Case
from tests.rigs.proxy import Way

pytestmark = pytest.mark.slow
GARBLED_SESSIONS = int(os.environ.get("GARBLED_SESSIONS", "300"))


def fill(case: Case, count: int) -> None:
    for number in range(count):
        case.deliver(f"Mail {number}")


def test_x09_two_workers_on_one_mailbox_whose_lease_was_taken_by_hand(full: Case) -> None:
    fill(full, 5)
    with full.acting():
        first = schedule.claim(full.mailbox.pk, timezone.now(), even_if_not_due=True)
        Schedule.objects.filter(mailbox=full.mailbox).update(leased_until=None)
        second = schedule.claim(full.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert first
    assert second
    with pytest.raises(schedule.LeaseLost):
        engine.synchronise(first, seconds=60)
    engine.synchronise(second, seconds=60)
    assert len(full.placements()) == 5


def test_x27_a_server_that_is_down_is_tried_once_a_minute(full: Case, settings) -> None:
    """Whoever's mailboxes: there may be five hundred."""
    settings.MAIL_PROBE_SECONDS = 60
    full.line.refusing = True
    full.line.forget()
    for _try in range(outages.FEW):
        assert full.try_sync().error
    tries, began = full.line.connections, timezone.now()
    for second in range(0, 59, 10):
        assert not claimed(full, began + timedelta(seconds=second))
    assert full.line.connections == tries
    lease = claimed(full, began + timedelta(seconds=61))
    assert lease
    full.line.heal()
    assert not engine.synchronise(lease, seconds=60).error
    assert not Outage.objects.exists()
    full.until_quiet()


def claimed(case: Case, now: datetime) -> schedule.Lease | None:
    with case.acting():
        return schedule.claim(case.mailbox.pk, now, even_if_not_due=True)


def test_x27_a_server_that_was_down_is_caught_up_with_at_once(full: Case) -> None:
    fill(full, 3)
    full.sync()
    full.line.refusing = True
    with full.acting():
        actions.archive(full.chosen("Mail 0"), by=full.world.ann)
    waits = []
    for _try in range(8):
        before = timezone.now()
        assert full.try_sync().error
        due = Schedule.objects.get(mailbox=full.mailbox).due_at
        assert due
        waits.append((due - before).total_seconds())
    assert waits[0] >= 10
    assert waits[-1] > waits[0]
    assert max(waits) < 300
    full.deliver("Came meanwhile")
    full.line.heal()
    full.until_quiet()
    assert (full.subjects(), full.subjects("Archive")) == (["Mail 1", "Mail 2", "Came meanwhile"], ["Mail 0"])


def test_x30_with_half_a_second_for_each_answer_a_quiet_run_ends_soon(full: Case) -> None:
    fill(full, 3)
    full.sync()
    full.line.late = 0.5
    started = time.monotonic()
    full.sync(thorough=False)
    assert time.monotonic() - started < 12 * 0.5 * 2


def test_x31_connections_that_are_reset_now_and_then_lose_nothing(full: Case) -> None:
    chance = random.Random(31)
    for number in range(30):
        full.deliver(f"Mail {number}")
        full.line.forget()
        full.line.cut = (
            {chance.choice(list(Way)): chance.randrange(1, 9_000)} if chance.random() < 0.4 else {}
        )
        full.try_sync(thorough=False)
        if number % 7 == 3:
            with full.acting():
                oldest = list(full.chosen().order_by("uid").values_list("pk", flat=True)[:1])
                actions.archive(oldest, by=full.world.ann)
    full.line.heal()
    full.until_quiet()


def test_x32_on_a_thin_line_everything_comes_in_one_run(full: Case) -> None:
    full.deliver("Big", text="x\r\n" * 20_000)
    fill(full, 5)
    full.line.trickle = 0.0001
    full.sync(thorough=False)
    assert len(full.placements()) == 6


@pytest.mark.parametrize("slow", [{"trickle": 0.001}, {"late": 1.2}], ids=["a long mail", "each answer"])
def test_x32_what_takes_longer_than_a_lease_keeps_it(full: Case, settings, monkeypatch, slow) -> None:
    """Whoever waits: the run's own thread for an answer, or another one for the bodies."""
    settings.MAIL_LEASE_SECONDS = 2
    monkeypatch.setattr(session, "PULSE", 0.2)
    full.deliver("First")
    full.sync()
    renewed: list[float] = []
    real = schedule.renew

    def renew(lease: schedule.Lease) -> None:
        renewed.append(time.monotonic())
        real(lease)

    monkeypatch.setattr(schedule, "renew", renew)
    full.deliver("Big", text="y\r\n" * 2_000)
    for name, value in slow.items():
        setattr(full.line, name, value)
    renewed.append(time.monotonic())
    full.sync(thorough=False)
    assert renewed[-1] - renewed[0] > 4
    assert max(later - earlier for earlier, later in pairwise(renewed)) < 1.5
    assert full.subjects() == ["First", "Big"]


def test_x33_every_folder_is_rebuilt_at_once(full: Case) -> None:
    folders = [f"Folder {number}" for number in range(30)]
    for name in folders:
        full.deliver(f"in {name}", folder=name)
    full.sync()
    for number, name in enumerate(folders):
        full.dovecot.doveadm(
            "mailbox", "update", "-u", full.login, "--uid-validity", str(5_000 + number), name
        )
    full.line.forget()
    full.until_quiet()
    assert full.bodies_asked() == []


def test_x34_a_mass_removal_is_held_until_a_person_says_that_it_is_right(full: Case) -> None:
    subjects = [f"Mail {number}" for number in range(200)]
    for subject in subjects:
        full.deliver(subject)
    full.sync()
    full.on_server("STORE", "1:180", "+FLAGS", "(\\Deleted)")
    full.on_server("EXPUNGE", "1:180")
    full.removed(*subjects[:180])
    for _run in range(3):
        full.sync(thorough=False)
        assert len(full.placements()) == 200
    with full.acting():
        assert holding.answer(full.folder(), Brake.FOLLOW, by=full.world.ann)
    full.until_quiet()
    assert full.subjects() == subjects[180:]


LIES = {
    "EXISTS too high": (rb"^\* \d+ EXISTS", b"* 99 EXISTS"),
    "EXISTS too low": (rb"^\* \d+ EXISTS", b"* 1 EXISTS"),
    "sizes": (rb"RFC822\.SIZE \d+", b"RFC822.SIZE 7"),
    "no dates": (rb'INTERNALDATE "[^"]*"', b"INTERNALDATE NIL"),
    "dates of 1899": (rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "30-Dec-1899 00:00:00 +0000"'),
    "STATUS of nothing": (rb"MESSAGES \d+", b"MESSAGES 0"),
}


@pytest.mark.parametrize("lie", LIES)
def test_x39_a_server_that_lies_is_not_followed_into_a_loop_and_nothing_is_lost(
    full: Case, lie: str, monkeypatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)  # folders that were parked are tried in each run
    fill(full, 4)
    full.line.rewrite(*LIES[lie])
    for _run in range(4):
        full.sync(thorough=False)
    full.deliver("Later")
    full.sync(thorough=False)
    full.line.heal()
    repair(full)
    assert len(full.placements()) == 5


def repair(case: Case) -> None:
    """What the night's comparison finds is fetched again."""
    for _round in range(3):
        case.until_quiet()
        while not checking.check(case.mailbox.account_id, case.mailbox.pk):
            case.sync(thorough=False)
        case.sync(thorough=True)
    case.until_quiet()


@pytest.mark.timeout(0)
def test_x40_garbage_crashes_nothing_and_what_it_spoilt_is_mended(full: Case, monkeypatch) -> None:
    """Bytes of the server's own lines are changed at random, never those of mails: those a TLS line protects."""
    monkeypatch.setattr(session, "READ_TIMEOUT", 1.0)
    chance = random.Random(40)
    fill(full, 6)
    full.sync()

    def garble(found) -> bytes:
        line = bytearray(found[0])
        if chance.random() < 0.03 and len(line) > 4:
            line[chance.randrange(len(line) - 2)] = chance.choice(b' ()"{}0*9aN\\[]\x00\xff')
        return bytes(line)

    for number in range(GARBLED_SESSIONS):
        full.line.rewritten = []
        full.line.rewrite(rb"^[^\r\n]*\r\n", garble)
        if number % 10 == 0:
            full.deliver(f"Later {number}")
        full.try_sync(thorough=False)
    full.line.heal()
    repair(full)
