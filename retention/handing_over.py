"""The work of a handing-over: stage by stage, a batch a transaction, so that it may be killed anywhere and goes on.

Each batch writes what moved beside the move itself (HandedOver), so the report cannot disagree with what happened.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import override

from accounts import notices, tenancy
from accounts.models import Employee, NoticeKind
from crm import handing as records
from crm.kinds import KINDS
from mailsync import transferring
from mailsync.models import Mailbox
from mailsync.transferring import CannotTransfer, transfer
from retention.models import HandedOver, Leaver, LeaverState
from tasks import handing as tasks

BATCH = 1000
# In this order; the slugs of CRM's kinds name theirs.
STAGES = ("mailboxes", "tasks", *KINDS)


def work(account_id: int, leaver_id: int, *, seconds: float) -> bool:
    """Go on for so long; whether more is to do."""
    until = time.monotonic() + seconds
    while _step(account_id, leaver_id):
        if time.monotonic() > until:
            return True
    return False


def _step(account_id: int, leaver_id: int) -> bool:
    """One batch, and whether another follows. Two workers at once take turns at the row."""
    with tenancy.acting_for(account_id):
        people = ("employee", "heir", "tasks_heir", "records_heir", "by")
        rows = Leaver.objects.select_for_update(of=("self",)).select_related(*people)
        leaver = rows.filter(pk=leaver_id).first()
        if leaver is None:
            return False
        # The sentences of what cannot move are for the admin who asked.
        with override(leaver.by.language):
            if leaver.state == LeaverState.MOVING:
                more = _forward(leaver)
            elif leaver.state == LeaverState.RETURNING:
                more = _backward(leaver)
            else:
                return False
        leaver.touched_at = timezone.now()
        leaver.save(update_fields=["state", "stage", "cursor", "problems", "touched_at"])
        return more


def _forward(leaver: Leaver) -> bool:
    kind = STAGES[leaver.stage]
    heir = leaver.heir_of(kind)
    assert heir is not None  # a constraint of the row
    ids = _MOVES.get(kind, _move_records)(leaver, heir, kind)
    if ids:
        HandedOver.objects.create(account_id=leaver.account_id, leaver=leaver, heir=heir, kind=kind, ids=ids)
        leaver.cursor = max(ids)
    if len(ids) < BATCH:
        leaver.stage, leaver.cursor = leaver.stage + 1, 0
    if leaver.stage < len(STAGES):
        return True
    leaver.state = LeaverState.DONE
    _tell_heirs(leaver)
    return False


def _tell_heirs(leaver: Leaver) -> None:
    """What they are responsible for now; of mailboxes the transfer has told them."""
    batches = leaver.batches.filter(told=False, returned=None).exclude(kind="mailboxes")
    numbers: dict[Employee, Counter[str]] = defaultdict(Counter)
    for batch in batches.select_related("heir"):
        numbers[batch.heir]["tasks" if batch.kind == "tasks" else "records"] += len(batch.ids)
    batches.update(told=True)
    who, by = str(leaver.employee), str(leaver.by)
    told = [
        (heir, {"by": by, "who": who, "tasks": n["tasks"], "records": n["records"]})
        for heir, n in numbers.items()
        if heir != leaver.by
    ]
    notices.tell_each(told, NoticeKind.INHERITED)


def _move_mailboxes(leaver: Leaver, heir: Employee, _kind: str) -> list[int]:
    """Those that were disconnected go along, so that their bound mail and settings have somebody."""
    moved = []
    for box in _held(
        leaver, Mailbox.objects.filter(owner=leaver.employee).order_by("disconnected_at", "address")
    ):
        try:
            transfer(box, heir, by=leaver.by)
        except CannotTransfer as refusal:
            leaver.problems.append([box.address, refusal.sentence])
        else:
            moved.append(box.pk)
    return moved


def _move_tasks(leaver: Leaver, heir: Employee, _kind: str) -> list[int]:
    return tasks.hand_on(leaver.employee, heir, most=BATCH)


def _move_records(leaver: Leaver, heir: Employee, kind: str) -> list[int]:
    return records.hand_on(KINDS[kind], leaver.employee, heir, after=leaver.cursor, most=BATCH)


def _backward(leaver: Leaver) -> bool:
    batch = leaver.batches.filter(returned=None).select_related("heir").order_by("pk").first()
    if batch is None:
        leaver.state = LeaverState.RETURNED
        return False
    if batch.kind == "mailboxes":
        back = _return_mailboxes(leaver, batch)
    elif batch.kind == "tasks":
        back = tasks.hand_back(batch.ids, batch.heir, leaver.employee)
    else:
        back = records.hand_back(KINDS[batch.kind], batch.ids, batch.heir, leaver.employee)
    HandedOver.objects.filter(pk=batch.pk).update(returned=back)
    return True


def _return_mailboxes(leaver: Leaver, batch: HandedOver) -> int:
    back = 0
    for box in _held(leaver, Mailbox.objects.filter(pk__in=batch.ids, owner=batch.heir).order_by("address")):
        try:
            transfer(box, leaver.employee, by=leaver.by)
        except CannotTransfer as refusal:
            leaver.problems.append([box.address, refusal.sentence])
        else:
            back += 1
    return back


_Move = Callable[[Leaver, Employee, str], list[int]]
_MOVES: dict[str, _Move] = {"mailboxes": _move_mailboxes, "tasks": _move_tasks}


def report(leaver: Leaver) -> list[dict[str, Any]]:
    """By stage: how many there were, how many moved, to whom, and how many of those went back."""
    lines: dict[str, dict[str, Any]] = {
        kind: {"kind": kind, "total": leaver.totals.get(kind, 0), "moved": 0, "returned": 0, "heirs": []}
        for kind in STAGES
    }
    for batch in leaver.batches.select_related("heir").order_by("pk"):
        if batch.heir not in lines[batch.kind]["heirs"]:
            lines[batch.kind]["heirs"].append(batch.heir)
        lines[batch.kind]["moved"] += len(batch.ids)
        lines[batch.kind]["returned"] += batch.returned or 0
    return [line for line in lines.values() if line["total"] or line["moved"]]


def _held(leaver: Leaver, mailboxes: QuerySet[Mailbox]) -> list[Mailbox]:
    boxes = list(mailboxes)
    transferring.lock(leaver.account_id, [box.pk for box in boxes])
    return boxes
