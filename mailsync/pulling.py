"""Pull: make our side of one folder equal to the server's, newest first, batch by batch.

Reading happens outside of transactions, then each batch of rows and the cursor that covers it are written in
one. Killed at any point, the next run finds what is there and goes on.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DataError
from django.utils import timezone

from accounts import tenancy
from mailsync import importing, pushing, replica
from mailsync.imap.errors import CommandRefused, FolderGone
from mailsync.imap.server import SLICE, Opened, Status
from mailsync.importing import Prepared
from mailsync.models import Folder, SkippedMessage
from mailsync.run import Run
from mailsync.sync import ladder
from mailsync.sync.brake import held
from mailsync.sync.ladder import EVERYTHING, FEW, Ask, FlagsAsked, Seen
from mailsync.sync.plan import plan_arrivals, plan_flags, plan_vanished
from mailsync.sync.state import Import, Place, RemoteFolder, RemoteMessage

FIRST_SLICE = 50  # one screen: readable before anything else is asked
BATCH_MESSAGES = 100
BATCH_BYTES = 8 * 1024 * 1024
MOST_TRIES = 3


def pull_top(run: Run, folder: Folder) -> None:
    """The first screen of a folder that was never fetched; the cursor does not move."""
    opened = _open(run, folder)
    if opened.exists > FIRST_SLICE:
        _take_slice(run, folder, opened, opened.exists - FIRST_SLICE + 1, opened.exists, reflags=False)


def pull(run: Run, folder: Folder, status: Status | None) -> bool:
    """Everything that STATUS says may differ; True if the brake held and the folder must be asked again.

    Raises FolderGone, OutOfTime and what ends a session.
    """
    ask = _ask(run, folder, status)
    if ask.nothing:
        return False
    asked_at = timezone.now()
    opened = _open(run, folder)
    if folder.full_at is None:
        ask = EVERYTHING
    walked = _walk(run, folder, opened, ask)
    if not ask.whole:
        _read_flags(run, folder, opened, ask)
        if folder.server_messages + walked.arrived != opened.exists:
            ask = EVERYTHING
            walked = _walk(run, folder, opened, ask)
    if ask.whole and not _vanish(run, folder, opened, walked.present):
        return True
    _advance(run, folder, opened, walked, whole=ask.whole, asked_at=asked_at)
    return False


def _ask(run: Run, folder: Folder, status: Status | None) -> Ask:
    if status is None:
        return EVERYTHING
    now_seen = Seen(status.uidvalidity, status.uidnext, status.messages, status.modseq)
    before = Seen(folder.uidvalidity, folder.server_uidnext, folder.server_messages, folder.modseq)
    return ladder.choose(now_seen, before, full_at=folder.full_at, now=timezone.now(), thorough=run.thorough)


def _open(run: Run, folder: Folder) -> Opened:
    """SELECT; a new UIDVALIDITY voids every UID we hold before anything is planned."""
    opened = run.server.open(bytes(folder.name))
    if not opened.uidvalidity:
        raise FolderGone("The server gives this folder no UIDVALIDITY, so its messages cannot be told apart.")
    if folder.uidvalidity != opened.uidvalidity:
        with replica.writing(run.lease, folder.pk) as locked:
            assert locked is not None
            replica.forget(locked, opened.uidvalidity)
            folder.refresh_from_db()
    return opened


@dataclass(slots=True)
class Walked:
    """UIDs met on the way down, and how many of them arrived since the folder was last equal."""

    present: set[int] = field(default_factory=set)
    arrived: int = 0


def _walk(run: Run, folder: Folder, opened: Opened, ask: Ask) -> Walked:
    """From the newest message down: the whole folder, or until the cursor if only news is asked for."""
    walked = Walked()
    first_new = max(folder.server_uidnext, folder.uid_seen + 1)
    news = ask.news or opened.uidnext != folder.server_uidnext
    if not (news or ask.whole):
        return walked
    for first, last in _slices(opened.exists):
        run.check_time()
        _progress(run, folder, opened.exists, opened.exists - last)
        uids = _take_slice(run, folder, opened, first, last, reflags=ask.whole)
        walked.present.update(uids)
        walked.arrived += sum(uid >= first_new for uid in uids)
        if not ask.whole and uids and min(uids) <= folder.uid_seen:
            break
    return walked


def _slices(exists: int) -> Iterator[tuple[int, int]]:
    """Ranges of sequence numbers from the top: a screen, then growing. A message that is expunged meanwhile
    only shifts lower numbers down, so going down nothing is missed."""
    last, size = exists, FIRST_SLICE
    while last >= 1:
        first = max(1, last - size + 1)
        yield first, last
        last, size = first - 1, min(size * 10, SLICE)


def _take_slice(
    run: Run, folder: Folder, opened: Opened, first: int, last: int, *, reflags: bool
) -> list[int]:
    """List one slice, place and import what is new in it, show its flags; returns its UIDs."""
    try:
        listed = run.server.list_messages(first, last)
    except CommandRefused as error:
        raise FolderGone(f"The server does not list this folder's messages: {error.sentence}") from None
    if not listed:
        return []
    uids = [message.uid for message in listed]
    news = [message for message in listed if message.uid > folder.uid_seen]
    news = _identified(run, folder, news)
    wanted: list[RemoteMessage] = []
    with replica.writing(run.lease, folder.pk) as locked:
        assert locked is not None
        local = replica.load(
            locked,
            window_start=run.window_start,
            uids=(min(uids), max(uids)),
            identities=[message.identity for message in news if message.identity],
        )
        remote = RemoteFolder(
            uidvalidity=opened.uidvalidity,
            last_uid=max(uids),
            arrivals=tuple(news),
            flags={message.uid: message.flags for message in listed} if reflags else {},
        )
        arrivals = plan_arrivals(remote, local)
        replica.place(locked, [action for action in arrivals if isinstance(action, Place)])
        wanted = [action.remote for action in arrivals if isinstance(action, Import)]
        flags = plan_flags(remote, local)
        replica.reflag(flags)
    run.changed += len(flags) + len(arrivals) - len(wanted)
    _import(run, folder, wanted)
    return uids


def _identified(run: Run, folder: Folder, news: list[RemoteMessage]) -> list[RemoteMessage]:
    """Read the headers of those that may merely have changed place, so that no body is fetched twice."""
    if not news:
        return news
    with replica.writing(run.lease):
        suspects = set(replica.possibly_known(folder, news))
    if not suspects:
        return news
    headers = run.server.headers(suspects)
    return [
        RemoteMessage(m.uid, m.flags, m.received_at, m.size, importing.header_hash(headers[m.uid], m.size))
        if m.uid in headers
        else m
        for m in news
    ]


def _import(run: Run, folder: Folder, wanted: list[RemoteMessage]) -> None:
    """Fetch and store, newest first; the next batch is fetched and parsed while this one is written."""
    batches = list(_batches(_without_giants(run, folder, wanted)))
    missing: list[RemoteMessage] = []
    ahead: Future[list[Prepared]] | None = None
    for number, batch in enumerate(batches):
        prepared = (ahead or run.ahead.submit(_fetch, run, folder.account_id, batch)).result()
        if pushing.waiting(run):
            pushing.push(run)
            _reopen(run, folder)
        following = batches[number + 1] if number + 1 < len(batches) else None
        ahead = run.ahead.submit(_fetch, run, folder.account_id, following) if following else None
        try:
            _store(run, folder, prepared)
            run.check_time()
        except BaseException:
            if ahead:
                ahead.exception()  # the session may be used again only when its reader has finished
            raise
        stored = {item.uid for item in prepared}
        missing += [message for message in batch if message.uid not in stored]
    for message in missing:
        _fetch_alone(run, folder, message)


def _reopen(run: Run, folder: Folder) -> None:
    opened = run.server.open(bytes(folder.name))
    if opened.uidvalidity != folder.uidvalidity:
        raise FolderGone("The server rebuilt this folder while it was read; it is read anew in the next run.")


def _fetch(run: Run, account_id: int, batch: Sequence[RemoteMessage]) -> list[Prepared]:
    """Runs in the other thread: network, parsing and files, no database."""
    by_uid = {message.uid: message for message in batch}
    fetched = run.server.take_messages(run.server.ask_messages(by_uid), by_uid)
    return [importing.prepare(account_id, f.uid, f.flags, f.received_at, f.raw) for f in fetched]


def _store(run: Run, folder: Folder, prepared: list[Prepared]) -> None:
    try:
        run.imported += _write(run, folder, prepared)
    except DataError:
        for item in prepared:
            _store_alone(run, folder, item)


def _write(run: Run, folder: Folder, prepared: list[Prepared]) -> int:
    """One transaction; the locks that a click needs too are taken last, when the heavy part is written.

    Its commit does not wait for the disk: should the database's machine fall now, rows and cursor are both gone and
    the server still has the mail. The commit of _advance waits, and with it everything before it is on the disk.
    """
    with tenancy.acting_for(run.lease.account_id):
        replica.commit_without_waiting()
        importing.store_messages(folder, prepared)
        with replica.writing(run.lease, folder.pk) as locked:
            assert locked is not None
            return importing.store_placements(locked, prepared)


def _store_alone(run: Run, folder: Folder, item: Prepared) -> None:
    """One message of a batch that the database refused: it must not keep the others out."""
    try:
        run.imported += _write(run, folder, [item])
    except DataError as error:
        _skip(run, folder, item.uid, f"It could not be stored: {type(error.__cause__ or error).__name__}.")


def _fetch_alone(run: Run, folder: Folder, message: RemoteMessage) -> None:
    """Asked for and not answered: asked again; gone is gone, present without a body is noted and left."""
    for _attempt in range(MOST_TRIES - 1):
        prepared = run.ahead.submit(_fetch, run, folder.account_id, [message]).result()
        if prepared:
            _store_alone(run, folder, prepared[0])
            return
        if not run.server.flags_of(message.uid, message.uid):
            return
    _skip(run, folder, message.uid, "The server lists it and does not hand it out.")


def _without_giants(run: Run, folder: Folder, wanted: list[RemoteMessage]) -> list[RemoteMessage]:
    giants = [message for message in wanted if message.size > run.max_message_bytes]
    for message in giants:
        _skip(run, folder, message.uid, f"It is larger than {run.max_message_bytes // 2**20} MB.")
    return [message for message in wanted if message.size <= run.max_message_bytes]


def _skip(run: Run, folder: Folder, uid: int, reason: str) -> None:
    with replica.writing(run.lease):
        SkippedMessage.objects.update_or_create(
            folder=folder,
            uidvalidity=folder.uidvalidity or 0,
            uid=uid,
            defaults={
                "account_id": folder.account_id,
                "tries": MOST_TRIES,
                "reason": reason,
                "last_at": timezone.now(),
            },
        )


def _batches(wanted: list[RemoteMessage]) -> Iterator[list[RemoteMessage]]:
    """About 100 messages or 8 MB each."""
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


def _read_flags(run: Run, folder: Folder, opened: Opened, ask: Ask) -> None:
    """Flags below the cursor: those that changed (CONDSTORE), or the newest. All of them come with a whole walk."""
    if ask.flags is FlagsAsked.CHANGED and folder.modseq is not None and folder.uid_seen:
        flags = run.server.changed_since(folder.modseq, folder.uid_seen)
        _show_flags(run, folder, opened, flags)
    elif ask.flags is FlagsAsked.NEWEST and opened.exists:
        listed = run.server.list_messages(max(1, opened.exists - FEW + 1), opened.exists)
        _show_flags(run, folder, opened, {message.uid: message.flags for message in listed})


def _show_flags(run: Run, folder: Folder, opened: Opened, flags: dict[int, frozenset[str]]) -> None:
    if not flags:
        return
    with replica.writing(run.lease, folder.pk) as locked:
        assert locked is not None
        local = replica.load(locked, window_start=run.window_start, uids=(min(flags), max(flags)))
        reflags = plan_flags(RemoteFolder(opened.uidvalidity, max(flags), flags=flags), local)
        replica.reflag(reflags)
    run.changed += len(reflags)


def _vanish(run: Run, folder: Folder, opened: Opened, present: set[int]) -> bool:
    """Drop what the server no longer has, unless the brake holds; returns whether the folder is now equal."""
    with replica.writing(run.lease, folder.pk) as locked:
        assert locked is not None
        local = replica.load(locked, window_start=run.window_start)
        gone = plan_vanished(RemoteFolder(opened.uidvalidity, opened.uidnext, present=present), local)
        if held(len(gone), len(local.placements), locked.held_back):
            locked.held_back = len(gone)
            locked.error = (
                f"The server suddenly shows {len(gone)} of {len(local.placements)} messages fewer. "
                "They are kept here until it says so again."
            )
            locked.save(update_fields=["held_back", "error"])
            return False
        replica.vanish(gone)
    run.changed += len(gone)
    return True


def _advance(
    run: Run, folder: Folder, opened: Opened, walked: Walked, *, whole: bool, asked_at: datetime
) -> None:
    """The cursor: what SELECT said before we read, so that whatever came later differs from it."""
    with replica.writing(run.lease, folder.pk) as locked:
        assert locked is not None
        looked_for = (
            folder.server_uidnext and not locked.server_uidnext
        )  # by a move that was settled meanwhile
        # UIDNEXT may be absent or too small (C09); what was listed counts then. Never our own placements: a
        # move of ours may have got a UID above one that came after SELECT and was not read yet.
        locked.uid_seen = max(locked.uid_seen, opened.uidnext - 1, *walked.present)
        locked.modseq = opened.modseq
        locked.server_messages = opened.exists
        locked.server_uidnext = 0 if looked_for else opened.uidnext
        locked.held_back, locked.error, locked.errors_in_row = 0, "", 0
        locked.wanted = locked.fetched = opened.exists
        if whole:
            locked.full_at = timezone.now()
        locked.save()
        never_came = replica.never_came(locked, asked_at)
        replica.vanish(never_came)
    run.changed += len(never_came)


def _progress(run: Run, folder: Folder, wanted: int, looked: int) -> None:
    if folder.full_at is None:
        with replica.writing(run.lease):
            Folder.objects.filter(pk=folder.pk).update(wanted=wanted, fetched=looked)
