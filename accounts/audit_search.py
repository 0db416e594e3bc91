"""The audit log as an admin asks for it: narrowed, newest first, a page at a time, whatever its length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from itertools import chain
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.dateparse import parse_date

from accounts.audit_words import GROUPS
from accounts.models import Account, AuditEntry
from accounts.requests import id_or_none

PAGE = 50
# No index helps to find words: so many entries are looked through at a time, then the person says "further".
WINDOW = 20_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's form says; words that mean nothing count as not said. `before` is an entry's id."""

    by: int | None = None
    group: str = ""
    since: date | None = None
    until: date | None = None
    q: str = ""
    before: int | None = None

    @classmethod
    def of(cls, said: QueryDict) -> "Asked":
        return cls(
            by=id_or_none(said.get("by")),
            group=said.get("group", "") if said.get("group") in GROUPS else "",
            since=_day(said.get("since", "")),
            until=_day(said.get("until", "")),
            q=" ".join(said.get("q", "").replace("\0", "").split())[:200],
            before=id_or_none(said.get("before")),
        )

    @property
    def said(self) -> dict[str, str]:
        """As a form says it, without the place in the list."""
        named = {"by": self.by, "group": self.group, "since": self.since, "until": self.until, "q": self.q}
        return {name: str(value) for name, value in named.items() if value}

    def url(self, before: int | None = None) -> str:
        return "?" + urlencode(self.said | ({"before": str(before)} if before else {}))


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, and the id that the next page begins below (None: that is all).

    `searched_to` is how far back words were looked for, where that was not to the end.
    """

    entries: list[AuditEntry]
    older: int | None
    searched_to: datetime | None = None


def page(account: Account, asked: Asked, *, size: int = PAGE) -> Page:
    rows = _narrowed(account, asked)
    horizon = None
    if asked.q:
        horizon = next(iter(rows[WINDOW : WINDOW + 1]), None)
        rows = _below(rows, horizon, reverse=True) if horizon else rows
        rows = rows.filter(
            Q(subject__icontains=asked.q) | Q(verb__icontains=asked.q) | Q(details__icontains=asked.q)
        )
    found = _newest(_of_group(rows, asked.group), size + 1)
    if len(found) > size:
        return Page(found[:size], found[size - 1].pk)
    return Page(found, horizon.pk if horizon else None, horizon.at if horizon else None)


def everything(account: Account, asked: Asked, *, size: int = 2000) -> Iterator[list[AuditEntry]]:
    """All that is asked for, page by page; the reader opens a transaction for each."""
    older: int | None = asked.before
    while True:
        found = page(account, replace(asked, before=older), size=size)
        yield found.entries
        older = found.older
        if older is None:
            return


def _narrowed(account: Account, asked: Asked) -> QuerySet[AuditEntry]:
    rows = AuditEntry.objects.filter(account=account).select_related("by").order_by("-at", "-id")
    if asked.by:
        rows = rows.filter(by=asked.by)
    if asked.since:
        rows = rows.filter(at__gte=_begin(asked.since))
    if asked.until:
        rows = rows.filter(at__lt=_begin(asked.until + timedelta(days=1)))
    last = AuditEntry.objects.filter(account=account, pk=asked.before).first() if asked.before else None
    return _below(rows, last) if last else rows


def _below(rows: QuerySet[AuditEntry], last: AuditEntry, *, reverse: bool = False) -> QuerySet[AuditEntry]:
    """Older than one entry; `reverse`: newer. The first condition is the index's, the second tells equals apart."""
    if reverse:
        return rows.filter(at__gte=last.at).exclude(at=last.at, pk__lte=last.pk)
    return rows.filter(at__lte=last.at).exclude(at=last.at, pk__gte=last.pk)


def _of_group(rows: QuerySet[AuditEntry], group: str) -> Iterable[QuerySet[AuditEntry]]:
    """One query for each of the group's kinds: each reads its own part of the index from the top."""
    return [rows.filter(kind=kind) for kind in GROUPS[group][1]] if group else [rows]


def _newest(each: Iterable[QuerySet[AuditEntry]], size: int) -> list[AuditEntry]:
    found = chain.from_iterable(rows[:size] for rows in each)
    return sorted(found, key=lambda entry: (entry.at, entry.pk), reverse=True)[:size]


def _day(text: str) -> date | None:
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day and 2000 <= day.year < 2200 else None


def _begin(day: date) -> datetime:
    """Midnight where the admin is."""
    return timezone.make_aware(datetime.combine(day, time.min))
