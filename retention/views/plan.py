"""The plan page: limits beside their use, other plans beside this one, what changed and what left; the notices."""

from datetime import date, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Account, AuditEntry, Employee
from accounts.requests import next_page
from accounts.views import RequestOfEmployee, admin_required
from mailsync import access, parking, quota
from mailsync.models import Mailbox
from mailsync.quota import Usage
from plans import requesting
from plans.changes import Change, changes
from plans.limits import FREE, Limits
from plans.models import Subscription
from plans.offers import on_sale, plan_name
from plans.subscriptions import limits_for
from retention import leavers, telling, usage, words
from retention.models import PlanNotice, RetentionRun, RunState, Stage
from retention.usage import Meter
from retention.views import changing

HISTORY_FROM = date(2019, 1, 1)  # before the first row that was ever published
AHEAD = timedelta(days=3660)
MOST_PEOPLE = 8
QUOTA_SEEN = "quota_seen"  # in the session
CHART_HEIGHT, BAR, GAP = 96, 14, 6


@login_required
@require_safe
def page(request: RequestOfEmployee) -> HttpResponse:
    """For admins everything, for employees their own part."""
    account = request.user.account
    today = account.today()
    limits = limits_for(account, today)
    context = {
        "section": "plan",
        "account": account,
        "limits": limits,
        "plan": plan_name(limits.plan),
        "facts": [(words.NAMES[name], words.limit(limits, name)) for name in words.NAMES],
        "running": _running(account, today),
        "coming": [_told(each) for each in changes(account, after=today, until=today + AHEAD)],
    }
    if not request.user.is_admin:
        mine = [each for each in usage.people(account, limits) if each.employee == request.user]
        context["mine"] = mine[0] if mine else None
        return render(request, "plan/employee.html", context)
    everybody = usage.people(account, limits)
    asked = requesting.newest(account)
    nights = usage.nights(account)
    context |= {
        "asked": asked,
        "wished": plan_name(asked.plan) if asked else "",
        "people": everybody[:MOST_PEOPLE],
        "people_more": len(everybody) - MOST_PEOPLE,
        "fullest": everybody[0] if everybody else None,
        "parked": sum(
            each.mailboxes.used - (each.mailboxes.limit or 0) for each in everybody if each.mailboxes.is_over
        ),
        "shared": usage.shared(account, limits),
        "outgoing": (sent := usage.outgoing(account, timezone.now())),
        "sent": Meter(sent.used, sent.limit),
        "history": _history(account, today),
        "nights": nights,
        "chart": _chart(nights),
    }
    return render(request, "plan/page.html", context)


@admin_required
@require_safe
@never_cache
def compare(request: RequestOfEmployee) -> HttpResponse:
    """The plans side by side; a part of the page, for it counts what would leave."""
    account = request.user.account
    today = account.today()
    limits = limits_for(account, today)
    others = [row for row in on_sale(today) if row.plan != limits.plan]
    offers = usage.offers(account, limits, others, timezone.now())
    columns = [{"name": plan_name(limits.plan), "current": True}]
    columns += [{"name": plan_name(each.limits.plan), "offer": each} for each in offers]
    rows = [
        {"name": words.NAMES[name], "cells": [_cell(limits, row, name) for row in (limits, *others)]}
        for name in words.NAMES
    ]
    context = {"columns": columns, "rows": rows, "offers": offers, "is_free": limits.plan == FREE}
    return render(request, "plan/_compare.html", context)


@login_required
@require_safe
@never_cache
def storage(request: RequestOfEmployee) -> HttpResponse:
    """Storage by cause: of the whole company for admins, of what they use for employees. Numbers, no mail."""
    boxes: QuerySet[Mailbox] = Mailbox.objects.filter(account_id=request.user.account_id)
    if not request.user.is_admin:
        boxes = access.visible_mailboxes(request.user)
    found, uncounted = usage.held(boxes.select_related("owner"))
    held = [each for each in found if each.all.messages]
    most = max((each.all.bytes for each in held), default=1) or 1
    rows = [{"stored": each, "parts": _parts(each, most)} for each in held]
    counted_at = min((each.counted_at for each in held if each.counted_at), default=None)
    context = {"rows": rows, "uncounted": uncounted, "counted_at": counted_at}
    return render(request, "plan/_storage.html", context)


@login_required
@require_safe
@never_cache
def notices(request: RequestOfEmployee) -> HttpResponse:
    """What will change or has changed: a part of every page."""
    return _notices(request)


def _notices(request: RequestOfEmployee) -> HttpResponse:
    told = [
        {
            "notice": notice,
            "is_past": notice.stage == Stage.AFTER,
            "head": words.past(change) if notice.stage == Stage.AFTER else words.subject(change) + ".",
            "differences": words.differences(change),
            "numbers": words.numbers(notice.boxes),
            "keeps_longer": change.keeps_longer,
            "keep": change.key if change.takes_mail and notice.stage != Stage.AFTER else "",
        }
        for notice, change in telling.shown(request.user)
    ]
    parked = _parked(request.user) if request.GET.get("on") == "mail" else []
    waits = RetentionRun.objects.filter(account=request.user.account, state=RunState.WAITING)
    waiting = waits.first() if request.user.is_admin else None
    context = {
        "told": told,
        "parked": parked,
        "waiting": waiting,
        "outgoing": _nearly_used_up(request),
        "ending": leavers.ending(request.user.account, timezone.now()) if request.user.is_admin else [],
    }
    return render(request, "plan/_notices.html", context)


def _nearly_used_up(request: RequestOfEmployee) -> Usage | None:
    """The month's quota, for admins, from 80 % and again at 100 %, until they have seen it."""
    if not request.user.is_admin:
        return None
    month = quota.usage(request.user.account, timezone.now())
    seen = request.session.get(QUOTA_SEEN) == _level(month)
    return month if month.is_nearly_used_up and not seen else None


def _level(month: Usage) -> str:
    return f"{month.month} {'all' if month.is_used_up else 'nearly'}"


@admin_required
@require_POST
def saw_quota(request: RequestOfEmployee) -> HttpResponse:
    """The admin has read how much of the month's quota is used; that all of it is, is told all the same."""
    request.session[QUOTA_SEEN] = _level(quota.usage(request.user.account, timezone.now()))
    if request.headers.get("HX-Request"):
        return _notices(request)
    return redirect(next_page(request, "/plan/"))


def _parked(employee: Employee) -> list[str]:
    """The addresses that rest, of those that the employee reads: where new mail is missed."""
    limits = limits_for(employee.account, employee.account.today())
    resting = parking.parked(limits, account_id=employee.account_id)
    mine = access.visible_mailboxes(employee).filter(pk__in=resting)
    return list(mine.order_by("address").values_list("address", flat=True))


@login_required
@require_POST
def dismiss(request: RequestOfEmployee, notice_id: int) -> HttpResponse:
    """The employee has read it; the next stage is told all the same."""
    telling.dismiss(get_object_or_404(PlanNotice, pk=notice_id, employee=request.user))
    if request.headers.get("HX-Request"):
        return _notices(request)
    return redirect(next_page(request, "/plan/"))


def _running(account: Account, today: date) -> Subscription | None:
    rows = Subscription.objects.filter(account=account, starts_on__lte=today).order_by("-starts_on")
    row = rows.first()
    return row if row and (row.ends_on is None or row.ends_on > today) else None


def _told(change: Change) -> dict[str, Any]:
    return {"change": change, "head": words.subject(change), "differences": words.differences(change)}


def _history(account: Account, today: date) -> list[dict[str, Any]]:
    """What changed since the account exists, the newest first, and who changed the plan."""
    entries = AuditEntry.objects.filter(account=account, verb="plan.changed").select_related("by")
    by_day = {entry.details.get("on"): entry for entry in entries.order_by("at")}
    began = min((row.starts_on for row in Subscription.objects.filter(account=account)), default=today)
    past = changes(account, after=max(HISTORY_FROM, began - timedelta(days=1)), until=today)
    return [
        {"change": each, "head": words.past(each), "differences": words.differences(each),
         "entry": by_day.get(each.on.isoformat())}
        for each in reversed(past)
    ]  # fmt: skip


def _cell(current: Limits, other: Limits, name: str) -> dict[str, Any]:
    """A limit of another plan, and whether it is more or less than now."""
    here, there = (_size(getattr(limits, name)) for limits in (current, other))
    return {
        "text": words.limit(other, name),
        "is": "more" if there > here else "less" if there < here else "",
    }


def _size(limit: int | None) -> float:
    return float("inf") if limit is None else float(limit)


def _parts(stored: usage.Stored, most: int) -> list[dict[str, Any]]:
    """The bar's parts in percent of the widest bar."""
    parts, left = [], 0.0
    for kind, amount in (("task", stored.task), ("crm", stored.crm), ("unbound", stored.unbound)):
        width = amount.bytes * 100 / most
        if width:
            parts.append({"kind": kind, "left": f"{left:.2f}%", "width": f"{max(width, 0.4):.2f}%"})
        left += width
    return parts


def _chart(nights: list[usage.Night]) -> dict[str, Any]:
    """Bars from the oldest night to the newest, in pixels of the picture."""
    most = max((night.messages for night in nights), default=0) or 1
    bars = []
    for number, night in enumerate(reversed(nights)):
        hidden = night.hidden.messages * CHART_HEIGHT / most
        removed = night.removed.messages * CHART_HEIGHT / most
        bars.append(
            {
                "x": number * (BAR + GAP),
                "night": night,
                "removed": {"y": f"{CHART_HEIGHT - removed:.1f}", "height": f"{removed:.1f}"},
                "hidden": {"y": f"{CHART_HEIGHT - removed - hidden:.1f}", "height": f"{hidden:.1f}"},
            }
        )
    return {"bars": bars, "width": max(1, len(bars) * (BAR + GAP) - GAP), "height": CHART_HEIGHT, "bar": BAR}


urls = [
    path("", page, name="page"),
    path("compare/", compare, name="compare"),
    path("storage/", storage, name="storage"),
    path("notices/", notices, name="notices"),
    path("notices/outgoing/", saw_quota, name="saw-quota"),
    path("notices/<int:notice_id>/dismiss/", dismiss, name="dismiss"),
    *changing.urls,
]
