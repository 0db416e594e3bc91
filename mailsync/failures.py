"""What an employee wanted of a mail server and it refused, until they have seen it."""

from dataclasses import dataclass

from django.db import connection
from django.utils import timezone

from accounts.models import Employee
from mailsync.models import Operation, OperationState


@dataclass(frozen=True, slots=True)
class Failure:
    id: int
    kind: str
    error: str


_FAILED = """
SELECT id, kind, error FROM mailsync_operation WHERE by_id = %s AND state = 'failed' AND noticed_at IS NULL
ORDER BY id DESC LIMIT 5
"""


def unseen(employee: Employee) -> list[Failure]:
    """What this employee wanted and the server refused, not yet dismissed; newest first, at most five."""
    with connection.cursor() as cursor:
        cursor.execute(_FAILED, [employee.pk])
        return [Failure(*row) for row in cursor.fetchall()]


def dismiss(employee: Employee) -> None:
    failed = Operation.objects.filter(by=employee, state=OperationState.FAILED, noticed_at=None)
    failed.update(noticed_at=timezone.now())
