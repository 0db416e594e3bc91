"""Bodies on their way: asked for ahead of their turn, read in one thread, prepared in another, taken batch by batch.

40 ms from the server, whoever asks only when the last answer is read waits longer than he reads. What comes after the
last body, a list of more, is asked for in the same way.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import NamedTuple

from mailsync import importing, replica
from mailsync.imap.errors import CommandRefused, FolderGone
from mailsync.imap.server import Fetched
from mailsync.imap.session import Sent
from mailsync.importing import Prepared
from mailsync.models import Folder
from mailsync.run import Run
from mailsync.sync.state import RemoteMessage

BATCH_MESSAGES = 300
BATCH_BYTES, LEAST_BATCH_BYTES = 12 * 1024 * 1024, 256 * 1024
# No batch is to take longer to come: a click waits until what was asked for is read, and what came of a batch that the
# run did not see the end of is lost.
BATCH_SECONDS = 3
AT_ONCE = 2  # batches that are read, or asked for, while one is stored
REBUILT = "The server rebuilt this folder while it was read; it is read anew in the next run."

Listing = Callable[[], list[RemoteMessage]]


class Batch(NamedTuple):
    """Messages of one folder that are asked for and stored together."""

    folder: Folder
    messages: list[RemoteMessage]

    @property
    def size(self) -> int:
        return sum(message.size for message in self.messages)


_Read = tuple[Batch, Future[list[Prepared]]]  # a batch as asked, and as it comes
_Asked = tuple[Batch, Sent | None, list[Sent]]  # with SELECT before it, where another folder was open


def batches_of(run: Run, folder: Folder, wanted: list[RemoteMessage]) -> list[Batch]:
    """About 300 messages each, or 12 MB, over a thin line less."""
    return [Batch(folder, messages) for messages in _cut(wanted, _batch_bytes(run))]


def _batch_bytes(run: Run) -> int:
    return int(max(LEAST_BATCH_BYTES, min(BATCH_BYTES, run.pace.within(BATCH_SECONDS))))


class BodyStream:
    """The bodies of one folder or of several, batch by batch in order.

    Threads of the run read and prepare them and never touch the database; while they work, this one must leave the
    server alone.
    """

    def __init__(self, run: Run, then: Listing | None = None) -> None:
        """`then` asks the server for what is wanted next, when the last body is read; see `ahead`."""
        self.run = run
        self.then = then
        # What `then` finds, while the last batches are stored. None where it was not asked, or is not to be believed
        # any more, because something was told to the server since.
        self.ahead: Future[list[RemoteMessage]] | None = None
        # Bytes of each batch whose turn to be read has not come, and with each that is under way.
        self.left: deque[int] = deque()
        self.under_way: deque[tuple[int, Future[_Read]]] = deque()
        # The rest is the reading thread's, and ours while that has nothing to do; but we add batches at the end.
        self.batches: deque[Batch] = deque()
        self.asked: deque[_Asked] = deque()  # on the wire, oldest first
        self.wanted: dict[int, dict[int, RemoteMessage]] = {}  # asked for and not yet read, by folder and UID
        self.since = time.monotonic()  # when the last one was read, or asked for where none was on its way
        self.early: dict[tuple[int, int], Fetched] = {}  # came with the answers to an earlier batch
        # Folders and UIDs of those that kill the process that reads them; they do not come.
        self.deadly: set[tuple[int, int]] = set()

    def add(self, batches: Sequence[Batch]) -> None:
        """More, behind what was added before; they are asked for as soon as there is room."""
        self.batches.extend(batches)
        self.left.extend(batch.size for batch in batches)
        self._read_on()

    def take(self) -> tuple[Batch, list[Prepared]]:
        """The next batch as asked and as it came; there must be one. Raises what ends a session, FolderGone, and
        CommandRefused, after which the next but this one may be taken."""
        self._read_on()
        try:
            batch, preparing = replica.awaited(self.run.lease, self.under_way[0][1])
        except CommandRefused:
            self.under_way.popleft()
            raise
        prepared = preparing.result()
        self.under_way.popleft()
        self._read_on()
        return batch, prepared

    def hold(self) -> None:
        """Read what is on the wire and ask for nothing more until the next `take`: another command may be sent."""
        self._wait()
        self._drop_ahead()
        for _asked in range(len(self.asked)):
            self._read(ask=False)
        self._wait()

    def end(self) -> None:
        """As hold, for good: something went wrong. A session that is lost is left as it is."""
        while self.under_way and self.under_way[-1][1].cancel():
            self.left.appendleft(self.under_way.pop()[0])
        self._wait()
        troubles = [each.exception() for _size, each in self.under_way]
        self.under_way.clear()
        self._drop_ahead()
        if all(trouble is None or isinstance(trouble, CommandRefused | FolderGone) for trouble in troubles):
            self.hold()

    def drop(self) -> None:
        """The run is over, and the session with it: over a thin line nobody waits for what is still to come."""
        for _size, each in self.under_way:
            each.cancel()
        self.run.server.hang_up()

    def _drop_ahead(self) -> None:
        if self.ahead and not self.ahead.cancel():
            self.ahead.exception()
        self.ahead = None

    def _wait(self) -> None:
        for _size, each in self.under_way:
            replica.wait_for(self.run.lease, each)

    def _read_on(self) -> None:
        while self.left and self._has_room(self.left[0]):
            self._read(ask=True)
        if self.then and not self.left:
            self.ahead, self.then = self.run.reading.submit(self.then), None

    def _has_room(self, size: int) -> bool:
        return self._fits([each for each, _batch in self.under_way], size)

    def _fits(self, sizes: Sequence[int], size: int) -> bool:
        """One more beside these: two batches, and as many small ones as make up one, for many folders are many small
        batches. A giant only by itself: a server at work on two may end neither before the giant has come."""
        taken, most = sum(sizes) + size, _batch_bytes(self.run)
        few = len(sizes) < AT_ONCE or taken <= most
        return not sizes or (few and taken <= AT_ONCE * most)

    def _read(self, *, ask: bool) -> None:
        self.under_way.append((self.left.popleft(), self.run.reading.submit(self._receive, ask=ask)))

    def _receive(self, *, ask: bool) -> _Read:
        """Runs in the reading thread. Asks ahead, so that the server is at work on one batch while another is read."""
        while ask and self.batches and self._asks_more():
            self._ask(self.batches.popleft())
        batch, opening, sent = self.asked.popleft()
        folder, wanted = batch.folder, self.wanted[batch.folder.pk]
        if opening:
            self._open(folder, opening, sent)
        try:
            for fetched in self.run.server.take_messages(sent, wanted):
                self.early[folder.pk, fetched.uid] = fetched
            now = time.monotonic()
            self.run.pace.note(batch.size, now - self.since)
            self.since = now
        finally:
            for message in batch.messages:
                del wanted[message.uid]
        came = [self.early.pop((folder.pk, message.uid), None) for message in batch.messages]
        here = [fetched for fetched in came if fetched]
        return batch, self.run.preparing.submit(self._prepare, folder, here)

    def _asks_more(self) -> bool:
        return self._fits([batch.size for batch, *_sent in self.asked], self.batches[0].size)

    def _ask(self, batch: Batch) -> None:
        if not self.asked:
            self.since = time.monotonic()
        server, name = self.run.server, bytes(batch.folder.name)
        open_then = bytes(self.asked[-1][0].folder.name) if self.asked else server.opened_name
        opening = None if name == open_then else server.ask_to_open(name)
        by_uid = {message.uid: message for message in batch.messages}
        self.wanted.setdefault(batch.folder.pk, {}).update(by_uid)
        self.asked.append((batch, opening, server.ask_messages(by_uid)))

    def _open(self, folder: Folder, opening: Sent, sent: list[Sent]) -> None:
        """Raises FolderGone, and then the answers to what was sent behind it are read and dropped."""
        try:
            if self.run.server.opened(bytes(folder.name), opening).uidvalidity != folder.uidvalidity:
                raise FolderGone(REBUILT)
        except FolderGone:
            with suppress(CommandRefused):
                self.run.server.take_messages(sent, {})
            raise

    def _prepare(self, folder: Folder, batch: list[Fetched]) -> list[Prepared]:
        """Runs in the preparing thread: hashed while the parser is at work, which may be another process."""
        mails = [importing.halves(each.raw) for each in batch]
        taken = self.run.parser.begin(mails)
        hashed = [
            importing.hashed(folder.account_id, *mail, each.told_size)
            for each, mail in zip(batch, mails, strict=True)
        ]
        rows = list(zip(batch, mails, hashed, taken(), strict=True))
        self.deadly.update((folder.pk, each.uid) for each, _mail, _hashed, apart in rows if apart is None)
        return [
            Prepared(
                each.uid,
                each.flags,
                each.received_at,
                header,
                body,
                *by_bytes,
                apart,
                each.server_id,
                each.told_size,
            )
            for each, (header, body), by_bytes, apart in rows
            if apart is not None
        ]


def prepared(account_id: int, fetched: Fetched) -> Prepared:
    """One that came alone: hashed and parsed; touches no row."""
    return importing.prepare(
        account_id,
        fetched.uid,
        fetched.flags,
        fetched.received_at,
        fetched.raw,
        server_id=fetched.server_id,
        told_size=fetched.told_size,
    )


def _cut(wanted: list[RemoteMessage], most_bytes: int) -> Iterator[list[RemoteMessage]]:
    batch: list[RemoteMessage] = []
    size = 0
    for message in wanted:
        if batch and (len(batch) >= BATCH_MESSAGES or size + message.size > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += message.size
    if batch:
        yield batch
