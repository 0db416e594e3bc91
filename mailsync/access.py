"""Doors to mail: each returns what this employee may use at that level, or raises Http404.

Absent and forbidden look alike, so nobody learns what others have. An admin has no key of their own:
without ownership or a grant, mail stays closed.
"""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import Http404

from accounts.models import Employee
from mailsync.models import Folder, GrantLevel, Mailbox, MailboxGrant, Placement

Row = TypeVar("Row", bound=Model)


def visible_mailboxes(
    employee: Employee, level: str = GrantLevel.READ, *, granted: Mapping[int, str] | None = None
) -> QuerySet[Mailbox]:
    """The connected mailboxes in which the employee has at least this level, by owning or by a grant.

    `granted` is the answer of `grants`, where the caller has it already.
    """
    levels = grants(employee) if granted is None else granted
    shared = [mailbox for mailbox, has in levels.items() if includes(has, level)]
    return Mailbox.objects.filter(Q(owner=employee) | Q(pk__in=shared), disconnected_at=None)


def may(employee: Employee, mailbox: Mailbox, level: str) -> bool:
    """The same rule for one mailbox at hand."""
    if mailbox.disconnected_at is not None:
        return False
    if mailbox.owner_id == employee.pk:
        return True
    has = grants(employee).get(mailbox.pk)
    return has is not None and includes(has, level)


def grants(employee: Employee) -> dict[int, str]:
    """The level in each mailbox that others share with the employee."""
    return dict(MailboxGrant.objects.filter(employee=employee).values_list("mailbox_id", "level"))


def includes(has: str, level: str) -> bool:
    """Each level includes the ones before it."""
    levels = GrantLevel.values
    return levels.index(has) >= levels.index(level)


def get_mailbox(employee: Employee, mailbox_id: int, level: str) -> Mailbox:
    return _one(visible_mailboxes(employee, level).filter(pk=mailbox_id))


def get_folder(employee: Employee, folder_id: int, level: str) -> Folder:
    """A folder that can be opened, with its mailbox."""
    folder = _one(Folder.objects.filter(pk=folder_id, selectable=True).select_related("mailbox"))
    if not may(employee, folder.mailbox, level):
        raise Http404
    return folder


def get_placement(employee: Employee, placement_id: int, level: str) -> Placement:
    """A placement with its message, folder and mailbox, but without the message's header."""
    found = Placement.objects.filter(pk=placement_id).select_related("message", "folder__mailbox")
    placement = _one(found.defer("message__header", "folder__mailbox__secret"))
    if not may(employee, placement.folder.mailbox, level):
        raise Http404
    return placement


def placements_for(employee: Employee, ids: Iterable[int], level: str) -> QuerySet[Placement]:
    """Those of the placements that the employee may work on at this level; the others are left out."""
    mailboxes = visible_mailboxes(employee, level)
    return Placement.objects.filter(pk__in=list(ids), folder__mailbox__in=mailboxes)


def _one(found: QuerySet[Row]) -> Row:
    for row in found[:1]:
        return row
    raise Http404
