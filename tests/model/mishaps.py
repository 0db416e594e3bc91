"""What befalls a run: its line is cut, it is killed, its time is over, somebody acts in the middle, another worker
overtakes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from threading import current_thread, main_thread
from typing import Any
from unittest.mock import patch

from django.utils import timezone
from hypothesis import reject

from mailsync import first, pulling, replica
from mailsync.engine import Outcome
from mailsync.imap.session import Session
from mailsync.models import Folder, Schedule
from mailsync.run import Run
from mailsync.schedule import LeaseLost
from mailsync.sync.state import RemoteMessage
from tests.catalogue.conftest import Case
from tests.catalogue.rehearsal import Fate, killed_at, run
from tests.rigs.proxy import Way

NAMES = ["cut", "killed", "killed", "disturbed", "overtaken"]
HANGS: list[TimeoutError] = []


@contextmanager
def unless_dovecot_hangs() -> Iterator[None]:
    """Once in some hundred histories a folder that was renamed or deleted keeps somebody's lock there for minutes."""
    try:
        yield
    except TimeoutError as hang:
        HANGS.append(hang)
        reject()


@contextmanager
def before_command(number: int, what: Callable[[], None]) -> Iterator[list[str]]:
    """Something happens just before the worker itself, and none of its threads, sends its n-th command. It takes its
    time: the worker looks at its lease before it says anything.

    Yields a list that has the name of the command once it has happened.
    """
    real, sent = Session.send, 0
    real_often, asleep = replica._often, False
    happened: list[str] = []

    def send(session: Session, name: str, *arguments: bytes) -> Any:
        nonlocal sent, asleep
        sent += current_thread() is main_thread()
        if sent == number and not happened:
            happened.append(name)
            with patch.object(Session, "send", real):
                what()
            asleep = True
        return real(session, name, *arguments)

    def often() -> float:
        nonlocal asleep
        asleep, slept = False, asleep
        return -1.0 if slept else real_often()

    with patch.object(Session, "send", send), patch.object(replica, "_often", often):
        yield happened


def until_overtaken(case: Case) -> bool:
    """One run; whether it lost its lease, or ended in trouble."""
    with suppress(LeaseLost):
        return bool(run(case).error)
    return True


def befall(case: Case, mishap: str, when: int, act: Callable[[], None]) -> None:
    """One run that one of NAMES befalls, at this step or command."""
    if mishap == "cut":
        cut(case, when)
    elif mishap == "killed":
        killed(case, when)
    else:
        _disturbed(case, when % 15 + 1, act, overtaken=mishap == "overtaken")


def _disturbed(case: Case, number: int, act: Callable[[], None], *, overtaken: bool) -> None:
    """Somebody acts before the n-th command, and another worker may overtake it then."""

    def what() -> None:
        act()
        if overtaken:
            overtake(case)

    with before_command(number, what):
        until_overtaken(case)
    case.line.settle()


def overtake(case: Case) -> Outcome:
    """A worker's lease is over although it works, and another has the mailbox. One that the server turns away, as some
    do with a second connection, has ended the lease as well."""
    Schedule.objects.filter(mailbox=case.mailbox).update(leased_until=None)
    return case.try_sync(thorough=False)


def cut(case: Case, when: int) -> bool:
    """One run, whose line may be cut; whether it was whole."""
    line = case.line
    line.forget()
    way = Way.TO_US if when % 2 else Way.TO_SERVER
    line.cut[way] = when * 30 if when % 2 else when * 8
    outcome = run(case)
    line.settle()
    line.heal()
    return not outcome.error


def late(case: Case, when: int) -> bool:
    """A day later one run, whose time is over after a few slices of two messages; whether it was whole."""
    yesterday = timezone.now() - timedelta(days=2)
    with case.acting():
        Folder.objects.filter(mailbox=case.mailbox, full_at__isnull=False).update(full_at=yesterday)
    real, left = pulling._list, when % 4

    def listed(at_work: Run, low: int, high: int) -> list[RemoteMessage]:
        nonlocal left
        left -= 1
        if left < 0:
            at_work.deadline = 0.0
        return real(at_work, low, high)

    with (
        patch.object(pulling, "SLICE", 2),
        patch.object(pulling, "FIRST_SLICE", 1),
        patch.object(pulling, "_list", listed),
        patch.object(first, "pull_whole", lambda *_: set()),
    ):
        return not run(case).again


def killed(case: Case, when: int) -> bool:
    """One run that is killed at this step, if it comes so far; whether it was whole."""
    fate = Fate(when)
    with killed_at(case, fate):
        run(case)
    case.line.settle()
    return not fate.is_met
