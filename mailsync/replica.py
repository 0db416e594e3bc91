"""Our side of a folder: read it as values for the planner, and carry out what the planner decided.

Every function runs inside the caller's transaction, which holds the folder's row lock and has renewed the lease.
"""

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import get_ident
from typing import TypeVar

from django.conf import settings
from django.db import connection
from django.db.models import BigIntegerField, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import tenancy
from mailsync import discarding, events, live, schedule
from mailsync.actions import remove_placements
from mailsync.imap.errors import TooSlow
from mailsync.models import (
    FOLDER_KINDS,
    OPEN,
    Folder,
    Message,
    Operation,
    OperationKind,
    OperationState,
    Outgoing,
    Placement,
    SpecialUse,
    Tombstone,
)
from mailsync.models.folder import no_cursors
from mailsync.schedule import Lease
from mailsync.sync.ledger import UidRanges
from mailsync.sync.state import (
    LocalFolder,
    LocalPlacement,
    Place,
    Reflag,
    RemoteMessage,
    Vanish,
    is_undated,
)

T = TypeVar("T")

# So many UIDs are looked up one by one; of more, all between the lowest and the highest are read.
FEW_UIDS = 2_000
# Of a message, the size by which its server knows it.
TOLD = Coalesce("told_size", "size", output_field=BigIntegerField())
_NEVER_CAME = """
SELECT p.id FROM mailsync_placement p WHERE p.folder_id = %s AND p.uid IS NULL AND NOT EXISTS (
    SELECT FROM mailsync_operation o WHERE o.placement_id = p.id AND o.kind = 'move'
    AND (o.state IN ('pending', 'sending') OR o.finished_at >= %s))
"""
# The order leaves the planner no index but that of dates: of a mailbox that came since the rows were counted it
# believes that it has none, and then all indexes that begin with the mailbox are equal to it.
_SEEN_BEFORE = """
SELECT uid FROM (SELECT uid, to_timestamp(at) AS at, size
                 FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS k(uid, at, size) OFFSET 0) k
WHERE (SELECT true FROM mailsync_message m WHERE m.mailbox_id = %s AND m.received_at BETWEEN k.at AND k.at
       AND (coalesce(m.told_size, m.size) = k.size OR k.at < %s) ORDER BY m.received_at LIMIT 1)
"""
_SAME_HEADER = """
SELECT uid FROM unnest(%s::bigint[], %s::timestamptz[], %s::bigint[], %s::bytea[]) AS k(uid, at, size, identity)
WHERE (SELECT true FROM mailsync_message m WHERE m.mailbox_id = %s AND m.received_at BETWEEN k.at AND k.at
       AND sha256(m.header || convert_to(k.size::text, 'UTF8')) = k.identity ORDER BY m.received_at LIMIT 1)
"""
# A move by another program is gone here before it is new there: how long a message may be nowhere.
UNPLACED_GRACE = timedelta(hours=1)


class OtherMail(Exception):
    """UIDs that we know belong to other messages now: see `read_anew`."""


@contextmanager
def writing(lease: Lease, folder_id: int | None = None, *, safely: bool = True) -> Iterator[Folder | None]:
    """One transaction of the engine: tenant, lease renewed, folder locked (before its placements, as actions do).

    Without `safely` its commit does not wait for the disk: for what a pull reads, and the cursor over it, which a crash
    of the database's machine takes back together. The commit at a run's end waits, and with it all before it is there.

    Raises schedule.LeaseLost, and then nothing of the block is kept.
    """
    began = time.monotonic()
    with tenancy.acting_for(lease.account_id):
        if not safely:
            commit_without_waiting()
        schedule.renew(lease)
        yield _locked(folder_id) if folder_id else None
        if folder_id:
            live.tell(lease.mailbox_id)
        if time.monotonic() - began > _often():
            schedule.prolong(lease)


def keeping(lease: Lease) -> Callable[[], None]:
    """What the run's own thread does while it waits for the server: now and then it renews the lease, or an answer that
    takes its time would be taken for the end of the worker. Other threads' calls do nothing: see `awaited`.

    To be called outside of transactions. Raises schedule.LeaseLost, and TooSlow when the lease's patience is over.
    """
    owner, renewed = get_ident(), time.monotonic()

    def keep() -> None:
        nonlocal renewed
        if get_ident() == owner and time.monotonic() - renewed > _often():
            _renew(lease)
            renewed = time.monotonic()

    return keep


def awaited(lease: Lease, reading: Future[T]) -> T:
    """What another thread reads from the server. Raises what the reading raises, and what `wait_for` raises."""
    wait_for(lease, reading)
    return reading.result()


def wait_for(lease: Lease, reading: Future[T]) -> None:
    """Until another thread's reading is over: the lease is renewed meanwhile. That it comes at a
    bearable pace is the session's matter.

    Raises schedule.LeaseLost, and TooSlow when the lease's patience is over; nothing of the reading's.
    """
    while not wait([reading], timeout=_often()).done:
        _renew(lease)


def _often() -> float:
    """Seconds after which a lease is renewed: early enough to miss it twice."""
    return float(settings.MAIL_LEASE_SECONDS) / 4


def _renew(lease: Lease) -> None:
    if time.monotonic() > lease.patient_until:
        raise TooSlow("The line to the server is so slow that what was asked for did not come in time.")
    with writing(lease, safely=False):
        pass


def _locked(folder_id: int) -> Folder:
    """By hand: most transactions of the engine begin with it, and the ORM takes ten times as long to say it.

    Raises Folder.DoesNotExist.
    """
    for folder in Folder.objects.raw("SELECT * FROM mailsync_folder WHERE id = %s FOR UPDATE", [folder_id]):
        return folder
    raise Folder.DoesNotExist


def commit_without_waiting() -> None:
    """For this transaction (PostgreSQL, 28.4): what it does can be done again, with the mail server's mail or by
    another purge."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")


def load(
    folder: Folder,
    *,
    window_start: datetime,
    uids: tuple[int, int] | None = None,
    arrivals: Sequence[RemoteMessage] = (),
) -> LocalFolder:
    """Our side as the planner sees it; `uids` = (low, high) limits the placements, the waiting ones always come.

    Of the `arrivals` it says which we know; see `_known`.
    """
    rows = Placement.objects.filter(folder=folder)
    if uids is not None:
        rows = rows.filter(Q(uid__isnull=True) | Q(uid__range=uids))
    return _local(folder, rows, window_start=window_start, arrivals=arrivals)


def _local(
    folder: Folder,
    rows: QuerySet[Placement],
    *,
    window_start: datetime,
    arrivals: Sequence[RemoteMessage] = (),
) -> LocalFolder:
    flags, moving, leaving = _open_operations(folder)
    leaving |= _left_behind(folder, arrivals)
    placements = tuple(
        LocalPlacement(
            id=pk,
            message_id=message_id,
            uid=uid,
            flags=frozenset(shown),
            moving=pk in moving,
            add=frozenset(flags[pk][0]) if pk in flags else frozenset(),
            remove=frozenset(flags[pk][1]) if pk in flags else frozenset(),
            received_at=at,
        )
        for pk, message_id, uid, shown, at in rows.values_list(
            "id", "message_id", "uid", "flags", "received_at"
        )
    )
    known, resembling = _known(
        folder, arrivals, [each.message_id for each in placements if _waits(each)], window_start
    )
    return LocalFolder(
        uidvalidity=folder.uidvalidity,
        uid_seen=folder.uid_seen,
        window_start=window_start,
        placements=placements,
        known=known,
        resembling=resembling,
        tombstones=_tombstones(folder, {each.identity for each in arrivals if each.identity}),
        leaving=leaving,
    )


def load_some(folder: Folder, *, window_start: datetime, uids: Collection[int]) -> LocalFolder:
    """The same for these UIDs alone, however far apart they are: few flags change in a large folder."""
    some = Q(uid__in=uids) if len(uids) < FEW_UIDS else Q(uid__range=(min(uids), max(uids)))
    rows = Placement.objects.filter(Q(uid__isnull=True) | some, folder=folder)
    return _local(folder, rows, window_start=window_start)


def load_absent(folder: Folder, *, window_start: datetime, present: UidRanges) -> LocalFolder:
    """The same for what the server may not have any more: placements whose UID is not `present` or that wait for one,
    and those of the same messages. The rest of a large folder never comes here."""
    absent = list(placed_uids(folder) - present)
    suspects = Placement.objects.filter(Q(uid__isnull=True) | Q(uid__in=absent), folder=folder)
    messages = list(suspects.values_list("message_id", flat=True))
    return _local(
        folder, Placement.objects.filter(folder=folder, message__in=messages), window_start=window_start
    )


def placed_uids(folder: Folder) -> UidRanges:
    """Our UIDs as ranges, made by the database from its index: 180 000 rows never come here."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT min(uid), max(uid) FROM (
                   SELECT uid, uid - row_number() OVER (ORDER BY uid) AS island
                   FROM mailsync_placement WHERE folder_id = %s AND uid IS NOT NULL) placed
               GROUP BY island""",
            [folder.pk],
        )
        return UidRanges.joined(cursor.fetchall())


def possibly_others(local: LocalFolder, listed: Sequence[RemoteMessage]) -> set[int]:
    """UIDs that we hold and that have another date and another size on the server: their header proves whether it is
    another message."""
    ours = {each.uid: each for each in local.placements}
    doubted = {
        each.uid: (ours[each.uid].message_id, each.size)
        for each in listed
        if each.uid in ours and ours[each.uid].received_at != each.received_at
    }
    if not doubted:
        return set()
    stored = Message.objects.filter(pk__in={pk for pk, _size in doubted.values()}).annotate(told=TOLD)
    sizes = dict(stored.values_list("pk", "told"))
    return {uid for uid, (pk, size) in doubted.items() if sizes.get(pk, size) != size}


def has_others(folder: Folder, headers: Mapping[int, bytes]) -> bool:
    """Whether a UID that we hold has another header on the server."""
    ours = Placement.objects.filter(folder=folder, uid__in=list(headers))
    headers_here = ours.values_list("uid", "message__header")
    return any(uid is not None and headers[uid] != bytes(header) for uid, header in headers_here)


def possibly_known(folder: Folder, arrivals: Sequence[RemoteMessage], *, window_start: datetime) -> list[int]:
    """UIDs whose date and size we have already seen in this mailbox: their header is read before their body.

    COPY and MOVE keep the INTERNALDATE (RFC 9051 6.4.7), so this finds every message that merely changed place,
    without asking for a header of each new mail. What the server itself calls by a name we know needs no header; what
    it knows no date of always does. Before the window the date is enough, for what is not known there is left out: a
    server that estimates its sizes may tell another now (H08).
    """
    named = {*_held_by_server_id(folder, arrivals), *_placed_here(folder, arrivals)}
    arrivals = [message for message in arrivals if message.uid not in named]
    suspects = {message.uid for message in arrivals if is_undated(message.received_at)}
    dated = [message for message in arrivals if message.uid not in suspects]
    if not dated:
        return sorted(suspects)
    dates = [message.received_at for message in dated]
    buried = set(
        Tombstone.objects.filter(
            mailbox=folder.mailbox_id, received_at__range=(min(dates), max(dates))
        ).values_list("received_at", flat=True)
    )
    suspects |= {message.uid for message in dated if message.received_at in buried}
    return sorted(suspects | _seen_before(folder, dated, window_start))


def _seen_before(folder: Folder, arrivals: Sequence[RemoteMessage], window_start: datetime) -> set[int]:
    """UIDs of those whose date, of whole seconds, and size a message of the mailbox has; before the window, the date.

    The numbers go as text: thousands of dates, each of them a literal, took longer to say and to parse than to find.
    """
    columns = zip(*((m.uid, int(m.received_at.timestamp()), m.size) for m in arrivals), strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            _SEEN_BEFORE,
            [*(f"{{{','.join(map(str, column))}}}" for column in columns), folder.mailbox_id, window_start],
        )
        return {uid for (uid,) in cursor.fetchall()}


def _placed_here(folder: Folder, arrivals: Sequence[RemoteMessage]) -> set[int]:
    """UIDs that have their place already: there are some only where the cursor was taken back to read anew."""
    if folder.full_at is not None or not folder.total:
        return set()
    uids = [message.uid for message in arrivals]
    placed = Placement.objects.filter(folder=folder, uid__range=(min(uids), max(uids)))
    return {uid for uid in placed.values_list("uid", flat=True) if uid is not None}


def place(folder: Folder, actions: Iterable[Place]) -> None:
    """Give known messages their place here: the placement that waits for the UID, or a new one."""
    fresh = []
    dates = dict(
        Message.objects.filter(pk__in=[a.message_id for a in actions]).values_list("pk", "received_at")
    )
    for action in actions:
        if action.placement_id is not None:
            Placement.objects.filter(pk=action.placement_id).update(
                uid=action.uid, flags=sorted(action.flags)
            )
        else:
            fresh.append(
                Placement(
                    account_id=folder.account_id,
                    folder=folder,
                    message_id=action.message_id,
                    uid=action.uid,
                    flags=sorted(action.flags),
                    received_at=dates[action.message_id],
                )
            )
    Placement.objects.bulk_create(fresh, ignore_conflicts=True)
    events.placed(folder, [(one.message_id, one.uid) for one in fresh if one.uid is not None])
    Message.objects.filter(pk__in=dates, unplaced_since__isnull=False).update(unplaced_since=None)


_REFLAG = """
UPDATE mailsync_placement SET flags = ARRAY(SELECT jsonb_array_elements_text(%(shown)s::jsonb -> id::text))
WHERE id = ANY(%(ids)s)
"""


def reflag(actions: Sequence[Reflag]) -> None:
    """Show the server's flags."""
    for start in range(0, len(actions), 5_000):
        shown = {each.placement_id: sorted(each.flags) for each in actions[start : start + 5_000]}
        events.flags_shown(shown)
        with connection.cursor() as cursor:
            cursor.execute(_REFLAG, {"ids": list(shown), "shown": json.dumps(shown)})


def vanish(actions: Iterable[Vanish]) -> None:
    """The server no longer has them here; a message that is nowhere else waits for the grace to pass."""
    ids = [action.placement_id for action in actions]
    events.gone(ids)
    for start in range(0, len(ids), 5_000):
        remove_placements(ids[start : start + 5_000])


def never_came(folder: Folder, asked_at: datetime) -> list[Vanish]:
    """Placements that wait for a UID although their move was over when the server was asked for news.

    It came too late: another program had moved or removed the message, and the server's move stands.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEVER_CAME, [folder.pk, asked_at])
        return [Vanish(pk) for (pk,) in cursor.fetchall()]


def forget(folder: Folder, uidvalidity: int) -> None:
    """Every UID is void: the folder is to be read anew. One that was never read has none."""
    if folder.uidvalidity is not None:
        _void_uids(folder)
        if folder.special_use == SpecialUse.DRAFTS:
            # Of no UIDVALIDITY, so that each draft is looked for by its name.
            Outgoing.objects.filter(mailbox=folder.mailbox_id, copy_uid__isnull=False).update(
                copy_uidvalidity=0
            )
        folder.errors_in_row += 1  # pulling counts how often in a row
    folder.uidvalidity, folder.uid_seen, folder.modseq = uidvalidity, 0, None
    folder.server_messages = folder.server_uidnext = 0
    folder.full_at = folder.walk = None
    # Not the counters: the triggers have just counted what came back.
    folder.save(
        update_fields=[
            "uidvalidity", "uid_seen", "modseq", "server_messages", "server_uidnext", "full_at", "walk",
            "errors_in_row",
        ]
    )  # fmt: skip


def read_anew(lease: Lease, folder: Folder) -> None:
    """In a transaction of its own: its UIDs belong to others now, under the UIDVALIDITY that it had (`OtherMail`)."""
    with writing(lease, folder.pk) as locked:
        assert locked is not None
        forget(locked, locked.uidvalidity or 0)


def _void_uids(folder: Folder) -> None:
    """Messages stay on screen; flags wait for the new UID; moves and removals are taken back.

    A move cannot be matched to a new UID safely (C05), so its message returns to this folder and waits here.
    """
    now = timezone.now()
    reason = "The server rebuilt the folder before it heard of this; it was taken back."
    taken_back = Operation.objects.filter(folder=folder, state__in=OPEN, kind=OperationKind.MOVE)
    events.refused(list(taken_back.values_list("pk", flat=True)), reason)
    Placement.objects.filter(pk__in=taken_back.values("placement_id")).update(folder=folder, uid=None)
    Operation.objects.filter(
        folder=folder, state__in=OPEN, kind__in=[OperationKind.MOVE, OperationKind.EXPUNGE]
    ).update(state=OperationState.FAILED, error=reason, finished_at=now)
    flags = Operation.objects.filter(folder=folder, state__in=OPEN, kind=OperationKind.FLAG)
    # Nothing will bring a UID to what is no longer shown here.
    flags.filter(placement=None).update(state=OperationState.VOID, finished_at=now)
    flags.update(uid=None, uidvalidity=None, received_at=None, header_hash=None, state=OperationState.PENDING)
    events.renumbered(folder)
    Placement.objects.filter(folder=folder).update(uid=None)


def remove_folder(folder: Folder, reason: str = "") -> None:
    """The server has it no more."""
    _let_go(folder, reason)
    folder.delete()


def close_folder(folder: Folder) -> None:
    """The server goes on listing its name, for the folders inside as a rule, and there is nothing in it."""
    _let_go(folder)
    closed = {"selectable": False, "deleting": False, "special_use": "", "error": "", "errors_in_row": 0}
    Folder.objects.filter(pk=folder.pk).update(**closed, refused_since=None, **no_cursors())
    folder.selectable, folder.special_use = False, ""


def _let_go(folder: Folder, reason: str = "") -> None:
    """What was on its way there goes back, what was in it or leaving it is nowhere."""
    now, reason = timezone.now(), reason or f"The folder “{folder.path}” was removed on the server."
    coming = Operation.objects.filter(target=folder, state__in=OPEN)
    events.refused(list(coming.values_list("pk", flat=True)), reason)
    for operation in coming.exclude(placement=None):
        Placement.objects.filter(operations=operation, folder=folder).update(
            folder=operation.folder_id, uid=operation.uid
        )
    coming.update(
        state=OperationState.FAILED,
        error=reason,
        finished_at=now,
    )
    wished = Operation.objects.filter(folder=folder, state__in=OPEN)
    going = Placement.objects.filter(uid=None, operations__in=wished.filter(kind=OperationKind.MOVE))
    left = list(going.values_list("pk", flat=True))  # no move will bring them a UID any more
    wished.filter(kind=OperationKind.DELETE).update(state=OperationState.DONE, finished_at=now)
    wished.filter(kind__in=FOLDER_KINDS).update(state=OperationState.FAILED, error=reason, finished_at=now)
    # A letter's wish only stands here: where its copy belongs is asked when its turn comes (letterpush).
    others = Folder.objects.filter(mailbox=folder.mailbox_id, selectable=True).exclude(pk=folder.pk)
    if (other := others.order_by("pk").first()) is not None:
        wished.filter(kind=OperationKind.APPEND).update(folder=other)
    wished.update(state=OperationState.VOID, finished_at=now)
    left += folder.placements.values_list("pk", flat=True)
    events.gone(left)
    remove_placements(left)


def discard_unplaced(mailbox_id: int, now: datetime, limit: int = 500) -> int:
    """Drop our copies of messages that no folder of the server has held for the grace time."""
    gone = Message.objects.filter(
        mailbox=mailbox_id, unplaced_since__lt=now - UNPLACED_GRACE, placements=None
    )
    return discarding.drop(gone.free().values_list("pk", flat=True)[:limit])


def _open_operations(
    folder: Folder,
) -> tuple[dict[int, tuple[list[str], list[str]]], set[int], set[int]]:
    """Open flag changes by placement, placements whose move is not over, and UIDs that are leaving this folder."""
    flags: dict[int, tuple[list[str], list[str]]] = {}
    moving: set[int] = set()
    leaving: set[int] = set()
    operations = Operation.objects.filter(mailbox=folder.mailbox_id, state__in=OPEN).order_by("id")
    for kind, placement, source, target, uid, add, remove in operations.values_list(
        "kind", "placement_id", "folder_id", "target_id", "uid", "add", "remove"
    ):
        if kind == OperationKind.FLAG:
            if placement is not None:
                earlier = flags.get(placement, ([], []))
                flags[placement] = (
                    [*(set(earlier[0]) - set(remove)), *add],
                    [*(set(earlier[1]) - set(add)), *remove],
                )
            continue
        if source == folder.pk and uid is not None:
            leaving.add(uid)
        if target == folder.pk and placement is not None:
            moving.add(placement)
    return flags, moving, leaving


def _left_behind(folder: Folder, arrivals: Sequence[RemoteMessage]) -> set[int]:
    """UIDs of those that were moved or removed here and are there still, marked \\Deleted, because the server has no
    UIDPLUS (D13). Where the cursor was taken back they are met again. What others marked is shown (D08)."""
    marked = [message.uid for message in arrivals if "\\Deleted" in message.flags]
    if not marked:
        return set()
    done = Operation.objects.filter(
        folder=folder,
        uidvalidity=folder.uidvalidity,
        uid__in=marked,
        state=OperationState.DONE,
        kind__in=[OperationKind.MOVE, OperationKind.EXPUNGE],
    )
    return {uid for uid in done.values_list("uid", flat=True) if uid is not None}


@dataclass(frozen=True, slots=True)
class _Held:
    """A message of the mailbox that an arrival may be. `waiting`: its placements here that wait for a UID; `here`:
    it has a UID in this folder."""

    id: int
    received_at: datetime
    waiting: int
    here: bool

    @property
    def places(self) -> int:
        """How many arrivals it can be at most, without a look at their bodies.

        A move never leaves it behind in the same folder: where it is here already, another is another mail or a copy.
        """
        return self.waiting or int(not self.here)


def _waits(placement: LocalPlacement) -> bool:
    return placement.uid is None and not placement.moving


def _known(
    folder: Folder, arrivals: Sequence[RemoteMessage], waiting: list[int], window_start: datetime
) -> tuple[dict[int, int], set[int]]:
    """By UID, the messages that arrivals whose header was read can only be, and the UIDs of those that may be one of
    ours, or not; `waiting` are messages without a UID here.

    By the server's own name for them, where it has one. Else by header and size; where several messages share those,
    by the date of receipt as well. A header that nobody has may have been rewritten by the server (mail stores keep
    states in it): then by Message-ID, size and date, among those that wait here. Where two arrivals claim one place,
    or two messages remain, or before the window one has the header and the date and another size, their bodies decide.
    """
    read = [message for message in arrivals if message.identity]
    by_header = _held_by_header(folder, {message.identity or b"" for message in read}, Counter(waiting))
    rewritten = [message for message in read if not by_header[message.identity or b""]]
    by_message_id = _held_by_message_id(folder, rewritten, Counter(waiting))
    resembling = _held_with_another_size(folder, [m for m in rewritten if m.received_at < window_start])
    claims: dict[int, list[int]] = defaultdict(list)
    places: dict[int, int] = {}
    for uid, pk in _held_by_server_id(folder, arrivals).items():
        claims[pk].append(uid)
        places[pk] = 1
    for message in read:
        held = by_header[message.identity or b""] or by_message_id[_traits(message)]
        if held:
            resembling.add(message.uid)
        if len(held) > 1:
            held = [each for each in held if each.received_at == message.received_at]
        if len(held) == 1:
            claims[held[0].id].append(message.uid)
            places[held[0].id] = held[0].places
    known = {uid: pk for pk, uids in claims.items() if len(uids) <= places[pk] for uid in uids}
    return known, resembling - known.keys()


def _held_by_server_id(folder: Folder, arrivals: Sequence[RemoteMessage]) -> dict[int, int]:
    """By UID, the messages that Gmail calls by the same name. The size must agree, too: one word is no proof."""
    wanted = {message.server_id: message for message in arrivals if message.server_id is not None}
    if not wanted:
        return {}
    rows = Message.objects.filter(mailbox=folder.mailbox_id, server_id__in=list(wanted)).annotate(told=TOLD)
    return {
        wanted[name].uid: pk
        for pk, name, size in rows.values_list("pk", "server_id", "told")
        if name is not None and wanted[name].size == size
    }


def _held_by_header(
    folder: Folder, keys: Collection[bytes], waiting: Counter[int]
) -> dict[bytes, list[_Held]]:
    found: dict[bytes, list[_Held]] = defaultdict(list)
    if not keys:
        return found
    messages = Message.objects.filter(mailbox=folder.mailbox_id, header_hash__in=list(keys))
    rows = list(messages.values_list("header_hash", "pk", "received_at"))
    # By their messages only: asked for the folder as well, a planner to whom it is new looks through it for each.
    places = Placement.objects.filter(message__in=[pk for _key, pk, _at in rows], uid__isnull=False)
    here = {pk for pk, where in places.values_list("message_id", "folder_id") if where == folder.pk}
    for key, pk, at in rows:
        found[bytes(key)].append(_Held(pk, at, waiting[pk], pk in here))
    return found


def _traits(message: RemoteMessage) -> tuple[str, int, datetime]:
    return message.message_id, message.size, message.received_at


def _held_by_message_id(
    folder: Folder, arrivals: Sequence[RemoteMessage], waiting: Counter[int]
) -> dict[tuple[str, int, datetime], list[_Held]]:
    found: dict[tuple[str, int, datetime], list[_Held]] = defaultdict(list)
    names = {message.message_id for message in arrivals} - {""}
    if not (names and waiting):
        return found
    rows = Message.objects.filter(mailbox=folder.mailbox_id, message_id__in=names, pk__in=list(waiting))
    told = rows.annotate(told=TOLD).values_list("pk", "message_id", "told", "received_at")
    for pk, name, size, at in told:
        found[name, size, at].append(_Held(pk, at, waiting[pk], here=False))
    return found


def _held_with_another_size(folder: Folder, arrivals: Sequence[RemoteMessage]) -> set[int]:
    """UIDs of those that have the date and the header of a message of the mailbox: the size may be told anew."""
    columns = [[m.uid, m.received_at, m.size, m.identity] for m in arrivals]
    if not columns:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_SAME_HEADER, [*map(list, zip(*columns, strict=True)), folder.mailbox_id])
        return {uid for (uid,) in cursor.fetchall()}


def _tombstones(folder: Folder, identities: Collection[bytes]) -> frozenset[bytes]:
    if not identities:
        return frozenset()
    rows = Tombstone.objects.filter(mailbox=folder.mailbox_id, header_hash__in=list(identities))
    return frozenset(bytes(key) for key in rows.values_list("header_hash", flat=True))
