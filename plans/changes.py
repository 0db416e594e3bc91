"""When an account's limits change and why, read from the dated rows: nothing is announced that will not come."""

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from datetime import date
from enum import StrEnum

from accounts.models import Account
from plans.catalogue import TRIAL
from plans.limits import FREE, Limits, in_force
from plans.models import PlanLimits, Subscription

# What a person can lose, in the order in which it is told; CRM-bound mail that stays is no number.
LIMITS = ("storage_days", "fetch_days", "mailboxes_per_employee", "shared_mailboxes", "outgoing_per_month")


class Why(StrEnum):
    """Another row of the same plan, another plan, or the end of a trial."""

    ROW = "row"
    PLAN = "plan"
    TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Change:
    """From `on`, midnight at the company, `after` holds instead of `before`."""

    on: date
    before: Limits
    after: Limits
    why: Why

    @property
    def key(self) -> str:
        """Another row, another plan or another day is another change, to be told anew."""
        said = repr((self.on, astuple(self.before), astuple(self.after)))
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @property
    def shorter(self) -> list[str]:
        """The names of the limits that shrink, also what CRM kept."""
        less = [
            name for name in LIMITS if _size(getattr(self.after, name)) < _size(getattr(self.before, name))
        ]
        return less + ["crm_bound_stays"] * (self.before.crm_bound_stays and not self.after.crm_bound_stays)

    @property
    def takes_mail(self) -> bool:
        """Whether mail would leave that would not without it."""
        return bool({"storage_days", "crm_bound_stays"} & {*self.shorter})

    @property
    def keeps_longer(self) -> bool:
        return self.after.sync_enabled and self.after.storage_days > self.before.storage_days


def changes(account: Account, *, after: date, until: date) -> list[Change]:
    """Every day after one and up to another on which the limits are other than the day before, oldest first.

    Inside `tenancy.acting_for` the account.
    """
    periods = list(Subscription.objects.filter(account=account).order_by("starts_on"))
    rows = [row.as_limits() for row in PlanLimits.objects.all()]
    days = {row.effective_from for row in rows} | {
        day for period in periods for day in (period.starts_on, period.ends_on) if day
    }
    found = []
    for day in sorted(day for day in days if after < day <= until):
        change = _change(day, periods, rows)
        if change:
            found.append(change)
    return found


def _change(day: date, periods: list[Subscription], rows: list[Limits]) -> Change | None:
    eve = date.fromordinal(day.toordinal() - 1)
    old, new = _plan_on(eve, periods), _plan_on(day, periods)
    before, after = _limits_on(eve, old, rows), _limits_on(day, new, rows)
    if before is None or after is None or _numbers(before) == _numbers(after):
        return None
    if old == new:
        return Change(day, before, after, Why.ROW)
    return Change(day, before, after, Why.TRIAL if (old, new) == (TRIAL, FREE) else Why.PLAN)


def _plan_on(day: date, periods: Iterable[Subscription]) -> str:
    held = (p.plan for p in periods if p.starts_on <= day and (p.ends_on is None or p.ends_on > day))
    return next(held, FREE)


def _limits_on(day: date, plan: str, rows: list[Limits]) -> Limits | None:
    return in_force(rows, plan, day) or in_force(rows, FREE, day)


def _numbers(limits: Limits) -> tuple[object, ...]:
    return (limits.plan, *astuple(limits)[2:])


def _size(limit: int | None) -> float:
    return float("inf") if limit is None else limit
