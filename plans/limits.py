"""PURE: what a plan's row allows and which row is in force. No Django, no database."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

FREE = "free"


@dataclass(frozen=True, slots=True)
class Limits:
    """One row of the published tables. None means unlimited, 0 means not offered."""

    plan: str
    effective_from: date
    sync_enabled: bool
    storage_days: int
    fetch_days: int
    mailboxes_per_employee: int | None
    shared_mailboxes: int | None
    outgoing_per_month: int | None
    crm_bound_stays: bool


def in_force(rows: Iterable[Limits], plan: str, on: date) -> Limits | None:
    """The newest row of the plan that holds on a day; None where the plan did not exist yet."""
    held = [row for row in rows if row.plan == plan and row.effective_from <= on]
    return max(held, key=lambda row: row.effective_from, default=None)


def window_start(
    limits: Limits,
    *,
    connected_at: datetime,
    fetch_days: int,
    now: datetime,
    beyond_plan: bool = False,
    purged_until: datetime | None = None,
) -> datetime:
    """Mail received before this moment is not fetched.

    The first fetch reaches `fetch_days` back from the connecting; later a message that is older than what the
    plan stores would be purged the next night, so it does not come in either. `beyond_plan` is an operator's
    decision for this mailbox (connect_mailbox --days): then `fetch_days` alone counts. What a purge has taken, up to
    and including `purged_until`, stays away even where a longer rule would reach it now.
    """
    bounds = [connected_at - timedelta(days=fetch_days)]
    if not beyond_plan:
        bounds.append(now - timedelta(days=limits.storage_days))
    if purged_until is not None:
        bounds.append(purged_until + timedelta(microseconds=1))
    return max(bounds)
