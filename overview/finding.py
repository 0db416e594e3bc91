"""Finding mailboxes: what can be asked of them, the order, a page of it.

One statement looks at all of them, and only at what was asked for; what is shown of a page's is `rows`' matter.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.db.models import (
    BooleanField,
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.requests import id_or_none
from crm.models import Feed
from mailsync.health import NEEDS_A_PERSON
from mailsync.models import (
    OPEN,
    EmergencyAccess,
    Mailbox,
    MailboxGrant,
    MailboxState,
    Operation,
    Outgoing,
    OutgoingState,
)
from retention.models import Storage

PAGE = 40
MEGABYTE = 1024 * 1024

# Changes that the server has not heard of, letters that it was not given.
OPEN_CHANGES = Operation.objects.filter(state__in=OPEN)
WAITING = Outgoing.objects.filter(state__in=[OutgoingState.QUEUED, OutgoingState.SENDING])

# What a choice asks of a mailbox, at a moment.
Condition = Callable[[datetime], Q]


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that a filter can ask for."""

    value: str
    label: str | Promise
    condition: Condition


@dataclass(frozen=True, slots=True)
class Filter:
    """A question with its answers; none chosen asks nothing."""

    name: str
    label: str | Promise
    choices: tuple[Choice, ...]

    def asking(self, value: str) -> Choice | None:
        return next((each for each in self.choices if each.value == value), None)


def _always(condition: Q) -> Condition:
    return lambda _now: condition


def _not_since(span: timedelta) -> Condition:
    return lambda now: Q(synced_at=None) | Q(synced_at__lt=now - span)


def _in_emergency(now: datetime) -> QuerySet[EmergencyAccess, int]:
    running = EmergencyAccess.objects.filter(ended_at=None, ends_at__gt=now)
    return running.values_list("mailbox_id", flat=True)


_TROUBLE = ~Q(last_error="") | Q(rests=True)

FILTERS = (
    Filter(
        "health",
        _("Health"),
        (
            Choice("trouble", _("In trouble"), _always(_TROUBLE)),
            Choice("person", _("Sign-in refused"), _always(Q(state__in=NEEDS_A_PERSON))),
            Choice("unreachable", _("Server unreachable"), _always(Q(state=MailboxState.UNREACHABLE))),
            Choice("insecure", _("No protected connection"), _always(Q(state=MailboxState.INSECURE))),
            Choice("busy", _("Slowed down by the server"), _always(Q(state=MailboxState.BUSY))),
            Choice("stopped", _("Stopped by an error"), _always(Q(state=MailboxState.STOPPED))),
            Choice("aside", _("Set aside after crashes"), _always(Q(state=MailboxState.SET_ASIDE))),
            Choice(
                "first", _("Fetching for the first time"), _always(Q(first_synced_at=None, last_error=""))
            ),
            Choice("paused", _("Paused by an admin"), _always(Q(paused_at__isnull=False))),
            Choice("well", _("All is well"), _always(~_TROUBLE)),
        ),
    ),
    Filter(
        "synced",
        _("Last sync"),
        (
            Choice("hour", _("More than an hour ago"), _not_since(timedelta(hours=1))),
            Choice("day", _("More than a day ago"), _not_since(timedelta(days=1))),
            Choice("never", _("Not yet"), _always(Q(synced_at=None))),
        ),
    ),
    Filter(
        "next",
        _("Next sync"),
        (
            Choice("late", _("Due"), lambda now: Q(schedule__due_at__lte=now)),
            Choice("later", _("Later"), lambda now: Q(schedule__due_at__gt=now)),
            Choice(
                "none",
                _("Waits for a person"),
                _always(Q(schedule__due_at=None, schedule__leased_until=None)),
            ),
        ),
    ),
    Filter(
        "crm",
        _("In CRM"),
        (
            Choice("yes", _("In CRM"), _always(Q(in_crm=True))),
            Choice("no", _("Not in CRM"), _always(Q(in_crm=False))),
        ),
    ),
    Filter(
        "waiting",
        _("Waiting"),
        (
            Choice("some", _("Something waits"), _always(Q(changes__gt=0) | Q(letters__gt=0))),
            Choice("operations", _("Changes wait"), _always(Q(changes__gt=0))),
            Choice("letters", _("Letters wait"), _always(Q(letters__gt=0))),
        ),
    ),
    Filter(
        "access",
        _("Who has access"),
        (
            Choice("shared", _("Shared"), _always(Q(people__gt=0))),
            Choice("owner", _("Only the owner"), _always(Q(people=0))),
            Choice("emergency", _("Read in an emergency"), lambda now: Q(pk__in=_in_emergency(now))),
        ),
    ),
    Filter(
        "storage",
        _("Storage"),
        (
            Choice("100", _("Over 100 MB"), _always(Q(stored__gt=100 * MEGABYTE))),
            Choice("1000", _("Over 1 GB"), _always(Q(stored__gt=1024 * MEGABYTE))),
            Choice("10000", _("Over 10 GB"), _always(Q(stored__gt=10 * 1024 * MEGABYTE))),
            Choice("task", _("Kept for tasks"), _always(Q(kept_for_tasks__gt=0))),
        ),
    ),
    Filter(
        "parked",
        _("Parked"),
        (
            Choice("yes", _("Parked"), _always(Q(rests=True))),
            Choice("no", _("At work"), _always(Q(rests=False))),
        ),
    ),
    Filter(
        "gone",
        _("Connected"),
        (Choice("yes", _("Disconnected"), _always(Q())),),
    ),
)

# What a column is sorted by, upwards; the address decides between equals.
SORTS = {
    "address": "address",
    "owner": "owner__name",
    "department": "owner__department__name",
    "health": "wellness",
    "synced": "synced_at",
    "next": "schedule__due_at",
    "crm": "in_crm",
    "waiting": "waits",
    "access": "people",
    "storage": "stored",
    "parked": "rests",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked the list for; built from an address, so every part may be nonsense and is then left out.

    `sort` is a key of SORTS, with "-" before it downwards; "" puts trouble first.
    """

    q: str = ""
    owner: int | None = None
    department: int | None = None
    filters: dict[str, str] = field(default_factory=dict)
    sort: str = ""
    page: int = 1

    @property
    def narrowed(self) -> bool:
        return bool(self.q or self.owner or self.department or self.filters)

    @property
    def gone(self) -> bool:
        return "gone" in self.filters

    def query(self, **changes: str | int) -> str:
        """The address's query for the same with changes; "" for nothing. Another question begins at page 1."""
        asked: dict[str, str | int | None] = {
            "q": self.q,
            "owner": self.owner,
            "department": self.department,
            "sort": self.sort,
        }
        asked.update(self.filters)
        asked.update(changes)
        return urlencode({name: value for name, value in asked.items() if value})


def asked_of(parameters: QueryDict) -> Asked:
    """From an address or a form."""
    chosen = {each.name: str(parameters.get(each.name, "")) for each in FILTERS}
    filters = {each.name: chosen[each.name] for each in FILTERS if each.asking(chosen[each.name])}
    sort = parameters.get("sort", "")
    return Asked(
        q=parameters.get("q", "").replace("\0", "").strip()[:200],
        owner=id_or_none(parameters.get("owner")),
        department=id_or_none(parameters.get("department")),
        filters=filters,
        sort=sort if sort.removeprefix("-") in SORTS else "",
        page=max(1, min(id_or_none(parameters.get("page")) or 1, 100_000)),
    )


def number(rows: QuerySet[Operation] | QuerySet[Outgoing] | QuerySet[MailboxGrant]) -> Coalesce:
    """How many of the rows are a mailbox's, looked up mailbox by mailbox."""
    of_each = rows.filter(mailbox=OuterRef("pk")).order_by().values("mailbox")
    return Coalesce(Subquery(of_each.annotate(n=Count("pk")).values("n")), 0)


def found(
    boxes: QuerySet[Mailbox], asked: Asked, *, resting: Iterable[int], now: datetime
) -> QuerySet[Mailbox]:
    """The mailboxes asked for, in the order asked for. `resting` are those that are parked."""
    shown = _described(boxes.filter(disconnected_at__isnull=not asked.gone), resting)
    if asked.q:
        shown = shown.filter(
            Q(address__icontains=asked.q)
            | Q(owner__name__icontains=asked.q)
            | Q(owner__email__icontains=asked.q)
        )
    if asked.owner:
        shown = shown.filter(owner=asked.owner)
    if asked.department:
        shown = shown.filter(owner__department=asked.department)
    for each in FILTERS:
        choice = each.asking(asked.filters.get(each.name, ""))
        if choice:
            shown = shown.filter(choice.condition(now))
    return shown.order_by(*_order(asked.sort))


def _order(sort: str) -> list[str | Combinable]:
    if not sort:
        return ["wellness", "address"]
    key = F(SORTS[sort.removeprefix("-")])
    # What is empty comes last, whichever way round.
    return [key.desc(nulls_last=True) if sort.startswith("-") else key.asc(nulls_last=True), "address"]


def _described(boxes: QuerySet[Mailbox], resting: Iterable[int]) -> QuerySet[Mailbox]:
    """With names for what can be asked. PostgreSQL works out only those that a question or the order uses.

    No mailbox has the id 0: an empty list would become a constant, by which nothing can be sorted.
    """
    kept = Storage.objects.filter(mailbox=OuterRef("pk"))
    total = F("task_bytes") + F("crm_bytes") + F("unbound_bytes")
    rests = Case(
        When(pk__in=list(resting) or [0], then=Value(True)), default=Value(False), output_field=BooleanField()
    )
    return boxes.annotate(
        rests=rests,
        wellness=Case(
            When(Q(state__in=NEEDS_A_PERSON) & ~Q(last_error=""), then=Value(0)),
            When(~Q(last_error=""), then=Value(1)),
            When(rests=True, then=Value(2)),
            default=Value(3),
            output_field=IntegerField(),
        ),
        in_crm=Exists(Feed.objects.filter(mailbox=OuterRef("pk"), enabled=True)),
        changes=number(OPEN_CHANGES),
        letters=number(WAITING),
        people=number(MailboxGrant.objects.all()),
        stored=Coalesce(Subquery(kept.values(n=total)), 0),
        kept_for_tasks=Coalesce(Subquery(kept.values("task_bytes")), 0),
    ).annotate(waits=F("changes") + F("letters"))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of what was found."""

    ids: list[int]
    number: int
    total: int

    @property
    def last(self) -> int:
        return max(1, -(-self.total // PAGE))

    @property
    def first_row(self) -> int:
        return (self.number - 1) * PAGE + 1

    @property
    def last_row(self) -> int:
        return (self.number - 1) * PAGE + len(self.ids)


def page(boxes: QuerySet[Mailbox], number: int) -> Page:
    """A page by its number; the last one where there are fewer. Thousands of mailboxes, not millions: an OFFSET is
    cheaper here than keys for eleven orders."""
    total = boxes.count()
    number = min(number, max(1, -(-total // PAGE)))
    ids = boxes.values_list("pk", flat=True)[(number - 1) * PAGE : number * PAGE]
    return Page(list(ids), number, total)
