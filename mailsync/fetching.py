"""Bodies on their way: asked for ahead of their turn, read and parsed in another thread, taken batch by batch.

40 ms from the server, whoever asks only when the last answer is read waits longer than he reads.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future

from mailsync import importing
from mailsync.imap.errors import CommandRefused
from mailsync.imap.server import Fetched
from mailsync.imap.session import Sent
from mailsync.importing import Prepared
from mailsync.models import Folder
from mailsync.run import Run
from mailsync.sync.state import RemoteMessage

BATCH_MESSAGES = 200
BATCH_BYTES = 8 * 1024 * 1024


class BodyStream:
    """The bodies of a folder, batch by batch in order. Read and parsed in the run's other thread, which touches the
    server and never the database; while it works, this thread must leave the server alone."""

    def __init__(self, run: Run, folder: Folder, wanted: list[RemoteMessage]) -> None:
        self.run, self.account_id = run, folder.account_id
        self.wanted: dict[int, RemoteMessage] = {}  # of the batches asked for and not yet read
        self.batches = deque(_batches(wanted))
        self.asked: deque[tuple[list[RemoteMessage], list[Sent]]] = deque()  # on the wire, oldest first
        self.reading: deque[tuple[list[RemoteMessage], Future[list[Prepared]]]] = deque()
        self.early: dict[int, Fetched] = {}  # the other thread's: came with the answers to an earlier batch

    def take(self) -> tuple[list[RemoteMessage], list[Prepared]] | None:
        """The next batch as asked and as it came; None after the last. Raises what ends a session."""
        if not self.reading:
            self._read_on()
        if not self.reading:
            return None
        batch, arriving = self.reading[0]
        prepared = arriving.result()
        self.reading.popleft()
        if not self.reading:
            self._read_on()
        return batch, prepared

    def hold(self) -> None:
        """Read what is on the wire and ask for nothing more until the next `take`: another command may be sent."""
        while self.asked:
            self._read(*self.asked.popleft())
        for _batch, arriving in self.reading:
            arriving.exception()

    def end(self) -> None:
        """As hold, for good. A session that is lost is left as it is."""
        self.batches.clear()
        troubles = [arriving.exception() for _batch, arriving in self.reading]
        if all(trouble is None or isinstance(trouble, CommandRefused) for trouble in troubles):
            self.hold()

    def _read_on(self) -> None:
        """Ask for two batches, so that the server is at work on one while the other is read."""
        while self.batches and len(self.asked) < 2:
            batch = self.batches.popleft()
            by_uid = {message.uid: message for message in batch}
            self.wanted |= by_uid
            self.asked.append((batch, self.run.server.ask_messages(by_uid)))
        if self.asked:
            self._read(*self.asked.popleft())

    def _read(self, batch: list[RemoteMessage], asked: list[Sent]) -> None:
        self.reading.append((batch, self.run.ahead.submit(self._receive, batch, asked)))

    def _receive(self, batch: list[RemoteMessage], asked: list[Sent]) -> list[Prepared]:
        """Runs in the other thread: network, parsing and files, no database."""
        for fetched in self.run.server.take_messages(asked, self.wanted):
            self.early[fetched.uid] = fetched
        for message in batch:
            del self.wanted[message.uid]
        here = [self.early.pop(message.uid) for message in batch if message.uid in self.early]
        return [prepared(self.account_id, fetched) for fetched in here]


def prepared(account_id: int, fetched: Fetched) -> Prepared:
    """Hashed and parsed; touches no row."""
    return importing.prepare(
        account_id, fetched.uid, fetched.flags, fetched.received_at, fetched.raw, server_id=fetched.server_id
    )


def _batches(wanted: list[RemoteMessage]) -> Iterator[list[RemoteMessage]]:
    """About 200 messages or 8 MB each."""
    batch: list[RemoteMessage] = []
    size = 0
    for message in wanted:
        if batch and (len(batch) >= BATCH_MESSAGES or size + message.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message.size
    if batch:
        yield batch
