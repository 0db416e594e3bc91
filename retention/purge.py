"""The purge of an account: mailbox by mailbox, batch by batch, each batch one transaction that also counts itself.

Killed anywhere it is begun again and finds what is left; two at once take turns at a mailbox. What is too old is asked
anew under the locks, so a link that is made meanwhile wins; so are the limits. Never reaches a mail server.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Sum
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account
from crm import activities
from mailsync import discarding, holding, live, replica, schedule
from mailsync.giving_way import give_way
from mailsync.models import OPEN, Mailbox, Message, Operation
from mailsync.sync.state import is_undated
from mailsync.windows import PURGED, keep_away
from plans.subscriptions import limits_for
from retention import runs
from retention.models import LineKind, RetentionRun, RunState
from retention.policy import LEAVES, with_bond
from retention.preview import NOTHING, Amount

BATCH = 1000
AT_A_TIME = 250  # rows that are read in a few milliseconds
TELL_EVERY = 10  # seconds
MOST_APART = timedelta(minutes=5)
_Row = TypeVar("_Row")


class ClocksDisagree(Exception):
    """The database and this machine are more than five minutes apart: who is too old cannot be said."""


class _OutOfTime(Exception):
    pass


class _LimitsChanged(Exception):
    pass


class _Place(NamedTuple):
    """Where a walk through a mailbox by age has come to."""

    ages_from: datetime
    id: int


@dataclass(slots=True)
class _Walk:
    """One worker's way through a run; `at` is the moment it asks for the limits of."""

    run: RetentionRun
    account: Account
    at: datetime
    deadline: float
    told: float = 0

    def tell(self, mailbox_id: int) -> None:
        """Open pages look anew, which costs more than a batch: what leaves is old, and rarely on them."""
        if time.monotonic() > self.told + TELL_EVERY:
            live.tell(mailbox_id)
            self.told = time.monotonic()


def purge(account_id: int, at: datetime, *, seconds: float = float("inf")) -> RetentionRun | None:
    """Begin or go on; the run as it is then, None where nothing is to leave.

    It may be waiting for an admin, or still running because the time was over. Raises ClocksDisagree.
    """
    check_clocks()
    run = runs.begin(account_id, at)
    if run is None or run.state == RunState.WAITING:
        return run
    walk = _Walk(run, Account.objects.get(pk=account_id), at, time.monotonic() + seconds)
    try:
        for mailbox_id in _mailboxes(account_id):
            _purge_mailbox(walk, mailbox_id)
    except _OutOfTime:
        return run
    except _LimitsChanged:
        runs.end(run, RunState.REPLACED)
    else:
        runs.end(run, RunState.FINISHED)
    return run


def check_clocks() -> None:
    """Raises ClocksDisagree."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [theirs] = cursor.fetchone() or [None]
    apart = abs(theirs - timezone.now())
    if apart > MOST_APART:
        raise ClocksDisagree(f"The database's clock and ours are {apart} apart: nothing is purged.")


def _mailboxes(account_id: int) -> list[int]:
    with tenancy.acting_for(account_id):
        return list(Mailbox.objects.filter(account=account_id).order_by("pk").values_list("pk", flat=True))


def _purge_mailbox(walk: _Walk, mailbox_id: int) -> None:
    place: _Place | None = None
    while further := _batch(walk, mailbox_id, place):
        place = further
        if time.monotonic() > walk.deadline:
            raise _OutOfTime
    if place:
        live.tell_now(mailbox_id)
    _note_left(walk.run, mailbox_id)


def _batch(walk: _Walk, mailbox_id: int, after: _Place | None) -> _Place | None:
    """Remove one batch; the place from which to go on, None at the end. Raises _LimitsChanged."""
    run = walk.run
    give_way()
    with tenancy.acting_for(run.account_id):
        replica.commit_without_waiting()
        schedule.lock([mailbox_id])
        limits = limits_for(walk.account, walk.account.day_of(walk.at))
        if not runs.keeps_to(run, limits):
            raise _LimitsChanged
        if holding.purge_waits(mailbox_id):
            return None
        found = _hold_oldest(run, mailbox_id, after)
        if found:
            _remove(run, mailbox_id, [place.id for place in found])
            walk.tell(mailbox_id)
    return found[-1] if found else None


def _hold_oldest(run: RetentionRun, mailbox_id: int, after: _Place | None) -> list[_Place]:
    """But for those that somebody is binding at this moment."""
    rows = runs.rule_of(run).leaving(Message.objects.filter(mailbox=mailbox_id))
    if after:
        further = Q(ages_from__gt=after.ages_from) | Q(ages_from=after.ages_from, pk__gt=after.id)
        rows = rows.filter(further, ages_from__gte=after.ages_from)
    held = discarding.hold(mailbox_id, rows.order_by("ages_from", "pk"))
    return [_Place(*row) for row in _read(held.values_list("ages_from", "pk")[:BATCH])]


def _read(rows: QuerySet[Any, _Row]) -> Iterator[_Row]:
    """With a cursor in the database, giving way to people between its fetches."""
    for row in rows.iterator(AT_A_TIME):
        yield row
        give_way()


def _remove(run: RetentionRun, mailbox_id: int, held: list[int]) -> None:
    """Those that still leave now that they are held: a link may have been made before. What is on its way to the server
    stays a night."""
    rule = runs.rule_of(run)
    if rule.crm_bound_stays:
        activities.one_at_a_time(run.account_id)  # a link to a client that is being made comes first or after
    under_way = Operation.objects.filter(placement__message=OuterRef("pk"), state__in=OPEN)
    leaving = rule.leaving(Message.objects.filter(~Exists(under_way), pk__in=discarding.among(held)))
    cutoff = rule.cutoff
    sizes: dict[str, list[int]] = defaultdict(list)
    gone: list[int] = []
    aged: list[datetime] = []
    buried: list[int] = []
    found = with_bond(leaving).values_list("pk", "bond", "size", "received_at")
    for pk, bond, size, received_at in _read(found):
        gone.append(pk)
        sizes[bond].append(size)
        if received_at >= cutoff or is_undated(received_at):
            buried.append(pk)  # the server's date would let a sync fetch it again
        else:
            aged.append(received_at)
    discarding.remove(gone, buried=buried, reason=PURGED)
    if aged:
        keep_away(mailbox_id, max(aged))
    for bond, of_bond in sizes.items():
        runs.add(run, mailbox_id, rule.fate(bond), Amount(len(of_bond), sum(of_bond)))


def _note_left(run: RetentionRun, mailbox_id: int) -> None:
    """What is too old and stays, and why."""
    rule = runs.rule_of(run)
    with tenancy.acting_for(run.account_id):
        aged = with_bond(rule.aged(Message.objects.filter(mailbox=mailbox_id)))
        rows = aged.order_by().values_list("bond").annotate(n=Count("pk"), size=Sum("size"))
        waiting = NOTHING
        for bond, messages, size in rows:
            fate = rule.fate(bond)
            if fate in LEAVES:
                waiting += Amount(messages, size)
            else:
                runs.put(run, mailbox_id, fate, Amount(messages, size))
        if holding.purge_waits(mailbox_id):
            runs.put(run, mailbox_id, LineKind.WAITS, waiting)
