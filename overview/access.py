"""Who may look at which mailboxes from outside: admins at all of the company's, supervisors at those of their
department's people. Only admins act on them, and neither reads mail by it (mailsync.access)."""

from collections.abc import Iterable

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet

from accounts.models import Employee, Role
from mailsync.models import Mailbox


def visible(employee: Employee) -> QuerySet[Mailbox]:
    """The mailboxes that the employee may look at, also those that were let go. Raises PermissionDenied."""
    boxes = Mailbox.objects.filter(account_id=employee.account_id)
    if employee.is_admin:
        return boxes
    if employee.role != Role.SUPERVISOR:
        raise PermissionDenied
    if employee.department_id is None:
        return boxes.none()
    return boxes.filter(owner__department=employee.department_id)


def to_act_on(admin: Employee, ids: Iterable[int]) -> QuerySet[Mailbox]:
    """Those of the mailboxes that are connected. Raises PermissionDenied for who is no admin."""
    if not admin.is_admin:
        raise PermissionDenied
    return visible(admin).filter(pk__in=list(ids), disconnected_at=None)
