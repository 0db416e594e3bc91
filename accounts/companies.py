"""What admins change about their company; each change is in the audit log."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Account, Employee

SETTINGS = ("name", "time_zone", "language", "two_factor_demanded")


def change(account_id: int, *, by: Employee, **wanted: object) -> None:
    """Set fields of SETTINGS. Raises ValidationError where somebody took the company's name at this very moment."""
    account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
    changed = {
        field: [getattr(account, field), wanted[field]]
        for field in SETTINGS
        if field in wanted and getattr(account, field) != wanted[field]
    }
    if not changed:
        return
    for field, (_before, after) in changed.items():
        setattr(account, field, after)
    try:
        with transaction.atomic():
            account.save(update_fields=list(changed))
    except IntegrityError as error:
        raise ValidationError({"name": _("There is a company of this name already.")}) from error
    audit.record("company.changed", account.name, account_id=account_id, by=by, **changed)
