"""Whom one writes to, completed from past mail and colleagues. Clients come from CRM, which has a URL of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import access

MOST = 8
_LOOKED_THROUGH = 1500  # messages of each mailbox, the newest ones
_MOST_IN_GROUP = 50

# Whom I wrote to counts more than who wrote to me; robots are no answer to "whom".
_PAST = """
WITH recent AS MATERIALIZED (
    SELECT m.* FROM unnest(%(boxes)s::bigint[]) AS b(id) CROSS JOIN LATERAL (
        SELECT sender_name, sender_address, recipients FROM mailsync_message
        WHERE mailbox_id = b.id ORDER BY received_at DESC LIMIT %(limit)s) m)
SELECT (array_agg(name ORDER BY weight DESC, length(name) DESC))[1], min(address), sum(weight) AS weight FROM (
    SELECT sender_name AS name, sender_address AS address, 1 AS weight FROM recent
    WHERE sender_name ILIKE %(words)s OR sender_address ILIKE %(words)s
    UNION ALL
    SELECT p->>0, p->>1, 3 FROM recent
    CROSS JOIN LATERAL jsonb_array_elements(
        coalesce(recipients->'to', '[]'::jsonb) || coalesce(recipients->'cc', '[]'::jsonb)) AS p
    WHERE sender_address = ANY(%(own)s) AND (p->>0 ILIKE %(words)s OR p->>1 ILIKE %(words)s)) found
WHERE position('@' in address) > 1
    AND address !~* '^(no-?reply|do-?not-?reply|mailer-daemon|postmaster|bounces?)([-+.@]|$)'
GROUP BY lower(address) ORDER BY weight DESC, min(address) LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One person, or with `people` ([name, address] each) several at once. `note` says where from."""

    name: str
    address: str
    note: str = ""
    people: Sequence[Sequence[str]] = field(default=())


def people(employee: Employee, words: str, own: Iterable[str]) -> list[Suggestion]:
    """The best first; `own` are the employee's addresses."""
    words = words.strip()[:100]
    if not words:
        return []
    colleagues = _colleagues(employee, words)
    known = {each.address.lower() for each in colleagues}
    past = [each for each in _past(employee, words, own) if each.address.lower() not in known]
    return [*colleagues[:3], *past, *_everybody(employee, words)][:MOST]


def _past(employee: Employee, words: str, own: Iterable[str]) -> list[Suggestion]:
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    boxes = list(access.visible_mailboxes(employee).values_list("pk", flat=True))
    values: dict[str, Any] = {
        "boxes": boxes, "limit": _LOOKED_THROUGH, "words": f"%{escaped}%", "own": list(own), "most": MOST,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_PAST, values)
        return [Suggestion("" if name == address else name, address) for name, address, _weight in cursor]


def _colleagues(employee: Employee, words: str) -> list[Suggestion]:
    found = Employee.objects.filter(account=employee.account_id, is_active=True).exclude(pk=employee.pk)
    named = found.filter(Q(name__icontains=words) | Q(email__icontains=words)).order_by("name")[:MOST]
    return [Suggestion(each.name, each.email, _("colleague")) for each in named]


def _everybody(employee: Employee, words: str) -> list[Suggestion]:
    """The whole company as one choice, while it is small enough for a letter."""
    title = _("Everybody at %s") % employee.account.name
    if words.lower() not in title.lower() or len(words) < 3:
        return []
    others = Employee.objects.filter(account=employee.account_id, is_active=True).exclude(pk=employee.pk)
    members = list(others.order_by("name").values_list("name", "email")[: _MOST_IN_GROUP + 1])
    if not 1 < len(members) <= _MOST_IN_GROUP:
        return []
    return [Suggestion(title, "", _("%d people") % len(members), [list(pair) for pair in members])]
