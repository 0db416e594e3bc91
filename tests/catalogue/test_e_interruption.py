"""E: a worker, a connection or a server dies at any point; the end is the same as if it had not."""

import os
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.utils import timezone

from mailsync import actions, engine, fetching, importing, pushing, schedule
from mailsync.imap import session
from mailsync.models import Schedule
from tests.catalogue.conftest import Case
from tests.catalogue.mornings import BUSY, FIRST
from tests.catalogue.rehearsal import AtOnce, Rehearsal, cut, kill, run
from tests.rigs.filling import fill
from tests.rigs.proxy import Way

# In the quick suite each kill comes so many steps after the one before, each cut so many bytes, and one state of so
# many is judged by itself; -m slow leaves nothing out, unless there is no time for all of it.
STEPS, BYTES, JUDGED = 3, {Way.TO_SERVER: 7, Way.TO_US: 35}, 20
EVERY = int(os.environ.get("EVERY_NTH", "1"))
FROM = int(os.environ.get("FIRST_OF_EACH", EVERY))


@pytest.fixture(params=[BUSY, FIRST], ids=["busy", "first"])
def morning(case: Case, monkeypatch, request) -> Iterator[Rehearsal]:
    # Else a run does other things when the machine is slow, and no worker comes further than the one before.
    monkeypatch.setattr(pushing, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(engine, "ThreadPoolExecutor", lambda *_how: AtOnce())
    request.param.begin(case)
    yield Rehearsal(case, request.param)
    case.until_quiet()


def share_of(morning: Rehearsal) -> int:
    """Of the first morning of a mailbox the quick suite walks a part: what it does, it does many times."""
    return 1 if morning.morning is BUSY else 4


@pytest.mark.timeout(900)
def test_e04_x03_workers_killed_one_after_the_other(morning: Rehearsal) -> None:
    """Each begins where the one before died, and comes a little further; the last lives, and everything is right."""
    share = share_of(morning)
    assert morning.walk(kill, every=STEPS * share, judged=JUDGED) >= (190 if share == 1 else 80)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", Way)
def test_e01_e02_x29_connections_cut_one_after_the_other(morning: Rehearsal, way: Way) -> None:
    share = share_of(morning)
    assert morning.walk(cut(way), every=BYTES[way] * share, judged=JUDGED) >= (180 if share == 1 else 20)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_e04_x03_a_worker_killed_at_every_step(morning: Rehearsal) -> None:
    count = morning.walk(kill, every=EVERY, first=FROM)
    print(f"{count} kills, {len(morning.known)} states resumed")


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("way", Way)
def test_e01_e02_x29_a_connection_cut_after_every_byte(morning: Rehearsal, way: Way) -> None:
    count = morning.walk(cut(way), every=EVERY, first=FROM)
    print(f"{count} cuts, {len(morning.known)} states resumed")


COMMANDS = [
    *("UID STORE", "UID (MOVE|COPY)", "CREATE"),
    *(
        pytest.param(each, marks=pytest.mark.slow)
        for each in ("SUBSCRIBE", "EXPUNGE", "SELECT", "LIST", "FETCH")
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_e03_a_command_that_was_done_and_whose_answer_was_lost(morning: Rehearsal, command: str) -> None:
    with morning.play() as case:
        case.line.lost = re.compile(command.encode())
        run(case)
        morning.assert_as_if_nothing_had_happened(case)


def test_e01_of_an_answer_that_ends_in_the_middle_no_sentence_tells(full: Case) -> None:
    """A line that was cut may be a part of somebody's mail, and admins read the sentence."""
    full.deliver("Secret plan")
    full.line.plans.append(
        (re.compile(b"FETCH"), lambda: full.line.cut.update({Way.TO_US: full.line.carried[Way.TO_US] + 60}))
    )
    assert full.try_sync().error == "The connection to the server was lost."
    full.line.heal()
    full.until_quiet()


@pytest.mark.parametrize("times", [1, 3])
def test_e12_a_limit_of_time_is_hit_in_the_middle_of_a_batch(case: Case, monkeypatch, times: int) -> None:
    """Celery's soft limit comes as an exception, wherever the worker is; the hard one kills, and that is E04."""
    monkeypatch.setattr(fetching, "BATCH_MESSAGES", 3)
    for number in range(12):
        case.deliver(f"Mail {number}")
    real, written = importing.store_placements, []

    def store_placements(*arguments):
        stored = real(*arguments)
        written.append(stored)
        if len(written) == times:
            raise SoftTimeLimitExceeded
        return stored

    monkeypatch.setattr(importing, "store_placements", store_placements)
    with pytest.raises(SoftTimeLimitExceeded):
        case.try_sync()
    assert len(case.placements()) == 3 * (times - 1)
    row = Schedule.objects.get(mailbox=case.mailbox)
    assert (row.leased_until, row.deaths) == (None, 0)
    assert row.due_at is not None
    assert row.due_at - timezone.now() < timedelta(minutes=1)
    case.until_quiet()
    assert len(case.subjects()) == 12


@pytest.mark.slow
def test_e07_a_first_fetch_interrupted_twenty_times_costs_little_more_than_one(full: Case) -> None:
    fill(full.dovecot, full.login, 10_000)
    full.count_what_is_there()
    for _time in range(20):
        full.line.forget()
        full.line.cut[Way.TO_US] = 600_000
        full.try_sync()
    full.line.heal()
    full.sync()
    placed = {each.uid for each in full.placements()}
    assert len(placed) == 10_000


def test_e08_x28_a_server_that_falls_silent_in_a_literal_is_left_and_the_mailbox_is_free(
    case: Case, monkeypatch
) -> None:
    monkeypatch.setattr(session, "READ_TIMEOUT", 0.6)
    case.deliver("Long", text="x\r\n" * 5_000)
    case.line.stall[Way.TO_US] = 9_000
    outcome = case.try_sync(thorough=False)
    assert "stopped answering" in outcome.error
    assert Schedule.objects.get(mailbox=case.mailbox).leased_until is None
    case.line.heal()
    case.until_quiet()
    assert case.subjects() == ["Long"]


def test_e10_the_mailbox_of_a_machine_that_died_is_free_when_its_lease_is_over(full: Case) -> None:
    full.deliver("Mail")
    with full.acting():
        lease = schedule.claim(full.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    row = Schedule.objects.get(mailbox=full.mailbox)
    assert row.leased_until
    assert (
        row.leased_until - timezone.now()
    ).total_seconds() <= 55  # X01: a minute, and the tick comes every 5 s
    with full.acting():
        assert schedule.claim(full.mailbox.pk, row.leased_until + timedelta(seconds=1))
    Schedule.objects.filter(mailbox=full.mailbox).update(leased_until=None)
    full.sync()


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
def test_e03_a_move_without_move_is_not_made_twice(case: Case, done: bool) -> None:
    case.deliver("Copied once")
    case.sync()
    with case.acting():
        actions.archive(case.chosen("Copied once"), by=case.world.ann)
    if done:
        case.line.lost = re.compile(b"^UID (COPY|MOVE)")
    else:
        case.line.cut[Way.TO_SERVER] = case.line.carried[Way.TO_SERVER] + 60
    case.try_sync(thorough=False)
    case.line.heal()
    case.until_quiet()
    assert (case.subjects(), case.subjects("Archive")) == ([], ["Copied once"])
