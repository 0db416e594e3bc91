"""Which plan has more of what is used up: the last half of every refusal."""

from collections.abc import Sequence
from datetime import date

from django.utils.translation import gettext as _

from plans.catalogue import TRIAL
from plans.limits import FREE, Limits, in_force
from plans.models import PlanLimits


def plan_name(plan: str) -> str:
    """A plan's key for people: crm-plus -> Crm plus."""
    return plan.replace("-", " ").capitalize()


def on_sale(on: date) -> list[Limits]:
    """The rows in force of the plans that are offered (published no earlier than today's Free), smallest first."""
    rows = [row.as_limits() for row in PlanLimits.objects.filter(effective_from__lte=on).order_by("pk")]
    free = in_force(rows, FREE, on)
    held = [found for plan in dict.fromkeys(row.plan for row in rows) if (found := in_force(rows, plan, on))]
    offered = [
        row
        for row in held
        if row.sync_enabled and row.plan != TRIAL and (not free or row.effective_from >= free.effective_from)
    ]
    return sorted(offered, key=lambda row: (room(row.mailboxes_per_employee), row.storage_days))


def with_more(limits: Limits, on: date, limit: str = "mailboxes_per_employee") -> list[str]:
    """The names of plans on sale that allow more of one limit (a field of Limits)."""
    have = room(getattr(limits, limit)) if limits.sync_enabled else 0
    return [plan_name(row.plan) for row in on_sale(on) if room(getattr(row, limit)) > have]


def ask_admin(plans: Sequence[str]) -> str:
    """What to do where a plan has none of it."""
    if not plans:
        return _("Ask an admin of your company.")
    return _("These plans do: %(plans)s. Ask an admin of your company to change it.") % {
        "plans": ", ".join(plans)
    }


def or_ask_admin(what_first: str, plans: Sequence[str]) -> str:
    """What to do at the limit: `what_first` is the start of a sentence without its end ("Disconnect one first")."""
    if not plans:
        return f"{what_first}."
    return _("%(first)s, or ask an admin for a plan with more room: %(plans)s.") % {
        "first": what_first,
        "plans": ", ".join(plans),
    }


def room(limit: int | None) -> float:
    """A limit that can be compared: unlimited is more than any number."""
    return float("inf") if limit is None else limit
