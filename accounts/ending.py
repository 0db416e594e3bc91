"""The end of a company: planned by an admin, called off by any until its day. What deletes it is retention.erasing."""

from collections.abc import Iterable
from datetime import timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts import audit, notices
from accounts.models import Account, Employee, NoticeKind, Role

WAITS = timedelta(days=30)


def plan(account_id: int, *, by: Employee | None) -> None:
    """Everything goes after WAITS. Planned already, nothing changes. Every admin is told. `by` None: an operator."""
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    if account.deletes_at:
        return
    account.deletes_at = timezone.now() + WAITS
    account.save(update_fields=["deletes_at"])
    day = account.deletes_at
    audit.record("company.deletion_planned", account.name, account_id=account_id, by=by, on=day.isoformat())
    for admin in _admins(account_id):
        notices.tell(
            admin,
            NoticeKind.DELETION_PLANNED,
            by=_name(by),
            company=account.name,
            day=date_format(timezone.localtime(day), "DATE_FORMAT"),
        )


def call_off(account_id: int, *, by: Employee | None) -> bool:
    """False where nothing was planned, or its deletion has begun."""
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    if not account.deletes_at or account.erasing_since:
        return False
    account.deletes_at = None
    account.save(update_fields=["deletes_at"])
    audit.record("company.deletion_called_off", account.name, account_id=account_id, by=by)
    for admin in _admins(account_id):
        notices.tell(admin, NoticeKind.DELETION_CALLED_OFF, by=_name(by), company=account.name)
    return True


def _name(by: Employee | None) -> str:
    return by.name if by else _("Who runs this installation")


def _admins(account_id: int) -> Iterable[Employee]:
    return Employee.objects.filter(account_id=account_id, role=Role.ADMIN, is_active=True)
