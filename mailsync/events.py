"""Writing down what happens to messages: one statement for however many, in the transaction that does it.

Each is called before the rows change, so that the event names the place where the message was; what is merely fetched
writes nothing (models.Event). Rows are looked up key by key, as in importing.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from accounts import prepared, tenancy
from accounts.models import Account
from mailsync.models import EventKind, Folder

BATCH = 5_000

# Placement by placement in the order of the ids given: `p` with its message, `f` its folder.
_PLACED_AT = """
FROM unnest(%(ids)s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT account_id, message_id, folder_id, uid, flags FROM mailsync_placement
                    WHERE id = k.id LIMIT 1) p
CROSS JOIN LATERAL (SELECT path FROM mailsync_folder WHERE id = p.folder_id LIMIT 1) f
"""
_WRITE = "INSERT INTO mailsync_event (account_id, message_id, kind, path, uid, target, flags, by_id, note)"
_PLAIN = f"{_WRITE} SELECT p.account_id, p.message_id, %(kind)s::text, f.path, p.uid, %(target)s::text, '', %(by)s, ''"
# What really changes: "+\\Seen -\\Flagged".
_FLAGS = f"""{_WRITE} SELECT p.account_id, p.message_id, 'flag', f.path, p.uid, '', c.flags, %(by)s, ''
{_PLACED_AT}
CROSS JOIN LATERAL (
    SELECT string_agg(change, ' ' ORDER BY change COLLATE "C") AS flags FROM (
        SELECT '+' || flag AS change FROM unnest(%(add)s::text[]) flag WHERE flag <> ALL (p.flags)
        UNION ALL
        SELECT '-' || flag FROM unnest(p.flags) flag
        WHERE flag = ANY (%(remove)s::text[]) AND flag <> ALL (%(add)s::text[])) changes) c
WHERE c.flags IS NOT NULL
"""  # noqa: S608 (constants)
_SHOWN = f"""{_WRITE} SELECT p.account_id, p.message_id, 'flag', f.path, p.uid, '', c.flags, NULL, ''
{_PLACED_AT}
CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_array_elements_text(%(shown)s::jsonb -> k.id::text)) AS flags) s
CROSS JOIN LATERAL (
    SELECT string_agg(change, ' ' ORDER BY change COLLATE "C") AS flags FROM (
        SELECT '+' || flag AS change FROM unnest(s.flags) flag WHERE flag <> ALL (p.flags)
        UNION ALL
        SELECT '-' || flag FROM unnest(p.flags) flag WHERE flag <> ALL (s.flags)) changes) c
WHERE c.flags IS NOT NULL
"""  # noqa: S608
_ANSWERED = f"""{_WRITE} SELECT o.account_id, p.message_id, o.kind || ' ' || %(answer)s, f.path, p.uid, '', '',
    o.by_id, %(note)s
FROM unnest(%(ids)s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT account_id, kind, placement_id, by_id FROM mailsync_operation
                    WHERE id = k.id AND kind IN ('flag', 'move') LIMIT 1) o
CROSS JOIN LATERAL (SELECT message_id, folder_id, uid FROM mailsync_placement
                    WHERE id = o.placement_id LIMIT 1) p
CROSS JOIN LATERAL (SELECT path FROM mailsync_folder WHERE id = p.folder_id LIMIT 1) f
"""  # noqa: S608
_APPEARED = f"""{_WRITE} SELECT %(account)s, k.message_id, 'placed', %(path)s, k.uid, '', '', NULL, ''
FROM unnest(%(messages)s::bigint[], %(uids)s::bigint[]) AS k(message_id, uid)
"""  # noqa: S608
_ASSIGNED = f"""{_WRITE} SELECT m.account_id, m.id, 'assign', '', NULL, %(name)s, '', %(by)s, ''
FROM unnest(%(ids)s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT id, account_id FROM mailsync_message WHERE id = k.id LIMIT 1) m
"""  # noqa: S608
_RENUMBERED = (
    "INSERT INTO mailsync_event (account_id, folder_id, kind, path) VALUES (%s, %s, 'renumbered', %s)"
)
_DROP = """
DELETE FROM mailsync_event WHERE id IN (
    SELECT id FROM mailsync_event WHERE account_id = %s AND at < %s ORDER BY at LIMIT %s)
"""


def flagged(placement_ids: Sequence[int], *, add: Iterable[str], remove: Iterable[str], by_id: int) -> None:
    """An employee is about to add and remove flags."""
    _run(prepared.ready(_FLAGS), placement_ids, add=sorted(add), remove=sorted(remove), by=by_id)


def flags_shown(shown: Mapping[int, Collection[str]]) -> None:
    """The server shows these flags of placements, which another program set; they are about to be taken over."""
    _run(_SHOWN, list(shown), shown=json.dumps(shown))


def moved(placement_ids: Sequence[int], target: Folder, *, by_id: int) -> None:
    """An employee is about to move them."""
    _run(
        prepared.ready(_PLAIN + _PLACED_AT),
        placement_ids,
        kind=EventKind.MOVE.value,
        target=target.path,
        by=by_id,
    )


def expunged(placement_ids: Sequence[int], *, by_id: int) -> None:
    """An employee is about to remove them for good."""
    _run(_PLAIN + _PLACED_AT, placement_ids, kind=EventKind.EXPUNGE.value, target="", by=by_id)


def assigned(message_ids: Sequence[int], name: str, *, by_id: int) -> None:
    """An employee is about to make them somebody's work; the name is "" for nobody's."""
    _run(_ASSIGNED, message_ids, name=name, by=by_id)


def gone(placement_ids: Sequence[int]) -> None:
    """The server no longer has them there; they are about to be dropped."""
    _run(_PLAIN + _PLACED_AT, placement_ids, kind=EventKind.GONE.value, target="", by=None)


def sent(operation_ids: Sequence[int]) -> None:
    """The server has done what was asked of messages; their placements say where they are now."""
    _run(_ANSWERED, operation_ids, answer="sent", note="")


def refused(operation_ids: Sequence[int], sentence: str) -> None:
    """The server refused it for good; its effect is about to be rolled back."""
    _run(_ANSWERED, operation_ids, answer="refused", note=sentence)


def placed(folder: Folder, arrived: Collection[tuple[int, int]]) -> None:
    """Messages that we have (by id) are in the folder under these UIDs.

    Nothing is written while the folder is read for the first time: that they are there is no news.
    """
    if arrived and (folder.full_at is not None or folder.uid_seen):
        messages, uids = zip(*arrived, strict=True)
        with connection.cursor() as cursor:
            values: dict[str, Any] = {"messages": list(messages), "uids": list(uids)}
            cursor.execute(_APPEARED, values | {"account": folder.account_id, "path": folder.path})


def renumbered(folder: Folder) -> None:
    """The folder's UIDVALIDITY changed: one event for all that is in it."""
    with connection.cursor() as cursor:
        cursor.execute(_RENUMBERED, [folder.account_id, folder.pk, folder.path])


def kept_since(now: datetime) -> datetime:
    """What happened before this moment is forgotten."""
    return now - timedelta(days=settings.MAIL_HISTORY_DAYS)


def drop_old(now: datetime) -> int:
    """Forget what is older than that, in every account, batch by batch; returns how many rows went."""
    gone = 0
    for account_id in Account.objects.values_list("pk", flat=True):
        while batch := _drop_batch(account_id, kept_since(now)):
            gone += batch
    return gone


def _drop_batch(account_id: int, before: datetime) -> int:
    with tenancy.acting_for(account_id), connection.cursor() as cursor:
        cursor.execute(_DROP, [account_id, before, BATCH])
        return int(cursor.rowcount)


def _run(sql: str, ids: Sequence[int], **values: Any) -> None:
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(sql, {"ids": list(ids), **values})
