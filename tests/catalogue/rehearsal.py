"""One morning, a busy one or the first, played again and again, each time with another mishap.

Rows go back by a savepoint; the server's side is a copy of the Maildir under a login of its own, so that no session of
the time before can reach it.

*What dies.* A worker acts on the world through two lines only, to the database and to the mail server. `killed_at` ends
both at a named step: from there on no statement passes but the rollback, which PostgreSQL would do itself, and no byte
leaves; the server does what it has heard before. That is what kill -9 leaves. Processes die in test_interruption.py.

*What is resumed.* The next run knows nothing but rows and the server. After each mishap both are compared with what
earlier ones left, and each new state is resumed and judged; one that was resumed before would end as it did.

*The walk.* A worker that dies late has done again what all before it did, which costs ten times what is tried. So each
mishap comes a step later than the one before, from the same beginning, until one leaves work that was never seen: that
is where the next begin, each a step after it does what the one before did not. So every step of the morning is the last
of some worker who has just begun.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.db import connection, transaction
from django.utils import timezone

from mailsync import engine, schedule
from mailsync.imap.session import Session
from mailsync.models import Folder, Mailbox, Message, Schedule
from tests.catalogue.conftest import Case
from tests.catalogue.mornings import Morning
from tests.catalogue.states import State, States
from tests.engine.conftest import Box
from tests.rigs.proxy import Way

MOST = 20_000
Step = str | bytes
_SAVEPOINT = re.compile(r'"s\d+_x\d+"')  # each has a number of its own
_ROLLBACK = ("ROLLBACK TO SAVEPOINT", "RELEASE SAVEPOINT")


class Killed(BaseException):
    """kill -9: nothing of the worker's own code may run any more."""


class AtOnce(Executor):
    """Whoever hands it work does it: with two threads no worker would do what the one before did, in the same order."""

    def submit(self, what: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(what(*arguments, **named))
        except BaseException as error:  # as a thread's: Killed, too
            future.set_exception(error)
        return future


@dataclass
class Fate:
    """When a run ends: at its `number`-th step, or `first` steps after the point from which it does something else than
    the one `before`. What it does is noted in `names`."""

    number: int
    before: Sequence[Step] = ()
    every: int = 1
    first: int = 1
    names: list[Step] = field(default_factory=list)

    def meet(self, name: Step, steps: int) -> None:
        """It does this next; so many steps are done."""
        place = len(self.names)
        if place < len(self.before) and self.before[place] != name:
            self.number = min(self.number, steps + self.first)
        self.names.append(name)

    @property
    def is_met(self) -> bool:
        """For those whose steps are what they do."""
        return len(self.names) >= self.number

    def next(self) -> "Fate":
        return Fate(self.number + self.every, self.names, self.every, self.first)


Mishap = Callable[[Case, Fate], bool]  # one run; whether something happened to it


@dataclass
class Rehearsal:
    """`case` is where everything begins; `play` gives a fresh copy of a case and takes it back afterwards."""

    case: Case
    morning: Morning
    scenes: int = 0
    known: set[State] = field(default_factory=set)  # each was resumed and judged
    states: States = field(init=False)

    def __post_init__(self) -> None:
        self.states = States(timezone.now().isoformat())

    @contextmanager
    def play(self, begin: Case | None = None) -> Iterator[Case]:
        begin = begin or self.case
        self.scenes += 1
        case = replace(begin, login=f"scene{self.scenes:05}@{self.case.login}", copies=begin.copies.copy())
        server = case.dovecot
        server.set_password(case.login, server.passwords[self.case.login])
        subprocess.run(["cp", "-a", _home(begin), _home(case)], check=True)
        with self.taken_back(case):
            with case.acting():
                Mailbox.objects.filter(pk=case.mailbox.pk).update(login=case.login)
            case.reload()
            yield case
        case.reload()

    @contextmanager
    def taken_back(self, case: Case) -> Iterator[Callable[[], None]]:
        """Rows are as before after the block, unless the function that it yields was called."""
        heard = case.line.heard.copy()
        kept = []
        beginning = transaction.savepoint()
        try:
            yield lambda: kept.append(True)
        finally:
            case.line.heal()
            if not kept:
                case.line.heard = heard
                transaction.savepoint_rollback(beginning)
            transaction.savepoint_commit(beginning)  # else thousands of them lie in each other

    def walk(self, mishap: Mishap, *, every: int = 1, first: int = 0, judged: int = 1) -> int:
        """From the beginning of the morning to its end; returns how many mishaps there were.

        One step of so many, the `first` of them (the last, unless told): `every` walks, one for each, leave out none.
        One new state of so many is `judged` by itself; all are by what the workers after it make of it.
        """
        first = first or every
        count, fate = 0, Fate(first, every=every, first=first)
        with self.play() as case:
            case.line.forget()
            seen = {self.states.of(case).work}
            while True:
                with self.taken_back(case) as keep:
                    happened = mishap(case, fate)
                    case.line.settle()
                    case.line.heal()
                    if not happened:
                        self.assert_as_if_nothing_had_happened(case)
                        return count
                    count += 1
                    assert count < MOST, "it comes to no end"
                    fate = fate.next()
                    state = self.states.of(case)
                    self.survives(case, state, judged)
                    if state.work not in seen:
                        seen.add(state.work)
                        keep()

    def survives(self, case: Case, state: State, judged: int) -> None:
        """After a mishap: resume and judge, where that was not done from the very same state before."""
        if state not in self.known:
            self.known.add(state)
            if len(self.known) % judged == 0:
                with self.play(case) as again:
                    again.sync(thorough=False)
                    self.assert_as_if_nothing_had_happened(again)

    def assert_as_if_nothing_had_happened(self, case: Case) -> None:
        """Everything is as after an uninterrupted run, and stays so; what was asked for was done once."""
        case.line.heal()
        case.sync(thorough=False)
        shown, subjects = case.assert_equal_to_server(), self.morning.subjects
        assert {path: shown[path] for path in subjects} == subjects
        assert {subject: case.one(subject).flags for subject in self.morning.flags} == self.morning.flags
        with case.acting():
            ours = Folder.objects.filter(mailbox=case.mailbox, path__in=subjects)
            assert sorted(ours.values_list("path", flat=True)) == sorted(subjects)
            placed = Message.objects.filter(mailbox=case.mailbox, placements__isnull=False).distinct()
            assert placed.count() == len(set(chain.from_iterable(subjects.values())))


def _home(case: Case) -> Path:
    return case.dovecot.maildir(case.login).parent


def run(case: Box) -> engine.Outcome:
    """One run, which may be killed."""
    with case.acting():
        lease = schedule.claim(case.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    return engine.synchronise(lease, seconds=60)


@contextmanager
def killed_at(case: Case, fate: Fate) -> Iterator[None]:
    """Die before a statement, before a command leaves, or when its answer has come. Then time passes until the dead
    worker's lease is over."""

    def step(name: str) -> None:
        fate.meet(name, len(fate.names))
        if fate.is_met:
            raise Killed

    def statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if not (fate.is_met and sql.startswith(_ROLLBACK)):
            step(_SAVEPOINT.sub("", sql))
        return execute(sql, params, many, context)

    def send(session: Session, name: str, *arguments: bytes) -> Any:
        step(f"{name} leaves")
        return real_send(session, name, *arguments)

    def receive(session: Session, sent: Any, *arguments: Any) -> Any:
        answer = real_receive(session, sent, *arguments)
        step(f"{sent[0]} was answered")
        return answer

    def close(session: Session) -> None:
        if fate.is_met:
            session.imap.shutdown()  # as the kernel does for the dead
        else:
            real_close(session)

    real_send, real_receive, real_close = Session.send, Session.receive, Session.close
    try:
        with (
            patch.multiple(Session, send=send, receive=receive, close=close),
            connection.execute_wrapper(statement),
        ):
            yield
    except Killed:
        Schedule.objects.filter(mailbox=case.mailbox).update(leased_until=None)


def kill(case: Case, fate: Fate) -> bool:
    """A worker that dies."""
    with killed_at(case, fate):
        outcome = run(case)
        assert not outcome.error, outcome.error
        return False
    return True


def cut(way: Way) -> Mishap:
    """A connection that is cut; its steps are the bytes that go one way."""

    def cut_at(case: Case, fate: Fate) -> bool:
        line, began = case.line, case.line.carried[way]

        def watch(command: bytes) -> None:
            name = command.partition(b" ")[0] if b"AUTHENTICATE" in command else command
            fate.meet(name, line.carried[way] - began)
            line.cut[way] = began + fate.number

        line.cut[way], line.watch = began + fate.number, watch
        return bool(run(case).error)

    return cut_at
