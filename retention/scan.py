"""Which accounts have anything to purge: one statement for a thousand of them, so that the others cost nothing."""

from collections.abc import Iterator
from datetime import date, datetime

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
    for account_id, day, plan, oldest in _oldest(at):
        limits = in_force(rows, plan or FREE, day) or in_force(rows, FREE, day)
        if oldest and limits and oldest < Rule.of(limits, at).cutoff:
            yield account_id


def _oldest(at: datetime) -> Iterator[tuple[int, date, str | None, datetime | None]]:
    after = 0
    while accounts := list(Account.objects.filter(pk__gt=after).order_by("pk")[:AT_ONCE]):
        ids, days = [each.pk for each in accounts], [each.day_of(at) for each in accounts]
        with tenancy.acting_for(None), connection.cursor() as cursor:
            cursor.execute(
                "SELECT account, day, plan, oldest FROM retention_oldest(%s, %s::date[])", [ids, days]
            )
            found = cursor.fetchall()
        yield from found
        after = ids[-1]
