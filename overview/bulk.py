"""What an admin does to many mailboxes at once, and undoing it. Each verb is that of the app whose rows it changes.

Pausing, resuming and CRM can be undone: a Deed keeps what was so before, of those alone that were changed.
Disconnecting and transferring are shown beforehand with their numbers instead (previews).
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict

from django.db import transaction
from django.utils import timezone

from accounts.models import Employee
from crm import feeds
from crm.feeds import State
from mailsync import pausing, transferring
from mailsync.models import Mailbox
from mailsync.transferring import CannotTransfer
from overview.models import Deed

PAUSE, RESUME, CRM = "pause", "resume", "crm"


def pause(boxes: Iterable[Mailbox], *, by: Employee) -> Deed:
    return _deed(PAUSE, [[pk, None] for pk in pausing.pause(_ids(boxes), by=by)], by)


def resume(boxes: Iterable[Mailbox], *, by: Employee) -> Deed:
    return _deed(RESUME, [[pk, None] for pk in pausing.resume(_ids(boxes), by=by)], by)


@transaction.atomic
def feed_crm(boxes: Iterable[Mailbox], *, enabled: bool, queue: Collection[int] | None, by: Employee) -> Deed:
    """Move their mail to CRM or no longer; `queue` None leaves whose turn it is as it was."""
    before = []
    for box in boxes:
        was = feeds.state_of(box)
        wanted = State(enabled, was.queue if queue is None else tuple(queue))
        if feeds.switch(box, wanted, by=by) != wanted:
            before.append([box.pk, asdict(was)])
    return _deed(CRM, before, by)


@transaction.atomic
def transfer(
    boxes: Collection[Mailbox], heir: Employee, *, keeps: str, by: Employee
) -> tuple[int, list[str]]:
    """Hand them to a colleague; returns how many were, and a sentence about each that was not."""
    transferring.lock(by.account_id, _ids(boxes))
    done, refusals = 0, []
    for box in boxes:
        try:
            transferring.transfer(box, heir, by=by, keeps=keeps)
        except CannotTransfer as refusal:
            refusals.append(f"{box.address}: {refusal.sentence}")
        else:
            done += 1
    return done, refusals


@transaction.atomic
def undo(deed: Deed, *, by: Employee) -> int:
    """Bring back what was before; returns for how many. A second undo finds nothing to do."""
    if not Deed.objects.filter(pk=deed.pk, undone_at=None).update(undone_at=timezone.now()):
        return 0
    return _UNDO[deed.verb](deed, by)


def _undo_crm(deed: Deed, by: Employee) -> int:
    states = {pk: State(was["enabled"], tuple(was["queue"])) for pk, was in deed.before}
    boxes = Mailbox.objects.filter(pk__in=states, disconnected_at=None)
    return sum(feeds.switch(box, states[box.pk], by=by) != states[box.pk] for box in boxes)


_UNDO: dict[str, Callable[[Deed, Employee], int]] = {
    PAUSE: lambda deed, by: len(pausing.resume([pk for pk, _was in deed.before], by=by)),
    RESUME: lambda deed, by: len(pausing.pause([pk for pk, _was in deed.before], by=by)),
    CRM: _undo_crm,
}


def _deed(verb: str, before: list[list[object]], by: Employee) -> Deed:
    return Deed.objects.create(account_id=by.account_id, by=by, verb=verb, before=before)


def _ids(boxes: Iterable[Mailbox]) -> list[int]:
    return [box.pk for box in boxes]
