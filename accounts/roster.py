"""The list of people as an admin asks for it: searched, narrowed, a page at a time."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee, Invitation, Role
from accounts.requests import id_or_none

PAGE = 50
NO_DEPARTMENT = "none"
STATES = {"": _("Everybody"), "active": _("At work"), "invited": _("Invited"), "gone": _("Deactivated")}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's form says; words that mean nothing count as not said."""

    q: str = ""
    role: str = ""
    department: str = ""
    state: str = ""
    after: int | None = None

    @classmethod
    def of(cls, said: QueryDict) -> "Asked":
        department = said.get("department", "")
        known = department == NO_DEPARTMENT or id_or_none(department) is not None
        return cls(
            q=" ".join(said.get("q", "").replace("\0", "").split())[:200],
            role=said.get("role", "") if said.get("role") in Role.values else "",
            department=department if known else "",
            state=said.get("state", "") if said.get("state") in STATES else "",
            after=id_or_none(said.get("after")),
        )

    @property
    def narrowed(self) -> bool:
        return bool(self.q or self.role or self.department or self.state)

    def url(self, **changes: str | int) -> str:
        """The same with something else, from its first page on unless told; as the query of a link."""
        said = {"q": self.q, "role": self.role, "department": self.department, "state": self.state}
        return "?" + urlencode({key: value for key, value in (said | changes).items() if value})


def people(account: Account, asked: Asked) -> tuple[list[Employee], int | None]:
    """One page, those at work first, and after whom the next one begins; None where there is none."""
    if asked.state == "invited":
        return [], None
    rows = _narrowed(Employee.objects.filter(account=account), asked)
    if asked.state:
        rows = rows.filter(is_active=asked.state == "active")
    last = Employee.objects.filter(account=account, pk=asked.after).first() if asked.after else None
    if last:
        later = Q(name__gt=last.name) | Q(name=last.name, pk__gt=last.pk)
        later &= Q(is_active=last.is_active)
        rows = rows.filter(later | Q(is_active=False) if last.is_active else later)
    found = list(rows.select_related("department").order_by("-is_active", "name", "pk")[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None


def invited(account: Account, asked: Asked) -> QuerySet[Invitation]:
    """Who was asked to join and has not yet, newest first; on the first page only."""
    rows = Invitation.objects.filter(account=account, used_at=None, withdrawn_at=None)
    if asked.after or asked.state not in ("", "invited"):
        return rows.none()
    return _narrowed(rows, asked).select_related("department", "by").order_by("-at")


def _narrowed(rows: QuerySet, asked: Asked) -> QuerySet:  # type: ignore[type-arg]
    if asked.q:
        rows = rows.filter(Q(name__icontains=asked.q) | Q(email__icontains=asked.q))
    if asked.role:
        rows = rows.filter(role=asked.role)
    if asked.department == NO_DEPARTMENT:
        rows = rows.filter(department=None)
    elif asked.department:
        rows = rows.filter(department=int(asked.department))
    return rows
