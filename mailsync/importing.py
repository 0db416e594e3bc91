"""From fetched bytes to rows: blob, message, attachments, placement, in one transaction a batch.

`prepare` touches no row and may run in another thread; `store` writes. Both are safe to repeat: the same message
is known by its identity, the same bytes by their hash, the same place by its UID.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from mailsync import assigning, blobs, bounces, events, signals, unread
from mailsync.copying import stage
from mailsync.mime.parse import Summary, split, summarize
from mailsync.models import Folder, Message
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
    body: bytes
    identity: bytes
    header_hash: bytes
    sha256: bytes
    summary: Summary
    file: Future[None] | None
    server_id: int | None = None

    @property
    def size(self) -> int:
        return len(self.header) + len(self.body)


def identity(header: bytes, body_sha256: bytes) -> bytes:
    """What makes two messages of a mailbox one: all of their bytes."""
    return hashlib.sha256(header + body_sha256).digest()


def header_hash(header: bytes, size: int) -> bytes:
    """What is known of a message before its body: sha256(header bytes, whole size).

    Real mail exists that differs only in its body, size and all; so this proposes a message and never proves it.
    """
    return hashlib.sha256(header + str(size).encode()).digest()


def prepare(
    account_id: int,
    uid: int,
    flags: Flags,
    received_at: datetime,
    raw: bytes,
    *,
    server_id: int | None = None,
) -> Prepared:
    """Hash and parse one message, and begin to write its body if it is to be a file.

    Never raises for what is in the message (mime.parse guards each field).
    """
    header, body = split(raw)
    body_sha256 = hashlib.sha256(body).digest()
    return Prepared(
        uid=uid,
        flags=flags,
        received_at=received_at,
        header=header,
        body=body,
        identity=identity(header, body_sha256),
        header_hash=header_hash(header, len(raw)),
        sha256=body_sha256,
        summary=summarize(header, body),
        file=blobs.begin_file(account_id, body_sha256, body),
        server_id=server_id,
    )


def store(folder: Folder, batch: Sequence[Prepared]) -> int:
    """Write a batch into the running transaction; returns how many placements are new."""
    store_messages(folder, batch)
    return store_placements(folder, batch)


def store_messages(folder: Folder, batch: Sequence[Prepared]) -> None:
    """The heavy half: bytes and derived columns. Needs no lock, so that no click waits for it."""
    if batch:
        for item in batch:
            if item.file:
                item.file.result()
        bodies = blobs.store(folder.account_id, {item.sha256: item.body for item in batch})
        _store_messages(folder, batch, bodies)


def _store_messages(folder: Folder, batch: Sequence[Prepared], bodies: dict[bytes, int]) -> None:
    columns = [
        ("identity", "bytea"), ("header_hash", "bytea"), ("body_id", "int8"), ("header", "bytea"), ("size", "int8"),
        ("message_id", "text"),
        ("subject", "text"), ("sender_name", "text"), ("sender_address", "text"), ("recipients", "jsonb"),
        ("sent_at", "timestamptz"), ("received_at", "timestamptz"), ("snippet", "text"),
        ("has_attachments", "bool"), ("parse_problem", "text"), ("server_id", "int8"),
    ]  # fmt: skip
    rows = {item.identity: _message_row(item, bodies[item.sha256]) for item in batch}
    stage("incoming_message", columns, rows.values())
    _run(
        """INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size,
               message_id,
               subject, sender_name, sender_address, recipients, sent_at, received_at, snippet,
               has_attachments, parse_problem, server_id)
           SELECT %s, %s, identity, header_hash, header, body_id, size, message_id, subject, sender_name,
               sender_address, recipients, sent_at, received_at, snippet, has_attachments, parse_problem, server_id
           FROM incoming_message
           ON CONFLICT (mailbox_id, identity) DO NOTHING""",
        folder.account_id,
        folder.mailbox_id,
    )
    _store_attachments(folder, [item for item in batch if item.summary.attachments])


def _store_attachments(folder: Folder, batch: Sequence[Prepared]) -> None:
    if not batch:
        return
    stored = _stored(folder, batch)
    rows = [
        (stored[item.identity].id, part.part, part.name, part.type[:200], part.size, part.content_id)
        for item in batch
        for part in item.summary.attachments
    ]
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
# turning this into such a join.


class _Stored(NamedTuple):
    id: int
    received_at: datetime
    known: bool  # before this batch


def _stored(folder: Folder, batch: Sequence[Prepared]) -> dict[bytes, _Stored]:
    """Messages of the batch by identity; the date is the one they came with first."""
    rows = _select(
        """SELECT k.identity, m.id, m.received_at, coalesce(m.stored_at < now(), true)
           FROM unnest(%s::bytea[]) AS k(identity) CROSS JOIN LATERAL (
               SELECT id, received_at, stored_at FROM mailsync_message
               WHERE mailbox_id = %s AND identity = k.identity LIMIT 1) m""",
        list({item.identity for item in batch}),
        folder.mailbox_id,
    )
    return {bytes(identity): _Stored(*columns) for identity, *columns in rows}


def _message_row(item: Prepared, body_id: int) -> tuple[object, ...]:
    summary = item.summary
    sender = summary.sender
    return (
        item.identity, item.header_hash, body_id, item.header, item.size, summary.message_id, summary.subject,
        sender.name if sender else "", sender.address if sender else "", summary.recipients, summary.sent_at,
        item.received_at, summary.snippet, any(not part.inline for part in summary.attachments), summary.problem,
        item.server_id,
    )  # fmt: skip


def store_placements(folder: Folder, batch: Sequence[Prepared]) -> int:
    """The light half, in the same transaction; the caller now holds the lease and the folder's row lock."""
    if not batch:
        return 0
    stored = _stored(folder, batch)
    columns = [("message_id", "int8"), ("uid", "int8"), ("flags", "text[]"), ("received_at", "timestamptz")]
    rows = [
        (stored[item.identity].id, item.uid, sorted(item.flags), stored[item.identity].received_at)
        for item in batch
    ]
    stage("incoming_placement", columns, rows)
    ids = [message.id for message in stored.values()]
    # A message that waits here for its UID (moved by us, its date changed by the server) takes it.
    waiting = _run(
        """UPDATE mailsync_placement p SET uid = w.uid
           FROM (SELECT DISTINCT ON (p.id) p.id, i.uid
                 FROM mailsync_placement p JOIN incoming_placement i ON i.message_id = p.message_id
                 WHERE p.message_id = ANY(%s) AND p.folder_id = %s AND p.uid IS NULL
                   AND NOT EXISTS (SELECT FROM mailsync_operation o WHERE o.placement_id = p.id
                                   AND o.kind = 'move' AND o.state IN ('pending', 'sending'))
                 ORDER BY p.id, i.uid) w
           WHERE p.id = w.id""",
        ids,
        folder.pk,
    )
    new = _select(
        """INSERT INTO mailsync_placement (account_id, folder_id, message_id, uid, flags, received_at)
           SELECT %s, %s, message_id, uid, flags, received_at FROM incoming_placement
           ON CONFLICT (folder_id, uid) WHERE uid IS NOT NULL DO NOTHING RETURNING message_id, uid""",
        folder.account_id,
        folder.pk,
    )
    known = {message.id for message in stored.values() if message.known}
    events.placed(folder, [(message, uid) for message, uid in new if message in known])
    Message.objects.filter(pk__in=ids, unplaced_since__isnull=False).update(unplaced_since=None)
    arrived = {stored[item.identity].id: item for item in batch}
    bounces.hear(folder, {pk: (item.header, item.body) for pk, item in arrived.items()})
    _tell_team(folder, arrived, known)
    signals.message_arrived.send(Folder, folder=folder, arrived=arrived)
    return waiting + len(new)


def _tell_team(folder: Folder, arrived: Mapping[int, Prepared], known: Collection[int]) -> None:
    """What it means for those who share the mailbox; one question where nobody does."""
    [(assigned, apart_since)] = _select(_SHARED_WORK, folder.mailbox_id)
    if assigned:
        assigning.follow(folder.mailbox_id, {pk: item.header for pk, item in arrived.items()})
    if apart_since:
        unread.arrived(folder, arrived.keys() - known, apart_since)


def _select(sql: str, *params: int | list[bytes]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def _run(sql: str, *params: int | list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)
