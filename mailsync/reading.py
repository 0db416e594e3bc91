"""What the screens of mail read: the folder tree, pages of a list, one message.

Lists go by keyset over (received, id) and touch neither headers nor bodies; counts are the kept columns
of Folder. One statement serves a folder and the unified inbox: per folder at most a page is taken from
the index, then the pages are merged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone

from accounts.models import Employee
from mailsync.models import (
    Attachment,
    Folder,
    GrantLevel,
    Mailbox,
    MailboxGrant,
    Message,
    Operation,
    OperationState,
    Placement,
    SpecialUse,
)

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

    @property
    def url(self) -> str:
        return reverse("mail:folder", args=[self.id])

    @property
    def badge(self) -> int:
        """What the tree counts: unread mail, but all drafts, and neither in Sent nor Trash."""
        if self.role in {SpecialUse.SENT, SpecialUse.TRASH}:
            return 0
        return self.total if self.role == SpecialUse.DRAFTS else self.unseen


@dataclass(frozen=True, slots=True)
class MailboxLine:
    """A mailbox as the tree shows it; `level` is what the employee may do in it."""

    id: int
    address: str
    mine: bool
    level: str
    state: str
    last_error: str
    troubled_since: datetime | None
    first_synced: bool
    folders: tuple[FolderLine, ...]

    def may(self, level: str) -> bool:
        levels = GrantLevel.values
        return levels.index(self.level) >= levels.index(level)

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
    def inbox_unseen(self) -> int:
        return sum(line.unseen for line in self.inboxes)

    @property
    def troubled(self) -> list[MailboxLine]:
        return [mailbox for mailbox in self.mailboxes if mailbox.last_error]

    @property
    def arriving(self) -> bool:
        """Whether a first fetch is under way, so that the page shows its progress."""
        return any(not mailbox.first_synced and not mailbox.last_error for mailbox in self.mailboxes)

    def mailbox(self, mailbox_id: int) -> MailboxLine:
        return next(mailbox for mailbox in self.mailboxes if mailbox.id == mailbox_id)

    def find(self, folder_id: int) -> tuple[MailboxLine, FolderLine] | None:
        for mailbox in self.mailboxes:
            for folder in mailbox.folders:
                if folder.id == folder_id and folder.selectable:
                    return mailbox, folder
        return None


def tree(mailboxes: QuerySet[Mailbox], *, employee: Employee) -> Tree:
    """Two statements: the mailboxes (own ones first), and all their folders with the kept counters."""
    levels = dict(MailboxGrant.objects.filter(employee=employee).values_list("mailbox_id", "level"))
    boxes = sorted(
        mailboxes.values_list(
            "id", "address", "owner_id", "state", "last_error", "troubled_since", "first_synced_at"
        ),
        key=lambda box: (box[2] != employee.pk, box[1]),
    )
    folders = _folders([box[0] for box in boxes])
    return Tree(
        tuple(
            MailboxLine(
                id=box_id,
                address=address,
                mine=owner_id == employee.pk,
                level=GrantLevel.MANAGE if owner_id == employee.pk else levels.get(box_id, GrantLevel.READ),
                state=state,
                last_error=last_error,
                troubled_since=troubled_since,
                first_synced=first_synced_at is not None,
                folders=tuple(lines_of(folders.get(box_id, []))),
            )
            for box_id, address, owner_id, state, last_error, troubled_since, first_synced_at in boxes
        )
    )


def _folders(mailbox_ids: Sequence[int]) -> dict[int, list[Folder]]:
    found: dict[int, list[Folder]] = {}
    columns = ("mailbox_id", "path", "delimiter", "special_use", "selectable", "total", "unseen", "error")
    for folder in Folder.objects.filter(mailbox__in=mailbox_ids, syncing=True).only(*columns):
        found.setdefault(folder.mailbox_id, []).append(folder)
    return found


def lines_of(folders: Iterable[Folder]) -> list[FolderLine]:
    """Folders with a role first, in the order of a day's work; then the others as an indented tree."""
    folders = list(folders)
    with_role = sorted((f for f in folders if f.special_use), key=lambda f: _ROLES.index(f.special_use))
    others = sorted((f for f in folders if not f.special_use), key=lambda f: f.path.casefold())
    lines = [_line(f, name=str(SpecialUse(f.special_use).label), depth=0) for f in with_role]
    above: list[str] = []
    for folder in others:
        while above and not folder.path.startswith(above[-1]):
            above.pop()
        known = above[-1] if above else _namespace(folder)
        if folder.selectable or _has_children(folder, others):
            lines.append(_line(folder, name=folder.path[len(known) :] or folder.path, depth=len(above)))
            above.append(folder.path + (folder.delimiter or "\n"))
    return lines


def _namespace(folder: Folder) -> str:
    """Many servers keep every folder below INBOX; that says nothing to people."""
    prefix = f"INBOX{folder.delimiter}"
    return prefix if folder.delimiter and folder.path.upper().startswith(prefix) else ""


def _has_children(folder: Folder, folders: Iterable[Folder]) -> bool:
    prefix = folder.path + folder.delimiter
    return bool(folder.delimiter) and any(f.path.startswith(prefix) and f.selectable for f in folders)


def _line(folder: Folder, *, name: str, depth: int) -> FolderLine:
    return FolderLine(
        id=folder.pk,
        mailbox_id=folder.mailbox_id,
        role=folder.special_use,
        name=name,
        path=folder.path,
        depth=depth,
        total=folder.total,
        unseen=folder.unseen,
        selectable=folder.selectable,
        error=folder.error,
    )


# Lists


@dataclass(frozen=True, slots=True)
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
    received_at: datetime
    flags: tuple[str, ...]
    subject: str
    sender_name: str
    sender_address: str
    snippet: str
    has_attachments: bool
    recipients: list[list[str]]

    @property
    def key(self) -> Key:
        return Key(self.received_at, self.id)

    @property
    def seen(self) -> bool:
        return "\\Seen" in self.flags

    @property
    def starred(self) -> bool:
        return "\\Flagged" in self.flags


SHOW = {"": "", "unread": " AND NOT seen", "starred": " AND starred"}
_LIST = """
SELECT p.id, p.folder_id, p.received_at, p.flags, m.subject, m.sender_name, m.sender_address, m.snippet,
       m.has_attachments, {recipients}
FROM (SELECT q.* FROM unnest(%(folders)s::bigint[]) AS f(id) CROSS JOIN LATERAL (
          SELECT id, folder_id, message_id, received_at, flags FROM mailsync_placement
          WHERE folder_id = f.id AND {where}
          ORDER BY received_at {order}, id {order} LIMIT %(limit)s) q
      ORDER BY q.received_at {order}, q.id {order} LIMIT %(limit)s) p
JOIN mailsync_message m ON m.id = p.message_id
ORDER BY p.received_at {order}, p.id {order}
"""


def entries(
    folder_ids: Sequence[int],
    *,
    show: str = "",
    before: Key | None = None,
    down_to: Key | None = None,
    limit: int = PAGE + 1,
    recipients: bool = False,
) -> list[Entry]:
    """Newest first, older than `before`, not older than `down_to`; `show` narrows to unread or starred."""
    where = ["TRUE"]
    if before:
        where.append("(received_at, id) < (%(before_at)s, %(before_id)s)")
    if down_to:
        where.append("(received_at, id) >= (%(down_at)s, %(down_id)s)")
    values: dict[str, Any] = {"folders": list(folder_ids), "limit": limit}
    values |= _named("before", before) | _named("down", down_to)
    return _select(" AND ".join(where) + SHOW[show], values, recipients=recipients)


def neighbours(folder_ids: Sequence[int], key: Key, *, show: str = "") -> tuple[Entry | None, Entry | None]:
    """The next newer and the next older row beside a place in the list."""
    values = {"folders": list(folder_ids), "limit": 1} | _named("key", key)
    newer = _select("(received_at, id) > (%(key_at)s, %(key_id)s)" + SHOW[show], values, order="ASC")
    older = _select("(received_at, id) < (%(key_at)s, %(key_id)s)" + SHOW[show], values)
    return next(iter(newer), None), next(iter(older), None)


def _named(name: str, key: Key | None) -> dict[str, Any]:
    return {f"{name}_at": key.received_at, f"{name}_id": key.id} if key else {}


def _select(
    where: str, values: dict[str, Any], *, order: str = "DESC", recipients: bool = False
) -> list[Entry]:
    columns = "m.recipients -> 'to'" if recipients else "NULL"
    with connection.cursor() as cursor:
        cursor.execute(_LIST.format(where=where, order=order, recipients=columns), values)
        return [
            Entry(*row[:3], tuple(row[3]), *row[4:9], recipients=row[9] or []) for row in cursor.fetchall()
        ]


def matching(folder_ids: Sequence[int], *, show: str, down_from: Key | None) -> QuerySet[Placement]:
    """All placements a list holds, from the row that was on top: what "select all that match" means."""
    found = Placement.objects.filter(folder__in=list(folder_ids))
    if show == "unread":
        found = found.filter(seen=False)
    if show == "starred":
        found = found.filter(starred=True)
    if down_from:
        at = down_from.received_at
        found = found.filter(Q(received_at__lt=at) | Q(received_at=at, id__lte=down_from.id))
    return found


# One message


@dataclass(frozen=True, slots=True)
class Original:
    """The bytes of a message: header up to and including the blank line, and the body."""

    header: bytes
    body: bytes


def original(message_id: int) -> Original:
    header, body = Message.objects.values_list("header", "body__content").get(pk=message_id)
    return Original(bytes(header), bytes(body))


def attachments(message_id: int) -> list[Attachment]:
    return list(Attachment.objects.filter(message=message_id).order_by("part"))


# What went wrong


def failed_operations(employee: Employee) -> list[Operation]:
    """What this employee wanted and the server refused, not yet dismissed; newest first, at most five."""
    failed = Operation.objects.filter(by=employee, state=OperationState.FAILED, noticed_at=None)
    return list(failed.order_by("-id").values_list("id", "kind", "error", named=True)[:5])  # type: ignore[arg-type]


def dismiss_failed(employee: Employee) -> None:
    failed = Operation.objects.filter(by=employee, state=OperationState.FAILED, noticed_at=None)
    failed.update(noticed_at=timezone.now())


def document(message_id: int, *, images: bool) -> str:
    import nh3

    from mailsync.mime import parse

    raw = original(message_id)
    return "<!doctype html><meta charset=utf-8>" + nh3.clean(
        parse.read(raw.header, raw.body).html,
        attributes={"*": {"style", "width", "height", "href", "src", "align"}},
    )
