"""The tree of mailboxes and folders that every screen of mail has, with the kept counters.

One statement for all folders; in another what the reader has not read where that is theirs alone.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from django.db import connection
from django.urls import reverse

from accounts import prepared
from mailsync import foldertree, unread
from mailsync.access import includes
from mailsync.models import SpecialUse

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
                if folder.id == folder_id:
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
SELECT id, mailbox_id, special_use, path, total, unseen, error, delimiter, held_back, brake
FROM mailsync_folder
WHERE mailbox_id = ANY(%s) AND syncing AND selectable AND NOT deleting
"""


def _folders(mailbox_ids: list[int]) -> dict[int, list[FolderLine]]:
    found: dict[int, list[FolderLine]] = {}
    root = reverse("mail:inbox")
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_FOLDERS), [mailbox_ids])
        rows = cursor.fetchall()
    for folder_id, mailbox_id, role, path, total, unseen, error, delimiter, held, brake in rows:
        line = FolderLine(
            id=folder_id,
            mailbox_id=mailbox_id,
            role=role,
            name=path,
            path=path,
            depth=0,
            total=total,
            unseen=unseen,
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
    tops = {_parts(folder)[0] for folder in folders}
    others = foldertree.tree([f for f in folders if not f.role], lambda one: _telling_parts(one, tops))
    return [
        *(replace(folder, name=str(SpecialUse(folder.role).label)) for folder in with_role),
        *(replace(line.folder, name=line.label, depth=line.depth) for line in others),
    ]


def _telling_parts(folder: FolderLine, tops: Collection[str]) -> list[str]:
    """Many servers keep every folder below INBOX; that says nothing to people, unless one of `tops` is called alike."""
    parts = _parts(folder)
    is_left_out = len(parts) > 1 and parts[0].upper() == "INBOX" and parts[1] not in tops
    return parts[1:] if is_left_out else parts


def _parts(folder: FolderLine) -> list[str]:
    return foldertree.split(folder.path, folder.delimiter)
