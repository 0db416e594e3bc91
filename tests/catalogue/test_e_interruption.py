"""E: a worker, a connection or a server dies at any point; the end is the same as if it had not."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import actions, schedule
from mailsync.imap import session
from mailsync.models import Schedule
from tests.catalogue.conftest import Case
from tests.catalogue.rehearsal import (
    Rehearsal,
    a_busy_morning,
    assert_as_if_nothing_had_happened,
    killed_at,
    run,
)
from tests.rigs.filling import fill
from tests.rigs.proxy import Way

FEW = 3  # of each kind in the quick suite; all of them with -m slow
ALL = 1 << 30


@pytest.fixture
def morning(case: Case) -> Iterator[Rehearsal]:
    a_busy_morning(case)
    yield Rehearsal(case)
    case.until_quiet()


def spread(last: int, count: int) -> range:
    """About `count` numbers from 1 to `last`, evenly; the same in each run of the suite."""
    return range(1, last + 1, max(1, last // count))


@pytest.mark.parametrize("count", [FEW, pytest.param(ALL, marks=pytest.mark.slow)], ids=["few", "all"])
def test_e04_x03_a_worker_killed_before_any_statement(morning: Rehearsal, count: int) -> None:
    with morning.play() as case, killed_at(ALL) as statements:
        run(case)
    assert len(statements) > 150
    for number in spread(len(statements), count):
        with morning.play() as case:
            with killed_at(number):
                run(case)
            assert_as_if_nothing_had_happened(case)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("count", [FEW, pytest.param(ALL, marks=pytest.mark.slow)], ids=["few", "all"])
def test_e01_e02_x29_a_connection_cut_after_any_byte(morning: Rehearsal, way: Way, count: int) -> None:
    with morning.play() as case:
        case.line.forget()
        run(case)
        length = case.line.carried[way]
    assert length > 500
    for number in spread(length, count):
        with morning.play() as case:
            case.line.forget()
            case.line.cut[way] = number
            run(case)
            assert_as_if_nothing_had_happened(case)


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
        assert_as_if_nothing_had_happened(case)


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


def test_e10_the_mailbox_of_a_machine_that_died_is_free_when_its_lease_is_over(full: Case, settings) -> None:
    full.deliver("Mail")
    with full.acting():
        lease = schedule.claim(full.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    row = Schedule.objects.get(mailbox=full.mailbox)
    assert row.leased_until
    assert (row.leased_until - timezone.now()).total_seconds() <= 120
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
