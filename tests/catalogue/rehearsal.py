"""One busy morning, played again and again from the same beginning, each time with another mishap.

Rows go back by a savepoint; the server's side is a copy of the Maildir under a login of its own, so that no session of
the time before can reach it.

*What dies.* A worker acts on the world through two lines only, to the database and to the mail server. `killed_at` ends
both at a named step: from there on no statement passes but the rollback, which PostgreSQL would do itself, and no byte
leaves; the server does what it has heard before. That is what kill -9 leaves. Processes die in test_interruption.py.

*What is resumed.* The next run knows nothing but rows and the server. After each mishap both are compared with what
earlier ones left, and each new state is resumed and judged; one that was resumed before would end as it did, and only
every SURPLUS-th of those is. So a few hundred mishaps cost some dozens of whole runs.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.db import connection, transaction
from django.utils import timezone

from mailsync import actions, engine, folders, schedule
from mailsync.imap.session import Session
from mailsync.models import Folder, Mailbox, Message, Schedule
from tests.catalogue.conftest import Case
from tests.catalogue.states import State, state_of
from tests.rigs import judge

SURPLUS = 25
NEVER = 1 << 30
_ROLLBACK = ("ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT")


class Killed(BaseException):
    """kill -9: nothing of the worker's own code may run any more."""


@dataclass
class Rehearsal:
    """`case` is where everything begins; `play` gives a fresh copy of it and takes it back afterwards."""

    case: Case
    scenes: int = 0
    known: set[State] = field(default_factory=set)  # each was resumed and judged
    began: str = field(default_factory=lambda: timezone.now().isoformat())

    @contextmanager
    def play(self) -> Iterator[Case]:
        self.scenes += 1
        case = replace(
            self.case, login=f"scene{self.scenes}.{self.case.login}", copies=self.case.copies.copy()
        )
        server = case.dovecot
        server.set_password(case.login, server.passwords[self.case.login])
        subprocess.run(["cp", "-a", _home(self.case), _home(case)], check=True)
        beginning = transaction.savepoint()
        with case.acting():
            Mailbox.objects.filter(pk=case.mailbox.pk).update(login=case.login)
        case.reload()
        try:
            yield case
        finally:
            case.line.heal()
            transaction.savepoint_rollback(beginning)
            transaction.savepoint_commit(beginning)  # else thousands of them lie in each other

    def survives(self, case: Case) -> None:
        """After a mishap: resume and judge, where that was not done from the very same state before."""
        case.line.settle()
        state = state_of(case, self.began)
        if state not in self.known or self.scenes % SURPLUS == 0:
            assert_as_if_nothing_had_happened(case)
            self.known.add(state)


def _home(case: Case) -> Path:
    return case.dovecot.maildir(case.login).parent


def a_busy_morning(case: Case) -> None:
    """Arrivals, flags, a move and a removal there; flags, a move, a removal and a new folder here; nothing sent yet."""
    for number in range(6):
        case.deliver(f"Mail {number}")
    case.deliver("Thrown away", folder="Trash")
    case.sync()
    with case.acting():
        actions.set_flags(case.chosen("Mail 0"), add=["\\Seen"], by=case.world.ann)
        actions.archive(case.chosen("Mail 1"), by=case.world.ann)
        actions.expunge(case.chosen("Thrown away", path="Trash"), by=case.world.ann)
        folders.create_folder(case.mailbox, "Plans", by=case.world.ann)
    case.phone_moves("Mail 3", "Sent")
    case.phone_removes("Mail 4")
    case.phone_flags("+", "\\Flagged", "Mail 5")
    for number in range(6, 9):
        case.deliver(f"Mail {number}", text="x\r\n" * 200 * (number == 7))
    case.removed("Thrown away")


def run(case: Case) -> engine.Outcome:
    """One run, which may be killed."""
    with case.acting():
        lease = schedule.claim(case.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    return engine.synchronise(lease, seconds=60)


@contextmanager
def killed_at(case: Case, number: int) -> Iterator[list[str]]:
    """Die at the n-th step: before a statement, before a command leaves, or when its answer has come. Then time passes
    until the dead worker's lease is over.

    Yields the steps so far by name.
    """
    steps: list[str] = []

    def step(name: str) -> None:
        steps.append(name)
        if len(steps) >= number:
            raise Killed

    def statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if len(steps) < number or not sql.startswith(_ROLLBACK):
            step(sql)
        return execute(sql, params, many, context)

    def send(session: Session, name: str, *arguments: bytes) -> Any:
        step(f"{name} leaves")
        return real_send(session, name, *arguments)

    def receive(session: Session, sent: Any, *arguments: Any) -> Any:
        answer = real_receive(session, sent, *arguments)
        step(f"{sent[0]} was answered")
        return answer

    def close(session: Session) -> None:
        if len(steps) >= number:
            session.imap.shutdown()  # as the kernel does for the dead
        else:
            real_close(session)

    real_send, real_receive, real_close = Session.send, Session.receive, Session.close
    try:
        with (
            patch.multiple(Session, send=send, receive=receive, close=close),
            connection.execute_wrapper(statement),
        ):
            yield steps
    except Killed:
        Schedule.objects.filter(mailbox=case.mailbox).update(leased_until=timezone.now())


def assert_as_if_nothing_had_happened(case: Case) -> None:
    """One more run later everything is as after an uninterrupted one; what was asked for was done once."""
    case.line.heal()
    case.sync(thorough=False)
    case.sync(thorough=False)
    expected = judge.expected_view(case.dovecot, case.mailbox)
    assert judge.our_view(case.mailbox) == expected
    shown = {path: sorted(case.subjects(path)) for path in ("INBOX", "Archive", "Sent", "Trash")}
    assert shown == {
        "INBOX": ["Mail 0", "Mail 2", "Mail 5", "Mail 6", "Mail 7", "Mail 8"],
        "Archive": ["Mail 1"],
        "Sent": ["Mail 3"],
        "Trash": [],
    }
    assert (case.one("Mail 0").flags, case.one("Mail 5").flags) == (["\\Seen"], ["\\Flagged"])
    case.count_matches()
    with case.acting():
        assert Folder.objects.filter(mailbox=case.mailbox, path="Plans").count() == 1
        assert Message.objects.filter(mailbox=case.mailbox, placements__isnull=False).distinct().count() == 8
