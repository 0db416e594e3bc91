"""Pull: make our side of one folder equal to the server's, newest first, batch by batch.

Reading happens outside of transactions, then each batch of rows and the cursor that covers it are written in
one. Killed at any point, the next run finds what is there and goes on.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial

from django.db.models import Q
from django.utils import timezone

from accounts import tenancy
from mailsync import holding, importing, replica, storing
from mailsync.fetching import Listing
from mailsync.imap.errors import CommandRefused, FolderGone
from mailsync.imap.server import SLICE, Opened, Status
from mailsync.mime import parse
from mailsync.models import OPEN, Folder, Operation, OperationKind, Placement, SkippedMessage, SpecialUse
from mailsync.run import OutOfTime, Run
from mailsync.storing import Intake, NotYet, import_carefully, stay_in
from mailsync.sync import ladder
from mailsync.sync.brake import Verdict
from mailsync.sync.ladder import EVERYTHING, FEW, Ask, FlagsAsked, Seen
from mailsync.sync.ledger import UidRanges
from mailsync.sync.plan import lost, plan_arrivals, plan_flags, plan_vanished, uids_of
from mailsync.sync.state import Import, LocalFolder, Place, RemoteFolder, RemoteMessage, Vanish

FIRST_SLICE = 50  # one screen: readable before anything else is asked
MOST_REBUILDS = 2
HIGHEST_UID = 2**32 - 1


def pull(run: Run, folder: Folder, status: Status | None) -> bool:
    """Everything that STATUS says may differ; True if the folder must be asked again: the brake held, or it was
    forgotten on the way.

    Raises FolderGone, OutOfTime and what ends a session.
    """
    ask = _ask(run, folder, status)
    if ask.nothing:
        if folder.errors_in_row and not folder.error:
            _end_of_rebuilds(run, folder)
        return False
    try:
        if ask.flags is FlagsAsked.ALL or folder.full_at is None:
            return _read_all(run, folder)
        return _catch_up(run, folder, ask)
    except replica.OtherMail:
        replica.read_anew(run.lease, folder)
        return True
    except NotYet:
        return False  # its cursor stays


def _end_of_rebuilds(run: Run, folder: Folder) -> None:
    """It was rebuilt and has kept its UIDVALIDITY since: the next time is not one more in a row."""
    with replica.writing(run.lease, safely=False):
        Folder.objects.filter(pk=folder.pk).update(errors_in_row=0)


@dataclass(frozen=True, slots=True)
class Walk:
    """What of a folder was looked at before the run's time was over: everything from UID `bottom` up to `top`, as it
    was at `modseq`. Without it a folder that takes longer than a run would begin at its newest message for ever."""

    top: int
    bottom: int
    modseq: int | None


def _read_all(run: Run, folder: Folder) -> bool:
    """Every message of the folder from the newest down, with its flags; in as many runs as that takes."""
    asked_at, errors = timezone.now(), folder.errors_in_row
    walk = Walk(**folder.walk) if folder.walk else None
    opened, walk = _go_on(run, folder, walk) if walk else (_open(run, folder), None)
    rebuilds = folder.errors_in_row if folder.errors_in_row > errors else 0
    present, highest = _walk(run, folder, opened, walk)
    if not vanish(run, folder, opened, present):
        return True
    advance(run, folder, opened, highest, whole=True, asked_at=asked_at, rebuilds=rebuilds)
    return False


def _go_on(run: Run, folder: Folder, walk: Walk) -> tuple[Opened, Walk | None]:
    """What was looked at is made as it is now, and the rest is as far as before; None where all begins anew.

    Without CONDSTORE the flags of what was looked at stay as they were then, until all are read again.
    """
    changed_since = walk.modseq if run.server.session.can("CONDSTORE") else None
    opened, listed, flags = run.server.open_since(
        bytes(folder.name), after=walk.top, known=walk.top, changed_since=changed_since
    )
    accept(run, folder, opened)
    if folder.walk is None or not _counts_on(walk.modseq, opened.modseq):
        return opened, None
    _take_news(run, folder, opened, listed)
    _show_flags(run, folder, opened, flags)
    top = max((message.uid for message in listed), default=walk.top)
    return opened, Walk(top, walk.bottom, opened.modseq)


def _catch_up(run: Run, folder: Folder, ask: Ask) -> bool:
    """What came and which flags changed since the cursor, in one round trip; which UIDs there are only if something
    went."""
    asked_at = timezone.now()
    cursor = min(folder.uid_seen, folder.server_uidnext - 1) if folder.server_uidnext else folder.uid_seen
    changed_since = folder.modseq if ask.flags is FlagsAsked.CHANGED else None
    opened, listed, flags = run.server.open_since(
        bytes(folder.name), after=cursor, known=folder.uid_seen, changed_since=changed_since
    )
    if _is_rebuilt(folder, opened):
        return _read_all(run, folder)
    _take_news(run, folder, opened, listed)
    if ask.flags is FlagsAsked.NEWEST and opened.exists:
        newest = _list(run, max(1, opened.exists - FEW + 1), opened.exists)
        flags = {message.uid: message.flags for message in newest}
    _show_flags(run, folder, opened, flags)
    differs = folder.server_messages + len(listed) != opened.exists
    # While something is held back, each arrival may be that which was missed, under another UID.
    if (
        ask.whole or differs or folder.held_back or _passed_through(run, folder, cursor, listed)
    ) and not vanish(run, folder, opened, UidRanges.joined(run.server.uids(opened.exists))):
        return True
    highest = max((message.uid for message in listed), default=0)
    advance(run, folder, opened, highest, whole=False, asked_at=asked_at)
    return False


def _counts_on(before: int | None, now: int | None) -> bool:
    """Whether the server tells what changed in between, or never did."""
    return before == now or (before is not None and now is not None and before < now)


def _take_news(run: Run, folder: Folder, opened: Opened, listed: list[RemoteMessage]) -> None:
    for end in range(len(listed), 0, -SLICE):
        run.check_time()
        _take(run, folder, opened, listed[max(0, end - SLICE) : end], reflags=False)


def _passed_through(run: Run, folder: Folder, cursor: int, listed: list[RemoteMessage]) -> bool:
    """Whether a move of ours brought something here that was gone before we looked: then no number differs."""
    with tenancy.acting_for(run.lease.account_id):
        brought = set(Placement.objects.filter(folder=folder, uid__gt=cursor).values_list("uid", flat=True))
    return not brought <= {message.uid for message in listed}


def _ask(run: Run, folder: Folder, status: Status | None) -> Ask:
    if status is None or (folder.error and not folder.held_back):  # that it opens is to be seen
        return EVERYTHING
    now_seen = Seen(status.uidvalidity, status.uidnext, status.messages, status.modseq)
    before = Seen(folder.uidvalidity, folder.server_uidnext, folder.server_messages, folder.modseq)
    return ladder.choose(now_seen, before, full_at=folder.full_at, now=timezone.now(), thorough=run.thorough)


def _open(run: Run, folder: Folder) -> Opened:
    """SELECT. Raises FolderGone, and what `accept` raises."""
    opened = run.server.open(bytes(folder.name))
    accept(run, folder, opened)
    return opened


def accept(run: Run, folder: Folder, opened: Opened) -> None:
    """What SELECT said: a new UIDVALIDITY voids every UID we hold before anything is planned.

    Raises FolderGone where there is none, and where a new one comes again and again (C07).
    """
    if not opened.uidvalidity:
        raise FolderGone("The server gives this folder no UIDVALIDITY, so its messages cannot be told apart.")
    if _is_rebuilt(folder, opened):
        with replica.writing(run.lease, folder.pk) as locked:
            assert locked is not None
            replica.forget(locked, opened.uidvalidity)
            Folder.objects.filter(pk=folder.pk).update(wanted=opened.exists)
            folder.refresh_from_db()
        if folder.errors_in_row > MOST_REBUILDS:
            raise FolderGone(
                "The server gives this folder another UIDVALIDITY at each look. It is looked at rarely until that ends."
            )


def _is_rebuilt(folder: Folder, opened: Opened) -> bool:
    """Another UIDVALIDITY; or UIDNEXT has gone down, which it never may: a backup was restored and gives the UIDs of
    what came since to other messages (C14)."""
    return folder.uidvalidity != opened.uidvalidity or 0 < opened.uidnext < folder.server_uidnext


def _walk(run: Run, folder: Folder, opened: Opened, walk: Walk | None) -> tuple[UidRanges, int]:
    """The folder from the newest message down, or from where an earlier run ended; returns the UIDs that it has, and
    the highest that was looked at."""
    there = UidRanges.joined(run.server.uids(opened.exists)) if walk else UidRanges()
    below = len(there - UidRanges(((walk.bottom, HIGHEST_UID),))) if walk else opened.exists
    begun, present = walk, set[int]()
    ahead: Future[list[RemoteMessage]] | None = None
    for first, last in _slices(below, SLICE if walk else FIRST_SLICE):
        # However long it took to ask where to go on, one slice is done.
        if time.monotonic() > run.deadline and (begun is None or present):
            _remember(run, folder, opened, walk)
            raise OutOfTime
        _progress(run, folder, opened.exists, opened.exists - last)
        listed = replica.awaited(run.lease, ahead) if ahead else _list(run, first, last)
        then = partial(_list, run, max(1, first - SLICE), first - 1) if first > 1 else None
        ahead = _take(run, folder, opened, listed, reflags=True, then=then)
        present.update(message.uid for message in listed)
        if present:
            walk = Walk(walk.top if walk else max(present), min(present), opened.modseq)
    return UidRanges.joined([*there.spans, *UidRanges.of(present).spans]), walk.top if walk else 0


def _remember(run: Run, folder: Folder, opened: Opened, walk: Walk | None) -> None:
    """The next run goes on there, unless the folder is to be looked at from its beginning for another reason."""
    with replica.writing(run.lease, folder.pk) as locked:
        assert locked is not None
        if walk and (locked.uidvalidity, locked.full_at) == (opened.uidvalidity, folder.full_at):
            locked.walk = asdict(walk)
            locked.save(update_fields=["walk"])


def _slices(exists: int, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of sequence numbers from the top: so many, then more. A message that is expunged meanwhile
    only shifts lower numbers down, so going down nothing is missed."""
    last = exists
    while last >= 1:
        first = max(1, last - size + 1)
        yield first, last
        last, size = first - 1, SLICE


def _list(run: Run, first: int, last: int) -> list[RemoteMessage]:
    try:
        return run.server.list_messages(first, last)
    except CommandRefused as error:
        raise FolderGone(f"The server does not list this folder's messages: {error.sentence}") from None


def _take(
    run: Run,
    folder: Folder,
    opened: Opened,
    listed: list[RemoteMessage],
    *,
    reflags: bool,
    then: Listing | None = None,
) -> Future[list[RemoteMessage]] | None:
    """Place and import what is new of the listed messages; `reflags` shows the flags of all of them.

    Returns what comes of `then`, which is asked meanwhile; None where the caller has to ask.
    """
    wanted = place(run, folder, opened, listed, reflags=reflags)
    if run.careful:
        import_carefully(run, folder, wanted)
        return None
    with Intake(run, then=then) as intake:
        intake.add(folder, wanted)
        for _folder in intake:
            if intake.stream.ahead is None:
                stay_in(run, folder)  # an act of somebody's was carried out meanwhile
    return intake.stream.ahead


def place(
    run: Run,
    folder: Folder,
    opened: Opened,
    listed: list[RemoteMessage],
    *,
    reflags: bool,
    intake: Intake | None = None,
) -> list[RemoteMessage]:
    """Give the listed messages that we know their place, with `reflags` show the flags of all; returns those to fetch,
    newest first.

    An `intake` under way is held where the server must be asked. Raises replica.OtherMail.
    """
    if not listed:
        return []
    uids = [message.uid for message in listed]
    news = [message for message in listed if message.uid > folder.uid_seen]
    news = _identified(run, folder, news, intake)
    remote = RemoteFolder(
        uidvalidity=opened.uidvalidity,
        last_uid=max(uids),
        arrivals=tuple(news),
        flags={message.uid: message.flags for message in listed} if reflags else {},
        lasting=opened.lasting,
    )
    proved: set[int] = set()
    while True:
        with replica.writing(run.lease, folder.pk, safely=False) as locked:
            assert locked is not None
            local = replica.load(
                locked,
                window_start=run.window_start,
                uids=(min(uids), max(uids)),
                arrivals=news,
            )
            doubted = replica.possibly_others(local, listed) - proved if reflags else set()
            if not doubted:
                return _place(run, locked, remote, local)
        _prove(run, folder, doubted, intake)
        proved |= doubted


def _prove(run: Run, folder: Folder, uids: set[int], intake: Intake | None) -> None:
    """A mail that was copied with a date of its own is held with that of the other: by its header it is ours. Raises
    OtherMail where it is not."""
    server = intake.server_at(folder) if intake else run.server
    headers = server.headers(uids)
    with replica.writing(run.lease, safely=False):
        if replica.has_others(folder, headers):
            raise replica.OtherMail


def _place(run: Run, locked: Folder, remote: RemoteFolder, local: LocalFolder) -> list[RemoteMessage]:
    arrivals = plan_arrivals(remote, local)
    replica.place(locked, [action for action in arrivals if isinstance(action, Place)])
    wanted = [action.remote for action in arrivals if isinstance(action, Import)]
    deadly = storing.deadly_uids(locked) if wanted else set()
    flags = plan_flags(remote, local)
    replica.reflag(flags)
    run.changed += len(flags) + len(arrivals) - len(wanted)
    return [message for message in wanted if message.uid not in deadly]


def _identified(
    run: Run, folder: Folder, news: list[RemoteMessage], intake: Intake | None
) -> list[RemoteMessage]:
    """Read the headers of those that may merely have changed place, so that no body is fetched twice."""
    if not news:
        return news
    with replica.writing(run.lease, safely=False):
        suspects = set(replica.possibly_known(folder, news, window_start=run.window_start))
    if not suspects:
        return news
    server = intake.server_at(folder) if intake else run.server
    headers = server.headers(suspects)
    return [
        replace(
            m,
            identity=importing.header_hash(headers[m.uid], m.size),
            message_id=parse.message_id(headers[m.uid]),
        )
        if m.uid in headers
        else m
        for m in news
    ]


def _show_flags(run: Run, folder: Folder, opened: Opened, flags: dict[int, frozenset[str]]) -> None:
    if not flags:
        return
    with replica.writing(run.lease, folder.pk, safely=False) as locked:
        assert locked is not None
        local = replica.load_some(locked, window_start=run.window_start, uids=flags)
        remote = RemoteFolder(opened.uidvalidity, max(flags), flags=flags, lasting=opened.lasting)
        reflags = plan_flags(remote, local)
        replica.reflag(reflags)
    run.changed += len(reflags)


def vanish(
    run: Run, folder: Folder, opened: Opened, present: UidRanges, *, intake: Intake | None = None
) -> bool:
    """Drop what the server no longer has, unless the brake holds it; False: the folder must be asked again.

    What was not listed is asked for by its UID before it is believed to be gone (D01): a server that counts its
    messages wrong lists too few of them (K01). An `intake` under way is held for that.
    """
    asked: set[int] = set()
    while True:
        with replica.writing(run.lease, folder.pk, safely=False) as locked:
            assert locked is not None
            local = replica.load_absent(locked, window_start=run.window_start, present=present)
            remote = RemoteFolder(opened.uidvalidity, opened.uidnext, present=present)
            gone = plan_vanished(remote, local)
            doubtful = uids_of(gone, local) - asked
            if not doubtful:
                return _drop(run, locked, gone, remote, local)
        asked |= doubtful
        server = intake.server_at(folder) if intake else run.server
        present = UidRanges.joined([*present.spans, *((uid, uid) for uid in server.existing(doubtful))])


def _drop(run: Run, locked: Folder, gone: list[Vanish], remote: RemoteFolder, local: LocalFolder) -> bool:
    missed = lost(gone, remote, local)
    verdict = holding.verdict(locked, len(missed), locked.total)
    if verdict is not Verdict.FOLLOW:
        gone = [each for each in gone if each not in set(missed)]
    replica.vanish(gone)
    run.changed += len(gone)
    return verdict is not Verdict.LOOK_AGAIN


def advance(
    run: Run,
    folder: Folder,
    opened: Opened,
    highest: int,
    *,
    whole: bool,
    asked_at: datetime,
    rebuilds: int = 0,
) -> None:
    """The cursor: what SELECT said before we read, so that whatever came later differs from it. `highest` is the
    largest UID listed; `rebuilds`: for the how manieth time in a row it had another UIDVALIDITY."""
    with replica.writing(run.lease, folder.pk, safely=False) as locked:
        assert locked is not None
        moved_in = folder.server_uidnext and not locked.server_uidnext  # a move was settled meanwhile
        # What was listed counts, and not UIDNEXT: that may be wrong (C09), and so may the number of messages by
        # which they were listed (K01). Never our own placements: a move of ours may have got a UID above one that
        # came after SELECT and was not read yet.
        if not _may_hold_copies(run, locked):
            locked.uid_seen = max(locked.uid_seen, highest)
        locked.modseq = opened.modseq
        locked.server_messages = opened.exists
        locked.server_uidnext = 0 if moved_in else opened.uidnext
        locked.errors_in_row, locked.refused_since = rebuilds, None
        if not locked.held_back:
            locked.error = ""
        locked.wanted = locked.fetched = opened.exists
        if whole:
            locked.full_at, locked.walk = timezone.now(), None
            SkippedMessage.objects.filter(folder=locked).arrived().delete()
        locked.save()
        # What is held back may wait for a UID that no move will bring.
        never_came = [] if locked.held_back else replica.never_came(locked, asked_at)
        replica.vanish(never_came)
    run.changed += len(never_came)


def _may_hold_copies(run: Run, folder: Folder) -> bool:
    """Whether a move to it, or for the Trash a folder's deletion, was tried and is not over, where that begins with a
    COPY: the next try looks for that above the cursor (mailsync.moving)."""
    if run.server.session.can("MOVE") or folder.full_at is None:
        return False
    tried = Operation.objects.filter(mailbox=folder.mailbox_id, state__in=OPEN, tries__gt=0)
    comes_here = Q(kind=OperationKind.MOVE, target=folder)
    if folder.special_use == SpecialUse.TRASH:
        comes_here |= Q(kind=OperationKind.DELETE)
    return tried.filter(comes_here).exists()


def _progress(run: Run, folder: Folder, wanted: int, looked: int) -> None:
    if folder.full_at is None:
        with replica.writing(run.lease, safely=False):
            Folder.objects.filter(pk=folder.pk).update(wanted=wanted, fetched=looked)
