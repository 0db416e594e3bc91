"""What one employee is told about shared work, until they have seen it: access, assignments, mentions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from mailsync.models import Mailbox, Notice, NoticeKind

_SHOWN = 5
# The place by which the message's page is reached; none where it is in no folder any more.
_UNSEEN = """
SELECT n.id, n.kind, n.words, n.at, b.address, coalesce(nullif(e.name, ''), e.email, ''), m.subject, p.id, p.folder_id
FROM (SELECT * FROM mailsync_notice WHERE employee_id = %s AND seen_at IS NULL ORDER BY id DESC LIMIT %s) n
JOIN mailsync_mailbox b ON b.id = n.mailbox_id
LEFT JOIN accounts_employee e ON e.id = n.by_id
LEFT JOIN LATERAL (SELECT subject FROM mailsync_message WHERE id = n.message_id LIMIT 1) m ON true
LEFT JOIN LATERAL (SELECT id, folder_id FROM mailsync_placement WHERE message_id = n.message_id
                   ORDER BY id LIMIT 1) p ON true
ORDER BY n.id DESC
"""


@dataclass(frozen=True, slots=True)
class Told:
    """A notice as the page shows it. `subject` is None where it is about no message."""

    id: int
    kind: str
    words: str
    at: datetime
    address: str
    by: str
    subject: str | None
    placement_id: int | None
    folder_id: int | None


def tell(
    employees: Iterable[int],
    kind: NoticeKind,
    mailbox: Mailbox,
    *,
    by: int | None,
    message_id: int | None = None,
    words: str = "",
) -> None:
    """In the running transaction; nobody is told what they did themselves."""
    Notice.objects.bulk_create(
        Notice(
            account_id=mailbox.account_id,
            employee_id=employee,
            kind=kind,
            mailbox=mailbox,
            message_id=message_id,
            by_id=by,
            words=words,
        )
        for employee in employees
        if employee != by
    )


def withdraw(mailbox_id: int, employees: Iterable[int]) -> None:
    """They may not read this mailbox any more, so not what they were told about its mail either."""
    Notice.objects.filter(mailbox=mailbox_id, employee__in=list(employees), message_id__isnull=False).delete()


def unseen(employee_id: int) -> tuple[Told, ...]:
    """The newest few, newest first."""
    with connection.cursor() as cursor:
        cursor.execute(_UNSEEN, [employee_id, _SHOWN])
        return tuple(Told(*row) for row in cursor.fetchall())


def see(notice: Notice) -> None:
    """Its employee has read it."""
    Notice.objects.filter(pk=notice.pk, seen_at=None).update(seen_at=timezone.now())
