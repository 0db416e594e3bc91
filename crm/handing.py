"""Handing the records of somebody who left to a colleague, and back: many at once, so in batches by id.

Whoever is responsible is a name and not a lock (crm.access), so nothing else changes with it.
"""

from collections.abc import Collection

from accounts.models import Employee
from crm.kinds import KINDS, Kind


def held_by(employee: Employee) -> dict[str, int]:
    """By kind (its slug): how many records the employee is responsible for, those in the bin included."""
    return {
        kind.slug: kind.model._default_manager.filter(
            account_id=employee.account_id, responsible=employee
        ).count()
        for kind in KINDS.values()
    }


def hand_on(kind: Kind, leaver: Employee, heir: Employee, *, after: int, most: int) -> list[int]:
    """Make the heir responsible for so many more of the leaver's records whose id is above `after`; their ids.

    The bin's go along: they may be brought back. By ids, because no index leads from a person to records.
    """
    rows = kind.model._default_manager.filter(
        account_id=leaver.account_id, pk__gt=after, responsible=leaver
    ).order_by("pk")
    ids = list(rows.select_for_update(no_key=True).values_list("pk", flat=True)[:most])
    kind.model._default_manager.filter(pk__in=ids).update(responsible=heir)
    return ids


def hand_back(kind: Kind, ids: Collection[int], heir: Employee, leaver: Employee) -> int:
    """What was handed on and is still with the heir is the leaver's again; returns how many."""
    return kind.model._default_manager.filter(pk__in=ids, responsible=heir).update(responsible=leaver)
