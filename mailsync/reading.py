"""What the screens of mail read: the folder tree, pages of a list, one message.

Lists go by keyset over (received, id) and touch neither headers nor bodies; counts are the kept columns
of Folder. One statement serves a folder and the unified inbox: per folder at most a page is taken from
the index, then the pages are merged.
"""

import base64
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts.models import Employee
from mailsync import foldertree, narrowing, unread
from mailsync.access import includes
from mailsync.mime import document as framed
from mailsync.mime import parse, sanitize
from mailsync.models import Operation, OperationState, SpecialUse
from mailsync.tags import Tag, offered, tags_of

PAGE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ROLES = [
    SpecialUse.INBOX,
    SpecialUse.FLAGGED,
    SpecialUse.DRAFTS,
    SpecialUse.SENT,
    SpecialUse.ARCHIVE,
    SpecialUse.ALL,
    SpecialUse.JUNK,
    SpecialUse.TRASH,
]
# Pictures that a browser may show: pixels, never SVG.
RASTER = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "webp", "avif", "bmp"))
OUTGOING = {SpecialUse.DRAFTS, SpecialUse.SENT}


# The tree of folders


@dataclass(frozen=True, slots=True)
class FolderLine:
    """A folder as the tree shows it; `name` is what its parent's line does not say already."""

    id: int
    mailbox_id: int
    role: str
    name: str
    path: str
    depth: int
    total: int
    unseen: int
    selectable: bool
    error: str
    delimiter: str
    url: str
    held_back: int = 0
    brake: str = ""
    more: bool = False  # there may be more unread than were counted

    @property
    def badge(self) -> int:
        """What the tree counts: unread mail, but all drafts; not in Sent, Trash, nor once more in All mail."""
        if self.role in {SpecialUse.SENT, SpecialUse.TRASH, SpecialUse.ALL}:
            return 0
        return self.total if self.role == SpecialUse.DRAFTS else self.unseen


class Box(Protocol):
    """A mailbox as access.py hands it over; `level` is what the employee may do in it."""

    @property
    def id(self) -> int: ...
    @property
    def address(self) -> str: ...
    @property
    def mine(self) -> bool: ...
    @property
    def level(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def last_error(self) -> str: ...
    @property
    def troubled_since(self) -> datetime | None: ...
    @property
    def first_synced(self) -> bool: ...
    @property
    def missing(self) -> int: ...
    @property
    def missing_at(self) -> datetime | None: ...
    @property
    def shared(self) -> bool: ...
    @property
    def reader(self) -> int: ...
    @property
    def apart(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class MailboxLine:
    """A mailbox as the tree shows it."""

    id: int
    address: str
    mine: bool
    level: str
    state: str
    last_error: str
    troubled_since: datetime | None
    first_synced: bool
    missing: int
    missing_at: datetime | None
    shared: bool
    reader: int
    apart: bool
    folders: tuple[FolderLine, ...]

    def may(self, level: str) -> bool:
        return includes(self.level, level)

    def folder_of_role(self, role: str) -> FolderLine | None:
        return next((folder for folder in self.folders if folder.role == role), None)


@dataclass(frozen=True, slots=True)
class Tree:
    mailboxes: tuple[MailboxLine, ...]

    @property
    def inboxes(self) -> tuple[FolderLine, ...]:
        lines = (mailbox.folder_of_role(SpecialUse.INBOX) for mailbox in self.mailboxes)
        return tuple(line for line in lines if line)

    @property
    def reader(self) -> int:
        """Whose tree it is: the id of the employee; 0 where there is nothing to read."""
        return self.mailboxes[0].reader if self.mailboxes else 0

    @property
    def inbox_unseen(self) -> int:
        return sum(line.unseen for line in self.inboxes)

    @property
    def inbox_more(self) -> bool:
        return any(line.more for line in self.inboxes)

    @property
    def troubled(self) -> list[MailboxLine]:
        return [mailbox for mailbox in self.mailboxes if mailbox.last_error]

    @property
    def arriving(self) -> list[MailboxLine]:
        """Where a first fetch is under way, so that the page shows its progress."""
        return [mailbox for mailbox in self.mailboxes if not mailbox.first_synced and not mailbox.last_error]

    def mailbox(self, mailbox_id: int) -> MailboxLine:
        return next(mailbox for mailbox in self.mailboxes if mailbox.id == mailbox_id)

    def find(self, folder_id: int) -> tuple[MailboxLine, FolderLine] | None:
        for mailbox in self.mailboxes:
            for folder in mailbox.folders:
                if folder.id == folder_id and folder.selectable:
                    return mailbox, folder
        return None


def tree(boxes: Iterable[Box]) -> Tree:
    """The mailboxes, own ones first, with all their folders and the kept counters, in one statement; in another what
    the reader has not read where that is theirs alone."""
    ordered = sorted(boxes, key=lambda box: (not box.mine, box.address))
    apart = [box.id for box in ordered if box.apart]
    own = unread.count(ordered[0].reader if ordered else 0, apart)
    folders = _folders([box.id for box in ordered])
    for box_id in apart:
        folders[box_id] = [_counted(line, own) for line in folders.get(box_id, [])]
    return Tree(
        tuple(
            MailboxLine(
                id=box.id,
                address=box.address,
                mine=box.mine,
                level=box.level,
                state=box.state,
                last_error=box.last_error,
                troubled_since=box.troubled_since,
                first_synced=box.first_synced,
                missing=box.missing,
                missing_at=box.missing_at,
                shared=box.shared,
                reader=box.reader,
                apart=box.apart,
                folders=tuple(lines_of(folders.get(box.id, []))),
            )
            for box in ordered
        )
    )


def _counted(line: FolderLine, own: unread.Counted) -> FolderLine:
    more = line.mailbox_id in own.more and line.role != SpecialUse.DRAFTS  # of which all are counted
    return replace(line, unseen=own.unseen.get(line.id, 0), more=more)


_FOLDERS = """
SELECT id, mailbox_id, special_use, path, total, unseen, selectable, error, delimiter, held_back, brake
FROM mailsync_folder
WHERE mailbox_id = ANY(%s) AND syncing AND NOT deleting
"""


def _folders(mailbox_ids: list[int]) -> dict[int, list[FolderLine]]:
    found: dict[int, list[FolderLine]] = {}
    root = reverse("mail:inbox")
    with connection.cursor() as cursor:
        cursor.execute(_FOLDERS, [mailbox_ids])
        rows = cursor.fetchall()
    for folder_id, mailbox_id, role, path, total, unseen, selectable, error, delimiter, held, brake in rows:
        line = FolderLine(
            id=folder_id,
            mailbox_id=mailbox_id,
            role=role,
            name=path,
            path=path,
            depth=0,
            total=total,
            unseen=unseen,
            selectable=selectable,
            error=error,
            delimiter=delimiter,
            url=f"{root}mail/{folder_id}/",
            held_back=held,
            brake=brake,
        )
        found.setdefault(mailbox_id, []).append(line)
    return found


def lines_of(folders: Sequence[FolderLine]) -> list[FolderLine]:
    """Folders with a role first, in the order of a day's work; then the others as an indented tree."""
    with_role = sorted((f for f in folders if f.role), key=lambda f: _ROLES.index(SpecialUse(f.role)))
    others = foldertree.tree([f for f in folders if not f.role and f.selectable], _parts)
    return [
        *(replace(folder, name=str(SpecialUse(folder.role).label)) for folder in with_role),
        *(replace(line.folder, name=line.label, depth=line.depth) for line in others),
    ]


def _parts(folder: FolderLine) -> list[str]:
    """Many servers keep every folder below INBOX; that says nothing to people."""
    parts = foldertree.split(folder.path, folder.delimiter)
    return parts[1:] if len(parts) > 1 and parts[0].upper() == "INBOX" else parts


# Lists


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


def _sides(folder_ids: Sequence[int], show: str, reader: int, apart: Collection[int]) -> list[_Side]:
    """One, but for what is unread, which is found elsewhere where it is the reader's own."""
    own = [folder for folder in folder_ids if folder in apart]
    values: dict[str, Any] = {"folders": list(folder_ids), "apart": own, "reader": reader}
    places, at = "mailsync_placement p", "p.received_at"
    where = f"p.folder_id = f.id AND {narrowing.sql(show, reader, apart=bool(own))}"
    others = narrowing.without_unread(show) if own else None
    if others is None:
        return [_Side(places, at, where, values)]
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
        cursor.execute(statement, values)
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


def folders_of(message_id: int) -> set[int]:
    """Where a message is: at Gmail these are its labels."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT folder_id FROM mailsync_placement WHERE message_id = %s", [message_id])
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
        cursor.execute(sides, values | _named("key", key))
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


# One message


class Raw(Protocol):
    """The bytes of a message: header up to and including the blank line, and the body."""

    @property
    def header(self) -> bytes: ...
    @property
    def body(self) -> bytes: ...


def document(raw: Raw, *, image_url: Callable[[str], str] | None) -> str:
    """The page of a message's HTML for the sandboxed frame; serve it with mime.document.headers() only.

    Its own pictures are in it as data: the frame has no origin and so sends no cookie with which to fetch
    them. `image_url` gives the proxy's address of a remote picture; None blocks those.
    """
    content = parse.read(raw.header, raw.body)
    pictures = _Pictures(raw, content.attachments)
    cleaned = sanitize.clean(content.html, inline_url=pictures.data_url, image_url=image_url)
    return framed.document(cleaned.html)


class _Pictures:
    """The inline pictures of one message as data: URLs, up to a size that a browser still likes."""

    def __init__(self, raw: Raw, parts: Sequence[parse.AttachmentPart]) -> None:
        self.raw = raw
        self.parts = {part.content_id: part for part in parts if part.content_id}
        self.left = 12_000_000

    def data_url(self, content_id: str) -> str | None:
        part = self.parts.get(content_id)
        if part is None or part.type.lower() not in RASTER or part.size > self.left:
            return None
        self.left -= part.size
        _part, content = parse.part_bytes(self.raw.header, self.raw.body, part.part)
        return f"data:{part.type.lower()};base64,{base64.b64encode(content).decode()}"


# What went wrong


@dataclass(frozen=True, slots=True)
class Failure:
    id: int
    kind: str
    error: str


_FAILED = """
SELECT id, kind, error FROM mailsync_operation WHERE by_id = %s AND state = 'failed' AND noticed_at IS NULL
ORDER BY id DESC LIMIT 5
"""


def failed_operations(employee: Employee) -> list[Failure]:
    """What this employee wanted and the server refused, not yet dismissed; newest first, at most five."""
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, [employee.pk])
        return [Failure(*row) for row in cursor.fetchall()]


def dismiss_failed(employee: Employee) -> None:
    failed = Operation.objects.filter(by=employee, state=OperationState.FAILED, noticed_at=None)
    failed.update(noticed_at=timezone.now())


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
