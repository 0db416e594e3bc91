"""Run: one synchronisation of one mailbox by one worker, and what its parts share."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from mailsync.apart import Parser
from mailsync.imap.server import ImapServer
from mailsync.schedule import Lease


@dataclass(slots=True)
class Pace:
    """How fast bodies come, asked for, sent and stored, by the last ten seconds of it; it begins with a guess."""

    bytes: float = 100_000
    seconds: float = 0.25

    def note(self, size: int, seconds: float) -> None:
        if self.seconds > 10:
            self.bytes, self.seconds = self.bytes / 2, self.seconds / 2
        self.bytes, self.seconds = self.bytes + size, self.seconds + seconds

    def within(self, seconds: float) -> float:
        """Bytes that come in so many seconds."""
        return self.bytes / self.seconds * seconds


class OutOfTime(Exception):
    """The run's share of time is over, or what it has planned is; everything written so far holds, the rest comes in
    the next run."""


@dataclass(slots=True)
class Run:
    """`deadline` is time.monotonic() at which to stop between two batches; `thorough` reads all there is to read."""

    lease: Lease
    mailbox_id: int
    server: ImapServer
    window_start: datetime
    deadline: float
    thorough: bool
    max_message_bytes: int
    # A thread each, while a batch is stored: one reads the next from the server, one makes rows of what was read.
    # Neither touches the database.
    reading: ThreadPoolExecutor
    preparing: ThreadPoolExecutor
    parser: Parser
    careful: bool = False  # a worker died of this mailbox, or two runs failed: message by message
    one_by_one: bool = False  # the run before failed: no folder is asked for together with another
    imported: int = 0
    changed: int = 0
    folders_listed: bool = False  # from then on no folder is made, renamed or deleted in this run
    tried: set[int] = field(default_factory=set)  # operations that had their turn in this run
    refused: set[tuple[int, int]] = field(default_factory=set)  # mails, by folder and UID; counted once a run
    vouched: dict[int, int] = field(default_factory=dict)  # by folder, see pushing._vouched
    pace: Pace = field(default_factory=Pace)
    looked_at: float = field(default_factory=time.monotonic)  # when we last asked for new operations

    def check_time(self) -> None:
        """Raises OutOfTime."""
        if time.monotonic() > self.deadline:
            raise OutOfTime
