"""Doors to mail: each returns what this employee may use at that level, or raises Http404.

Absent and forbidden look alike, so nobody learns what others have. An admin has no key of their own:
without ownership or a grant, mail stays closed.
"""

from collections.abc import Iterable
from typing import TypeVar

from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.http import Http404

from accounts.models import Employee
from mailsync.models import Folder, GrantLevel, Mailbox, MailboxGrant, Placement

Row = TypeVar("Row", bound=Model)


def visible_mailboxes(employee: Employee, level: str = GrantLevel.READ) -> QuerySet[Mailbox]:
    """The connected mailboxes in which the employee has at least this level, by owning or by a grant."""
    grants = MailboxGrant.objects.filter(
        mailbox=OuterRef("pk"), employee=employee, level__in=levels_from(level)
    )
    return Mailbox.objects.filter(Q(owner=employee) | Exists(grants), disconnected_at=None)


def levels_from(level: str) -> list[str]:
    """This level and all that include it."""
    levels = GrantLevel.values
    return levels[levels.index(level) :]


def get_mailbox(employee: Employee, mailbox_id: int, level: str) -> Mailbox:
    return _one(visible_mailboxes(employee, level).filter(pk=mailbox_id))


def get_folder(employee: Employee, folder_id: int, level: str) -> Folder:
    """A folder that can be opened, with its mailbox."""
    mailboxes = visible_mailboxes(employee, level)
    folders = Folder.objects.filter(pk=folder_id, selectable=True, mailbox__in=mailboxes)
    return _one(folders.select_related("mailbox"))


def get_placement(employee: Employee, placement_id: int, level: str) -> Placement:
    """A placement with its message and folder, without the message's header."""
    placements = placements_for(employee, [placement_id], level)
    return _one(placements.select_related("message", "folder").defer("message__header"))


def placements_for(employee: Employee, ids: Iterable[int], level: str) -> QuerySet[Placement]:
    """Those of the placements that the employee may work on at this level; the others are left out."""
    mailboxes = visible_mailboxes(employee, level)
    return Placement.objects.filter(pk__in=list(ids), folder__mailbox__in=mailboxes)


def _one(found: QuerySet[Row]) -> Row:
    for row in found[:1]:
        return row
    raise Http404
