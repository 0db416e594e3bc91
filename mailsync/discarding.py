"""Removing our copies: of what a person let go (a mailbox disconnected, a folder switched off, a task deleted), and of
what is too old (retention).

Never reaches the mail server. What somebody above mail holds (MessageQuerySet.free) stays. Restartable at any point:
each batch is one transaction and asks anew what leaves.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache

from django.db import connection, models
from django.db.models import Exists, ManyToOneRel, OuterRef, Q, QuerySet
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account
from mailsync import schedule
from mailsync.actions import remove_placements
from mailsync.giving_way import give_way
from mailsync.models import (
    OPEN,
    Mailbox,
    Message,
    Operation,
    OperationKind,
    OperationState,
    Placement,
    Tombstone,
)
from mailsync.models.message import MessageQuerySet

BATCH = 500
RUN_SECONDS = 200  # of a job, which is killed later
# Messages that a few milliseconds suffice for: to remove what hangs on them; themselves, which takes longer because ten
# tables are asked whether they know them.
SLICE, PART = 300, 30
_OPERATIONS = """SELECT o.id FROM mailsync_placement p JOIN mailsync_operation o ON o.placement_id = p.id
WHERE p.message_id IN (SELECT unnest(%s::bigint[]))"""
_DELETE = "DELETE FROM mailsync_message WHERE id IN (SELECT unnest(%s::bigint[]))"
_LOCK_FOLDERS = """
SELECT FROM mailsync_folder WHERE id IN (SELECT folder_id FROM mailsync_placement WHERE message_id = ANY(%s))
ORDER BY id FOR UPDATE
"""
_LOCK_ALL_FOLDERS = "SELECT FROM mailsync_folder WHERE mailbox_id = %s ORDER BY id FOR UPDATE"


def discard(message_ids: Collection[int], *, reason: str) -> list[int]:
    """Drop our copies in the running transaction and bury them, so that no sync brings them back.

    The server keeps its own. Returns the ids that went: a message that something still holds stays as it is.
    """
    mailboxes = lock(message_ids)
    leaving = _lock_free(message_ids)
    # A run that has planned with them would write what it planned: it ends, and the next one plans anew.
    schedule.interrupt(mailboxes)
    _bury(leaving, reason)
    _delete(leaving)
    return leaving


def lock(message_ids: Collection[int]) -> list[int]:
    """Hold what a discard needs: mailboxes, then folders, as every other writer of mail, then the messages.

    For those who lock rows above mail, too: theirs come after these. Returns the mailboxes.
    """
    mailboxes = Message.objects.filter(pk__in=message_ids).values_list("mailbox_id", flat=True)
    ids = sorted(set(mailboxes))
    schedule.lock(ids)
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_FOLDERS, [list(message_ids)])
    _lock_free(message_ids)
    return ids


def among(ids: Collection[int]) -> RawSQL:
    """For `…__in`: the ids as one array. As a list each would be a parameter that the ORM looks at several times."""
    return RawSQL("SELECT unnest(%s::bigint[])", [_as_text(ids)])


def _as_text(ids: Collection[int]) -> str:
    """An array as PostgreSQL reads it: the driver would write each number by itself, and the parser read it so."""
    return f"{{{','.join(map(str, ids))}}}"


def hold(mailbox_id: int, messages: MessageQuerySet) -> MessageQuerySet:
    """What `lock` does, for messages of one mailbox, which is locked; but nobody is waited for: a message that somebody
    is binding at this moment is left out. Held is what is read of the result."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_ALL_FOLDERS, [mailbox_id])
    return messages.select_for_update(skip_locked=True)


def remove(message_ids: Sequence[int], *, buried: Collection[int], reason: str) -> None:
    """Delete messages that are held and free, in the running transaction; part by part, giving way to people.

    `buried` are those of them that a sync could bring back: they get a tombstone, and a run that knows them ends.
    """
    if buried:
        boxes = Message.objects.filter(pk__in=among(buried)).values_list("mailbox_id", flat=True)
        schedule.interrupt(set(boxes))
        _bury(buried, reason)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or all checks would come at once, with the commit
    _delete(message_ids, between=give_way)


def drop(message_ids: Iterable[int]) -> int:
    """Delete those of the messages that nothing holds, in the running transaction; returns how many went.

    Without a tombstone: for mail that no sync can bring back.
    """
    leaving = _lock_free(message_ids)
    _delete(leaving)
    return len(leaving)


def discard_let_go(account_id: int, mailbox_id: int, *, seconds: float = RUN_SECONDS) -> int:
    """Discard in batches until nothing of it is left, or the time is over and the next worker is hinted; returns how
    many rows went."""
    gone, until = 0, time.monotonic() + seconds
    while batch := _discard_batch(account_id, mailbox_id):
        gone += batch
        if time.monotonic() > until:
            schedule.hint_discarding(account_id, mailbox_id)
            break
    return gone


def hint_everywhere() -> None:
    """Hint workers once more at the mailboxes, of every account, that have let go what is still here: a hint may be
    lost, and a worker may die."""
    for account_id in Account.objects.order_by("pk").values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            for mailbox_id in _with_leavings().values_list("pk", flat=True):
                schedule.hint_discarding(account_id, mailbox_id)


def _with_leavings() -> QuerySet[Mailbox]:
    loose = Message.objects.filter(mailbox=OuterRef("pk")).free()
    shown = Placement.objects.filter(folder__mailbox=OuterRef("pk"))
    gone = Q(disconnected_at__isnull=False) & (Exists(loose) | Exists(shown))
    return Mailbox.objects.filter(gone | Exists(_switched_off(shown)))


def _lock_free(message_ids: Iterable[int]) -> list[int]:
    """A link that is being made holds its message: it is waited for here, and counts once it is there."""
    asked = Message.objects.filter(pk__in=list(message_ids)).order_by("pk")
    locked = list(asked.select_for_update().values_list("pk", flat=True))
    return list(Message.objects.filter(pk__in=locked).free().values_list("pk", flat=True))


def _bury(message_ids: Collection[int], reason: str) -> None:
    columns = ("account_id", "mailbox_id", "identity", "header_hash", "received_at")
    rows = Message.objects.filter(pk__in=among(message_ids)).values(*columns)
    Tombstone.objects.bulk_create([Tombstone(reason=reason, **row) for row in rows], ignore_conflicts=True)


def _delete(message_ids: Sequence[int], *, between: Callable[[], None] = lambda: None) -> None:
    """What hangs on the messages goes with them or forgets them, as its key says. By hand: the ORM would load every
    message first, and ask once for each key."""
    _let_go(message_ids)
    with connection.cursor() as cursor:
        for together in _parts(message_ids, SLICE):
            between()
            cursor.execute(_hanging(), {"ids": _as_text(together)})
            for part in _parts(together, PART):
                between()
                cursor.execute(_DELETE, [_as_text(part)])


def _parts(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (ids[first : first + size] for first in range(0, len(ids), size))


def _let_go(message_ids: Collection[int]) -> None:
    """A mark that waits for the UID of a placement waits for nothing now; what has a UID still goes to the server."""
    with connection.cursor() as cursor:
        cursor.execute(_OPERATIONS, [_as_text(message_ids)])
        ids = [pk for (pk,) in cursor.fetchall()]
    if not ids:
        return
    operations = Operation.objects.filter(pk__in=ids)
    operations.filter(uid=None, kind=OperationKind.FLAG, state=OperationState.PENDING).update(
        state=OperationState.VOID, finished_at=timezone.now()
    )
    operations.update(placement=None)


@cache
def _hanging() -> str:
    """A statement for each key to a message that does not hold it, one after the other."""
    acts = {models.CASCADE: "DELETE FROM {table}", models.SET_NULL: "UPDATE {table} SET {column} = NULL"}
    statements = []
    for relation in Message._meta.get_fields(include_hidden=True):
        if isinstance(relation, ManyToOneRel) and relation.on_delete in acts:
            act = acts[relation.on_delete] + " WHERE {column} IN (SELECT unnest(%(ids)s::bigint[]))"
            names = {"table": relation.related_model._meta.db_table, "column": relation.field.column}
            statements.append(act.format(**names))
    return "; ".join(statements)


def _discard_batch(account_id: int, mailbox_id: int) -> int:
    with tenancy.acting_for(account_id):
        # Between the question and the deletion no run places what is in no folder, and no reconnecting begins.
        schedule.lock([mailbox_id])
        mailbox = Mailbox.objects.filter(pk=mailbox_id).first()
        if mailbox is None:
            return 0
        return _discard_messages(mailbox) if mailbox.disconnected_at else _discard_placements(mailbox)


def _discard_messages(mailbox: Mailbox) -> int:
    """What is held stays, in no folder: a mailbox that comes back places it anew."""
    batch = list(mailbox.messages.free().values_list("pk", flat=True)[:BATCH])
    if batch:
        return drop(batch)
    held = list(Placement.objects.filter(folder__mailbox=mailbox).values_list("pk", flat=True)[:BATCH])
    remove_placements(held)
    return 0 if len(held) < BATCH else len(held)


def _switched_off(placements: QuerySet[Placement]) -> QuerySet[Placement]:
    """Those in folders that are not synchronised; but what is on its way there stays until the server has answered."""
    moves = Operation.objects.filter(placement=OuterRef("pk"), state__in=OPEN, kind=OperationKind.MOVE)
    return placements.filter(~Exists(moves), folder__syncing=False)


def _discard_placements(mailbox: Mailbox) -> int:
    """Of folders that are switched off; a message stays while another folder shows it, or something holds it."""
    off = Placement.objects.filter(folder__mailbox=mailbox)
    batch = list(_switched_off(off).values_list("pk", "message_id")[:BATCH])
    remove_placements([placement for placement, _ in batch])
    elsewhere = Placement.objects.filter(message=OuterRef("pk"))
    nowhere = Message.objects.filter(~Exists(elsewhere), pk__in={message for _, message in batch})
    drop(nowhere.values_list("pk", flat=True))
    return len(batch)
