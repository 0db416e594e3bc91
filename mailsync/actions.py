"""What an employee does to mail: shown at once, written down as Operations for the server, undoable.

Callers have checked the rights (access.py). Every verb is one transaction and locks the mailboxes' schedules,
then the folders, each in order, as the engine does: so no two of them can deadlock and no pull can slip between
the screen and the intention.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import prepared
from accounts.models import Employee
from mailsync import access, assigning, events, schedule, unread
from mailsync.levels import LEVEL_OF
from mailsync.models import (
    Act,
    Folder,
    GrantLevel,
    Mailbox,
    Message,
    Operation,
    OperationKind,
    OperationState,
    Placement,
    SpecialUse,
)

# Ids, or a query that finds them.
Placements = QuerySet[Placement] | Sequence[int]
_FOLDERS_OF = """
SELECT id, mailbox_id FROM mailsync_folder
WHERE id = ANY(%(also)s) OR id IN (SELECT folder_id FROM mailsync_placement WHERE id = ANY(%(ids)s))
"""
_MESSAGES_AT = "SELECT DISTINCT message_id FROM mailsync_placement WHERE id = ANY(%(ids)s)"
_MAILBOXES_OF = """
SELECT mailbox_id FROM mailsync_folder WHERE id IN (SELECT folder_id FROM mailsync_placement WHERE id = ANY(%(ids)s))
UNION SELECT mailbox_id FROM mailsync_message WHERE id = ANY(%(messages)s)
"""
_LOCK_FOLDERS = "SELECT FROM mailsync_folder WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_LOCK_PLACEMENTS = """
SELECT p.id, p.folder_id, p.uid, p.flags, f.mailbox_id, f.special_use
FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
WHERE p.id = ANY(%(ids)s) AND p.folder_id = ANY(%(folders)s) FOR UPDATE OF p
"""
_WRITE_DOWN = """
INSERT INTO mailsync_operation (account_id, mailbox_id, kind, state, folder_id, uidvalidity, uid, received_at,
                                header_hash, add, remove, target_id, placement_id, by_id, tries, error, created_at)
SELECT f.account_id, f.mailbox_id, %(kind)s::text, 'pending', f.id, f.uidvalidity, p.uid, p.received_at,
       m.header_hash, '{}', '{}', %(target)s, CASE WHEN %(kind)s = 'move' THEN p.id END, %(by)s, 0, '', now()
FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id JOIN mailsync_message m ON m.id = p.message_id
WHERE p.id = ANY(%(ids)s) ORDER BY p.id
"""
# On screen and for the server in one statement. Sorted as Python sorts, whatever the collation of the database.
# What was asked for while the UID was not known goes to the server after this, and must not overrule it.
_FLAG = """
WITH shown AS (
    UPDATE mailsync_placement SET flags = ARRAY(
        SELECT flag FROM (SELECT unnest(flags) EXCEPT SELECT unnest(%(remove)s::text[])
                          UNION SELECT unnest(%(add)s::text[])) AS wanted(flag) ORDER BY flag COLLATE "C")
    WHERE id = ANY(%(ids)s)),
overruled AS (
    UPDATE mailsync_operation SET
        add = ARRAY(SELECT unnest(add) EXCEPT SELECT unnest(%(remove)s::text[])),
        remove = ARRAY(SELECT unnest(remove) EXCEPT SELECT unnest(%(add)s::text[])),
        state = CASE WHEN add <@ %(remove)s::text[] AND remove <@ %(add)s::text[] THEN 'void' ELSE state END,
        finished_at = CASE WHEN add <@ %(remove)s::text[] AND remove <@ %(add)s::text[] THEN now() END
    WHERE kind = 'flag' AND state = 'pending' AND uid IS NULL
      AND placement_id IN (SELECT id FROM mailsync_placement WHERE id = ANY(%(ids)s) AND uid IS NOT NULL))
INSERT INTO mailsync_operation (account_id, mailbox_id, kind, state, folder_id, uidvalidity, uid, received_at,
                                header_hash, add, remove, placement_id, by_id, tries, error, created_at)
SELECT f.account_id, f.mailbox_id, 'flag', 'pending', f.id, f.uidvalidity, p.uid, p.received_at,
       m.header_hash, %(add)s, %(remove)s, p.id, %(by)s, 0, '', now()
FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id JOIN mailsync_message m ON m.id = p.message_id
WHERE p.id = ANY(%(ids)s) AND p.uid IS NOT NULL
ON CONFLICT (folder_id, uid, kind) WHERE state = 'pending' AND uid IS NOT NULL DO UPDATE SET
    add = ARRAY(SELECT unnest(mailsync_operation.add || excluded.add) EXCEPT SELECT unnest(excluded.remove)),
    remove = ARRAY(SELECT unnest(mailsync_operation.remove || excluded.remove) EXCEPT SELECT unnest(excluded.add)),
    placement_id = excluded.placement_id, by_id = excluded.by_id,
    received_at = excluded.received_at, header_hash = excluded.header_hash
"""
_STILL_MOVING = gettext_lazy("The last move of this message is still under way. Try again in a moment.")
_REMEMBER = """
INSERT INTO mailsync_act (account_id, by_id, verb, count, undo, at) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A placement under its lock, with what its folder says of it."""

    id: int
    folder_id: int
    uid: int | None
    flags: frozenset[str]
    mailbox_id: int
    role: str


class CannotMove(Exception):
    """Nothing was moved; the text is a sentence for people."""


class NoSuchFolder(CannotMove):
    """The mailbox has no folder with the role that the verb needs."""


@transaction.atomic(savepoint=False)
def set_flags(
    placements: Placements, *, add: Iterable[str] = (), remove: Iterable[str] = (), by: Employee
) -> Act:
    """Add and remove flags ("\\\\Seen", "\\\\Flagged") where they differ; the Act undoes exactly those."""
    plus, minus = frozenset(add), frozenset(remove)
    changed: dict[tuple[frozenset[str], frozenset[str]], list[Row]] = defaultdict(list)
    for row in _locked(placements):
        lost, gained = (row.flags & minus) - plus, plus - row.flags
        if lost or gained:
            changed[lost, gained].append(row)
    rows = [row for group in changed.values() for row in group]
    if rows:
        _reflag(rows, plus, minus, by)
    undo = [
        {"add": sorted(lost), "remove": sorted(gained), "placements": [row.id for row in group]}
        for (lost, gained), group in changed.items()
    ]
    return _act("flag", len(rows), by, flags=undo)


@transaction.atomic
def mark_apart(own: Sequence[int], shared: Sequence[int], *, read: bool, by: Employee) -> Act:
    """Read or unread for `by` alone at the places in `own`, and by \\Seen at the others, as one Act."""
    messages = [message for (message,) in _asked(_MESSAGES_AT, ids=own)]
    _lock_mailboxes([*own, *shared], messages)
    seen = ["\\Seen"]
    act = set_flags(shared, add=seen if read else (), remove=() if read else seen, by=by)
    if changed := unread.mark(messages, read=read, by=by):
        act.count += len(changed)
        act.undo["unread" if read else "read"] = changed
        act.save(update_fields=["count", "undo"])
    return act


@transaction.atomic
def move(placements: Placements, target: Folder, *, by: Employee) -> Act:
    """Move to a folder of the same mailbox. Raises CannotMove when that is impossible for every message."""
    if not target.selectable:
        raise CannotMove(_("“%(folder)s” cannot hold messages.") % {"folder": target.path})
    rows = _locked(placements, also=[target.pk])
    here = [row for row in rows if row.mailbox_id == target.mailbox_id and row.folder_id != target.pk]
    if rows and not here:
        if any(row.mailbox_id != target.mailbox_id for row in rows):
            raise CannotMove(_("Messages can only be moved within their own mailbox."))
        return _act("move", 0, by)
    return _moved("move", {target: here}, by)


@transaction.atomic
def archive(placements: Placements, *, by: Employee) -> Act:
    """To the Archive of each message's own mailbox. Raises NoSuchFolder."""
    return _to_role("archive", placements, SpecialUse.ARCHIVE, by)


@transaction.atomic
def trash(placements: Placements, *, by: Employee) -> Act:
    """To the Trash of each message's own mailbox. Raises NoSuchFolder."""
    return _to_role("trash", placements, SpecialUse.TRASH, by)


@transaction.atomic
def spam(placements: Placements, *, by: Employee) -> Act:
    """To the Junk folder of each message's own mailbox. Raises NoSuchFolder."""
    return _to_role("spam", placements, SpecialUse.JUNK, by)


@transaction.atomic
def not_spam(placements: Placements, *, by: Employee) -> Act:
    """Back to the INBOX of each message's own mailbox."""
    return _to_role("not spam", placements, SpecialUse.INBOX, by)


@transaction.atomic
def expunge(placements: Placements, *, by: Employee) -> Act:
    """Remove for good, here at once and on the server: only from Trash or Junk, without undo.

    Raises CannotMove, also where each of them is still on its way there.
    """
    rows = _locked(placements)
    if any(row.role not in {SpecialUse.TRASH, SpecialUse.JUNK} for row in rows):
        raise CannotMove(_("Only messages in Trash or Spam can be removed for good."))
    # Where folders are labels on one store (\All, as at Gmail), a mail can only be removed out of the Trash itself.
    labels = Folder.objects.filter(mailbox__in={row.mailbox_id for row in rows}, special_use=SpecialUse.ALL)
    labelled = set(labels.values_list("mailbox_id", flat=True))
    # Moved here a moment ago and not yet told: remove it where the server still has it.
    moves = _open_moves([row for row in rows if row.mailbox_id not in labelled])
    Operation.objects.filter(pk__in=[move.pk for move in moves.values()]).update(
        kind=OperationKind.EXPUNGE, target=None, placement=None
    )
    _write_down(OperationKind.EXPUNGE, [row for row in rows if row.uid is not None], by)
    # One whose UID is not known yet stays until the server has told.
    gone = [row for row in rows if row.uid is not None or row.id in moves]
    if rows and not gone:
        raise CannotMove(_STILL_MOVING)
    events.expunged([row.id for row in gone], by_id=by.pk)
    remove_placements([row.id for row in gone])
    _wake(gone)
    return _act("expunge", len(gone), by)


@transaction.atomic
def undo(act: Act, *, by: Employee) -> Act:
    """Take an Act back, once, by whoever did it and still may; what has left meanwhile stays where it is.

    Raises CannotMove, also where some of it is on its way to the server, or nothing is left to take back.
    """
    mine = Act.objects.filter(pk=act.pk, by=by, undone_at=None).exclude(undo={})
    if not mine.update(undone_at=timezone.now()):
        raise CannotMove(_("This cannot be undone any more."))
    count = 0
    _lock_all(act)
    _refuse_without_right(act, by)
    for change in act.undo.get("flags", ()):
        rows = Placement.objects.filter(pk__in=change["placements"])
        count += set_flags(rows, add=change["add"], remove=change["remove"], by=by).count
    for folder_id, ids in act.undo.get("moves", {}).items():
        target = Folder.objects.filter(pk=folder_id, deleting=False).first()
        if target:
            there = Placement.objects.filter(pk__in=ids, folder__in=act.undo.get("to", ()))
            still_there = list(there.values_list("pk", flat=True))
            moved = move(still_there, target, by=by).count
            if moved < len(still_there):
                raise CannotMove(_STILL_MOVING)
            count += moved
    count += assigning.restore(act.undo, by=by) + unread.restore(act.undo, by=by)
    if not count:
        raise CannotMove(
            _("Nothing is left to undo: these messages are elsewhere now, or were changed since.")
        )
    return _act("undo", count, by)


def remove_placements(ids: Sequence[int]) -> None:
    """Drop placements in the running transaction; messages without any other are marked unplaced."""
    messages = list(Placement.objects.filter(pk__in=ids).values_list("message_id", flat=True))
    # A flag that waits for the UID of one of them would wait for ever.
    for_uid = Q(uid=None, kind=OperationKind.FLAG, state=OperationState.PENDING)
    Operation.objects.filter(placement__in=ids).update(
        placement=None,
        state=Case(When(for_uid, then=Value(OperationState.VOID)), default=F("state")),
        finished_at=Case(When(for_uid, then=Value(timezone.now())), default=F("finished_at")),
    )
    Placement.objects.filter(pk__in=ids)._raw_delete("default")
    Message.objects.filter(pk__in=messages, unplaced_since=None, placements=None).update(
        unplaced_since=timezone.now()
    )


def _to_role(verb: str, placements: Placements, role: SpecialUse, by: Employee) -> Act:
    ids = _ids(placements)
    mailbox_ids = set(Folder.objects.filter(placements__in=ids).values_list("mailbox_id", flat=True))
    targets = {f.mailbox_id: f for f in Folder.objects.filter(mailbox__in=mailbox_ids, special_use=role)}
    if role == SpecialUse.ARCHIVE:
        # Gmail has no Archive: what is in no other folder is in All Mail, where we keep it in step.
        whole = Folder.objects.filter(mailbox__in=mailbox_ids, special_use=SpecialUse.ALL, syncing=True)
        targets = {f.mailbox_id: f for f in whole} | targets
    for mailbox in Mailbox.objects.filter(pk__in=mailbox_ids - targets.keys()):
        raise NoSuchFolder(
            _("%(mailbox)s has no folder “%(role)s”. Choose one in its settings.")
            % {"mailbox": mailbox.address, "role": role.label}
        )
    rows = _locked(ids, also=[folder.pk for folder in targets.values()])
    wanted: dict[Folder, list[Row]] = defaultdict(list)
    for row in rows:
        target = targets[row.mailbox_id]
        if row.folder_id != target.pk:
            wanted[target].append(row)
    return _moved(verb, wanted, by)


def _moved(verb: str, wanted: dict[Folder, list[Row]], by: Employee) -> Act:
    sources: dict[int, list[int]] = defaultdict(list)
    for target, rows in wanted.items():
        for row in _shift(rows, target, by):
            sources[row.folder_id].append(row.id)
    count = sum(len(ids) for ids in sources.values())
    if not count and any(wanted.values()):
        raise CannotMove(_STILL_MOVING)
    _wake(wanted)
    return _act(
        verb,
        count,
        by,
        moves={str(folder): ids for folder, ids in sources.items()},
        to=[folder.pk for folder in wanted] if count else [],
    )


def _shift(rows: list[Row], target: Folder, by: Employee) -> list[Row]:
    """Move the rows on our side and write the operations; returns those that could be moved."""
    moves = _open_moves(rows)
    plain = [row for row in rows if row.uid is not None]
    redirected = [row for row in rows if row.id in moves]
    events.moved([row.id for row in (*plain, *redirected)], target, by_id=by.pk)
    _write_down(OperationKind.MOVE, plain, by, target)
    Placement.objects.filter(pk__in=[row.id for row in plain]).update(folder=target, uid=None)
    for row in redirected:
        _redirect(row, moves[row.id], target)
    return plain + redirected


def _redirect(row: Row, pending: Operation, target: Folder) -> None:
    """A move that the server has not heard of goes elsewhere, or back: then it never happened."""
    if pending.folder_id == target.pk:
        Operation.objects.filter(pk=pending.pk).update(
            state=OperationState.VOID, finished_at=timezone.now(), placement=None
        )
        Placement.objects.filter(pk=row.id).update(folder=target, uid=pending.uid)
    else:
        Operation.objects.filter(pk=pending.pk).update(target=target)
        Placement.objects.filter(pk=row.id).update(folder=target)


def _reflag(rows: list[Row], add: frozenset[str], remove: frozenset[str], by: Employee) -> None:
    ids = [row.id for row in rows]
    values: dict[str, Any] = {"ids": ids, "add": sorted(add), "remove": sorted(remove), "by": by.pk}
    events.flagged(ids, add=add, remove=remove, by_id=by.pk)
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_FLAG), values)
    moves = _open_moves(rows)
    for row in rows:
        if row.uid is None:
            _record_waiting_flags(row, moves.get(row.id), add, remove, by)
    _wake(rows)


def _record_waiting_flags(
    row: Row, pending: Operation | None, add: frozenset[str], remove: frozenset[str], by: Employee
) -> None:
    """A placement without a UID: flag it where the server still has it, else as soon as the UID is known."""
    earlier = Operation.objects.filter(
        kind=OperationKind.FLAG, state=OperationState.PENDING, placement=row.id
    ).first()
    if earlier:
        earlier.add = sorted((set(earlier.add) - remove) | add)
        earlier.remove = sorted((set(earlier.remove) - add) | remove)
        earlier.save(update_fields=["add", "remove"])
        return
    Operation.objects.create(
        account_id=by.account_id,
        mailbox_id=row.mailbox_id,
        kind=OperationKind.FLAG,
        folder_id=pending.folder_id if pending else row.folder_id,
        uidvalidity=pending.uidvalidity if pending else None,
        uid=pending.uid if pending else None,
        received_at=pending.received_at if pending else None,
        header_hash=pending.header_hash if pending else None,
        add=sorted(add),
        remove=sorted(remove),
        placement_id=row.id,
        by=by,
    )


def _write_down(kind: OperationKind, rows: list[Row], by: Employee, target: Folder | None = None) -> None:
    """One operation for each row, with the coordinates that the server still knows it by: before it is moved here."""
    if rows:
        values: dict[str, Any] = {"kind": kind.value, "ids": [row.id for row in rows], "by": by.pk}
        with connection.cursor() as cursor:
            cursor.execute(prepared.ready(_WRITE_DOWN), values | {"target": target.pk if target else None})


def _open_moves(rows: list[Row]) -> dict[int, Operation]:
    """The moves of these placements of which the server cannot have heard: never tried, or refused."""
    waiting = [row.id for row in rows if row.uid is None]
    if not waiting:
        return {}
    unheard = Q(tries=0) | ~Q(error="")
    pending = Operation.objects.select_for_update().filter(
        unheard, placement__in=waiting, kind=OperationKind.MOVE, state=OperationState.PENDING
    )
    return {op.placement_id: op for op in pending if op.placement_id}


def _placements_of(act: Act) -> tuple[list[int], list[int]]:
    """Those that an undo would flag, and those that it would move."""
    flagged = [pk for change in act.undo.get("flags", ()) for pk in change["placements"]]
    moved = [pk for ids in act.undo.get("moves", {}).values() for pk in ids]
    return flagged, moved


def _refuse_without_right(act: Act, by: Employee) -> None:
    """Who had the right when they did it may have lost it since."""
    flagged, moved = _placements_of(act)
    assigned = list(map(int, act.undo.get("assigned", ())))
    read = [*act.undo.get("read", ()), *act.undo.get("unread", ())]
    touched = {
        LEVEL_OF["star"]: (flagged, assigned),
        LEVEL_OF["move"]: (moved, []),
        GrantLevel.READ: ([], read),
    }
    boxes = access.boxes(by)
    for needed, (placements, messages) in touched.items():
        allowed = {box.id for box in boxes if access.includes(box.level, needed)}
        concerned = _asked(_MAILBOXES_OF, ids=placements, messages=messages)
        if {mailbox for (mailbox,) in concerned} - allowed:
            raise CannotMove(_("You may not do this in the mailbox any more."))


def _lock_all(act: Act) -> None:
    """Everything an undo will touch, at once: taken one by one, two undos could wait for each other."""
    flagged, moved = _placements_of(act)
    if messages := [*act.undo.get("read", ()), *act.undo.get("unread", ())]:
        _lock_mailboxes(flagged, messages)
    _locked([*flagged, *moved], also=map(int, act.undo.get("moves", {})))


def _lock_mailboxes(placements: Sequence[int], messages: Sequence[int]) -> None:
    """All at once and in order, where some are locked for their folders and others for what somebody has read."""
    rows = _asked(_MAILBOXES_OF, ids=placements, messages=messages)
    schedule.lock(mailbox for (mailbox,) in rows)


def _asked(sql: str, **values: Sequence[int]) -> list[tuple[int]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {name: list(ids) for name, ids in values.items()})
        found: list[tuple[int]] = cursor.fetchall()
    return found


def _ids(placements: Placements) -> list[int]:
    if isinstance(placements, QuerySet):
        return list(placements.order_by().values_list("pk", flat=True))
    return list(placements)


def _locked(placements: Placements, also: Iterable[int] = ()) -> list[Row]:
    """The rows, with their mailboxes and folders locked first and in order (the engine's order too)."""
    ids = _ids(placements)
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_FOLDERS_OF), {"ids": ids, "also": list(also)})
        mailbox_of = dict(cursor.fetchall())
        schedule.lock(set(mailbox_of.values()))
        cursor.execute(prepared.ready(_LOCK_FOLDERS), [list(mailbox_of)])
        cursor.execute(prepared.ready(_LOCK_PLACEMENTS), {"ids": ids, "folders": list(mailbox_of)})
        return [
            Row(pk, folder, uid, frozenset(flags), mailbox, role)
            for pk, folder, uid, flags, mailbox, role in cursor.fetchall()
        ]


def _wake(changed: Iterable[Row | Folder]) -> None:
    schedule.wake(*{each.mailbox_id for each in changed})


def _act(verb: str, count: int, by: Employee, **undo: Any) -> Act:
    act = Act(
        account_id=by.account_id, by=by, verb=verb, count=count, undo={k: v for k, v in undo.items() if v}
    )
    with connection.cursor() as cursor:
        cursor.execute(
            prepared.ready(_REMEMBER), [act.account_id, by.pk, verb, count, json.dumps(act.undo), act.at]
        )
        (act.pk,) = cursor.fetchone()
    return act
