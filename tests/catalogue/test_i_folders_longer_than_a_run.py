"""A folder that takes longer to look through than a run has time: each run goes on where the last one ended."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import actions, first, pulling
from mailsync.models import Folder
from mailsync.run import Run
from mailsync.sync.state import RemoteMessage
from tests.catalogue.conftest import Case

SLICE = 10


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulling, "SLICE", SLICE)
    monkeypatch.setattr(pulling, "FIRST_SLICE", SLICE)
    monkeypatch.setattr(first, "SLICE", SLICE)
    monkeypatch.setattr(first, "LITTLE", 0)


@dataclass
class Looks:
    """The slices that were listed, by sequence numbers; a run's time is over with the last that it `may` list."""

    may: int = 2
    slices: list[tuple[int, int]] = field(default_factory=list)
    runs: Counter[int] = field(default_factory=Counter)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    real = pulling._list

    def listed(run: Run, low: int, high: int) -> list[RemoteMessage]:
        looks.slices.append((low, high))
        looks.runs[run.lease.epoch] += 1
        if looks.runs[run.lease.epoch] >= looks.may:
            run.deadline = 0.0
        return real(run, low, high)

    monkeypatch.setattr(pulling, "_list", listed)
    return looks


def until_read(case: Case, *, most: int = 12) -> int:
    """Runs until all is here; returns how many."""
    for number in range(1, most + 1):
        if not case.sync(thorough=False).again:
            return number
    raise AssertionError("it comes to no end")


def test_a_folder_that_takes_five_runs_is_read_in_five_and_those_behind_it_have_their_turn(
    case: Case, looks: Looks
) -> None:
    for number in range(60):
        case.deliver(f"Mail {number}")
    case.deliver("Behind", folder="Archive")
    until_read(case)
    assert case.subjects("Archive") == ["Behind"]
    assert len(case.subjects()) == 60
    # Each run may have asked for one slice ahead that it had no time to look at.
    assert len(looks.slices) <= 2 * 60 / SLICE
    looks.may = 1_000
    case.judge()


def test_what_happens_between_the_runs_is_seen(case: Case, looks: Looks) -> None:
    for number in range(60):
        case.deliver(f"Mail {number}")
    assert case.sync(thorough=False).again
    case.phone_flags("+", "\\Flagged", "Mail 59", "Mail 3")
    case.phone_moves("Mail 58", "Trash")
    case.phone_moves("Mail 2", "Trash")
    case.deliver("New")
    assert case.sync(thorough=False).again
    with case.acting():
        actions.archive(case.chosen("Mail 57"), by=case.world.ann)
    case.deliver("Newer")
    until_read(case)
    looks.may = 1_000
    case.judge()


def test_what_was_looked_at_of_a_folder_that_is_rebuilt_is_looked_at_again(case: Case, looks: Looks) -> None:
    for number in range(60):
        case.deliver(f"Mail {number}")
    assert case.sync(thorough=False).again
    assert case.folder().walk
    case.dovecot.doveadm("mailbox", "update", "-u", case.login, "--uid-validity", "4711", "INBOX")
    case.phone_flags("+", "\\Flagged", "Mail 59")
    until_read(case)
    looks.may = 1_000
    case.judge()


def test_the_daily_look_at_every_message_may_take_longer_than_a_run(case: Case, looks: Looks) -> None:
    for number in range(60):
        case.deliver(f"Mail {number}")
    case.deliver("Behind", folder="Archive")
    until_read(case)
    with case.acting():
        Folder.objects.update(full_at=timezone.now() - timedelta(days=2))
    case.deliver("Behind, too", folder="Archive")
    case.phone_flags("+", "\\Seen", "Mail 1", "Mail 58")
    until_read(case)
    assert sorted(case.subjects("Archive")) == ["Behind", "Behind, too"]
    looks.may = 1_000
    case.judge()
