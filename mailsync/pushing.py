"""Push: carry the employees' operations to the server: folders made and renamed, then flags, moves and removals,
then folders deleted, each in order.

An operation is taken by a conditional UPDATE (pending → sending), sent, and settled. A worker that dies in
between leaves it "sending"; the next run sends it again, which is harmless: flags are added and removed, never
replaced, a UID that has moved is no longer there, and a repeated COPY first looks into the target.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from mailsync import events, folderpush, folders, letterpush, moving, replica, schedule
from mailsync.actions import remove_placements
from mailsync.imap.errors import CommandRefused, FolderGone, NoRoom, NotUnderstood
from mailsync.imap.server import Opened
from mailsync.importing import header_hash
from mailsync.models import (
    FOLDER_KINDS,
    OPEN,
    Folder,
    Message,
    Operation,
    OperationKind,
    OperationState,
    Placement,
    SpecialUse,
)
from mailsync.models.folder import to_be_compared
from mailsync.run import OutOfTime, Run
from mailsync.sync.plan import only_here
from mailsync.sync.state import RemoteMessage

MOST_TRIES = 20
NO_ROOM_WAIT, MOST_NO_ROOM_WAIT = timedelta(minutes=2), timedelta(hours=6)
MOST_AGE = timedelta(days=7)
GROUP = 5_000
MOST_VOUCHING = 500  # operations whose UIDs are looked at beside those of the group
LOOK_EVERY = 0.5  # seconds
ORDER = (OperationKind.FLAG, OperationKind.MOVE, OperationKind.EXPUNGE)


@dataclass(frozen=True, slots=True)
class Group:
    """Operations that one command can carry: same kind, folder, flags or target."""

    kind: str
    folder: Folder
    target: Folder | None
    add: tuple[str, ...]
    remove: tuple[str, ...]
    operations: tuple[Operation, ...]

    @property
    def ids(self) -> list[int]:
        return [operation.pk for operation in self.operations]

    @property
    def uids(self) -> list[int]:
        return [operation.uid for operation in self.operations if operation.uid is not None]


def has_work(mailbox_id: int) -> bool:
    """Whether there is anything that the server has not heard of; inside a transaction of the account."""
    return Operation.objects.filter(mailbox=mailbox_id, state__in=OPEN).exists()


def revive(run: Run) -> None:
    """What a worker left half sent is pending again; where the employee acted meanwhile, the newer one stands."""
    with replica.writing(run.lease):
        _make_pending(Operation.objects.filter(mailbox=run.mailbox_id, state=OperationState.SENDING))


def push(run: Run) -> int:
    """Send everything that is pending; returns how many operations the server has taken.

    Folders only until they are listed: the rest of the run goes by the names that it has then.

    A refusal rolls its effect back on screen, with a notice. Raises what ends a session (Broken, Unreachable),
    with the operations pending again.
    """
    _fill_coordinates(run)
    done = 0
    while group := _take(run):
        run.tried.update(group.ids)
        try:
            new_uids = _send(run, group)
        except replica.OtherMail:
            replica.read_anew(run.lease, group.folder)
            if run.folders_listed:
                raise OutOfTime from None  # a pull that is under way knows the UIDs of before
        except (CommandRefused, FolderGone) as error:
            _refused(run, group, error)
        except Exception:
            _put_back(run, group)
            raise
        else:
            _settle(run, group, new_uids)
            done += len(group.operations)
    return done


def waiting(run: Run) -> bool:
    """Whether an employee has asked for something since the last push; looks at most twice a second."""
    if time.monotonic() - run.looked_at < LOOK_EVERY:
        return False
    run.looked_at = time.monotonic()
    with replica.writing(run.lease):
        open_now = Operation.objects.filter(mailbox=run.mailbox_id, state=OperationState.PENDING).exclude(
            pk__in=run.tried
        )
        if open_now.filter(kind__in=FOLDER_KINDS).exists():
            run.deadline = min(run.deadline, time.monotonic())  # the next run begins with them
        return open_now.filter(uid__isnull=False).exists()


def _make_pending(sending: QuerySet[Operation], error: str = "") -> None:
    for old in sending.order_by("id"):
        if old.kind == OperationKind.APPEND and _is_asked_again(old):
            Operation.objects.filter(pk=old.pk).update(state=OperationState.VOID, finished_at=timezone.now())
            continue
        newer = Operation.objects.filter(
            folder=old.folder_id, uid=old.uid, kind=old.kind, state=OperationState.PENDING, uid__isnull=False
        ).first()
        if newer is None:
            Operation.objects.filter(pk=old.pk).update(state=OperationState.PENDING, error=error)
            continue
        _absorb(newer, old)
        Operation.objects.filter(pk=old.pk).update(state=OperationState.VOID, finished_at=timezone.now())


def _absorb(newer: Operation, older: Operation) -> None:
    """One operation for both; where they contradict each other the newer one stands."""
    add, remove = set(newer.add), set(newer.remove)
    newer.add = sorted(add | (set(older.add) - remove))
    newer.remove = sorted(remove | (set(older.remove) - add))
    newer.save(update_fields=["add", "remove"])


def _is_asked_again(append: Operation) -> bool:
    pending = Operation.objects.filter(kind=OperationKind.APPEND, state=OperationState.PENDING)
    return pending.filter(outgoing=append.outgoing_id).exists()


def _fill_coordinates(run: Run) -> None:
    """Operations on a message that waited for its UID: the placement has it now.

    The newest first: what has its coordinates already was asked for later.
    """
    with replica.writing(run.lease):
        waiting_ones = Operation.objects.filter(
            mailbox=run.mailbox_id, state=OperationState.PENDING, uid=None, placement__uid__isnull=False
        )
        rows = waiting_ones.select_related("placement__folder", "placement__message").order_by("-id")
        for operation in rows.defer("placement__message__header"):
            placement = operation.placement
            assert placement is not None
            same = Operation.objects.filter(
                folder=placement.folder, uid=placement.uid, kind=operation.kind, state=OperationState.PENDING
            ).first()
            if same:
                _absorb(same, operation)
                operation.delete()
            else:
                operation.folder, operation.uid = placement.folder, placement.uid
                operation.uidvalidity = placement.folder.uidvalidity
                operation.received_at = placement.received_at
                operation.header_hash = placement.message.header_hash
                operation.save(update_fields=["folder", "uid", "uidvalidity", "received_at", "header_hash"])


def _take(run: Run) -> Group | None:
    with replica.writing(run.lease):
        changes = folders.open_changes(run.mailbox_id)
        if changes and not run.folders_listed and folderpush.is_ready(run, changes[0]):
            return _take_change(changes[0])
        pending = Operation.objects.filter(
            mailbox=run.mailbox_id, state=OperationState.PENDING, uid__isnull=False
        ).exclude(pk__in=run.tried)
        if made := [change.folder_id for change in changes if change.kind == OperationKind.CREATE]:
            pending = pending.exclude(target__in=made)
        first = next((op for kind in ORDER if (op := pending.filter(kind=kind).order_by("id").first())), None)
        if first is None:
            run.tried.update(change.pk for change in changes)
            return _take_letter(run)
        assert first.folder_id, "an open operation has its folder"
        folder = Folder.objects.select_for_update().get(pk=first.folder_id)
        alike = pending.filter(
            kind=first.kind,
            folder=folder,
            target=first.target_id,
            add=first.add,
            remove=first.remove,
            uidvalidity=first.uidvalidity,
        )
        rows = list(alike.select_for_update(of=("self",)).order_by("id")[:GROUP])
        Operation.objects.filter(pk__in=[op.pk for op in rows]).update(
            state=OperationState.SENDING, tries=F("tries") + 1
        )
        target = Folder.objects.get(pk=first.target_id) if first.target_id else None
    return Group(first.kind, folder, target, tuple(first.add), tuple(first.remove), tuple(rows))


def _take_change(change: Operation) -> Group:
    assert change.folder_id, "an open operation has its folder"
    folder = Folder.objects.select_for_update().get(pk=change.folder_id)
    Operation.objects.filter(pk=change.pk).update(state=OperationState.SENDING, tries=F("tries") + 1)
    return Group(change.kind, folder, None, (), (), (change,))


def _take_letter(run: Run) -> Group | None:
    waiting = Operation.objects.filter(
        mailbox=run.mailbox_id, kind=OperationKind.APPEND, state=OperationState.PENDING, folder__isnull=False
    )
    rested = Q(not_before=None) | Q(not_before__lte=timezone.now())
    append = (
        waiting.filter(rested)
        .exclude(pk__in=run.tried)
        .order_by("id")
        .select_for_update(of=("self",))
        .first()
    )
    return _take_change(append) if append else None


def _send(run: Run, group: Group) -> dict[int, int]:
    """Do it on the server; new UIDs of moved messages, where told."""
    if group.kind in FOLDER_KINDS:
        folderpush.send(run, group.operations[0], group.folder)
        return {}
    if group.kind == OperationKind.APPEND:
        letterpush.send(run, group.operations[0])
        return {}
    opened = _vouched(run, group)
    if opened.uidvalidity != group.operations[0].uidvalidity:
        raise CommandRefused("The folder was rebuilt on the server.", final=False)
    if not opened.writable:
        raise CommandRefused("The server lets us only read this folder.", final=True)
    if group.kind == OperationKind.FLAG:
        _store(run, group, opened)
        return {}
    if group.kind == OperationKind.EXPUNGE:
        run.server.expunge(group.uids)
        return {}
    return _move(run, group)


def _vouched(run: Run, group: Group) -> Opened:
    """The group's folder, open, in which its UIDs are still those of the messages that they are meant for.

    A server that was restored from a backup, or exchanged, may keep the UIDVALIDITY and give our UIDs to others: they
    would be moved and removed (C14). UIDs grow, so one that is right vouches for those below it, and the highest that
    wait are asked for while the folder opens. Raises replica.OtherMail.
    """
    folder = group.folder
    name, highest = bytes(folder.name), max(group.uids)
    if highest <= run.vouched.get(folder.pk, 0):
        return run.server.stay_in(name)
    with replica.writing(run.lease):
        waiting = Operation.objects.filter(folder=folder, state__in=OPEN).exclude(received_at=None)
        newest = list(waiting.order_by("-uid")[:MOST_VOUCHING])
    meant = {op.uid: op for op in (*newest, *group.operations) if op.uid is not None}
    opened, there = run.server.meet(name, meant)
    if opened.uidvalidity == group.operations[0].uidvalidity:
        if _has_others(run, meant, there):
            raise replica.OtherMail
        run.vouched[folder.pk] = max(
            (uid for uid in there if uid in meant and meant[uid].received_at), default=0
        )
    return opened


def _has_others(run: Run, meant: Mapping[int, Operation], there: Mapping[int, RemoteMessage]) -> bool:
    """Of another date and another header. The date alone may differ: a copy of a mail that we hold can have its own."""
    doubtful = {
        uid: message.size
        for uid, message in there.items()
        if uid in meant and meant[uid].received_at not in (None, message.received_at)
    }
    headers = run.server.headers(doubtful)
    keys = {uid: bytes(meant[uid].header_hash or b"") for uid in headers}
    others = [uid for uid in headers if header_hash(headers[uid], doubtful[uid]) != keys[uid]]
    if not others:
        return False
    # The size, which is in the hash, may be told anew (H08): then the header as we have it is the same.
    with replica.writing(run.lease):
        rows = Message.objects.filter(mailbox=run.mailbox_id, header_hash__in=[keys[uid] for uid in others])
        ours = {(bytes(key), bytes(header)) for key, header in rows.values_list("header_hash", "header")}
    return any((keys[uid], headers[uid]) not in ours for uid in others)


def _store(run: Run, group: Group, opened: Opened) -> None:
    """Without the keywords that the server would forget: those are ours alone (F08)."""
    lasting = opened.lasting
    add, remove = (
        each if lasting is None else sorted(frozenset(each) - only_here(frozenset(each), lasting))
        for each in (group.add, group.remove)
    )
    if add or remove:
        run.server.store(group.uids, add=add, remove=remove)


def _move(run: Run, group: Group) -> dict[int, int]:
    assert group.target is not None
    target, uidvalidity = bytes(group.target.name), group.target.uidvalidity
    if run.server.session.can("MOVE"):
        try:
            return run.server.move(group.uids, target, uidvalidity)
        except NotUnderstood:
            run.server.session.forgo("MOVE")  # G08
    # Marked as deleted already: a copy may have been made of it that our rows know nothing of (C15).
    flags = run.server.flags_of(min(group.uids), max(group.uids))
    repeated = [op for op in group.operations if op.tries or "\\Deleted" in flags.get(op.uid or 0, ())]
    if not repeated:
        return run.server.move(group.uids, target, uidvalidity)
    with replica.writing(run.lease):
        rows = Message.objects.filter(placements__operations__in=repeated)
        hashes = {
            uid: bytes(key) for uid, key in rows.values_list("placements__operations__uid", "header_hash")
        }
    wanted = {uid: hashes.get(uid, moving.NEW) for uid in group.uids}
    return moving.resume(run, bytes(group.folder.name), group.target, wanted)


def _settle(run: Run, group: Group, new_uids: dict[int, int]) -> None:
    with replica.writing(run.lease):
        Operation.objects.filter(pk__in=group.ids).update(
            state=OperationState.DONE, error="", finished_at=timezone.now()
        )
        if group.kind in FOLDER_KINDS:
            folderpush.settle(group.operations[0], group.folder)
        if group.target is not None:
            _settle_move(group, group.target, new_uids)
            if run.server.is_gmail and group.folder.special_use == SpecialUse.ALL:
                _stay_in_all(group, group.target)
        events.sent(group.ids)


def _settle_move(group: Group, target: Folder, new_uids: dict[int, int]) -> None:
    Folder.objects.select_for_update().get(pk=target.pk)
    # Of a folder that was never read nobody could say later which UIDVALIDITY these are of: its first read finds them.
    known = new_uids if target.uidvalidity else {}
    moved: dict[int, int | None] = {
        op.placement_id: known.get(op.uid or 0) for op in group.operations if op.placement_id
    }
    here = Placement.objects.filter(pk__in=moved, folder=target, uid=None)
    if not target.syncing:
        remove_placements(list(here.values_list("pk", flat=True)))
        return
    _take_over(target, moved)
    arrived = [uid for uid in moved.values() if uid]
    taken = set(Placement.objects.filter(folder=target, uid__in=arrived).values_list("uid", flat=True))
    told = {pk: uid for pk, uid in moved.items() if uid and uid not in taken}
    for placement in here:
        if placement.pk in told:
            Placement.objects.filter(pk=placement.pk).update(uid=told[placement.pk])
    if told.keys() != moved.keys():
        # Not told, or it came too late and moved nothing: the next pull of the target looks for them.
        Folder.objects.filter(pk=target.pk).update(server_uidnext=0)


def _take_over(target: Folder, moved: dict[int, int | None]) -> None:
    """Where the target shows the message already (Gmail's All Mail does), the one that was moved takes the place: by it
    the employee may take the move back."""
    here = Placement.objects.filter(pk__in=moved, folder=target, uid=None)
    for pk, message_id in here.values_list("pk", "message_id"):
        others = Placement.objects.filter(folder=target, message=message_id, uid__isnull=False)
        there = others.filter(uid=moved[pk]) if moved[pk] else others
        double = there.first() if moved[pk] or target.special_use == SpecialUse.ALL else None
        if double is not None:
            remove_placements([double.pk])
            Placement.objects.filter(pk=pk).update(uid=double.uid)
            del moved[pk]


def _stay_in_all(group: Group, target: Folder) -> None:
    """Gmail: nothing leaves All Mail by getting a label; only to Trash and Spam. Here it is two places again."""
    if target.special_use in (SpecialUse.TRASH, SpecialUse.JUNK):
        return
    now_there = Placement.objects.filter(pk__in=[op.placement_id for op in group.operations])
    uids = {op.placement_id: op.uid for op in group.operations}
    Placement.objects.bulk_create(
        [
            Placement(
                account_id=placement.account_id,
                folder=group.folder,
                message_id=placement.message_id,
                uid=uids[placement.pk],
                flags=placement.flags,
                received_at=placement.received_at,
            )
            for placement in now_there
        ],
        ignore_conflicts=True,
    )


def _refused(run: Run, group: Group, error: CommandRefused | FolderGone) -> None:
    """For now: try again in a later run. For good, too often or too long: roll back and tell."""
    now = timezone.now()
    not_before = _waits_until(group, error, now)
    final = isinstance(error, CommandRefused) and error.final and not_before is None
    failed = [
        operation
        for operation in group.operations
        if final
        or (operation.tries + 1 >= MOST_TRIES and not_before is None)
        or now - operation.created_at > MOST_AGE
    ]
    with replica.writing(run.lease, group.folder.pk):
        Operation.objects.filter(pk__in=[op.pk for op in failed]).update(
            state=OperationState.FAILED, error=error.sentence, finished_at=now
        )
        # Half done it is under way, as after a lost answer: it can be taken back only when it is over.
        half_done = isinstance(error, CommandRefused) and error.half_done
        _make_pending(
            Operation.objects.filter(pk__in=group.ids, state=OperationState.SENDING),
            "" if half_done else error.sentence,
        )
        if not_before is not None:
            Operation.objects.filter(pk__in=group.ids).update(not_before=not_before)
        events.refused([op.pk for op in failed], error.sentence)
        for operation in failed:
            if operation.kind in FOLDER_KINDS:
                folderpush.roll_back(operation, group.folder, error.sentence)
            else:
                _roll_back(operation, group.folder)
        if failed:
            # Let the next pull read the folder whole: whatever the server did, we show it.
            Folder.objects.filter(pk=group.folder.pk).update(**to_be_compared())


def _waits_until(group: Group, error: CommandRefused | FolderGone, now: datetime) -> datetime | None:
    """When the copy of a letter is tried again, however often it was until it is too old: its provider may still file
    it, and room may be made, with growing patience. None for what is tried in the next run."""
    if isinstance(error, letterpush.NotFiledYet):
        return error.until
    if isinstance(error, NoRoom) and group.kind == OperationKind.APPEND:
        tries = max(operation.tries for operation in group.operations)
        rest: timedelta = min(NO_ROOM_WAIT * 2 ** min(tries, 10), MOST_NO_ROOM_WAIT)
        return now + rest
    return None


def _roll_back(operation: Operation, folder: Folder) -> None:
    """Undo on our side what the server refused."""
    placement = operation.placement
    if operation.kind == OperationKind.FLAG and placement:
        flags = (set(placement.flags) - set(operation.add)) | set(operation.remove)
        Placement.objects.filter(pk=placement.pk).update(flags=sorted(flags))
    elif operation.kind == OperationKind.MOVE and placement and placement.folder_id == operation.target_id:
        Placement.objects.filter(pk=placement.pk).update(folder=folder, uid=operation.uid)
    elif operation.kind == OperationKind.EXPUNGE and operation.uid is not None:
        # Below the cursor nothing is looked at: step back so that the message is placed again.
        Folder.objects.filter(pk=folder.pk, uid_seen__gte=operation.uid).update(uid_seen=operation.uid - 1)


def _put_back(run: Run, group: Group) -> None:
    """The session ended in the middle; whether the server has it is unknown, and asking again is harmless."""
    try:
        with replica.writing(run.lease):
            _make_pending(Operation.objects.filter(pk__in=group.ids, state=OperationState.SENDING))
    except schedule.LeaseLost:
        return  # whoever has the mailbox now revives it
