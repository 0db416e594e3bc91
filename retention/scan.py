"""Which accounts have anything to purge: one statement for a thousand of them, so that the others cost nothing."""

from collections.abc import Iterator
from datetime import datetime

from django.db import connection

from accounts import tenancy
from accounts.models import Account
from plans.limits import FREE, in_force
from plans.models import PlanLimits
from retention.policy import Rule

AT_ONCE = 1000


def due(at: datetime) -> Iterator[int]:
    """The accounts that hold a message which is too old, bound or not."""
    rows = [row.as_limits() for row in PlanLimits.objects.all()]
    for account_id, plan, oldest in _oldest(at):
        limits = in_force(rows, plan or FREE, at.date()) or in_force(rows, FREE, at.date())
        if oldest and limits and oldest < Rule.of(limits, at).cutoff:
            yield account_id


def _oldest(at: datetime) -> Iterator[tuple[int, str | None, datetime | None]]:
    after = 0
    while ids := list(
        Account.objects.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:AT_ONCE]
    ):
        with tenancy.acting_for(None), connection.cursor() as cursor:
            cursor.execute("SELECT account, plan, oldest FROM retention_oldest(%s, %s)", [ids, at.date()])
            found = cursor.fetchall()
        yield from found
        after = ids[-1]
