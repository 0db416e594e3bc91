"""One busy morning, played again and again from the same beginning, each time with another mishap.

Rows go back by a savepoint; the server's side is a copy of the Maildir under a login of its own, so that no session of
the time before can reach it.
"""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from mailsync import actions, engine, folders, schedule
from mailsync.models import Folder, Mailbox, Message, Schedule
from tests.catalogue.conftest import Case
from tests.rigs import judge


class Killed(BaseException):
    """kill -9: nothing of the worker's own code may run any more."""


@dataclass
class Rehearsal:
    """`case` is where everything begins; `play` gives a fresh copy of it and takes it back afterwards."""

    case: Case
    scenes: int = 0

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


def run(case: Case) -> None:
    """One run, which may be killed; time passes until the dead worker's lease is over."""
    try:
        with case.acting():
            lease = schedule.claim(case.mailbox.pk, timezone.now(), even_if_not_due=True)
        assert lease
        engine.synchronise(lease, seconds=60)
    except Killed:
        Schedule.objects.filter(mailbox=case.mailbox).update(leased_until=timezone.now())


@contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    """Die just before the n-th statement for the database; yields the statements that were to be executed."""
    statements: list[str] = []

    def count(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append(sql)
        if len(statements) == number:
            raise Killed
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        yield statements


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
