"""What an employee does to mail: shown at once, written down as Operations for the server, undoable.

Callers have checked the rights (access.py). Every verb is one transaction and locks the mailboxes' schedules,
then the folders, each in order, as the engine does: so no two of them can deadlock and no pull can slip between
the screen and the intention.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import schedule
from mailsync.models import (
    Act,
    Folder,
    Mailbox,
    Message,
    Operation,
    OperationKind,
    OperationState,
    Placement,
    SpecialUse,
)

Placements = QuerySet[Placement]
MERGE = """
INSERT INTO mailsync_operation (account_id, mailbox_id, kind, state, folder_id, uidvalidity, uid, add, remove,
                                placement_id, by_id, tries, error, created_at)
SELECT f.account_id, f.mailbox_id, 'flag', 'pending', f.id, f.uidvalidity, p.uid, %(add)s, %(remove)s,
       p.id, %(by)s, 0, '', now()
FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
WHERE p.id = ANY(%(ids)s) AND p.uid IS NOT NULL
ON CONFLICT (folder_id, uid, kind) WHERE state = 'pending' AND uid IS NOT NULL DO UPDATE SET
    add = ARRAY(SELECT unnest(mailsync_operation.add || excluded.add) EXCEPT SELECT unnest(excluded.remove)),
    remove = ARRAY(SELECT unnest(mailsync_operation.remove || excluded.remove) EXCEPT SELECT unnest(excluded.add)),
    placement_id = excluded.placement_id, by_id = excluded.by_id
"""


class CannotMove(Exception):
    """Nothing was moved; the text is a sentence for people."""


class NoSuchFolder(CannotMove):
    """The mailbox has no folder with the role that the verb needs."""


@transaction.atomic
def set_flags(
    placements: Placements, *, add: Iterable[str] = (), remove: Iterable[str] = (), by: Employee
) -> Act:
    """Add and remove flags ("\\\\Seen", "\\\\Flagged") where they differ; the Act undoes exactly those."""
    plus, minus = frozenset(add), frozenset(remove)
    undo = []
    mailboxes: set[int] = set()
    count = 0
    for flags, rows in _by_flags(_locked(placements)).items():
        wanted = (flags - minus) | plus
        if wanted == flags:
            continue
        ids = [row.pk for row in rows]
        Placement.objects.filter(pk__in=ids).update(flags=sorted(wanted))
        _record_flags(rows, plus, minus, by)
        undo.append({"add": sorted(flags - wanted), "remove": sorted(wanted - flags), "placements": ids})
        mailboxes |= {row.folder.mailbox_id for row in rows}
        count += len(ids)
    _wake(mailboxes)
    return _act("flag", count, by, flags=undo)


@transaction.atomic
def move(placements: Placements, target: Folder, *, by: Employee) -> Act:
    """Move to a folder of the same mailbox. Raises CannotMove when that is impossible for every message."""
    if not target.selectable:
        raise CannotMove(_("“%(folder)s” cannot hold messages.") % {"folder": target.path})
    rows = _locked(placements, also=[target.pk])
    here = [row for row in rows if row.folder.mailbox_id == target.mailbox_id and row.folder_id != target.pk]
    if rows and not here:
        if any(row.folder.mailbox_id != target.mailbox_id for row in rows):
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
    """Remove for good, here at once and on the server: only from Trash or Junk, without undo."""
    rows = _locked(placements)
    if any(row.folder.special_use not in {SpecialUse.TRASH, SpecialUse.JUNK} for row in rows):
        raise CannotMove(_("Only messages in Trash or Spam can be removed for good."))
    moves = _open_moves(rows)
    gone = []
    operations = []
    for row in rows:
        pending = moves.get(row.pk)
        if row.uid is None and pending is None:
            continue  # its UID is not known yet: it stays until the server has told
        if pending is not None:
            # Moved here a moment ago and not yet told: remove it where the server still has it.
            Operation.objects.filter(pk=pending.pk).update(
                kind=OperationKind.EXPUNGE, target=None, placement=None
            )
        else:
            operations.append(_operation(OperationKind.EXPUNGE, row, by))
        gone.append(row)
    Operation.objects.bulk_create(operations)
    remove_placements([row.pk for row in gone])
    _wake({row.folder.mailbox_id for row in gone})
    return _act("expunge", len(gone), by)


@transaction.atomic
def undo(act: Act, *, by: Employee) -> Act:
    """Take an Act back, once, by whoever did it; what has left meanwhile stays where it is."""
    mine = Act.objects.filter(pk=act.pk, by=by, undone_at=None).exclude(undo={})
    if not mine.update(undone_at=timezone.now()):
        raise CannotMove(_("This cannot be undone any more."))
    count = 0
    _lock_all(act)
    for change in act.undo.get("flags", ()):
        rows = Placement.objects.filter(pk__in=change["placements"])
        count += set_flags(rows, add=change["add"], remove=change["remove"], by=by).count
    for folder_id, ids in act.undo.get("moves", {}).items():
        target = Folder.objects.filter(pk=folder_id).first()
        if target:
            still_there = Placement.objects.filter(pk__in=ids, folder__in=act.undo.get("to", ()))
            count += move(still_there, target, by=by).count
    return _act("undo", count, by)


def remove_placements(ids: Sequence[int]) -> None:
    """Drop placements in the running transaction; messages without any other are marked unplaced."""
    messages = list(Placement.objects.filter(pk__in=ids).values_list("message_id", flat=True))
    Operation.objects.filter(placement__in=ids).update(placement=None)
    Placement.objects.filter(pk__in=ids)._raw_delete("default")
    Message.objects.filter(pk__in=messages, unplaced_since=None, placements=None).update(
        unplaced_since=timezone.now()
    )


def _to_role(verb: str, placements: Placements, role: SpecialUse, by: Employee) -> Act:
    mailbox_ids = set(placements.order_by().values_list("folder__mailbox_id", flat=True).distinct())
    targets = {f.mailbox_id: f for f in Folder.objects.filter(mailbox__in=mailbox_ids, special_use=role)}
    for mailbox in Mailbox.objects.filter(pk__in=mailbox_ids - targets.keys()):
        raise NoSuchFolder(
            _("%(mailbox)s has no folder “%(role)s”. Choose one in its settings.")
            % {"mailbox": mailbox.address, "role": role.label}
        )
    rows = _locked(placements, also=[folder.pk for folder in targets.values()])
    wanted: dict[Folder, list[Placement]] = defaultdict(list)
    for row in rows:
        target = targets[row.folder.mailbox_id]
        if row.folder_id != target.pk:
            wanted[target].append(row)
    return _moved(verb, wanted, by)


def _moved(verb: str, wanted: dict[Folder, list[Placement]], by: Employee) -> Act:
    sources: dict[int, list[int]] = defaultdict(list)
    for target, rows in wanted.items():
        for row in _shift(rows, target, by):
            sources[row.folder_id].append(row.pk)
    count = sum(len(ids) for ids in sources.values())
    if not count and any(wanted.values()):
        raise CannotMove(_("The last move of this message is still under way. Try again in a moment."))
    _wake({folder.mailbox_id for folder in wanted})
    return _act(
        verb,
        count,
        by,
        moves={str(folder): ids for folder, ids in sources.items()},
        to=[folder.pk for folder in wanted] if count else [],
    )


def _shift(rows: list[Placement], target: Folder, by: Employee) -> list[Placement]:
    """Move the rows on our side and write the operations; returns those that could be moved."""
    moves = _open_moves(rows)
    plain = [row for row in rows if row.uid is not None]
    Operation.objects.bulk_create([_operation(OperationKind.MOVE, row, by, target) for row in plain])
    Placement.objects.filter(pk__in=[row.pk for row in plain]).update(folder=target, uid=None)
    redirected = [row for row in rows if row.uid is None and row.pk in moves]
    for row in redirected:
        _redirect(row, moves[row.pk], target)
    return plain + redirected


def _redirect(row: Placement, pending: Operation, target: Folder) -> None:
    """A move that the server has not heard of goes elsewhere, or back: then it never happened."""
    if pending.folder_id == target.pk:
        Operation.objects.filter(pk=pending.pk).update(
            state=OperationState.VOID, finished_at=timezone.now(), placement=None
        )
        Placement.objects.filter(pk=row.pk).update(folder=target, uid=pending.uid)
    else:
        Operation.objects.filter(pk=pending.pk).update(target=target)
        Placement.objects.filter(pk=row.pk).update(folder=target)


def _record_flags(rows: list[Placement], add: frozenset[str], remove: frozenset[str], by: Employee) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            MERGE,
            {"ids": [r.pk for r in rows], "add": sorted(add), "remove": sorted(remove), "by": by.pk},
        )
    waiting = [row for row in rows if row.uid is None]
    moves = _open_moves(waiting)
    for row in waiting:
        _record_waiting_flags(row, moves.get(row.pk), add, remove, by)


def _record_waiting_flags(
    row: Placement, pending: Operation | None, add: frozenset[str], remove: frozenset[str], by: Employee
) -> None:
    """A placement without a UID: flag it where the server still has it, else as soon as the UID is known."""
    where = pending or Operation(folder=row.folder, uidvalidity=None, uid=None)
    earlier = Operation.objects.filter(
        kind=OperationKind.FLAG, state=OperationState.PENDING, placement=row
    ).first()
    if earlier:
        earlier.add = sorted((set(earlier.add) - remove) | add)
        earlier.remove = sorted((set(earlier.remove) - add) | remove)
        earlier.save(update_fields=["add", "remove"])
        return
    operation = _operation(OperationKind.FLAG, row, by)
    operation.folder_id, operation.uidvalidity, operation.uid = where.folder_id, where.uidvalidity, where.uid
    operation.add, operation.remove = sorted(add), sorted(remove)
    operation.save()


def _operation(kind: OperationKind, row: Placement, by: Employee, target: Folder | None = None) -> Operation:
    return Operation(
        account_id=row.account_id,
        mailbox_id=row.folder.mailbox_id,
        kind=kind,
        folder_id=row.folder_id,
        uidvalidity=row.folder.uidvalidity,
        uid=row.uid,
        target=target,
        placement=None if kind == OperationKind.EXPUNGE else row,
        by=by,
    )


def _open_moves(rows: list[Placement]) -> dict[int, Operation]:
    """The moves of these placements that no worker has taken yet."""
    waiting = [row.pk for row in rows if row.uid is None]
    if not waiting:
        return {}
    pending = Operation.objects.select_for_update().filter(
        placement__in=waiting, kind=OperationKind.MOVE, state=OperationState.PENDING
    )
    return {op.placement_id: op for op in pending if op.placement_id}


def _lock_all(act: Act) -> None:
    """Everything an undo will touch, at once: taken one by one, two undos could wait for each other."""
    flagged = [pk for change in act.undo.get("flags", ()) for pk in change["placements"]]
    moved = [pk for ids in act.undo.get("moves", {}).values() for pk in ids]
    _locked(Placement.objects.filter(pk__in=[*flagged, *moved]), also=map(int, act.undo.get("moves", {})))


def _locked(placements: Placements, also: Iterable[int] = ()) -> list[Placement]:
    """The rows, with their mailboxes and folders locked first and in order (the engine's order too)."""
    ids = {*placements.order_by().values_list("folder_id", flat=True).distinct(), *also}
    schedule.lock(Folder.objects.filter(pk__in=ids).values_list("mailbox_id", flat=True))
    folders = {f.pk: f for f in Folder.objects.select_for_update().filter(pk__in=ids).order_by("pk")}
    rows = list(
        Placement.objects.select_for_update().filter(
            pk__in=placements.order_by().values("pk"), folder__in=folders
        )
    )
    for row in rows:
        row.folder = folders[row.folder_id]
    return rows


def _by_flags(rows: list[Placement]) -> dict[frozenset[str], list[Placement]]:
    groups: dict[frozenset[str], list[Placement]] = defaultdict(list)
    for row in rows:
        groups[frozenset(row.flags)].append(row)
    return groups


def _wake(mailbox_ids: Iterable[int]) -> None:
    for mailbox_id in sorted(mailbox_ids):
        schedule.wake(mailbox_id)


def _act(verb: str, count: int, by: Employee, **undo: Any) -> Act:
    return Act.objects.create(
        account_id=by.account_id, by=by, verb=verb, count=count, undo={k: v for k, v in undo.items() if v}
    )
