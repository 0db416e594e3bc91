"""Pages of a list of messages, by keyset over (received, id).

They touch neither headers nor bodies. One statement serves a folder and the unified inbox: per folder at most a page
is taken from the index, then the pages are merged.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from accounts import prepared
from mailsync import narrowing, unread
from mailsync.models import SpecialUse
from mailsync.tags import Tag, offered, tags_of

PAGE = 50
# Where a row names whom the mail is for, not whom it is from.
OUTGOING = {SpecialUse.DRAFTS, SpecialUse.SENT}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A place in a list: everything older comes after it."""

    received_at: datetime
    id: int

    def __str__(self) -> str:
        return f"{(self.received_at - _EPOCH) // timedelta(microseconds=1)}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Key | None":
        """None for what no page of ours wrote."""
        micros, _, row = text.partition(".")
        try:
            return cls(_EPOCH + timedelta(microseconds=int(micros)), int(row))
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of a list, as stored."""

    id: int
    folder_id: int
    message_id: int
    received_at: datetime
    flags: tuple[str, ...]
    subject: str
    sender_name: str
    sender_address: str
    snippet: str
    has_attachments: bool
    recipients: list[list[str]]
    seen: bool

    @property
    def key(self) -> Key:
        return Key(self.received_at, self.id)

    @property
    def starred(self) -> bool:
        return "\\Flagged" in self.flags


_LIST = """
SELECT p.id, p.folder_id, p.message_id, p.received_at, p.flags, m.subject, m.sender_name, m.sender_address, m.snippet,
       m.has_attachments, {recipients}, {seen}
FROM (SELECT q.* FROM unnest(%(folders)s::bigint[]) AS f(id) CROSS JOIN LATERAL (
          SELECT p.id, p.folder_id, p.message_id, p.received_at, p.flags, p.seen FROM {places}
          WHERE {where}
          ORDER BY {at} DESC, p.id DESC LIMIT %(limit)s) q
      ORDER BY q.received_at DESC, q.id DESC LIMIT %(limit)s) p
CROSS JOIN LATERAL (SELECT * FROM mailsync_message WHERE id = p.message_id LIMIT 1) m
ORDER BY p.received_at DESC, p.id DESC
"""
_SEEN = f"""CASE WHEN p.folder_id = ANY(%(apart)s) THEN {unread.is_unread("p.message_id", "%(reader)s")} IS NULL
ELSE p.seen END"""


def entries(
    folder_ids: Sequence[int],
    *,
    show: str = "",
    before: Key | None = None,
    down_to: Key | None = None,
    limit: int = PAGE + 1,
    recipients: bool = False,
    reader: int = 0,
    apart: Collection[int] = (),
) -> list[Entry]:
    """Newest first, older than `before`, not older than `down_to`; `show` narrows, for this reader.

    `apart` are the folders whose mail is read or unread for the reader alone.
    """
    found = [
        entry
        for side in _sides(folder_ids, show, reader, apart)
        for entry in _page_of(side, before, down_to, limit=limit, recipients=recipients)
    ]
    return sorted(found, key=lambda entry: entry.key, reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class _Side:
    """Folders of a list that one statement looks through: `places` is where it finds placements `p` of a folder `f`."""

    places: str
    at: str
    where: str
    values: dict[str, Any]
    frequent: bool = False  # one of the few statements of lists that are not narrowed


def _sides(folder_ids: Sequence[int], show: str, reader: int, apart: Collection[int]) -> list[_Side]:
    """One, but for what is unread, which is found elsewhere where it is the reader's own."""
    own = [folder for folder in folder_ids if folder in apart]
    values: dict[str, Any] = {"folders": list(folder_ids), "apart": own, "reader": reader}
    places, at = "mailsync_placement p", "p.received_at"
    where = f"p.folder_id = f.id AND {narrowing.sql(show, reader, apart=bool(own))}"
    others = narrowing.without_unread(show) if own else None
    if others is None:
        return [_Side(places, at, where, values, frequent=not show)]
    shared = [folder for folder in folder_ids if folder not in apart]
    where = f"p.folder_id = f.id AND {narrowing.sql(show, reader)}"
    return [
        *([_Side(places, at, where, values | {"folders": shared, "apart": []})] if shared else []),
        _Side(unread.PLACES, "u.received_at", narrowing.sql(others, reader), values | {"folders": own}),
    ]


def _page_of(
    side: _Side, before: Key | None, down_to: Key | None, *, limit: int, recipients: bool
) -> list[Entry]:
    where = [side.where]
    if before:
        where.append(f"{side.at} <= %(before_at)s AND (p.received_at, p.id) < (%(before_at)s, %(before_id)s)")
    if down_to:
        where.append(f"{side.at} >= %(down_at)s AND (p.received_at, p.id) >= (%(down_at)s, %(down_id)s)")
    statement = _LIST.format(
        places=side.places,
        at=side.at,
        where=" AND ".join(where),
        recipients="m.recipients -> 'to'" if recipients else "NULL",
        seen=_SEEN if side.values["apart"] else "p.seen",
    )
    values = side.values | {"limit": limit} | _named("before", before) | _named("down", down_to)
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(statement) if side.frequent else statement, values)
        return [_entry(*row) for row in cursor.fetchall()]


_HORIZON = """
SELECT q.received_at, q.id FROM unnest(%(folders)s::bigint[]) AS f(id) CROSS JOIN LATERAL (
    SELECT received_at, id FROM mailsync_placement
    WHERE folder_id = f.id AND {where} ORDER BY received_at DESC, id DESC OFFSET %(walked)s LIMIT 1) q
ORDER BY q.received_at DESC, q.id DESC LIMIT 1
"""


def horizon(folder_ids: Sequence[int], *, before: Key | None = None) -> Key | None:
    """How far down a page may look in a list that no index narrows (narrowing.walks); None: to the end."""
    where = "(received_at, id) < (%(before_at)s, %(before_id)s)" if before else "TRUE"
    walked = narrowing.WALKED // max(1, len(folder_ids))
    values: dict[str, Any] = {"folders": list(folder_ids), "walked": walked}
    with connection.cursor() as cursor:
        cursor.execute(_HORIZON.format(where=where), values | _named("before", before))
        found = cursor.fetchone()
    return Key(*found) if found else None


@dataclass(frozen=True, slots=True)
class Place:
    """A row of a list by its ids only."""

    id: int
    folder_id: int


_BESIDE = """
(SELECT q.id, q.folder_id FROM unnest(%(folders)s::bigint[]) AS f(id) CROSS JOIN LATERAL (
     SELECT p.id, p.folder_id, p.received_at FROM (
         SELECT * FROM mailsync_placement
         WHERE folder_id = f.id AND (received_at, id) {side} (%(key_at)s, %(key_id)s)
         ORDER BY received_at {order}, id {order} LIMIT %(walked)s) p
     WHERE {show} ORDER BY p.received_at {order}, p.id {order} LIMIT 1) q
 ORDER BY q.received_at {order}, q.id {order} LIMIT 1)
"""


_FOLDERS_OF = "SELECT folder_id FROM mailsync_placement WHERE message_id = %s"


def folders_of(message_id: int) -> set[int]:
    """Where a message is: at Gmail these are its labels."""
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_FOLDERS_OF), [message_id])
        return {folder_id for (folder_id,) in cursor.fetchall()}


def neighbours(
    folder_ids: Sequence[int], key: Key, *, show: str = "", reader: int = 0, apart: Collection[int] = ()
) -> tuple[Place | None, Place | None]:
    """The next newer and the next older row beside a place in the list, none where they are far away."""
    wanted = narrowing.sql(show, reader, apart=bool(apart))
    newer = _BESIDE.format(side=">", order="ASC", show=wanted)
    older = _BESIDE.format(side="<", order="DESC", show=wanted)
    sides = f"SELECT true, n.* FROM {newer} n UNION ALL SELECT false, o.* FROM {older} o"  # noqa: S608 (constants)
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "folders": list(folder_ids),
            "walked": narrowing.WALKED,
            "apart": list(apart),
        }
        cursor.execute(sides if show else prepared.ready(sides), values | _named("key", key))
        found = {is_newer: Place(*place) for is_newer, *place in cursor.fetchall()}
    return found.get(True), found.get(False)


def _named(name: str, key: Key | None) -> dict[str, Any]:
    return {f"{name}_at": key.received_at, f"{name}_id": key.id} if key else {}


def _entry(
    placement_id: int,
    folder_id: int,
    message_id: int,
    received_at: datetime,
    flags: list[str],
    subject: str,
    sender_name: str,
    sender_address: str,
    snippet: str,
    has_attachments: bool,
    recipients: str | None,
    seen: bool,
) -> Entry:
    return Entry(
        id=placement_id,
        folder_id=folder_id,
        message_id=message_id,
        received_at=received_at,
        flags=tuple(flags),
        subject=subject,
        sender_name=sender_name,
        sender_address=sender_address,
        snippet=snippet,
        has_attachments=has_attachments,
        recipients=json.loads(recipients) if recipients else [],
        seen=seen,
    )


def matching(
    folder_ids: Sequence[int],
    *,
    show: str,
    down_from: Key | None,
    reader: int = 0,
    apart: Collection[int] = (),
) -> list[int]:
    """All placements a list holds, from the row that was on top: what "select all that match" means."""
    top = "(p.received_at, p.id) <= (%(down_at)s, %(down_id)s)" if down_from else "TRUE"
    found: list[int] = []
    with connection.cursor() as cursor:
        for side in _sides(folder_ids, show, reader, apart):
            statement = (
                "SELECT p.id FROM unnest(%(folders)s::bigint[]) AS f(id) "  # noqa: S608 (constants)
                f"CROSS JOIN LATERAL (SELECT p.id FROM {side.places} WHERE {side.where} AND {top}) p"
            )
            cursor.execute(statement, side.values | _named("down", down_from))
            found += [row for (row,) in cursor.fetchall()]
    return found


def tags_in_use(folder_id: int) -> list[Tag]:
    """The tags of the folder's newest 500 messages and those that every program knows, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT DISTINCT unnest(flags) FROM (
                   SELECT flags FROM mailsync_placement WHERE folder_id = %s
                   ORDER BY received_at DESC, id DESC LIMIT 500) newest""",
            [folder_id],
        )
        used = tags_of(flag for (flag,) in cursor.fetchall())
    names = {tag.name.lower(): tag for tag in [*offered(), *used]}
    return sorted(names.values(), key=lambda tag: tag.name.lower())
