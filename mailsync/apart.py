"""Taking mail apart while the rest of a synchronisation goes on: much of it in a process of its own.

Reading mail is pure Python, of which one process does one thing at a time. What brings little mail does without: a
process takes longer to start than a hundred mails to be read.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mailsync.mime import process
from mailsync.mime.process import Taken

MANY = 500
# Handed over at once; what is larger costs two processes memory and one of them little time.
MOST_BYTES = 16 << 20
_CODE = Path(__file__).resolve().parent.parent

Mail = tuple[bytes, bytes | memoryview]  # header and body
_AT_ONCE = os.sysconf("SC_IOV_MAX")


class Parser:
    """For one run. Used by one thread, which takes an answer before it asks again."""

    def __init__(self) -> None:
        self._taken = 0
        self._many = False  # and stays so when the process dies: what killed it is not read here
        self._beside: _Beside | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def expect(self, mails: int) -> None:
        """So many are to come: where that is much, the process starts while the first are waited for."""
        self._many = self._many or mails >= MANY
        if self._many:
            self._beside = self._beside or _Beside()

    def begin(self, mails: Sequence[Mail]) -> Callable[[], list[Taken | None]]:
        """Have them taken apart; what is returned waits for it. None for a mail that kills its reader."""
        self._taken += len(mails)
        size = sum(len(header) + len(body) for header, body in mails)
        self.expect(self._taken)
        if self._beside is None or size > MOST_BYTES:
            return lambda: [process.take_apart(header, bytes(body)) for header, body in mails]
        self._beside.ask(mails)
        return lambda: self._answer(mails)

    def _answer(self, mails: Sequence[Mail]) -> list[Taken | None]:
        """Where the process died over the mails, each is tried alone, so that only its killer stays unread."""
        assert self._beside is not None
        found = self._beside.answer()
        if found is not None:
            return [*found]
        self._end()
        return [None] if len(mails) == 1 else [self.begin([mail])()[0] for mail in mails]

    def _end(self) -> None:
        if self._beside:
            self._beside.end()
            self._beside = None


class _Beside:
    """The process. It ends with our side of the pipe, however we end."""

    def __init__(self) -> None:
        self._desk = desk = os.memfd_create("mail")
        self._process = subprocess.Popen(  # noqa: S603 (a module of ours)
            [sys.executable, "-S", "-m", process.__name__, str(desk), str(process.SECONDS)],
            cwd=_CODE,
            env={},
            pass_fds=[desk],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, mails: Sequence[Mail]) -> None:
        pieces = [piece for mail in mails for piece in mail]
        at = 0
        for start in range(0, len(pieces), _AT_ONCE):
            at += os.pwritev(self._desk, pieces[start : start + _AT_ONCE], at)
        if at < sum(map(len, pieces)):
            raise MemoryError
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then there will be no answer
            process.send(self._process.stdin, [(len(header), len(body)) for header, body in mails])

    def answer(self) -> list[Taken] | None:
        """None if the process is no more."""
        assert self._process.stdout is not None
        values = process.receive(self._process.stdout)
        return None if values is None else [Taken(*each) for each in values]

    def end(self) -> None:
        os.close(self._desk)
        self._process.kill()
        self._process.communicate()
