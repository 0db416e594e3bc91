"""When mailboxes are due: waking, claiming and keeping the lease. The database is the queue.

Redis only carries hints; a lost hint is repeated by the tick, a doubled one finds nothing to claim.
"""

import logging
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, When
from django.db.models.functions import Now
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import prepared, tenancy
from mailsync import deaths, live, outages
from mailsync.lanes import Lane, has_room, lane_of
from mailsync.models import Outage, Schedule

logger = logging.getLogger(__name__)

HINT_SECONDS = 60
LANE_SECONDS = 5  # who found no lane to the server asks again
INTERACTIVE, SYNC, BULK = "interactive", "sync", "bulk"
# How long one run may take, by queue: what takes longer goes on in bulk, so that no first sync delays a click.
RUN_SECONDS = {INTERACTIVE: 15, SYNC: 60, BULK: 200}
# And how long it may wait for one answer, a large mail over a thin line, that is not over then.
PATIENCE_SECONDS = {INTERACTIVE: 60, SYNC: 120, BULK: 1500}
# Comparisons with the server (mailsync.checking): each mailbox once a night, at its own minute of it (UTC).
NIGHT_FROM, NIGHT_MINUTES = 1, 240
CHECK_EVERY = timedelta(hours=20)
CHECK_HINT_SECONDS = 20
DISCARDING_HINT_SECONDS = 3600
# No mailbox is due later than this, nor hinted, but for a clock that ran ahead when it was written.
LATEST = timedelta(hours=12)
REFUSED_TRIES = 3  # then only a repair tries again, or an employee's act once a day: providers lock accounts
# Hints of clicks leave in a thread of their own: no answer to an employee waits for the broker.
_messenger = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hints")
_in_hand: set[int] = set()


class LeaseLost(Exception):
    """Another worker claimed the mailbox, or ours ran out: nothing of this transaction may be kept."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a mailbox while `epoch` is the current one. `deaths`: workers in a row that died of it;
    `failures`: runs in a row that had failed when it was claimed; `server`: its number (mailsync.lanes), and whether it
    is `doubted` that it can be reached (mailsync.outages); `patient_until`: time.monotonic() after which no
    answer of the server's is waited for."""

    mailbox_id: int
    account_id: int
    epoch: int
    deaths: int = 0
    failures: int = 0
    server: int = 0
    doubted: bool = False
    patient_until: float = math.inf


@dataclass(frozen=True, slots=True)
class CheckTurn:
    """The right to compare a mailbox with its server. What was compared after `since` belongs to this comparison; the
    sync was due at `due_at` before; `rests`: nobody is to try the server now."""

    lease: Lease
    since: datetime
    asked_by_id: int | None
    due_at: datetime | None
    rests: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """How often the login was refused since the last success, and until when nobody is to try."""

    refusals: int
    until: datetime | None


_WAKE = "UPDATE mailsync_schedule SET due_at = %s WHERE mailbox_id = ANY(%s) RETURNING mailbox_id"
# By hand: every transaction of the engine begins with it.
_RENEW = "UPDATE mailsync_schedule SET leased_until = %s WHERE mailbox_id = %s AND epoch = %s"
# With the one whose lease is still there though it ran out.
_DEATHS = Case(When(leased_until=None, then=F("deaths")), default=F("deaths") + 1)
_LOCK = "SELECT FROM mailsync_schedule WHERE mailbox_id = ANY(%s) ORDER BY mailbox_id FOR NO KEY UPDATE"


def wake(*mailbox_ids: int) -> None:
    """Make the mailboxes due now and, once the running transaction is committed, hint a worker of each.

    Who wakes several has locked them.
    """
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_WAKE), [timezone.now(), list(mailbox_ids)])
        for (mailbox_id,) in cursor.fetchall():
            transaction.on_commit(partial(_hint_soon, mailbox_id))


def lock(mailbox_ids: Iterable[int]) -> None:
    """Hold these mailboxes until the commit, in order: before their folders, as every write of the engine does."""
    with connection.cursor() as cursor:
        cursor.execute(prepared.ready(_LOCK), [list(mailbox_ids)])


def interrupt(mailbox_ids: Iterable[int]) -> None:
    """End the runs that are under way, for they know what is no longer so, and let the next ones begin at once.

    For connected mailboxes, in a transaction that has locked them.
    """
    running = Schedule.objects.filter(mailbox_id__in=list(mailbox_ids), leased_until__isnull=False)
    ids = list(running.values_list("mailbox_id", flat=True))
    if ids:
        running.update(epoch=F("epoch") + 1, leased_until=None)
        wake(*ids)


def hint_discarding(account_id: int, mailbox_id: int) -> None:
    """Have a worker remove what a mailbox has let go, once the running transaction is committed. Repeated hourly."""
    transaction.on_commit(
        partial(send, "mailsync.discard_copies", [account_id, mailbox_id], BULK, DISCARDING_HINT_SECONDS)
    )


def hint_forgetting(account_id: int, consent_id: int) -> None:
    """Have a worker end a consent at its provider, once the running transaction is committed."""
    transaction.on_commit(partial(send, "mailsync.forget_consent", [account_id, consent_id], BULK, None))


def hint_due(now: datetime, limit: int = 500) -> int:
    """Send one hint for each mailbox that is due and in nobody's hands; returns how many."""
    due = _claimable(now).filter(Q(hinted_until=None) | _has_come("hinted_until", now))
    # Else those who find no lane to a full server, and ask again at once, would always be first.
    in_turn = due.order_by(F("hinted_until").asc(nulls_first=True), "due_at")
    sent = 0
    for mailbox_id in list(in_turn.values_list("mailbox_id", flat=True)[:limit]):
        hinted = (
            _claimable(now)
            .filter(mailbox_id=mailbox_id)
            .update(hinted_until=now + timedelta(seconds=HINT_SECONDS))
        )
        if hinted and _hint(mailbox_id, SYNC):
            sent += 1
    return sent


def continue_in_bulk(lease: Lease) -> None:
    """A run used up its time: the next one is for the bulk workers, who may take longer."""
    Schedule.objects.filter(mailbox_id=lease.mailbox_id).update(
        hinted_until=timezone.now() + timedelta(seconds=HINT_SECONDS)
    )
    _hint(lease.mailbox_id, BULK)


def claim(
    mailbox_id: int, now: datetime, *, even_if_not_due: bool = False, click: bool = False
) -> Lease | None:
    """Take the mailbox by one conditional UPDATE, in a transaction of its account that it opens.

    None if it is not due, another worker has it, or too many are at its server already; then it is tried again soon.
    None as well if the third worker in a row has died of it, and then it is set aside (mailsync.deaths).
    `click`: on behalf of a person, for whom lanes are kept.
    """
    free = (_unleased(now) if even_if_not_due else _claimable(now)).filter(mailbox_id=mailbox_id)
    for account_id, died, left, failures in free.values_list(
        "account_id", _DEATHS, "leased_until", "failures"
    ):
        with tenancy.acting_for(account_id):
            lock([mailbox_id])
            if died >= deaths.MOST:
                _set_aside(mailbox_id, left)
                return None
            lane = lane_of(mailbox_id)
            room = has_room(lane, now, click=click, failed=failures > 0)
            outage = outages.of(lane.server)
            if room and (not died or deaths.has_turn(mailbox_id, now)):
                if outage is None or not outages.keeps_away(outage, now):
                    return _take(free, lane, now, outage)
                outages.tell(mailbox_id)
            # Hundreds may wait for a server that is down: they are in no hurry.
            wait = HINT_SECONDS if failures or outage else LANE_SECONDS
            free.update(hinted_until=now + timedelta(seconds=wait))
    return None


def _take(free: QuerySet[Schedule], lane: Lane, now: datetime, outage: Outage | None) -> Lease | None:
    # due_at is empty while we work: a wake() that comes meanwhile sets it again and is not lost.
    claimed = free.update(
        epoch=F("epoch") + 1,
        leased_until=_lease_end(now),
        deaths=_DEATHS,
        due_at=None,
        hinted_until=None,
        host_lane=lane.host,
        login_lane=lane.login,
    )
    if not claimed:
        return None
    row = Schedule.objects.get(mailbox_id=lane.mailbox_id)
    if row.deaths:
        logger.warning("%s workers in a row died with mailbox %s in hand", row.deaths, row.mailbox_id)
    return Lease(
        row.mailbox_id, row.account_id, row.epoch, row.deaths, row.failures, lane.server, outage is not None
    )


def _set_aside(mailbox_id: int, left: datetime) -> None:
    """Once, however many find it so at this moment. It is due at no time, until a person has it tried again."""
    ours = Schedule.objects.filter(mailbox_id=mailbox_id, leased_until=left)
    if ours.update(
        leased_until=None, due_at=None, deaths=deaths.MOST, check_asked_at=None, check_asked_by=None
    ):
        deaths.set_aside(mailbox_id)


def renew(lease: Lease) -> None:
    """Prolong the lease in the running transaction; raises LeaseLost if the epoch is no longer ours.

    The row stays locked until the commit, so no other worker can claim between our check and our write.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [_lease_end(timezone.now()), lease.mailbox_id, lease.epoch])
        ours = cursor.rowcount
    if not ours:
        raise LeaseLost(f"mailbox {lease.mailbox_id}: epoch {lease.epoch} is over")


def prolong(lease: Lease) -> None:
    """Once more in a transaction that has renewed it and has taken its time; what it has given back stays so."""
    held = Schedule.objects.filter(mailbox_id=lease.mailbox_id, epoch=lease.epoch).exclude(leased_until=None)
    held.update(leased_until=_lease_end(timezone.now()))


def release(lease: Lease, *, due_at: datetime | None, failures: int, rest: Rest | None = None) -> None:
    """Give the mailbox back and say when it is due (None: not by itself); an earlier wake() wins."""
    ours = Schedule.objects.filter(mailbox_id=lease.mailbox_id, epoch=lease.epoch)
    if due_at is not None:
        ours.filter(Q(due_at=None) | Q(due_at__gt=due_at)).update(due_at=due_at)
    changed = {} if rest is None else {"refusals": rest.refusals, "rests_until": rest.until}
    ours.update(leased_until=None, deaths=0, failures=failures, **changed)


def start_anew(*mailbox_ids: int) -> None:
    """A person has repaired them or wants them tried now: what failed before no longer counts.

    Who starts several has locked them.
    """
    Schedule.objects.filter(mailbox_id__in=mailbox_ids).update(
        failures=0, refusals=0, deaths=0, rests_until=None
    )
    wake(*mailbox_ids)


def ask_check(mailbox_id: int, *, by_id: int | None) -> None:
    """Have a mailbox compared with its server soon, unless it was set aside; asking again while one runs changes
    nothing."""
    now = timezone.now()
    asked = Schedule.objects.filter(mailbox_id=mailbox_id, check_asked_at=None, deaths__lt=deaths.MOST)
    asked.update(check_asked_at=now, check_asked_by=by_id, check_hinted_until=None)
    for account_id in Schedule.objects.filter(mailbox_id=mailbox_id).values_list("account_id", flat=True):
        transaction.on_commit(partial(_messenger.submit, _hint_check, account_id, mailbox_id))


def hint_checks(now: datetime, limit: int = 500) -> int:
    """Send one hint for each comparison that was asked for or, by night, whose turn it is; returns how many."""
    waiting = _check_due(now).filter(Q(check_hinted_until=None) | Q(check_hinted_until__lt=now))
    sent = 0
    for mailbox_id, account_id in list(waiting.values_list("mailbox_id", "account_id")[:limit]):
        until = now + timedelta(seconds=CHECK_HINT_SECONDS)
        hinted = _check_due(now).filter(mailbox_id=mailbox_id).update(check_hinted_until=until)
        if hinted and _hint_check(account_id, mailbox_id):
            sent += 1
    return sent


def claim_check(account_id: int, mailbox_id: int, now: datetime) -> CheckTurn | None:
    """Take the mailbox for a comparison, due or not; None while a worker has it, or if it is not the account's.

    In one transaction.
    """
    rows = Schedule.objects.select_for_update(no_key=True)
    before = rows.filter(mailbox_id=mailbox_id, account_id=account_id).first()
    lease = claim(mailbox_id, now, even_if_not_due=True) if before else None
    if before is None or lease is None:
        return None
    since = before.check_asked_at or now
    Schedule.objects.filter(mailbox_id=mailbox_id).update(check_asked_at=since)
    rests = before.rests_until is not None and before.rests_until > now
    return CheckTurn(lease, since, before.check_asked_by_id, before.due_at, rests)


def someone_waits(turn: CheckTurn) -> bool:
    """Whether the mailbox's sync is due, or was woken since it was claimed: a click has something for the server."""
    due = turn.due_at is not None and turn.due_at <= timezone.now()
    return due or Schedule.objects.filter(mailbox_id=turn.lease.mailbox_id, due_at__isnull=False).exists()


def end_check(turn: CheckTurn, *, finished: bool, sync_now: bool) -> None:
    """Give the mailbox back with the date of its sync as it was, or make it due now."""
    release(turn.lease, due_at=turn.due_at, failures=failures_of(turn.lease))
    ours = Schedule.objects.filter(mailbox_id=turn.lease.mailbox_id, epoch=turn.lease.epoch)
    if finished:
        ours.update(check_asked_at=None, check_asked_by=None, checked_at=timezone.now())
    ours.update(check_hinted_until=None)
    if sync_now:
        wake(turn.lease.mailbox_id)


def _check_due(now: datetime) -> QuerySet[Schedule]:
    due = Q(check_asked_at__isnull=False)
    minute = (now.hour - NIGHT_FROM) * 60 + now.minute
    if 0 <= minute < NIGHT_MINUTES:
        old = Q(checked_at=None) | Q(checked_at__lt=now - CHECK_EVERY)
        due |= old & Q(turn__lte=minute)
    return _unleased(now).annotate(turn=F("mailbox_id") % NIGHT_MINUTES).filter(due)


def failures_of(lease: Lease) -> int:
    """How many runs in a row have failed before this one."""
    return tries_of(lease)[0]


def tries_of(lease: Lease) -> tuple[int, int]:
    """How many runs in a row have failed before this one, and how many logins since the last success."""
    return Schedule.objects.values_list("failures", "refusals").get(mailbox_id=lease.mailbox_id)


def _unleased(now: datetime) -> QuerySet[Schedule]:
    return Schedule.objects.filter(Q(leased_until=None) | Q(leased_until__lt=now), deaths__lt=deaths.MOST)


def _claimable(now: datetime) -> QuerySet[Schedule]:
    """Due and in nobody's hands, or left behind by a worker that died: its lease ran out."""
    rested = _unleased(now).filter(Q(rests_until=None) | Q(rests_until__lte=now))
    return rested.filter(_has_come("due_at", now) | Q(due_at=None, leased_until__lt=now))


def _has_come(moment: str, now: datetime) -> Q:
    """Or is later than it can be, by the database's clock as well: if only ours is slow, what others wrote is right."""
    latest = LATEST + timedelta(seconds=settings.MAIL_POLL_SECONDS)
    too_late = Q(**{f"{moment}__gt": now + latest}) & Q(**{f"{moment}__gt": Now() + latest})
    return Q(**{f"{moment}__lte": now}) | too_late


def _lease_end(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.MAIL_LEASE_SECONDS)


def _hint_soon(mailbox_id: int) -> None:
    """At most one hint of a mailbox waits, so that a broker that is down gathers no queue here."""
    if mailbox_id not in _in_hand:
        _in_hand.add(mailbox_id)
        _messenger.submit(_hint_now, mailbox_id)


def _hint_now(mailbox_id: int) -> None:
    _in_hand.discard(mailbox_id)  # before it is sent: what is woken from now on needs a hint of its own
    try:
        live.tell_now(mailbox_id)  # what an employee did is news on the pages of others
        _hint(mailbox_id, INTERACTIVE)
    except Exception:
        logger.exception("a hint was lost; the tick comes again")


def _hint(mailbox_id: int, queue: str) -> bool:
    seconds = PATIENCE_SECONDS[BULK] + 100 if queue == BULK else None
    return send("mailsync.sync_mailbox", [mailbox_id, queue], queue, HINT_SECONDS, seconds=seconds)


def _hint_check(account_id: int, mailbox_id: int) -> bool:
    return send("mailsync.check_mailbox", [account_id, mailbox_id], BULK, CHECK_HINT_SECONDS)


def hint(name: str, args: list[int | str], queue: str, expires: int) -> None:
    """Hint a worker on behalf of a person, who does not wait for the broker."""
    _messenger.submit(send, name, args, queue, expires)


def send(
    name: str, args: list[int | str], queue: str, expires: int | None, *, seconds: int | None = None
) -> bool:
    """`seconds`: when the job is told to end, other than usual. Redis down is no error here: the tick comes again."""
    try:
        current_app.send_task(
            name,
            args=args,
            queue=queue,
            retry=False,
            expires=expires,
            soft_time_limit=seconds,
            time_limit=seconds and seconds + 20,
        )
    except OperationalError:
        return False
    return True
