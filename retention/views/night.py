"""The admins' page: what tonight removes, what another row would, what was removed, and a purge that waits."""

from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet, Sum
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Account, Employee
from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee, admin_required
from plans.limits import Limits, in_force
from plans.models import PlanLimits
from plans.offers import plan_name
from plans.subscriptions import limits_for
from retention import preview, runs
from retention.models import LineKind, RetentionRun, RunState
from retention.policy import Fate
from retention.preview import Amount, OfMailbox

SHOWN, PEOPLE = 30, 5
BEGINS = time(2, 20, tzinfo=UTC)  # settings.CELERY_BEAT_SCHEDULE
SECTION = {"section": "plan"}


@admin_required
@never_cache
@require_safe
def home(request: RequestOfEmployee) -> HttpResponse:
    context = SECTION | {
        "runs": _counted(RetentionRun.objects.filter(account=request.user.account))[:SHOWN],
        "waiting": RetentionRun.objects.filter(account=request.user.account, state=RunState.WAITING).first(),
        "rows": _rows(request.user.account),
        "query": request.GET.urlencode(),
        "row": id_or_none(request.GET.get("row")),
        "on": request.GET.get("on", ""),
    }
    return render(request, "retention/home.html", context)


@admin_required
@never_cache
@require_safe
def foreseen(request: RequestOfEmployee) -> HttpResponse:
    """The numbers, a part of the page because they may take seconds: of tonight, or of a `row`, or `on` a day."""
    account = request.user.account
    at = tonight(timezone.now())
    row = PlanLimits.objects.filter(pk=id_or_none(request.GET.get("row")) or 0).first()
    limits = row.as_limits() if row else limits_for(account, account.day_of(at))
    on = _day(request.GET.get("on", ""))
    if on:
        at = max(at, datetime.combine(on, BEGINS))
    boxes = preview.removal(account, limits, at)
    context = SECTION | {
        "at": at,
        "limits": limits,
        "plan": plan_name(limits.plan),
        "supposed": row is not None or on is not None,
        "boxes": sorted(boxes, key=lambda box: -box.leaving.messages),
        "total": preview.leaving(boxes),
        "by_fate": {fate: preview.total(box.of(fate) for box in boxes if not box.waits) for fate in Fate},
        "people": _people(boxes)[:PEOPLE],
    }
    part = request.headers.get("HX-Request")
    return render(request, "retention/_preview.html" if part else "retention/preview.html", context)


@admin_required
@never_cache
@require_safe
def run(request: RequestOfEmployee, run_id: int) -> HttpResponse:
    """One purge, line by line."""
    rows = RetentionRun.objects.filter(account=request.user.account)
    found = get_object_or_404(_counted(rows), pk=run_id)
    lines = found.lines.select_related("mailbox").order_by("mailbox__address", "kind")
    return render(request, "retention/run.html", SECTION | {"run": found, "lines": lines})


@admin_required
@require_POST
def decide(request: RequestOfEmployee, run_id: int) -> HttpResponse:
    """`go`: 1 lets it go on, 0 stops it for this time."""
    waiting = get_object_or_404(RetentionRun, pk=run_id, account=request.user.account)
    go = request.POST.get("go") == "1"
    if not runs.decide(waiting, go=go, by=request.user):
        messages.info(request, _("Somebody has decided about this purge already."))
    elif go:
        messages.success(request, _("The purge goes on now. Its numbers appear below."))
    else:
        messages.success(request, _("Nothing was removed. The next night asks again."))
    return redirect("retention:home")


def tonight(now: datetime) -> datetime:
    """When the next purge begins."""
    begins = datetime.combine(now.astimezone(UTC).date(), BEGINS)
    return begins if begins > now else begins + timedelta(days=1)


def _counted(rows: QuerySet[RetentionRun]) -> QuerySet[RetentionRun]:
    """With what they did, the newest first."""

    def of(column: str, *kinds: LineKind) -> Sum:
        return Sum(f"lines__{column}", filter=Q(lines__kind__in=kinds), default=0)

    return rows.annotate(
        examined=Sum("lines__messages", default=0),
        removed=of("messages", LineKind.REMOVED),
        hidden=of("messages", LineKind.HIDDEN),
        bytes=of("bytes", LineKind.REMOVED, LineKind.HIDDEN),
    ).order_by("-at", "-pk")


def _rows(account: Account) -> list[dict[str, Any]]:
    """What can be supposed: each plan's row of today, and those to come."""
    today = account.today()
    stored = list(PlanLimits.objects.order_by("plan", "effective_from"))
    now = {row.plan: in_force([each.as_limits() for each in stored], row.plan, today) for row in stored}
    return [
        {"id": row.pk, "name": plan_name(row.plan), "row": row, "to_come": row.effective_from > today}
        for row in stored
        if row.effective_from > today or _is(row, now[row.plan])
    ]


def _is(row: PlanLimits, limits: Limits | None) -> bool:
    return limits is not None and row.effective_from == limits.effective_from


def _day(text: str) -> date | None:
    """A day that was typed; what is none, or too far away to count, is none."""
    try:
        found = parse_date(text)
    except ValueError:
        return None
    return found if found and 2000 <= found.year < 2100 else None


def _people(boxes: list[OfMailbox]) -> list[tuple[Employee, Amount]]:
    """Whose mailboxes lose most."""
    lost: dict[Employee, Amount] = defaultdict(Amount)
    for box in boxes:
        lost[box.mailbox.owner] += box.leaving
    return sorted(
        ((who, amount) for who, amount in lost.items() if amount.messages), key=lambda each: -each[1].messages
    )
