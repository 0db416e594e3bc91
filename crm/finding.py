"""Lists of records: search, filters, pages by keyset; and one record by what a person typed."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Lower
from django.http import Http404
from django.utils.translation import gettext as _

from accounts.models import Employee
from accounts.requests import id_of
from crm.kinds import COMPANIES, DEALS, LEADS, Kind
from crm.models import Company, EmailAddress, LeadStatus, Outcome, Record

PAGE = 50
SUGGESTED = 12

_RELATED = {
    "contacts": ("company", "responsible"),
    "companies": ("responsible",),
    "leads": ("responsible",),
    "deals": ("contact", "company", "responsible", "stage"),
}
_SEARCHED = {
    "contacts": ("name", "company__name", "phone"),
    "companies": ("name", "domain", "phone"),
    "leads": ("name", "company_name", "phone"),
    "deals": ("name", "contact__name", "company__name"),
}


class NotFound(Exception):
    """What was typed means no record, or more than one; the text is a sentence for the form."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a list was asked for. `state` is a lead's status, a deal's outcome or "stage-7"; `after` a record's id."""

    q: str = ""
    mine: bool = False
    state: str = ""
    after: str = ""

    @property
    def narrowed(self) -> bool:
        return bool(self.q or self.mine or self.state)


def page(employee: Employee, kind: Kind, asked: Query) -> tuple[list[Record], str]:
    """One page, and the `after` of the next ("" at the end). Http404 for nonsense in `asked`."""
    rows = _narrowed(employee, kind, asked)
    if kind.by_name:
        rows = rows.alias(lower_name=Lower("name")).order_by("lower_name", "pk")
    else:
        rows = rows.order_by("-created_at", "-pk")
    if asked.after:
        rows = rows.filter(_beyond(employee, kind, asked.after))
    found = list(rows.select_related(*_RELATED[kind.slug])[: PAGE + 1])
    shown = found[:PAGE]
    return shown, str(shown[-1].pk) if len(found) > PAGE else ""


def alive(employee: Employee, kind: Kind) -> QuerySet[Record]:
    """Every record of the kind outside of the bin."""
    return kind.model._default_manager.filter(account_id=employee.account_id, binned_at=None)


def _narrowed(employee: Employee, kind: Kind, asked: Query) -> QuerySet[Record]:
    rows = alive(employee, kind)
    if asked.mine:
        rows = rows.filter(responsible=employee)
    if asked.state:
        rows = rows.filter(**_state(kind, asked.state))
    for word in asked.q.split()[:6]:
        rows = rows.filter(_has(kind, word))
    return rows


def _state(kind: Kind, state: str) -> dict[str, Any]:
    if kind is LEADS and state in LeadStatus.values:
        return {"status": state}
    if kind is DEALS and state in Outcome.values:
        return {"stage__outcome": state}
    if kind is DEALS:
        return {"stage_id": id_of(state.removeprefix("stage-"))}
    raise Http404


def _has(kind: Kind, word: str) -> Q:
    found = Q()
    for name in _SEARCHED[kind.slug]:
        found |= Q(**{f"{name}__icontains": word})
    if kind.has_addresses:
        addresses = EmailAddress.objects.filter(address__contains=word.lower(), **{kind.link: OuterRef("pk")})
        found |= Q(Exists(addresses))
    return found


def _beyond(employee: Employee, kind: Kind, after: str) -> Q:
    """The rows below this one, wherever it stands now; it may be in the bin since."""
    last = kind.model._default_manager.filter(account_id=employee.account_id, pk=id_of(after)).first()
    if last is None:
        raise Http404
    if kind.by_name:
        # The database's own lower(), for it also orders by it.
        name = Lower(Value(last.name))
        return Q(lower_name__gt=name) | Q(lower_name=name, pk__gt=last.pk)
    return Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)


# One record by what was typed


def label_of(record: Record) -> str:
    """How a record is written into a field: its name, and an address where it has one. `find` reads it back."""
    addresses = getattr(record, "addresses", None)
    first = addresses.order_by("pk").first() if addresses is not None else None
    return f"{record.name} <{first.address}>" if first else record.name


def suggest(employee: Employee, kind: Kind, q: str) -> list[str]:
    rows, _after = page(employee, kind, Query(q=q.partition("<")[0]))
    return [label_of(row) for row in rows[:SUGGESTED]]


def company_for(employee: Employee, typed: str) -> Company | None:
    """The company meant; a new one, not saved, for a name that nobody has; None for "". Raises NotFound."""
    if not typed.strip():
        return None
    try:
        found = find(employee, COMPANIES, typed)
    except NotFound:
        if "@" in typed or alive(employee, COMPANIES).filter(name__iexact=typed.strip()).exists():
            raise
        return Company(account=employee.account, name=typed.strip()[:200], responsible=employee)
    assert isinstance(found, Company)
    return found


def find(employee: Employee, kind: Kind, typed: str, *, besides: Record | None = None) -> Record:
    """The record meant by a name, an address, or "name <address>"; not `besides`. Raises NotFound."""
    typed = typed.strip()
    name, _sign, rest = typed.rpartition("<")
    address = rest.rstrip("> ") if name else typed
    if "@" in address and kind.has_addresses:
        owners = EmailAddress.objects.filter(address=address.lower(), **{f"{kind.link}__isnull": False})
        rows = alive(employee, kind).filter(pk__in=owners.values(kind.link))
    else:
        rows = alive(employee, kind).filter(name__iexact=typed)
    found = list(rows.exclude(pk=besides.pk if besides else None).order_by("pk")[:2])
    if len(found) == 1:
        return found[0]
    words = {"kind": kind.one, "typed": typed}
    if found:
        raise NotFound(_("Several records are called “%(typed)s”; give the e-mail address.") % words)
    raise NotFound(_("There is no %(kind)s “%(typed)s”.") % {**words, "kind": str(kind.one).lower()})
