"""Handing the open tasks of somebody who left to a colleague, and back: many at once, so in batches."""

from collections.abc import Collection

from accounts.models import Employee
from tasks.models import Participant, Task


def open_of(employee: Employee) -> int:
    """How many tasks wait for this employee."""
    return Task.objects.filter(responsible=employee, done_at=None, delete_at=None).count()


def hand_on(leaver: Employee, heir: Employee, *, most: int) -> list[int]:
    """Make the heir responsible for so many more of the leaver's open tasks; the ids, none where none is left.

    With a task its heir reads the mail bound to it, as anybody to whom it is assigned.
    """
    waiting = Task.objects.filter(responsible=leaver, done_at=None, delete_at=None).order_by("pk")
    ids = list(waiting.select_for_update(no_key=True).values_list("pk", flat=True)[:most])
    _assign(ids, heir)
    return ids


def hand_back(ids: Collection[int], heir: Employee, leaver: Employee) -> int:
    """What was handed on and is still with the heir is the leaver's again; returns how many."""
    held = Task.objects.filter(pk__in=ids, responsible=heir, delete_at=None).order_by("pk")
    ids = list(held.select_for_update(no_key=True).values_list("pk", flat=True))
    _assign(ids, leaver)
    return len(ids)


def _assign(ids: Collection[int], responsible: Employee) -> None:
    Task.objects.filter(pk__in=ids).update(responsible=responsible)
    # Its people are each named once.
    Participant.objects.filter(task__in=ids, employee=responsible).delete()
