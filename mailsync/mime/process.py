"""`python -m mailsync.mime.process DESK SECONDS` takes mail apart for another process, which goes on meanwhile.

It has no keys, no database and no network. DESK is the descriptor of a file in memory that both hold: there lie the
mails of a batch one after the other, and our stdin says how long each header and each body is. The answer goes to
stdout; the end of stdin is the end. Over a mail that takes more than SECONDS or too much memory it dies, and nothing
else does.
"""

import marshal
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import IO, Any, NamedTuple

from mailsync.binary import encoder
from mailsync.mime.headers import Address
from mailsync.mime.parse import AttachmentPart, Summary, summarize

SECONDS = 2.0  # of a processor for one mail; the slowest we know takes a twentieth of it
MEMORY = 1 << 30
# Of a message's row, what a Summary says.
COLUMNS = [
    ("message_id", "text"), ("subject", "text"), ("sender_name", "text"), ("sender_address", "text"),
    ("recipients", "jsonb"), ("sent_at", "timestamptz"), ("snippet", "text"), ("has_attachments", "bool"),
    ("parse_problem", "text"),
]  # fmt: skip
_encode = encoder([kind for _name, kind in COLUMNS])
_ATTACHMENTS = 6  # among the values that stand for a Summary
_LENGTH = struct.Struct("!I")


class Taken(NamedTuple):
    """A mail taken apart, as it comes from the process: the values of COLUMNS, encoded (mailsync.binary), and what a
    Summary is made of."""

    columns: bytes
    values: tuple[Any, ...]

    @property
    def summary(self) -> Summary:
        return _unpacked(self.values)

    @property
    def attachments(self) -> list[AttachmentPart]:
        return [AttachmentPart(*each) for each in self.values[_ATTACHMENTS]]


def take_apart(header: bytes, body: bytes) -> Taken:
    summary = summarize(header, body)
    sender = summary.sender
    row = (
        summary.message_id, summary.subject, sender.name if sender else "", sender.address if sender else "",
        summary.recipients, summary.sent_at, summary.snippet, any(not part.inline for part in summary.attachments),
        summary.problem,
    )  # fmt: skip
    return Taken(b"".join(_encode(row)), _packed(summary))


def main() -> None:
    desk, seconds = int(sys.argv[1]), float(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    while sizes := receive(sys.stdin.buffer):
        send(sys.stdout.buffer, [tuple(take_apart(*mail)) for mail in _mails(desk, sizes, seconds)])


def _mails(desk: int, sizes: Sequence[tuple[int, int]], seconds: float) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    for header, body in sizes:
        signal.setitimer(signal.ITIMER_PROF, seconds)  # nobody handles its signal, so it ends us
        yield os.pread(desk, header, at), os.pread(desk, body, at + header)
        at += header + body


def send(pipe: IO[bytes], values: list[Any]) -> None:
    """Plain values only. Raises BrokenPipeError."""
    data = marshal.dumps(values)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> list[Any] | None:
    """What `send` sent; None at the end, also where that comes too early."""
    length = pipe.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    data = pipe.read(*_LENGTH.unpack(length))
    try:
        values: list[Any] = marshal.loads(data)  # noqa: S302 (both ends are ours)
    except EOFError:
        return None
    return values


def _packed(summary: Summary) -> tuple[Any, ...]:
    sender, sent_at = summary.sender, summary.sent_at
    return (
        summary.message_id,
        summary.subject,
        sender and (sender.name, sender.address),
        summary.recipients,
        sent_at and sent_at.isoformat(),
        summary.snippet,
        [(a.part, a.name, a.type, a.size, a.content_id, a.inline) for a in summary.attachments],
        summary.problem,
    )


def _unpacked(values: tuple[Any, ...]) -> Summary:
    message_id, subject, sender, recipients, sent_at, snippet, attachments, problem = values
    return Summary(
        message_id,
        subject,
        Address(*sender) if sender else None,
        recipients,
        datetime.fromisoformat(sent_at) if sent_at else None,
        snippet,
        tuple(AttachmentPart(*each) for each in attachments),
        problem,
    )


if __name__ == "__main__":
    main()
