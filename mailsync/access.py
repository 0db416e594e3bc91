"""Doors to mail: each returns what this employee may use at that level, or raises Http404.

Absent and forbidden look alike, so nobody learns what others have. An admin has no key of their own:
without ownership or a grant, mail stays closed, but for a day's emergency, of which the owner is told
(mailsync.emergencies).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.http import Http404
from django.utils import timezone

from accounts import prepared
from accounts.models import Employee
from mailsync import blobs, unread
from mailsync.models import EmergencyAccess, Folder, GrantLevel, Mailbox, MailboxGrant, Outgoing
from mailsync.tags import Tag, tags_of

Found = TypeVar("Found", bound=Model)

# The rule in SQL, for the doors that every page goes through: `b` is the mailbox, `g` the highest grant on it that the
# employee has, in person or by the department. The grants of one person are few and found by their keys.
_GRANT = """
LEFT JOIN (SELECT mailbox_id, max(array_position(%(ladder)s::text[], level::text)) AS step FROM (
               SELECT mailbox_id, level FROM mailsync_mailboxgrant
               WHERE employee_id = %(employee)s OR department_id = %(department)s
               UNION ALL
               SELECT mailbox_id, 'read' FROM mailsync_emergencyaccess
               WHERE %(admin)s::boolean AND employee_id = %(employee)s AND ended_at IS NULL
                   AND ends_at > clock_timestamp()) held
           GROUP BY mailbox_id) g ON g.mailbox_id = b.id
"""
_OPEN = "b.disconnected_at IS NULL AND (b.owner_id = %(employee)s OR g.step >= %(step)s)"
_BOX = """b.id, b.address, b.owner_id = %(employee)s,
CASE WHEN b.owner_id = %(employee)s THEN 'manage' ELSE (%(ladder)s::text[])[g.step] END,
b.state, b.last_error, b.troubled_since, b.first_synced_at IS NOT NULL, b.missing, b.missing_at,
EXISTS (SELECT FROM mailsync_mailboxgrant s WHERE s.mailbox_id = b.id), %(employee)s::bigint,
b.read_apart_since IS NOT NULL AND b.owner_id <> %(employee)s"""
# By key: a large company has thousands of mailboxes, and one person a few.
_MINE = """b.id = ANY (ARRAY(
    SELECT id FROM mailsync_mailbox WHERE owner_id = %(employee)s UNION ALL
    SELECT mailbox_id FROM mailsync_emergencyaccess WHERE employee_id = %(employee)s AND ended_at IS NULL UNION ALL
    SELECT mailbox_id FROM mailsync_mailboxgrant WHERE employee_id = %(employee)s OR department_id = %(department)s))"""
_BOXES = f"SELECT {_BOX} FROM mailsync_mailbox b {_GRANT} WHERE {_OPEN} AND {_MINE}"  # noqa: S608 (constants)
# Found by their ids first: else the planner may look through whole folders for them.
_PLACEMENTS = """
WITH p AS MATERIALIZED (SELECT id, folder_id FROM mailsync_placement WHERE id = ANY(%(ids)s))
SELECT p.id FROM p JOIN mailsync_folder f ON f.id = p.folder_id WHERE f.mailbox_id = ANY(%(mailboxes)s)
"""
_SEEN = f"""CASE WHEN b.read_apart_since IS NULL OR b.owner_id = %(employee)s THEN p.seen
ELSE {unread.is_unread("p.message_id", "%(employee)s")} IS NULL END"""
# Each step is one row by its key. LIMIT keeps the planner from joining whole tables instead, which it does in a
# mailbox that grew before anybody counted it.
_LETTER = f"""
SELECT p.id, p.folder_id, f.special_use, f.path, p.received_at, {_SEEN}, p.starred, p.flags, p.message_id, m.subject,
       m.sender_name, m.sender_address, m.recipients, m.sent_at, m.size, m.header,
       c.account_id, c.digest, c.content, {_BOX}
FROM (SELECT * FROM mailsync_placement WHERE id = %(id)s LIMIT 1) p
CROSS JOIN LATERAL (SELECT * FROM mailsync_folder WHERE id = p.folder_id LIMIT 1) f
CROSS JOIN LATERAL (SELECT * FROM mailsync_mailbox WHERE id = f.mailbox_id LIMIT 1) b {_GRANT}
CROSS JOIN LATERAL (SELECT * FROM mailsync_message WHERE id = p.message_id LIMIT 1) m
CROSS JOIN LATERAL (SELECT account_id, digest, content FROM mailsync_blob WHERE id = m.body_id LIMIT 1) c
WHERE {_OPEN}
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox that the employee may read; `level` is what else they may do there."""

    id: int
    address: str
    mine: bool
    level: str
    state: str
    last_error: str
    troubled_since: datetime | None
    first_synced: bool
    missing: int
    missing_at: datetime | None
    shared: bool  # whether anybody but its owner has a grant
    reader: int  # the id of the employee whose view of it this is
    apart: bool  # whether read and unread are the reader's own, and not what the server says


@dataclass(frozen=True, slots=True)
class Letter:
    """A message where it lies, with its bytes: `header` up to and including the blank line, and `body`."""

    id: int
    folder_id: int
    role: str
    path: str
    received_at: datetime
    seen: bool
    starred: bool
    flags: list[str]
    message_id: int
    subject: str
    sender_name: str
    sender_address: str
    recipients: dict[str, list[list[str]]]
    sent_at: datetime | None
    size: int
    header: bytes
    body: bytes
    box: Box

    @property
    def tags(self) -> list[Tag]:
        return tags_of(self.flags)


def boxes(employee: Employee) -> list[Box]:
    """All connected mailboxes that the employee owns or has a grant on."""
    return [Box(*row) for row in _rows(_BOXES, employee, GrantLevel.READ)]


def get_letter(employee: Employee, placement_id: int, level: str) -> Letter:
    for row in _rows(_LETTER, employee, level, id=placement_id):
        *columns, recipients, sent_at, size, header, account_id, digest, content = row[:19]
        body = blobs.content(account_id, bytes(digest), content)
        columns += [json.loads(recipients), sent_at, size, bytes(header), body, Box(*row[19:])]
        return Letter(*columns)
    raise Http404


def placements_in(boxes: Iterable[Box], ids: Iterable[int], level: str) -> list[int]:
    """Those of the placements that the boxes' employee may work on at this level; the others are left out."""
    mailboxes = [box.id for box in boxes if includes(box.level, level)]
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_PLACEMENTS), {"ids": list(ids), "mailboxes": mailboxes})
        return [row[0] for row in cursor.fetchall()]


def _rows(sql: str, employee: Employee, level: str, **values: Any) -> list[tuple[Any, ...]]:
    ladder = GrantLevel.values
    holder = {"employee": employee.pk, "department": employee.department_id, "admin": employee.is_admin}
    with connection.cursor() as cursor:
        cursor.execute(
            prepared.ready(sql), {**holder, "ladder": ladder, "step": ladder.index(level) + 1, **values}
        )
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def visible_mailboxes(employee: Employee, level: str = GrantLevel.READ) -> QuerySet[Mailbox]:
    """The connected mailboxes in which the employee has at least this level, by owning or by a grant."""
    shared = [mailbox for mailbox, has in grants(employee).items() if includes(has, level)]
    return Mailbox.objects.filter(Q(owner=employee) | Q(pk__in=shared), disconnected_at=None)


def may(employee: Employee, mailbox: Mailbox, level: str) -> bool:
    """The same rule for one mailbox at hand."""
    if mailbox.disconnected_at is not None:
        return False
    if mailbox.owner_id == employee.pk:
        return True
    has = grants(employee).get(mailbox.pk)
    return has is not None and includes(has, level)


def grants(employee: Employee) -> dict[int, str]:
    """The level in each mailbox that others share with the employee, in person or by the department."""
    by_department = Q(department__isnull=False, department=employee.department_id)
    held = MailboxGrant.objects.filter(Q(employee=employee) | by_department)
    rows = [(mailbox_id, GrantLevel.READ.value) for mailbox_id in emergencies(employee)]
    rows += held.values_list("mailbox_id", "level")
    return dict(sorted(rows, key=lambda row: GrantLevel.values.index(row[1])))


def emergencies(employee: Employee) -> list[int]:
    """The mailboxes that an admin may read for the moment without their owners' leave; none for everybody else."""
    if not employee.is_admin:
        return []
    running = EmergencyAccess.objects.filter(employee=employee, ended_at=None, ends_at__gt=timezone.now())
    return list(running.values_list("mailbox_id", flat=True))


def people_of(mailbox: Mailbox, level: str = GrantLevel.READ) -> list[Employee]:
    """The active colleagues who have at least this level in a mailbox, its owner among them, by name."""
    enough = mailbox.grants.filter(level__in=[has for has in GrantLevel.values if includes(has, level)])
    return list(
        Employee.objects.filter(
            Q(pk=mailbox.owner_id)
            | Q(pk__in=enough.values("employee"))
            | Q(department__in=enough.values("department")),
            account_id=mailbox.account_id,
            is_active=True,
        ).order_by("name", "pk")
    )


def includes(has: str, level: str) -> bool:
    """Each level includes the ones before it."""
    levels = GrantLevel.values
    return levels.index(has) >= levels.index(level)


def get_mailbox(employee: Employee, mailbox_id: int, level: str) -> Mailbox:
    return _one(visible_mailboxes(employee, level).filter(pk=mailbox_id))


def get_settings_of(employee: Employee, mailbox_id: int) -> Mailbox:
    """The mailbox for its settings, in which there is no mail: for who manages it, and for admins."""
    if employee.is_admin:
        connected = Mailbox.objects.filter(account_id=employee.account_id, disconnected_at=None)
        return _one(connected.filter(pk=mailbox_id))
    return get_mailbox(employee, mailbox_id, GrantLevel.MANAGE)


def get_grants_of(employee: Employee, mailbox_id: int) -> Mailbox:
    """The mailbox to decide who else has access: for who manages it, and for admins once it is shared. One that is not
    is its owner's alone."""
    mailbox = get_settings_of(employee, mailbox_id)
    if not may(employee, mailbox, GrantLevel.MANAGE) and not mailbox.grants.exists():
        raise Http404
    return mailbox


def get_folder(employee: Employee, folder_id: int, level: str) -> Folder:
    """A folder that can be opened, with its mailbox."""
    folder = _one(
        Folder.objects.filter(pk=folder_id, selectable=True, deleting=False).select_related("mailbox")
    )
    if not may(employee, folder.mailbox, level):
        raise Http404
    return folder


def get_outgoing(employee: Employee, outgoing_id: int) -> Outgoing:
    """A letter that is written, waits or was sent, of a mailbox in which the employee may answer."""
    letter = _one(Outgoing.objects.filter(pk=outgoing_id, by__isnull=False).select_related("mailbox"))
    if not may(employee, letter.mailbox, GrantLevel.REPLY):
        raise Http404
    return letter


def _one(found: QuerySet[Found]) -> Found:
    for row in found[:1]:
        return row
    raise Http404
