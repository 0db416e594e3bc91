"""Questions and changes about an account's plan; everybody asks on each run, nobody is notified.

Subscriptions are a tenant's rows: ask inside `tenancy.acting_for(account)`. Outside it no row exists, and the
answer is Free.
"""

from datetime import date, timedelta

from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.models import Account, Employee
from plans import nudging
from plans.catalogue import TRIAL
from plans.limits import FREE, Limits, in_force
from plans.models import PlanLimits, Subscription

TRIAL_DAYS = 15


class UnknownPlanError(LookupError):
    """No limits are in force for this plan on this day."""


def plan_of(account: Account, on: date) -> str:
    """The plan's name on a day; without a subscription row it is Free."""
    row = Subscription.objects.filter(_open_after(on), account=account, starts_on__lte=on).first()
    return row.plan if row else FREE


def limits_for(account: Account, on: date) -> Limits:
    """What the account may do on a day.

    A plan that has no row in force (the day is before its first, or it never existed) falls back to Free.
    Raises UnknownPlanError where not even Free has a row: a day before the catalogue, or not loaded.
    """
    plan = plan_of(account, on)
    rows = [row.as_limits() for row in PlanLimits.objects.filter(plan__in=[plan, FREE])]
    limits = in_force(rows, plan, on) or in_force(rows, FREE, on)
    if limits is None:
        raise UnknownPlanError(f"No limits in force for {plan} on {on}; run `manage.py load_plans`.")
    return limits


@transaction.atomic
def change_plan(account: Account, plan: str, *, on: date, by: Employee | None) -> Subscription:
    """Close the row that runs on the day and open another; later rows of the account are dropped.

    A trial is opened with its end, so that it needs no job to be over. Raises UnknownPlanError for a plan
    without limits on that day.
    """
    if in_force([row.as_limits() for row in PlanLimits.objects.filter(plan=plan)], plan, on) is None:
        raise UnknownPlanError(f"There is no plan {plan!r} on {on}.")
    # Two changes at once: the second waits here and then sees what the first did.
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = plan_of(account, on)
    Subscription.objects.filter(account=account, starts_on__gte=on).delete()
    Subscription.objects.filter(_open_after(on), account=account).update(ends_on=on)
    ends_on = on + timedelta(days=TRIAL_DAYS) if plan == TRIAL else None
    row = Subscription.objects.create(account=account, plan=plan, starts_on=on, ends_on=ends_on)
    audit.record("plan.changed", plan, account_id=account.pk, by=by, before=before, on=on.isoformat())
    nudging.nudge(account.pk)
    return row


def start_trial(account: Account, *, on: date, by: Employee | None) -> Subscription:
    """Open the 15 days of trial; they end by their date, without a job."""
    return change_plan(account, TRIAL, on=on, by=by)


def _open_after(day: date) -> Q:
    return Q(ends_on__isnull=True) | Q(ends_on__gt=day)
