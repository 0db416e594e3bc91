r"""Who has not read what, in mailboxes where each person has read and unread of their own (Mailbox.read_apart_since).

The owner's state stays the server's \Seen, which other mail programs show and set. Everybody else's is kept here, as
rows of what they have not read (models.Unread): what comes in is unread for whoever has access at that moment, and what
came before somebody got access counts as read for them. Nothing of it reaches the server or colleagues.

Rows are looked up key by key, as in importing. Mailboxes without the setting have none and ask nothing of this.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from accounts import audit, tenancy
from accounts.models import Account, Employee
from mailsync import live, schedule
from mailsync.models import Folder, Mailbox, SpecialUse, Unread

# What we wrote ourselves is unread for nobody.
OURS = (SpecialUse.SENT, SpecialUse.DRAFTS)

# So many, the newest, are counted for a page, and become everybody's own when the setting is switched on.
MOST = 1_000
# How long the states are kept after the setting was switched off.
SECOND_THOUGHTS = timedelta(days=1)
# A server's clock may be behind ours: mail that came in so shortly before the setting is news as well.
_CLOCKS = timedelta(hours=1)

# What a reader has not read of folder `f`, as placements `p` with the date `u`.received_at: from the index of what is
# unread, since that is little of a long folder. LIMIT keeps the planner from joining, and from looking through the
# folder for each of them, which it does in one that nobody has counted.
PLACES = """
(SELECT message_id, received_at FROM mailsync_unread
 WHERE employee_id = %(reader)s AND mailbox_id = (SELECT mailbox_id FROM mailsync_folder WHERE id = f.id)) u
CROSS JOIN LATERAL (SELECT * FROM (SELECT * FROM mailsync_placement WHERE message_id = u.message_id LIMIT 100) anywhere
                    WHERE folder_id = f.id) p
"""
_COUNTS = """
SELECT b.id, p.folder_id, count(*), bool_or(u.n >= %(most)s) FROM unnest(%(mailboxes)s::bigint[]) AS b(id)
CROSS JOIN LATERAL (SELECT message_id, count(*) OVER () AS n FROM (
                        SELECT message_id FROM mailsync_unread WHERE employee_id = %(reader)s AND mailbox_id = b.id
                        ORDER BY received_at DESC LIMIT %(most)s) newest) u
CROSS JOIN LATERAL (SELECT folder_id FROM mailsync_placement WHERE message_id = u.message_id LIMIT 100) p
GROUP BY b.id, p.folder_id
"""
# Whoever has access but the owner: by a grant of their own or of their department.
_PEOPLE = """
(SELECT e.id FROM mailsync_mailbox b JOIN mailsync_mailboxgrant g ON g.mailbox_id = b.id
 JOIN accounts_employee e ON e.id = g.employee_id OR e.department_id = g.department_id
 WHERE b.id = %(mailbox)s AND e.is_active AND e.id <> b.owner_id GROUP BY e.id) e
"""
_WRITE = "INSERT INTO mailsync_unread (account_id, employee_id, mailbox_id, message_id, received_at)"
_ARRIVED = f"""{_WRITE}
SELECT m.account_id, e.id, m.mailbox_id, m.id, m.received_at FROM unnest(%(ids)s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT account_id, mailbox_id, id, received_at, ages_from FROM mailsync_message
                    WHERE id = k.id LIMIT 1) m
CROSS JOIN {_PEOPLE}
WHERE m.ages_from > %(since)s
ON CONFLICT (message_id, employee_id) DO NOTHING
"""  # noqa: S608 (constants)
# What is unread for all becomes unread for each. `since`: what came before has kept its state from the last time.
_BEGIN = f"""{_WRITE}
SELECT m.account_id, e.id, m.mailbox_id, m.id, m.received_at FROM (
    SELECT DISTINCT message_id FROM (
        SELECT q.message_id FROM mailsync_folder f CROSS JOIN LATERAL (
            SELECT message_id, received_at FROM mailsync_placement WHERE folder_id = f.id AND NOT seen
            ORDER BY received_at DESC, id DESC LIMIT %(most)s) q
        WHERE f.mailbox_id = %(mailbox)s AND f.special_use <> ALL(%(ours)s)
        ORDER BY q.received_at DESC LIMIT %(most)s) newest) k
CROSS JOIN LATERAL (SELECT account_id, mailbox_id, id, received_at, stored_at FROM mailsync_message
                    WHERE id = k.message_id LIMIT 1) m
CROSS JOIN {_PEOPLE}
WHERE (%(since)s::timestamptz IS NULL OR m.stored_at > %(since)s) AND coalesce(e.id = %(only)s, true)
ON CONFLICT (message_id, employee_id) DO NOTHING
"""  # noqa: S608
_MAILBOXES_OF = """
SELECT DISTINCT m.mailbox_id FROM unnest(%(ids)s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT mailbox_id FROM mailsync_message WHERE id = k.id LIMIT 1) m
"""
_READ = "DELETE FROM mailsync_unread WHERE message_id = ANY(%(ids)s) AND employee_id = %(reader)s RETURNING message_id"
_UNREAD = f"""{_WRITE}
SELECT m.account_id, %(reader)s, m.mailbox_id, m.id, m.received_at FROM unnest(%(ids)s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT account_id, mailbox_id, id, received_at FROM mailsync_message WHERE id = k.id LIMIT 1) m
ON CONFLICT (message_id, employee_id) DO NOTHING RETURNING message_id
"""  # noqa: S608


def is_unread(message_id: str, reader: str) -> str:
    """SQL: true, or NULL where this reader has read it; the arguments are SQL, too."""
    return (
        "(SELECT true FROM mailsync_unread own "  # noqa: S608 (names of ours)
        f"WHERE own.message_id = {message_id} AND own.employee_id = {reader} LIMIT 1)"
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """By folder, how much a reader has not read; `more`: the mailboxes where only the newest MOST were counted."""

    unseen: Mapping[int, int]
    more: Collection[int]


def count(reader: int, mailbox_ids: Sequence[int]) -> Counted:
    """For the tree: never more than MOST rows a mailbox, however much somebody has left unread."""
    if not mailbox_ids:
        return Counted({}, ())
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, {"reader": reader, "mailboxes": list(mailbox_ids), "most": MOST})
        rows = cursor.fetchall()
    return Counted(
        {folder: n for _box, folder, n, _more in rows}, {box for box, _folder, _n, more in rows if more}
    )


# What happens to mail


def arrived(folder: Folder, message_ids: Iterable[int], since: datetime) -> None:
    """Messages that were not here before are unread for everybody with access. In the transaction that stores them.

    `since` is the mailbox's read_apart_since: what it was received before is history that is being fetched.
    """
    if folder.special_use not in OURS:
        _run(_ARRIVED, ids=list(message_ids), mailbox=folder.mailbox_id, since=since - _CLOCKS)


def mark(message_ids: Collection[int], *, read: bool, by: Employee) -> list[int]:
    """Read or unread for `by` alone; returns the messages for which that is new. Callers have checked the rights.

    Messages that have left are left out; the others wait for us before they leave.
    """
    ids = list(message_ids)
    schedule.lock(mailbox for (mailbox,) in _run(_MAILBOXES_OF, ids=ids))
    changed = [message for (message,) in _run(_READ if read else _UNREAD, ids=ids, reader=by.pk)]
    if changed:
        live.tell_reader(by.pk)
    return changed


def restore(undo: Mapping[str, Any], *, by: Employee) -> int:
    """Make read and unread again what an Act's `undo` says; returns for how many messages that is new."""
    words = [word for word in ("read", "unread") if word in undo]
    return sum(len(mark(undo[word], read=word == "read", by=by)) for word in words)


# What happens to people


def forget(mailbox_id: int, employee_ids: Collection[int]) -> None:
    """They lost their access, or own the mailbox now."""
    schedule.lock([mailbox_id])
    Unread.objects.filter(mailbox=mailbox_id, employee__in=employee_ids).delete()


def keep(mailbox_id: int, before: Employee) -> None:
    """Who owned the mailbox goes on with what was their state, the server's, as one of their own."""
    schedule.lock([mailbox_id])
    if Mailbox.objects.filter(pk=mailbox_id, read_apart_since__isnull=False).exists():
        _begin(mailbox_id, only=before.pk)


# The setting


@transaction.atomic
def switch(mailbox: Mailbox, *, apart: bool, by: Employee) -> bool:
    """Give each person a state of their own, or make \\Seen everybody's again; False where it is so already.

    What is unread for all stays unread for each, the newest MOST of it. Switched off by mistake and on again within
    SECOND_THOUGHTS, everybody has what they had.
    """
    schedule.lock([mailbox.pk])
    now = timezone.now()
    row = Mailbox.objects.get(pk=mailbox.pk)
    if bool(row.read_apart_since) == apart:
        return False
    if apart:
        Mailbox.objects.filter(pk=row.pk).update(read_apart_since=now, read_apart_until=None)
        _begin(row.pk, since=row.read_apart_until)
    else:
        Mailbox.objects.filter(pk=row.pk).update(read_apart_since=None, read_apart_until=now)
    verb = "mailbox.read_apart" if apart else "mailbox.read_together"
    audit.record(verb, row.address, account_id=row.account_id, by=by)
    live.tell(row.pk)
    return True


def begin_anew(mailbox_id: int) -> None:
    """Mail of the past is going to be fetched again: it is unread for nobody."""
    apart = Mailbox.objects.filter(pk=mailbox_id, read_apart_since__isnull=False)
    apart.update(read_apart_since=timezone.now())


def would_stay(mailbox: Mailbox) -> int:
    """How many messages that are unread for all would stay unread for each, if the setting were switched on."""
    counted = mailbox.folders.exclude(special_use__in=OURS).aggregate(n=Sum("unseen"))
    return min(counted["n"] or 0, MOST)


def drop_old(now: datetime) -> int:
    """Forget the states of mailboxes whose setting was switched off long enough ago, in all accounts."""
    gone = 0
    for account_id in Account.objects.values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            over = Mailbox.objects.filter(account_id=account_id, read_apart_until__lt=now - SECOND_THOUGHTS)
            ids = list(over.values_list("pk", flat=True))
            schedule.lock(ids)
            # Again: somebody may have had second thoughts just now.
            over = over.filter(pk__in=ids)
            gone += Unread.objects.filter(mailbox__in=over).delete()[0]
            over.update(read_apart_until=None)
    return gone


def _begin(mailbox_id: int, *, since: datetime | None = None, only: int | None = None) -> None:
    _run(_BEGIN, mailbox=mailbox_id, since=since, only=only, ours=list(OURS), most=MOST)


def _run(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []
