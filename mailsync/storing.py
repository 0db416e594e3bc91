"""Messages that are wanted become rows: fetched, prepared and stored batch by batch, newest first.

A message that cannot be stored or does not come is asked for alone, then noted and left out: it never keeps the others
away.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from types import TracebackType
from typing import NamedTuple, Self

from django.db import DataError
from django.db.models import F, Q
from django.db.models.functions import Least
from django.utils import timezone

from accounts import tenancy
from mailsync import deaths, importing, pushing, replica
from mailsync.fetching import REBUILT, BodyStream, Listing, batches_of, prepared
from mailsync.imap.errors import Broken, CommandRefused, FolderGone
from mailsync.imap.server import ImapServer
from mailsync.importing import Prepared
from mailsync.models import Folder, Placement, SkippedMessage
from mailsync.run import OutOfTime, Run
from mailsync.sync.plan import plan_flags
from mailsync.sync.state import Flags, RemoteFolder, RemoteMessage

MOST_TRIES, MOST_TRIES_FOR_NOW = 3, 10  # runs
ENDINGS_APART = timedelta(minutes=20)
ENDING = (
    "The connection ended each time while it was fetched. It is left alone until somebody has it tried again."
)
DEADLY = "The process that read it was killed, twice. It is left alone until somebody has it tried again."


class NotYet(CommandRefused):
    """All but some mails are here, which the server refuses and is to be asked for again in the next run."""


class _Part(NamedTuple):
    """Messages that were added together."""

    folder: Folder
    messages: list[RemoteMessage]
    batches: int


class Intake:
    """Wanted messages of one folder or of several, on their way in; iterating brings them.

    While one batch is stored the next is read, and the one after is asked for, across folders too. A context manager:
    whatever ends it early leaves nothing of it on the wire, or no wire.
    """

    def __init__(self, run: Run, *, then: Listing | None = None) -> None:
        """`then` asks the server for what comes next, when the last body is read: see BodyStream.ahead."""
        self.run = run
        self.stream = BodyStream(run, then)
        self._parts: deque[_Part] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is None:
            return
        if issubclass(kind, CommandRefused | FolderGone | replica.OtherMail):  # the run goes on elsewhere
            self.stream.end()
        else:
            self.stream.drop()

    def add(self, folder: Folder, wanted: list[RemoteMessage]) -> None:
        """Ask for these, behind what was added before; from now on the server is the intake's: see `server_at`."""
        messages = _without_giants(self.run, folder, wanted)
        batches = batches_of(self.run, folder, messages)
        self._parts.append(_Part(folder, messages, len(batches)))
        self.stream.add(batches)

    def __iter__(self) -> Iterator[Folder]:
        """The folder of each `add` when all of its messages are rows, or are noted as what cannot be had.

        Raises what ends a session, FolderGone and CommandRefused.
        """
        while self._parts:
            folder, messages, batches = self._parts.popleft()
            missing = {message.uid: message for message in messages}
            for _batch in range(batches):
                for uid in self._store_next():
                    missing.pop(uid, None)
            self._fetch_singly(folder, list(missing.values()), any_came=len(missing) < len(messages))
            yield folder

    def server_at(self, folder: Folder) -> ImapServer:
        """The server, with nothing of ours on the wire, in this folder."""
        self.stream.hold()
        stay_in(self.run, folder)
        return self.run.server

    def _store_next(self) -> list[int]:
        """UIDs of the next batch that came; none where the server refused it, as it does for one bad mail."""
        try:
            batch, arrived = self.stream.take()
        except CommandRefused:
            return []
        _store(self.run, batch.folder, arrived)
        self.run.check_time()
        if pushing.waiting(self.run):
            self.stream.hold()
            pushing.push(self.run)
        return [item.uid for item in arrived]

    def _fetch_singly(self, folder: Folder, missing: list[RemoteMessage], *, any_came: bool) -> None:
        """What did not come with others. A mail that the server refuses while it hands out others is noted, and left
        out after some runs; where it hands out none, that says nothing of a mail, and nothing is noted.

        Raises NotYet where the folder must be asked again.
        """
        refused: dict[int, CommandRefused] = {}
        for message in missing:
            try:
                self._fetch_missing(folder, message)
            except CommandRefused as error:
                refused[message.uid] = error
                any_came = any_came or (len(refused) == 1 and _hands_out_others(self.run, folder))
                if len(refused) >= MOST_TRIES and not any_came:
                    raise
            else:
                any_came = True
        if refused and not any_came:
            raise next(iter(refused.values()))
        again = [error for uid, error in refused.items() if _refused(self.run, folder, uid, error)]
        if again:
            raise NotYet(again[0].sentence, final=False)

    def _fetch_missing(self, folder: Folder, message: RemoteMessage) -> None:
        if (folder.pk, message.uid) in self.stream.deadly:
            _skip(self.run, folder, message.uid, DEADLY, deadly=True)
        else:
            self.server_at(folder)
            _fetch_alone(self.run, folder, message)


def stay_in(run: Run, folder: Folder) -> None:
    """Open the folder, if another one is. Raises FolderGone."""
    if run.server.stay_in(bytes(folder.name)).uidvalidity != folder.uidvalidity:
        raise FolderGone(REBUILT)


def import_carefully(run: Run, folder: Folder, wanted: list[RemoteMessage]) -> None:
    """One by one: the note that stands when a worker dies, or is out of memory, says of which message; or at which one
    session after the other has ended."""
    noted = _noted(run, folder, reason=ENDING)
    # The others first: what ends the session keeps none of them away.
    for message in sorted(_without_giants(run, folder, wanted), key=lambda message: message.uid in noted):
        if run.lease.deaths:
            _skip(run, folder, message.uid, DEADLY, deadly=True)
        try:
            with deaths.limited_cpu(message.size) if run.lease.deaths else nullcontext():
                _fetch_alone(run, folder, message)
        except MemoryError:
            raise
        except BaseException as error:
            if run.lease.deaths:
                _forget_note(run, folder, message.uid)
            elif isinstance(error, Broken):
                _ended(run, folder, message.uid)
            raise
        _forget_note(run, folder, message.uid)
        run.check_time()


def _without_giants(run: Run, folder: Folder, wanted: list[RemoteMessage]) -> list[RemoteMessage]:
    for message in wanted:
        if message.size > run.max_message_bytes:
            _skip(run, folder, message.uid, f"It is larger than {run.max_message_bytes // 2**20} MB.")
    return [message for message in wanted if message.size <= run.max_message_bytes]


def deadly_uids(folder: Folder) -> set[int]:
    """Those of which a worker died: they are not to be fetched."""
    noted = SkippedMessage.objects.filter(folder=folder, uidvalidity=folder.uidvalidity or 0, deadly=True)
    return set(noted.values_list("uid", flat=True))


def _forget_note(run: Run, folder: Folder, uid: int) -> None:
    """It was harmless; what was found wrong with it instead stays."""
    with tenancy.acting_for(run.lease.account_id):
        noted = SkippedMessage.objects.filter(folder=folder, uidvalidity=folder.uidvalidity or 0, uid=uid)
        noted.filter(Q(deadly=True) | Q(reason=ENDING)).delete()


def _noted(run: Run, folder: Folder, *, reason: str) -> dict[int, tuple[int, datetime]]:
    """By UID of what is noted for this reason: how often it was tried, and when that was last counted."""
    with tenancy.acting_for(run.lease.account_id):
        noted = SkippedMessage.objects.filter(
            folder=folder, uidvalidity=folder.uidvalidity or 0, reason=reason
        )
        return {uid: (tries, at) for uid, tries, at in noted.values_list("uid", "tries", "last_at")}


def _refused(run: Run, folder: Folder, uid: int, error: CommandRefused) -> bool:
    """Count a run in which the server refused it; whether it is to be asked for again."""
    most = MOST_TRIES if error.final else MOST_TRIES_FOR_NOW
    reason = f"The server refuses it: {error.sentence}"
    tries, _at = _noted(run, folder, reason=reason).get(uid, (0, None))
    if (folder.pk, uid) not in run.refused:
        run.refused.add((folder.pk, uid))
        tries += 1
        _skip(run, folder, uid, reason, tries=tries)
    return tries < most


def _ended(run: Run, folder: Folder, uid: int) -> None:
    """Count a session that ended at it: a bad line ends sessions everywhere, a bad mail goes on doing so for long."""
    now = timezone.now()
    tries, at = _noted(run, folder, reason=ENDING).get(uid, (0, None))
    if at is None or now - at >= ENDINGS_APART:
        _skip(run, folder, uid, ENDING, tries=tries + 1, deadly=tries + 1 >= MOST_TRIES)


def _store(run: Run, folder: Folder, prepared: list[Prepared]) -> None:
    try:
        run.imported += _write(run, folder, prepared)
    except DataError:
        for item in prepared:
            _store_alone(run, folder, item)


def _write(run: Run, folder: Folder, prepared: list[Prepared]) -> int:
    """One transaction; the locks that a click needs too are taken last, when the heavy part is written.

    Its commit does not wait for the disk: should the database's machine fall now, the server still has the mail.
    """
    with tenancy.acting_for(run.lease.account_id):
        replica.commit_without_waiting()
        prepared, graves = importing.without_buried(folder, prepared)
        fresh = importing.store_messages(folder, prepared)
        with replica.writing(run.lease, folder.pk) as locked:
            assert locked is not None
            importing.know_buried(graves)
            if folder.full_at is None:
                so_far = Least(F("fetched") + len(prepared), F("wanted"))
                Folder.objects.filter(pk=folder.pk).update(fetched=so_far)
            try:
                placed = importing.store_placements(locked, prepared, fresh)
            except importing.MailLeft:
                raise OutOfTime from None  # whether it is still wanted is planned anew
            if placed.awaited:
                _show_flags(
                    run, locked, {item.uid: item.flags for item in prepared if item.uid in placed.awaited}
                )
            return placed.written


def _show_flags(run: Run, folder: Folder, flags: dict[int, Flags]) -> None:
    """What had waited for its UID shows the server's flags of now. Keywords stay: which of them the server keeps (F08)
    is not known here."""
    local = replica.load_some(folder, window_start=run.window_start, uids=flags)
    remote = RemoteFolder(folder.uidvalidity or 0, max(flags), flags=flags, lasting=frozenset())
    replica.reflag(plan_flags(remote, local))


def _store_alone(run: Run, folder: Folder, item: Prepared) -> None:
    """One message of a batch that the database refused: it must not keep the others out."""
    try:
        run.imported += _write(run, folder, [item])
    except DataError as error:
        _skip(run, folder, item.uid, f"It could not be stored: {type(error.__cause__ or error).__name__}.")


def _fetch_alone(run: Run, folder: Folder, message: RemoteMessage) -> None:
    """Asked for and not answered: asked again; gone is gone, present without a body is noted and left."""
    for _attempt in range(MOST_TRIES - 1):
        asked = run.server.ask_messages([message.uid])
        reading = run.reading.submit(run.server.take_messages, asked, {message.uid: message})
        for fetched in replica.awaited(run.lease, reading):
            _store_alone(run, folder, prepared(folder.account_id, fetched))
            return
        if not run.server.flags_of(message.uid, message.uid):
            return
    _skip(run, folder, message.uid, "The server lists it and does not hand it out.")


def _hands_out_others(run: Run, folder: Folder) -> bool:
    """Whether the newest mail of the folder that is here would come again."""
    with tenancy.acting_for(run.lease.account_id):
        here = Placement.objects.filter(folder=folder, uid__isnull=False).order_by("-uid")
        uid = here.values_list("uid", flat=True).first()
    if uid is None:
        return False
    try:
        run.server.take_messages(run.server.ask_messages([uid]), {})
    except CommandRefused:
        return False
    return True


def _skip(
    run: Run, folder: Folder, uid: int, reason: str, *, tries: int = MOST_TRIES, deadly: bool = False
) -> None:
    with replica.writing(run.lease):
        SkippedMessage.objects.update_or_create(
            folder=folder,
            uidvalidity=folder.uidvalidity or 0,
            uid=uid,
            defaults={
                "account_id": folder.account_id,
                "tries": tries,
                "reason": reason,
                "deadly": deadly,
                "last_at": timezone.now(),
            },
        )
