"""The mail of mailboxes and activities for an export, message by message: never more than one large body in memory."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from accounts import tenancy
from accounts.models import Employee
from mailsync import blobs, unread
from mailsync.models import Folder
from tasks import access as tasks

# Small bodies come with their rows: so many of at most 64 kB.
BATCH = 25

_MESSAGES = f"""
SELECT p.id, p.message_id, p.received_at, p.flags,
       CASE WHEN x.apart THEN {unread.is_unread("p.message_id", "%(reader)s")} IS NULL ELSE p.seen END,
       m.message_id, m.subject, m.header, b.digest, b.content
FROM (SELECT * FROM mailsync_placement WHERE folder_id = %(folder)s AND id > %(last)s ORDER BY id LIMIT %(batch)s) p
CROSS JOIN (SELECT o.read_apart_since IS NOT NULL AND coalesce(o.owner_id <> %(reader)s, false) AS apart
            FROM mailsync_folder f JOIN mailsync_mailbox o ON o.id = f.mailbox_id WHERE f.id = %(folder)s) x
CROSS JOIN LATERAL (SELECT * FROM mailsync_message WHERE id = p.message_id LIMIT 1) m
CROSS JOIN LATERAL (SELECT digest, content FROM mailsync_blob WHERE id = m.body_id LIMIT 1) b
ORDER BY p.id
"""  # noqa: S608 (constants)
_ACTIVITIES = """
SELECT a.id, a.at, a.header, b.digest, b.content
FROM (SELECT * FROM crm_activity WHERE account_id = %s AND id > %s AND body_id IS NOT NULL ORDER BY id LIMIT %s) a
CROSS JOIN LATERAL (SELECT digest, content FROM mailsync_blob WHERE id = a.body_id LIMIT 1) b
ORDER BY a.id
"""
_RECORDS = """
SELECT c.message_id, b.activity_id, b.contact_id, b.company_id, b.lead_id, b.deal_id
FROM crm_activitycopy c JOIN crm_binding b ON b.activity_id = c.activity_id WHERE c.message_id = ANY(%s)
"""
_TASKS = "SELECT message_id, task_id FROM tasks_taskmessage WHERE message_id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Original:
    """A message byte for byte, and what is known of it beside."""

    id: int
    received_at: datetime
    header: bytes
    body: bytes
    facts: dict[str, object]


def of_folder(folder: Folder, reader: Employee | None, last: int = 0) -> Iterator[Original]:
    """Every message of a folder whose placement is above `last`, with flags, tags and the links that `reader` sees, and
    whether they have read it; for nobody, what the server says.

    Raises BodyLost where a file of MAIL_FILES is missing.
    """
    account_id = folder.account_id
    while True:
        with tenancy.acting_for(account_id), connection.cursor() as cursor:
            values = {
                "folder": folder.pk,
                "reader": reader.pk if reader else None,
                "last": last,
                "batch": BATCH,
            }
            cursor.execute(_MESSAGES, values)
            rows = cursor.fetchall()
            links = _links(reader, [row[1] for row in rows])
        for pk, message, received_at, flags, read, name, subject, header, digest, stored in rows:
            facts: dict[str, object] = {
                "message_id": name,
                "subject": subject,
                "received_at": received_at.isoformat(),
                "flags": flags,
                "read": read,
                **links[message],
            }
            body = blobs.content(account_id, bytes(digest), stored)
            yield Original(pk, received_at, bytes(header), body, facts)
        if not rows:
            return
        last = rows[-1][0]


def of_activities(account_id: int, last: int = 0) -> Iterator[Original]:
    """Every mail that CRM keeps and whose activity is above `last`, with what is attached to it."""
    while True:
        with tenancy.acting_for(account_id), connection.cursor() as cursor:
            cursor.execute(_ACTIVITIES, [account_id, last, BATCH])
            rows = cursor.fetchall()
        for pk, at, header, digest, stored in rows:
            body = blobs.content(account_id, bytes(digest), stored)
            yield Original(pk, at, bytes(header or b""), body, {"activity": pk})
        if not rows:
            return
        last = rows[-1][0]


def _links(reader: Employee | None, message_ids: list[int]) -> dict[int, dict[str, list[object]]]:
    """To records, and to the tasks that the reader sees; to all where it is nobody in particular."""
    found: dict[int, dict[str, list[object]]] = defaultdict(lambda: {"tasks": [], "records": []})
    with connection.cursor() as cursor:
        cursor.execute(_RECORDS, [message_ids])
        for message, activity, *record in cursor.fetchall():
            kinds = zip(("contact", "company", "lead", "deal"), record, strict=True)
            found[message]["records"] += [{"activity": activity, kind: pk} for kind, pk in kinds if pk]
        cursor.execute(_TASKS, [message_ids])
        links = cursor.fetchall()
        shown = _shown(reader, {task for _message, task in links})
        for message, task in links:
            if task in shown:
                found[message]["tasks"].append(task)
    return found


def _shown(reader: Employee | None, task_ids: set[int]) -> set[int]:
    if reader is None or not task_ids:
        return task_ids
    return set(tasks.visible(reader).filter(pk__in=task_ids).values_list("pk", flat=True))
