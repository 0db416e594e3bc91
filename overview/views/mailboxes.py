"""The list of all mailboxes: its page, its columns."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Department, Employee
from accounts.requests import next_page
from accounts.views import RequestOfEmployee, admin_required
from mailsync import parking, schedule
from mailsync.models import Mailbox
from overview import access, columns, finding, rows
from overview.columns import COLUMNS, Column
from overview.finding import FILTERS, Asked, asked_of
from overview.models import Deed
from plans.subscriptions import limits_for

SECTION = {"section": "mailboxes"}
COUNT_SECONDS = 3600
UNDO_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Head:
    """A column's heading; its link sorts by it, or turns the order round."""

    column: Column
    url: str
    order: str  # as aria-sort has it; "" where the list is sorted by something else


@dataclass(frozen=True, slots=True)
class Chip:
    """One thing that the list was asked for, and the list without it."""

    words: str | Promise
    url: str


@dataclass(frozen=True, slots=True)
class Undoable:
    """What the admin did last, and can take back."""

    pk: int
    words: str


@login_required
@never_cache
@require_safe
def mailboxes(request: RequestOfEmployee) -> HttpResponse:
    """One page of the list, as its address asks."""
    visible = access.visible(request.user)
    asked = asked_of(request.GET)
    resting = resting_of(request.user)
    listed = finding.found(visible, asked, resting=resting, now=timezone.now())
    page = finding.page(listed, asked.page)
    shown = columns.of(request.user)
    context = {
        **SECTION,
        **_counts(visible, resting),
        "asked": asked,
        "page": page,
        "rows": rows.rows(page.ids, resting=resting),
        "names": {each.name for each in shown},
        "heads": [_head(asked, each) for each in (Column("address", _("Mailbox")), *shown)],
        "columns": COLUMNS,
        "filters": [(each, asked.filters.get(each.name, "")) for each in FILTERS],
        "departments": Department.objects.filter(account_id=request.user.account_id).order_by("name"),
        "chips": _chips(request.user, asked),
        "here": request.get_full_path(),
        "query": request.GET.urlencode(),
        "deed": _undoable(request.user),
        "before": f"?{asked.query(page=page.number - 1)}" if page.number > 1 else "",
        "after": f"?{asked.query(page=page.number + 1)}" if page.number < page.last else "",
    }
    return render(request, "overview/mailboxes.html", context)


def _undoable(employee: Employee) -> Undoable | None:
    """One's own last deed, while it is fresh."""
    fresh = Deed.objects.filter(by=employee, at__gt=timezone.now() - UNDO_FOR, undone_at=None)
    deed = fresh.exclude(before=[]).order_by("-pk").first() if employee.is_admin else None
    return Undoable(deed.pk, _deed_words(deed)) if deed else None


def _deed_words(deed: Deed) -> str:
    n = len(deed.before)
    words = {
        "pause": ngettext("You paused %(n)d mailbox.", "You paused %(n)d mailboxes.", n),
        "resume": ngettext("You resumed %(n)d mailbox.", "You resumed %(n)d mailboxes.", n),
        "crm": ngettext(
            "You changed the CRM settings of %(n)d mailbox.",
            "You changed the CRM settings of %(n)d mailboxes.",
            n,
        ),
    }
    return words[deed.verb] % {"n": n}


def resting_of(employee: Employee) -> set[int]:
    """The parked mailboxes of the employee's company."""
    account = employee.account
    return parking.parked(limits_for(account, account.today()), account_id=account.pk)


def _counts(visible: QuerySet[Mailbox], resting: set[int]) -> dict[str, int]:
    """Of all the mailboxes, whatever was asked for."""
    trouble = ~Q(last_error="") | Q(pk__in=resting)
    counted: dict[str, int] = visible.filter(disconnected_at=None).aggregate(
        total=Count("pk"), troubled=Count("pk", filter=trouble)
    )
    return counted


def _head(asked: Asked, column: Column) -> Head:
    key, downwards = asked.sort.removeprefix("-"), asked.sort.startswith("-")
    mine = key == column.name
    # Numbers are asked for the largest first, names from A.
    first = f"-{column.name}" if column.number else column.name
    turned = column.name if downwards else f"-{column.name}"
    order = ("descending" if downwards else "ascending") if mine else ""
    return Head(column, f"?{asked.query(sort=turned if mine else first)}", order)


def _chips(employee: Employee, asked: Asked) -> list[Chip]:
    account = {"account_id": employee.account_id}
    chips = [Chip(f"“{asked.q}”", _without(asked, "q"))] if asked.q else []
    chips += [
        Chip(_("Owner: %(name)s") % {"name": owner}, _without(asked, "owner"))
        for owner in Employee.objects.filter(pk=asked.owner or 0, **account)
    ]
    chips += [
        Chip(_("Department: %(name)s") % {"name": department}, _without(asked, "department"))
        for department in Department.objects.filter(pk=asked.department or 0, **account)
    ]
    chosen = [(each, each.asking(asked.filters.get(each.name, ""))) for each in FILTERS]
    return chips + [
        Chip(f"{each.label}: {choice.label}", _without(asked, each.name)) for each, choice in chosen if choice
    ]


def _without(asked: Asked, name: str) -> str:
    return f"{reverse('overview:mailboxes')}?{asked.query(**{name: ''})}"


@login_required
@require_POST
def choose_columns(request: RequestOfEmployee) -> HttpResponse:
    """Remember which columns this employee sees, on every machine."""
    access.visible(request.user)
    columns.choose(request.user, request.POST.getlist("columns"))
    return redirect(next_page(request, reverse("overview:mailboxes")))


@admin_required
@require_POST
def count_storage(request: RequestOfEmployee) -> HttpResponse:
    """Have the storage counted now instead of tonight."""
    args: list[Any] = [request.user.account_id]
    schedule.hint("retention.count_account", args, "purge", COUNT_SECONDS)
    messages.success(request, _("The storage is being counted; look again in a minute."))
    return redirect(next_page(request, reverse("overview:mailboxes")))


urls = [
    path("mailboxes/all/", mailboxes, name="mailboxes"),
    path("mailboxes/all/columns/", choose_columns, name="columns"),
    path("mailboxes/all/storage/", count_storage, name="count-storage"),
]
