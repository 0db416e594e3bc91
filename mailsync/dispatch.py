"""When a mailbox has something to send, and who is at it: the outgoing half of mailsync.schedule, apart from it, so
that no letter waits for a synchronisation and no synchronisation for a slow outgoing server.

The database is the queue; Redis only carries hints.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from accounts import tenancy
from mailsync import schedule
from mailsync.models import Dispatch

HINT_SECONDS = 30
JOB = "mailsync.send_letters"
_MAKE_DUE = """
INSERT INTO mailsync_dispatch (mailbox_id, account_id, due_at, epoch) VALUES (%(mailbox)s, %(account)s, %(at)s, 0)
ON CONFLICT (mailbox_id) DO UPDATE SET due_at = least(mailsync_dispatch.due_at, excluded.due_at), hinted_until = NULL
"""


class TurnLost(Exception):
    """Another worker sends for this mailbox now: nothing of this transaction may be kept."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to send for a mailbox while `epoch` is the current one."""

    mailbox_id: int
    account_id: int
    epoch: int


def make_due(account_id: int, mailbox_id: int, at: datetime) -> None:
    """Have the mailbox send at this moment or before, once the running transaction is committed."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_DUE, {"mailbox": mailbox_id, "account": account_id, "at": at})
    if at <= timezone.now():
        transaction.on_commit(partial(schedule.hint, JOB, [mailbox_id], schedule.INTERACTIVE, HINT_SECONDS))


def hint_due(now: datetime, limit: int = 500) -> int:
    """Send one hint for each mailbox that has something to send and is in nobody's hands; returns how many."""
    due = _claimable(now).filter(Q(hinted_until=None) | Q(hinted_until__lt=now)).order_by("due_at")
    sent = 0
    for mailbox_id in list(due.values_list("mailbox_id", flat=True)[:limit]):
        until = now + timedelta(seconds=HINT_SECONDS)
        if _claimable(now).filter(mailbox_id=mailbox_id).update(hinted_until=until):
            sent += schedule.send(JOB, [mailbox_id], schedule.INTERACTIVE, HINT_SECONDS)
    return sent


def claim(mailbox_id: int, now: datetime) -> Turn | None:
    """Take the mailbox by one conditional UPDATE; None if nothing is due or another worker has it."""
    free = _claimable(now).filter(mailbox_id=mailbox_id)
    if not free.update(epoch=F("epoch") + 1, leased_until=_lease_end(now), hinted_until=None):
        return None
    row = Dispatch.objects.get(mailbox_id=mailbox_id)
    return Turn(row.mailbox_id, row.account_id, row.epoch)


@contextmanager
def writing(turn: Turn) -> Iterator[None]:
    """One transaction of the sender: tenant, then at its end the turn renewed, whose row comes after all others.

    Raises TurnLost, and then nothing of the block is kept.
    """
    with tenancy.acting_for(turn.account_id):
        yield
        renew(turn)


def renew(turn: Turn) -> None:
    """Prolong the turn in the running transaction, and hold its row until the commit. Raises TurnLost."""
    if not _ours(turn).update(leased_until=_lease_end(timezone.now())):
        raise TurnLost(f"mailbox {turn.mailbox_id}: epoch {turn.epoch} is over")


def release(turn: Turn, *, due_at: datetime | None) -> None:
    """Give the mailbox back and say when it sends next; None: nothing waits. In the transaction that renewed the turn
    before it looked: what is queued meanwhile comes after."""
    _ours(turn).update(due_at=due_at, leased_until=None)


def _ours(turn: Turn) -> QuerySet[Dispatch]:
    return Dispatch.objects.filter(mailbox_id=turn.mailbox_id, epoch=turn.epoch)


def _claimable(now: datetime) -> QuerySet[Dispatch]:
    """Due, and in nobody's hands or left behind by a worker that died."""
    return Dispatch.objects.filter(Q(leased_until=None) | Q(leased_until__lt=now), due_at__lte=now)


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.MAIL_SEND_LEASE_SECONDS)
