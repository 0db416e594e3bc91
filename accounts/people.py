"""Changes to who works here: each checks what must stay true, and writes the audit log.

All of them run in a transaction that acts for the account; `get_employee` is the door.
"""

import secrets

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import Http404

from accounts import audit
from accounts.models import Account, Employee, Role

# Read aloud and typed from paper without mistakes: no 0/o, 1/l/i.
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"


class CannotChange(Exception):
    """The change is refused; the text is a sentence for the page."""


def get_employee(admin: Employee, employee_id: int) -> Employee:
    """The employee of the admin's own account; Http404 for one of another account as for none."""
    employee = Employee.objects.filter(account_id=admin.account_id, pk=employee_id).first()
    if employee is None:
        raise Http404("No such employee.")
    return employee


def new_password() -> str:
    """A password to hand over once: 79 bits in groups that can be read to somebody on the phone."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))


def add_employee(
    account: Account, *, email: str, name: str, role: str, password: str | None, by: Employee | None
) -> Employee:
    """Make an employee who can sign in at once. Raises ValidationError with a message per field."""
    try:
        with transaction.atomic():
            employee = Employee.objects.create_user(
                account=account, email=email, password=password, name=name, role=role
            )
    except IntegrityError as error:
        # Another account's row is invisible to the form's own check, not to the unique index.
        raise ValidationError({"email": "Somebody already signs in with this address."}) from error
    audit.record("employee.added", employee.email, account_id=account.pk, by=by, role=role)
    return employee


def renew_password(employee: Employee, *, by: Employee) -> str:
    """Replace a forgotten password: returns the new one, ends every session of the employee.

    Who runs the installation is made an operator anew by its command: an admin cannot become one by this door.
    """
    password = new_password()
    employee.set_password(password)
    employee.is_operator = False
    employee.save(update_fields=["password", "is_operator"])
    audit.record("employee.password_renewed", employee.email, account_id=employee.account_id, by=by)
    return password


def change_role(employee: Employee, role: str, *, by: Employee) -> None:
    """Raises CannotChange where it would leave the account without an active admin."""
    if role not in Role.values:
        raise CannotChange(f"There is no role {role!r}.")
    if role == employee.role:
        return
    if role != Role.ADMIN:
        _keep_an_admin(employee)
    change = {"before": employee.role, "role": role}
    employee.role = role
    employee.save(update_fields=["role"])
    audit.record("employee.role_changed", employee.email, account_id=employee.account_id, by=by, **change)


def deactivate(employee: Employee, *, by: Employee) -> None:
    """Shut the employee out at once; the row stays, because it did things. Raises CannotChange."""
    if employee.pk == by.pk:
        raise CannotChange("You cannot deactivate yourself: another admin can.")
    _keep_an_admin(employee)
    employee.is_active = False
    employee.save(update_fields=["is_active"])
    audit.record("employee.deactivated", employee.email, account_id=employee.account_id, by=by)


def reactivate(employee: Employee, *, by: Employee) -> None:
    employee.is_active = True
    employee.save(update_fields=["is_active"])
    audit.record("employee.reactivated", employee.email, account_id=employee.account_id, by=by)


def _keep_an_admin(leaving: Employee) -> None:
    """Two admins who demote each other at the same moment wait for each other here."""
    admins = Employee.objects.select_for_update(no_key=True).filter(
        account_id=leaving.account_id, role=Role.ADMIN, is_active=True
    )
    if {admin.pk for admin in admins.order_by("pk")} == {leaving.pk}:
        raise CannotChange(f"{leaving} is the only admin: make somebody else an admin first.")
