"""From fetched bytes to rows: blob, message, attachments, placement, in one transaction a batch.

`prepare` touches no row and may run in another thread; `store` writes. Both are safe to repeat: the same message
is known by its identity, the same bytes by their hash, the same place by its UID.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from mailsync import assigning, blobs, bounces, events, filing, signals, unread
from mailsync.copying import stage
from mailsync.mime.parse import Summary, header_size
from mailsync.mime.process import COLUMNS, Taken, take_apart
from mailsync.models import Folder, Message, Tombstone
from mailsync.sync.state import Flags

# Whether anything in the mailbox is somebody's work, and since when each person reads it for themselves.
_SHARED_WORK = """
SELECT EXISTS (SELECT FROM mailsync_assignment WHERE mailbox_id = b.id), b.read_apart_since
FROM mailsync_mailbox b WHERE b.id = %s
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One message ready to be stored. `file`: its body is large and on its way to the disk."""

    uid: int
    flags: Flags
    received_at: datetime
    header: bytes
    body: memoryview  # of what came, which is not copied
    identity: bytes
    header_hash: bytes
    digest: bytes
    file: Future[None] | None
    taken: Taken
    server_id: int | None = None
    told_size: int | None = None  # where it is not `size`

    @property
    def size(self) -> int:
        return len(self.header) + len(self.body)

    @property
    def summary(self) -> Summary:
        return self.taken.summary


class Hashed(NamedTuple):
    """What a Prepared has of the bytes alone, in its order."""

    identity: bytes
    header_hash: bytes
    digest: bytes
    file: Future[None] | None


def header_hash(header: bytes, size: int) -> bytes:
    """What is known of a message before its body: sha256(header bytes, whole size as its server tells it).

    Servers estimate the size (H08): what is counted when the body is here they never say.
    Real mail exists that differs only in its body, size and all; so this proposes a message and never proves it.
    """
    return _with_size(hashlib.sha256(header), size)


def _with_size(of_header: "hashlib._Hash", size: int) -> bytes:
    whole = of_header.copy()
    whole.update(str(size).encode())
    return whole.digest()


def hashed(account_id: int, header: bytes, body: memoryview, told_size: int | None = None) -> Hashed:
    """Hash one message, and begin to write its body if it is to be a file. `told_size` is None where it is the true
    one.

    What makes two messages of a mailbox one is all of their bytes: sha256(header bytes, digest of the body).
    """
    digest = blobs.digest_of(body)
    identity = hashlib.sha256(header)
    proposed = _with_size(identity, len(header) + len(body) if told_size is None else told_size)
    identity.update(digest)
    return Hashed(identity.digest(), proposed, digest, blobs.begin_file(account_id, digest, body))


def prepare(
    account_id: int,
    uid: int,
    flags: Flags,
    received_at: datetime,
    raw: bytes,
    *,
    server_id: int | None = None,
    told_size: int | None = None,
) -> Prepared:
    """Hash and parse one message. Never raises for what is in it (mime.parse guards each field)."""
    header, body = halves(raw)
    by_bytes = hashed(account_id, header, body, told_size)
    taken = take_apart(header, bytes(body))
    return Prepared(uid, flags, received_at, header, body, *by_bytes, taken, server_id, told_size)


def halves(raw: bytes) -> tuple[bytes, memoryview]:
    """Header and body of what came; the body is not copied."""
    end = header_size(raw)
    return raw[:end], memoryview(raw)[end:]


def store(folder: Folder, batch: Sequence[Prepared]) -> int:
    """Write a batch into the running transaction; returns how many placements are new."""
    return store_placements(folder, batch, store_messages(folder, batch)).written


class Stored(NamedTuple):
    """A row of a message; its date is the one it came with first."""

    id: int
    received_at: datetime
    known: bool  # before this transaction


def without_buried(folder: Folder, batch: Sequence[Prepared]) -> tuple[list[Prepared], list[Tombstone]]:
    """Those that were not let go here on purpose, and the tombstones of the others. These came because their header was
    not known, or not looked at: see `know_buried`."""
    buried = Tombstone.objects.filter(mailbox=folder.mailbox_id, identity__in=[i.identity for i in batch])
    graves = {bytes(grave.identity): grave for grave in buried}
    for item in batch:
        if item.identity in graves:
            graves[item.identity].header_hash = item.header_hash
    return [item for item in batch if item.identity not in graves], list(graves.values())


def know_buried(graves: Sequence[Tombstone]) -> None:
    """From now on they are known by their header. The caller holds the lease: whoever wants purged mail back locks the
    schedule before the tombstones."""
    Tombstone.objects.bulk_update(graves, ["header_hash"])


def store_messages(folder: Folder, batch: Sequence[Prepared]) -> dict[bytes, Stored]:
    """The heavy half: bytes and derived columns. Needs no lock, so that no click waits for it.

    Returns by identity those that are new; the others were here.
    """
    if not batch:
        return {}
    for item in batch:
        if item.file:
            item.file.result()
    bodies = blobs.store(folder.account_id, {item.digest: item.body for item in batch})
    fresh = _store_messages(folder, batch, bodies)
    _store_attachments(folder, batch, fresh)
    return fresh


def _store_messages(
    folder: Folder, batch: Sequence[Prepared], bodies: dict[bytes, int]
) -> dict[bytes, Stored]:
    columns = [
        ("identity", "bytea"), ("header_hash", "bytea"), ("body_id", "int8"), ("header", "bytea"), ("size", "int8"),
        ("received_at", "timestamptz"), ("server_id", "int8"), ("told_size", "int8"),
    ]  # fmt: skip
    rows = {item.identity: _message_row(item, bodies[item.digest]) for item in batch}
    stage("incoming_message", columns, rows.values(), encoded=COLUMNS)
    inserted = _select(
        """INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size,
               message_id,
               subject, sender_name, sender_address, recipients, sent_at, received_at, snippet,
               has_attachments, parse_problem, server_id, told_size)
           SELECT %s, %s, identity, header_hash, header, body_id, size, message_id, subject, sender_name,
               sender_address, recipients, sent_at, received_at, snippet, has_attachments, parse_problem, server_id,
               told_size
           FROM incoming_message
           ON CONFLICT (mailbox_id, identity) DO NOTHING RETURNING identity, id, received_at""",
        folder.account_id,
        folder.mailbox_id,
    )
    return {bytes(identity): Stored(pk, date, known=False) for identity, pk, date in inserted}


def _store_attachments(folder: Folder, batch: Sequence[Prepared], fresh: dict[bytes, Stored]) -> None:
    """Of the new messages: those that were here have theirs."""
    rows = [
        (fresh[item.identity].id, part.part, part.name, part.type[:200], part.size, part.content_id)
        for item in batch
        if item.identity in fresh
        for part in item.taken.attachments
    ]
    if not rows:
        return
    columns = [("message_id", "int8"), ("part", "int4"), ("name", "text"), ("type", "text"), ("size", "int8"),
               ("content_id", "text")]  # fmt: skip
    stage("incoming_attachment", columns, rows)
    _run(
        """INSERT INTO mailsync_attachment (account_id, message_id, part, name, type, size, content_id)
           SELECT %s, message_id, part, name, type, size, content_id FROM incoming_attachment
           ON CONFLICT (message_id, part) DO NOTHING""",
        folder.account_id,
    )


# Rows of ours are looked up key by key, and never joined with a staged table or with a list of keys: in a mailbox
# that grows while nobody has counted it, the planner would read all of it for each batch. LIMIT keeps it from
# turning this into such a join, and the order leaves it no index but that of identities: to a planner without
# numbers all that begin with the mailbox are equal.


def _known(folder: Folder, identities: Iterable[bytes]) -> dict[bytes, Stored]:
    """Messages that are here, by identity; whatever is not fresh was here before, by whosever clock."""
    wanted = list(identities)
    if not wanted:
        return {}
    rows = _select(
        """SELECT k.identity, m.id, m.received_at
           FROM unnest(%s::bytea[]) AS k(identity) CROSS JOIN LATERAL (
               SELECT id, received_at, identity FROM mailsync_message
               WHERE mailbox_id = %s AND identity >= k.identity ORDER BY identity LIMIT 1) m
           WHERE m.identity = k.identity""",
        wanted,
        folder.mailbox_id,
    )
    return {bytes(identity): Stored(pk, date, known=True) for identity, pk, date in rows}


def _message_row(item: Prepared, body_id: int) -> tuple[object, ...]:
    return (
        item.identity, item.header_hash, body_id, item.header, item.size, item.received_at, item.server_id,
        item.told_size, item.taken.columns,
    )  # fmt: skip


class Placed(NamedTuple):
    """How many placements have come or have got their UID, and the UIDs that some waited for: those show the flags that
    they had before."""

    written: int
    awaited: Collection[int]


class MailLeft(Exception):
    """What was here when its batch was stored was purged, or discarded, before it was placed."""


def store_placements(folder: Folder, batch: Sequence[Prepared], fresh: dict[bytes, Stored]) -> Placed:
    """The light half, in the same transaction; the caller now holds the lease and the folder's row lock.

    Raises MailLeft, and then nothing of the transaction may be kept.
    """
    if not batch:
        return Placed(0, ())
    stored = fresh | _known(folder, {item.identity for item in batch} - fresh.keys())
    if any(item.identity not in stored for item in batch):
        raise MailLeft
    columns = [("message_id", "int8"), ("uid", "int8"), ("flags", "text[]"), ("received_at", "timestamptz")]
    rows = [
        (stored[item.identity].id, item.uid, sorted(item.flags), stored[item.identity].received_at)
        for item in batch
    ]
    stage("incoming_placement", columns, rows)
    known = {message.id for message in stored.values() if message.known}
    awaited = _place_waiting(folder, list(known))
    new = _select(
        """INSERT INTO mailsync_placement (account_id, folder_id, message_id, uid, flags, received_at)
           SELECT %s, %s, message_id, uid, flags, received_at FROM incoming_placement
           ON CONFLICT (folder_id, uid) WHERE uid IS NOT NULL DO NOTHING RETURNING message_id, uid""",
        folder.account_id,
        folder.pk,
    )
    events.placed(folder, [(message, uid) for message, uid in new if message in known])
    arrived = {stored[item.identity].id: item for item in batch}
    filing.recognize(folder, ((item.uid, item.header, item.body) for item in batch))
    bounces.hear(folder, {pk: (item.header, item.body) for pk, item in arrived.items()})
    _tell_team(folder, arrived, known)
    signals.message_arrived.send(Folder, folder=folder, arrived=arrived)
    return Placed(len(awaited) + len(new), awaited)


def _place_waiting(folder: Folder, known: list[int]) -> set[int]:
    """A message that waits here for its UID (moved by us, its date changed by the server) takes it, and none
    of them is without a place any more. New messages neither wait nor were anywhere. Returns those UIDs."""
    if not known:
        return set()
    placed = _select(
        """UPDATE mailsync_placement p SET uid = i.uid
           FROM (SELECT w.id, w.message_id, row_number() OVER (PARTITION BY w.message_id ORDER BY w.id) AS nth
                 FROM mailsync_placement w
                 WHERE w.message_id = ANY(%s) AND w.folder_id = %s AND w.uid IS NULL
                   AND NOT EXISTS (SELECT FROM mailsync_operation o WHERE o.placement_id = w.id
                                   AND o.kind = 'move' AND o.state IN ('pending', 'sending'))) w
           JOIN (SELECT message_id, uid, row_number() OVER (PARTITION BY message_id ORDER BY uid) AS nth
                 FROM incoming_placement) i USING (message_id, nth)
           WHERE p.id = w.id RETURNING p.uid""",
        known,
        folder.pk,
    )
    Message.objects.filter(pk__in=known, unplaced_since__isnull=False).update(unplaced_since=None)
    return {uid for (uid,) in placed}


def _tell_team(folder: Folder, arrived: Mapping[int, Prepared], known: Collection[int]) -> None:
    """What it means for those who share the mailbox; one question where nobody does."""
    [(assigned, apart_since)] = _select(_SHARED_WORK, folder.mailbox_id)
    if assigned:
        assigning.follow(folder.mailbox_id, {pk: item.header for pk, item in arrived.items()})
    if apart_since:
        unread.arrived(folder, arrived.keys() - known, apart_since)


def _select(sql: str, *params: int | list[int] | list[bytes]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _run(sql: str, *params: int | list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)
