"""Making, renaming and deleting departments, and moving people between them; each writes the audit log.

All of them run in a transaction that acts for the account.
"""

from collections.abc import Collection

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, Q, QuerySet
from django.dispatch import Signal
from django.http import Http404
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Account, Department, Employee, Invitation

# employee: Employee, in the new department already; before: Department | None; by: Employee. In the transaction of the
# move; a receiver may refuse by CannotChange.
moved = Signal()


def of(account: Account) -> QuerySet[Department]:
    """By name, each with `people`: how many of its employees may sign in."""
    active = Count("employees", filter=Q(employees__is_active=True))
    return Department.objects.filter(account=account).annotate(people=active).order_by("name", "pk")


def get_department(admin: Employee, department_id: int) -> Department:
    """A department of the admin's own account; Http404 for one of another account as for none."""
    found = Department.objects.filter(account_id=admin.account_id, pk=department_id).first()
    if found is None:
        raise Http404("No such department.")
    return found


def make(account: Account, name: str, *, by: Employee | None) -> Department:
    """Raises ValidationError for a name that is empty or taken."""
    department = Department(account=account)
    _name(department, name)
    _record("department.made", department, by)
    return department


def rename(department: Department, name: str, *, by: Employee) -> None:
    """Raises ValidationError for a name that is empty or taken."""
    before = department.name
    _name(department, name)
    if department.name != before:
        _record("department.renamed", department, by, before=before)


@transaction.atomic
def move(employees: Collection[Employee], department: Department | None, *, by: Employee) -> int:
    """Put people into a department (None: into none); returns how many were not there before.

    What is shared with a department is theirs or no more from this moment on. Raises CannotChange.
    """
    going = [each for each in employees if each.department_id != (department.pk if department else None)]
    for employee in going:
        before = employee.department
        employee.department = department
        employee.save(update_fields=["department"])
        audit.record(
            "employee.moved",
            employee.email,
            account_id=employee.account_id,
            by=by,
            before=str(before or ""),
            department=str(department or ""),
        )
        moved.send(None, employee=employee, before=before, by=by)
    return len(going)


@transaction.atomic
def delete(department: Department, *, heir: Department | None, by: Employee) -> None:
    """Its people, and who is invited into it, go to `heir` or belong to none; what was shared with it ends.

    Raises CannotChange.
    """
    people = list(Employee.objects.filter(department=department).select_related("department"))
    move(people, heir, by=by)
    Invitation.objects.filter(department=department).update(department=heir)
    _record("department.deleted", department, by, people=len(people), moved_to=str(heir or ""))
    department.delete()


def shared_with(department: Department) -> int:
    """How many grants end with the department: rows of other apps that go when it goes."""
    return sum(
        relation.related_model._default_manager.filter(**{relation.field.name: department}).count()
        for relation in department._meta.related_objects
        if relation.related_model not in (Employee, Invitation)
    )


def _name(department: Department, name: str) -> None:
    department.name = " ".join(name.replace("\0", "").split())
    department.full_clean(validate_constraints=False)
    try:
        with transaction.atomic():
            department.save()
    except IntegrityError as error:
        raise ValidationError({"name": _("There is a department of this name already.")}) from error


def _record(verb: str, department: Department, by: Employee | None, **details: object) -> None:
    audit.record(verb, department.name, account_id=department.account_id, by=by, **details)
