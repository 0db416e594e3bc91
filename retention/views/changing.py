"""Another plan, chosen by an admin: what it would change and take is seen first, and it holds from a day on.

Where only operators change plans (ADMINS_CHANGE_PLANS), the same page asks them for it.
"""

from datetime import date, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.models import Account
from accounts.views import RequestOfEmployee, admin_required
from plans import requesting
from plans.changes import Change, Why
from plans.limits import FREE, Limits, in_force
from plans.models import PlanLimits
from plans.offers import on_sale, plan_name
from plans.subscriptions import change_plan, limits_for
from retention import usage, words

FURTHEST = timedelta(days=366)


class DayForm(forms.Form):
    on = forms.DateField(
        label=gettext_lazy("From"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=gettext_lazy("From midnight at your company; nothing leaves before the night after."),
    )

    def __init__(self, data: Any = None, *, today: date) -> None:
        super().__init__(data, initial={"on": today})
        self.today = today

    def clean_on(self) -> date:
        on: date = self.cleaned_data["on"]
        if not self.today <= on <= self.today + FURTHEST:
            raise ValidationError(_("Choose today or a day within a year."))
        return on


@admin_required
@never_cache
@require_http_methods(["GET", "POST"])
def change(request: RequestOfEmployee, plan: str) -> HttpResponse:
    """What the other plan means, with numbers; a POST makes it so, or asks operators for it."""
    account = request.user.account
    today = account.today()
    limits, other = limits_for(account, today), _offered(plan, today)
    if other.plan == limits.plan:
        return redirect("plan:page")
    form = DayForm(request.POST or None, today=today)
    if request.method == "POST" and form.is_valid():
        choose = _changed if settings.ADMINS_CHANGE_PLANS else _asked_for
        return choose(request, account, plan, form.cleaned_data["on"])
    told = Change(today, limits, other, Why.PLAN)
    [offer] = usage.offers(account, limits, [other], timezone.now())
    context = {
        "section": "plan",
        "plan": plan_name(other.plan),
        "now": plan_name(limits.plan),
        "differences": words.differences(told),
        "stops": not other.sync_enabled,
        "keeps_longer": told.keeps_longer,
        "offer": offer,
        "form": form,
        "may_change": settings.ADMINS_CHANGE_PLANS,
    }
    return render(request, "plan/change.html", context, status=422 if form.errors else 200)


def _offered(plan: str, on: date) -> Limits:
    """A plan on sale, or Free; Http404 else."""
    rows = [row.as_limits() for row in PlanLimits.objects.filter(plan=FREE)]
    free = in_force(rows, FREE, on)
    offered = [*on_sale(on), *([free] if free else [])]
    found = next((row for row in offered if row.plan == plan), None)
    if found is None:
        raise Http404
    return found


def _changed(request: RequestOfEmployee, account: Account, plan: str, on: date) -> HttpResponse:
    change_plan(account, plan, on=on, by=request.user)
    said = {"day": date_format(on, "DATE_FORMAT"), "plan": plan_name(plan)}
    messages.success(
        request, _("From %(day)s the plan is %(plan)s. Until then you can change it back.") % said
    )
    return redirect("plan:page")


def _asked_for(request: RequestOfEmployee, account: Account, plan: str, on: date) -> HttpResponse:
    requesting.ask(account, plan, on=on, by=request.user)
    messages.success(request, _("You asked for the plan %(plan)s.") % {"plan": plan_name(plan)})
    return redirect("plan:page")


@admin_required
@require_POST
def withdraw(request: RequestOfEmployee) -> HttpResponse:
    """Take back what was asked for, unless it was answered meanwhile."""
    if requesting.withdraw(request.user.account, by=request.user):
        messages.success(request, _("The request is withdrawn."))
    else:
        messages.info(request, _("Nothing waits for an answer any more."))
    return redirect("plan:page")


urls = [
    path("change/<slug:plan>/", change, name="change"),
    path("withdraw/", withdraw, name="withdraw"),
]
