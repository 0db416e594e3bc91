"""What a row or an opened message of a shared mailbox says of colleagues: whose it is, who put it where it lies, and
whether there are notes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext as _

from mailsync.models import SpecialUse

# One row of an index each, however many events a message has.
_MARKS = """
SELECT k.id, a.employee_id, a.name, e.target, e.by_id, e.name, e.at, n.noted FROM unnest(%s::bigint[]) AS k(id)
LEFT JOIN LATERAL (SELECT s.employee_id, coalesce(nullif(w.name, ''), w.email) AS name FROM mailsync_assignment s
                   JOIN accounts_employee w ON w.id = s.employee_id AND w.is_active
                   WHERE s.message_id = k.id LIMIT 1) a ON true
LEFT JOIN LATERAL (SELECT v.target, v.by_id, v.at, coalesce(nullif(w.name, ''), w.email) AS name
                   FROM (SELECT target, by_id, at FROM mailsync_event WHERE message_id = k.id AND kind = 'move'
                         ORDER BY id DESC LIMIT 1) v JOIN accounts_employee w ON w.id = v.by_id) e ON true
LEFT JOIN LATERAL (SELECT mailbox_id, identity FROM mailsync_message WHERE id = k.id LIMIT 1) m ON true
LEFT JOIN LATERAL (SELECT true AS noted FROM mailsync_note
                   WHERE mailbox_id = m.mailbox_id AND identity = m.identity AND deleted_at IS NULL LIMIT 1) n ON true
WHERE a.employee_id IS NOT NULL OR e.target IS NOT NULL OR n.noted
"""


@dataclass(frozen=True, slots=True)
class Mark:
    """`employee_id` and `name` of whose it is (None and "" for nobody's); the last move by a colleague, to `target`."""

    employee_id: int | None
    name: str
    target: str
    by_id: int | None
    by: str
    at: datetime | None
    noted: bool

    def did(self, path: str, role: str, reader: int) -> str:
        """Who put it into this folder, as words before a time; "" where nobody of ours did."""
        if self.at is None or self.target != path:
            return ""
        if self.by_id == reader:
            return _did_you(role)
        return _did(role) % {"who": self.by}


def marks(message_ids: Iterable[int]) -> dict[int, Mark]:
    """Only of messages of which there is something to say."""
    with connection.cursor() as cursor:
        cursor.execute(_MARKS, [list(message_ids)])
        return {
            pk: Mark(employee, name or "", target or "", by_id, by or "", at, bool(noted))
            for pk, employee, name, target, by_id, by, at, noted in cursor.fetchall()
        }


def _did(role: str) -> str:
    return {
        SpecialUse.ARCHIVE: _("Archived by %(who)s"),
        SpecialUse.ALL: _("Archived by %(who)s"),
        SpecialUse.TRASH: _("Deleted by %(who)s"),
        SpecialUse.JUNK: _("Marked as spam by %(who)s"),
    }.get(SpecialUse(role) if role else None, _("Moved here by %(who)s"))  # type: ignore[arg-type]


def _did_you(role: str) -> str:
    return {
        SpecialUse.ARCHIVE: _("Archived by you"),
        SpecialUse.ALL: _("Archived by you"),
        SpecialUse.TRASH: _("Deleted by you"),
        SpecialUse.JUNK: _("Marked as spam by you"),
    }.get(SpecialUse(role) if role else None, _("Moved here by you"))  # type: ignore[arg-type]
