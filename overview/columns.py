"""The columns of the list, and what somebody chose of them."""

from collections.abc import Collection
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.models import Employee
from overview.models import Layout


@dataclass(frozen=True, slots=True)
class Column:
    """`usual` ones are shown to who has chosen nothing; `number` stands at the end of its cell."""

    name: str
    label: str | Promise
    usual: bool = True
    number: bool = False


COLUMNS = (
    Column("owner", _("Owner")),
    Column("department", _("Department"), usual=False),
    Column("health", _("Health")),
    Column("synced", _("Last sync")),
    Column("next", _("Next sync"), usual=False),
    Column("crm", _("In CRM")),
    Column("waiting", _("Waiting"), number=True),
    Column("access", _("Who has access")),
    Column("storage", _("Storage"), number=True),
    Column("parked", _("Parked"), usual=False),
)


def of(employee: Employee) -> list[Column]:
    """The columns that the employee sees, in their order."""
    chosen = Layout.objects.filter(employee=employee).values_list("columns", flat=True).first()
    return [each for each in COLUMNS if (each.usual if chosen is None else each.name in chosen)]


def choose(employee: Employee, names: Collection[str]) -> None:
    """Remember these columns; what is none of ours is left out."""
    known = [each.name for each in COLUMNS if each.name in names]
    Layout.objects.update_or_create(
        employee=employee, defaults={"account_id": employee.account_id, "columns": known}
    )
