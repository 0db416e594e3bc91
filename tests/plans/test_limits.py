"""How far back mail is fetched."""

from datetime import UTC, datetime, timedelta

import pytest

from plans.catalogue import CATALOGUE
from plans.limits import Limits, window_start

CONNECTED = datetime(2026, 5, 1, 12, tzinfo=UTC)


def professional() -> Limits:
    """Ninety days of storage and of first fetch."""
    return next(row.limits for row in reversed(CATALOGUE) if row.limits.plan == "professional")


@pytest.mark.parametrize(
    ("fetch_days", "days_later", "reaches_back_to"),
    [
        (90, 0, CONNECTED - timedelta(days=90)),
        (7, 0, CONNECTED - timedelta(days=7)),  # the employee chose less than the plan allows
        (7, 30, CONNECTED - timedelta(days=7)),  # and later mail stays in reach as long as it is stored
        (90, 30, CONNECTED - timedelta(days=60)),  # what would be purged the next night does not come in
        (400, 0, CONNECTED - timedelta(days=90)),  # chosen on a plan that kept more
    ],
)
def test_the_window_begins(fetch_days: int, days_later: int, reaches_back_to: datetime) -> None:
    now = CONNECTED + timedelta(days=days_later)
    start = window_start(professional(), connected_at=CONNECTED, fetch_days=fetch_days, now=now)
    assert start == reaches_back_to


def test_an_operator_may_reach_beyond_the_plan() -> None:
    start = window_start(
        professional(), connected_at=CONNECTED, fetch_days=400, now=CONNECTED, beyond_plan=True
    )
    assert start == CONNECTED - timedelta(days=400)
