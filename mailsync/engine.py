"""The engine: one run of one mailbox. Connect, push, list the folders, pull each, note how it went.

Whoever calls holds the lease (schedule.claim); the engine renews it with every transaction and stops when it is
lost. Nothing here decides: sync.plan and sync.ladder do.
"""

import math
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from accounts import tenancy
from mailsync import (
    deaths,
    first,
    folderpull,
    letterpush,
    live,
    outages,
    pulling,
    pushing,
    replica,
    schedule,
    secrets,
)
from mailsync.apart import Parser
from mailsync.imap.errors import (
    Busy,
    CommandRefused,
    FolderGone,
    Refused,
    ServerError,
    TooSlow,
    Withdrawn,
    no_connection,
)
from mailsync.imap.server import ImapServer, Status
from mailsync.models import Folder, Mailbox, MailboxState
from mailsync.parking import is_parked
from mailsync.run import OutOfTime, Run
from mailsync.schedule import Lease, LeaseLost
from mailsync.signing_in import signed_in
from mailsync.windows import window_of
from plans.subscriptions import limits_for

log = structlog.get_logger(__name__)

SYNC_OFF_AGAIN = timedelta(minutes=10)  # a plan may have changed: asking costs one query
MOST_BACK_OFF = timedelta(minutes=15)
# Caught up with in five (X27); outages keeps them from trying all at once.
DOWN_BACK_OFF = timedelta(minutes=4)
BUSY_BACK_OFF, MOST_BUSY_BACK_OFF = timedelta(minutes=5), timedelta(hours=1)
REFUSED_REST = timedelta(days=1)
PLAN_OFF = "Your company's plan has no mail at present."
# No states of the mailbox: they are asked anew each time.
PARKED, ON_HOLD = "parked", "on hold"
# Then mail is fetched one by one: it may be one of them at which the session ends.
MOST_FAILURES = 2
UNEXPECTED = (
    "The synchronisation stopped on an unexpected error. It is tried again; the operator's log says more."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `again` asks for another at once; `error` is the sentence that the page shows; `seconds` is how
    long the server wants to be left alone, where it says so; `reached` is whether there was a connection to it, None
    where that was not tried or does not tell."""

    state: str
    error: str = ""
    again: bool = False
    imported: int = 0
    changed: int = 0
    seconds: int = 0
    reached: bool | None = None


def synchronise(
    lease: Lease, *, seconds: float, patience: float = math.inf, thorough: bool = False
) -> Outcome:
    """One run of at most about `seconds`, then give the lease back. Raises LeaseLost and nothing of the server's.

    An answer that is not over after `patience` seconds of the run is waited for by bulk workers, who have most of it.
    """
    started = timezone.now()
    lease = replace(lease, patient_until=time.monotonic() + patience)
    try:
        outcome = _run(lease, seconds=seconds, thorough=thorough)
    except TooSlow as error:
        if patience < schedule.PATIENCE_SECONDS[schedule.BULK]:
            _give_back(lease, started)
            return Outcome(MailboxState.OK, again=True)
        outcome = Outcome(state_after(error), error=error.sentence)
    except ServerError as error:
        seconds = error.seconds if isinstance(error, Busy) else 0
        reached = None if error.step == "name" else not no_connection(error)
        outcome = Outcome(state_after(error), error=error.sentence, seconds=seconds, reached=reached)
    except secrets.WrongKeyError as error:
        log.error("wrong_key", mailbox=lease.mailbox_id)
        outcome = Outcome(MailboxState.STOPPED, error=str(error.sentence))
    except (LeaseLost, MemoryError):
        raise  # out of memory is as good as dead: the lease runs out, and that counts (mailsync.deaths)
    except SystemExit:
        _give_back(lease, started)
        raise
    except Exception:
        _note(lease, Outcome(MailboxState.STOPPED, error=UNEXPECTED), started)
        raise
    _note(lease, outcome, started)
    return outcome


def state_after(error: ServerError) -> MailboxState:
    """What the mailbox is when the server ended a run with this."""
    kinds = (
        (Withdrawn, MailboxState.WITHDRAWN),
        (Refused, MailboxState.REFUSED),
        (Busy, MailboxState.BUSY),
    )
    known = next((state for kind, state in kinds if isinstance(error, kind)), None)
    return known or (MailboxState.INSECURE if error.step == "tls" else MailboxState.UNREACHABLE)


def _run(lease: Lease, *, seconds: float, thorough: bool) -> Outcome:
    with tenancy.acting_for(lease.account_id):
        mailbox = Mailbox.objects.select_related("account", "consent").get(pk=lease.mailbox_id)
        limits = limits_for(mailbox.account, mailbox.account.today())
        if not limits.sync_enabled or mailbox.disconnected_at:
            return Outcome(MailboxState.PAUSED)
        if mailbox.paused_at:
            return Outcome(ON_HOLD)
        if is_parked(mailbox, limits):
            return Outcome(PARKED)
        if mailbox.first_sync_started_at is None:
            Mailbox.objects.filter(pk=mailbox.pk).update(first_sync_started_at=timezone.now())
    with (
        Parser() as parser,
        ThreadPoolExecutor(1, "prepare") as preparing,
        signed_in(mailbox, meanwhile=replica.keeping(lease)) as server,
        ThreadPoolExecutor(1, "read") as reading,
    ):
        run = Run(
            lease=lease,
            mailbox_id=mailbox.pk,
            server=server,
            window_start=window_of(mailbox, limits, now=timezone.now()),
            deadline=time.monotonic() + (min(seconds, deaths.SECONDS) if lease.deaths else seconds),
            thorough=thorough,
            max_message_bytes=settings.MAIL_MAX_MESSAGE_BYTES,
            reading=reading,
            preparing=preparing,
            parser=parser,
            careful=lease.deaths > 0 or lease.failures >= MOST_FAILURES,
            one_by_one=lease.failures > 0,
        )
        with _hanging_up(server):
            again = _work(run)
    return Outcome(MailboxState.OK, again=again, imported=run.imported, changed=run.changed, reached=True)


def _work(run: Run) -> bool:
    """Push, then pull folder by folder; whether another run is wanted at once."""
    with replica.writing(run.lease):
        has_work = pushing.has_work(run.mailbox_id)
    if has_work:
        pushing.revive(run)
        pushing.push(run)
    folders = folderpull.refresh(run)
    statuses = run.server.statuses([bytes(folder.name) for folder in folders])
    again = False
    try:
        first.pull_tops(run, folders, statuses)
        for group in first.groups(run, folders, statuses):
            equal = first.pull_whole(run, group, statuses)
            for folder in group:
                if folder.pk not in equal:
                    again |= _guarded(run, folder, statuses.get(bytes(folder.name)))
                if pushing.waiting(run):
                    pushing.push(run)
    except OutOfTime:
        return True
    with replica.writing(run.lease):
        replica.discard_unplaced(run.mailbox_id, timezone.now())
        lost = letterpush.look(run)
    letterpush.ask_about(run, lost)
    return again


@contextmanager
def _hanging_up(server: ImapServer) -> Iterator[None]:
    """Whatever ends the run, no thread goes on reading: the run would wait for it."""
    try:
        yield
    except BaseException:
        server.hang_up()
        raise


def _guarded(run: Run, folder: Folder, status: Status | None) -> bool:
    """One folder; its trouble is noted on it and the rest goes on. True if it must be looked at again at once."""
    try:
        return pulling.pull(run, folder, status)
    except (FolderGone, CommandRefused) as error:
        with replica.writing(run.lease, folder.pk) as locked:
            assert locked is not None
            locked.error, locked.errors_in_row = error.sentence, locked.errors_in_row + 1
            locked.refused_since = locked.refused_since or timezone.now()
            locked.walk = None
            locked.save(update_fields=["error", "errors_in_row", "refused_since", "walk"])
        return False


def _give_back(lease: Lease, due_at: datetime) -> None:
    """Nothing failed, and the next worker may have the mailbox at once: this one was told to end, by a deploy, or has
    less patience."""
    with tenancy.acting_for(lease.account_id):
        schedule.release(lease, due_at=due_at, failures=schedule.failures_of(lease))


def _note(lease: Lease, outcome: Outcome, started: datetime) -> None:
    """Write how it went and when the mailbox is due again, and give the lease back. Raises LeaseLost."""
    now = timezone.now()
    with replica.writing(lease):
        before, refusals = schedule.tries_of(lease)
        failures = before + 1 if outcome.error else 0
        refusals = refusals + (outcome.state == MailboxState.REFUSED) if outcome.error else 0
        mailbox = Mailbox.objects.filter(pk=lease.mailbox_id)
        if outcome.error:
            mailbox.filter(troubled_since=None).update(troubled_since=now)
            mailbox.update(state=outcome.state, last_error=outcome.error)
        elif outcome.state == MailboxState.OK:
            mailbox.update(state=outcome.state, last_error="", troubled_since=None, synced_at=now)
            if not outcome.again:
                mailbox.filter(first_synced_at=None).update(first_synced_at=now)
        elif outcome.state == MailboxState.PAUSED:
            paused = mailbox.exclude(state=outcome.state)
            paused.update(state=outcome.state, last_error=PLAN_OFF, troubled_since=now)
        elif outcome.state == PARKED:  # whatever is wrong with it, it is no longer that the plan has no mail
            off = mailbox.filter(state=MailboxState.PAUSED)
            off.update(state=MailboxState.OK, last_error="", troubled_since=None)
        due_at = _due(outcome, failures, refusals, now)
        rest = schedule.Rest(refusals, _rests_until(outcome, due_at, now))
        schedule.release(lease, due_at=due_at, failures=failures, rest=rest)
        if outcome.reached is False:
            outages.failed(lease.server)
        elif outcome.reached and lease.doubted:
            outages.end(lease.server)
        if outcome.changed or outcome.error or before:
            live.tell(lease.mailbox_id)
    log.info(
        "mailbox_synchronised",
        mailbox=lease.mailbox_id,
        state=outcome.state,
        imported=outcome.imported,
        changed=outcome.changed,
        seconds=round((now - started).total_seconds(), 3),
    )


def _due(outcome: Outcome, failures: int, refusals: int, now: datetime) -> datetime | None:
    """The next time; None where only a person's act should try again."""
    if outcome.state in (MailboxState.PAUSED, PARKED, ON_HOLD):
        return now + SYNC_OFF_AGAIN
    if outcome.state == MailboxState.WITHDRAWN or refusals >= schedule.REFUSED_TRIES:
        return None
    if outcome.state == MailboxState.BUSY:
        wait: timedelta = min(BUSY_BACK_OFF * 2 ** min(failures - 1, 10), MOST_BUSY_BACK_OFF)
        # Never earlier than the server asked, and not all at once: what asked too much were many.
        return now + max(wait, timedelta(seconds=outcome.seconds)) * random.uniform(1.0, 1.4)  # noqa: S311
    if outcome.error:
        most = DOWN_BACK_OFF if outcome.reached is False else MOST_BACK_OFF
        wait = min(timedelta(seconds=15) * 2 ** min(failures, 10), most)
        return now + wait * random.uniform(0.8, 1.2)  # noqa: S311 (spread, not secrecy)
    return now if outcome.again else now + timedelta(seconds=settings.MAIL_POLL_SECONDS)


def _rests_until(outcome: Outcome, due_at: datetime | None, now: datetime) -> datetime | None:
    """Until when not even a click may try: as long as the server asked, or a day where it refuses the login."""
    if due_at is None:
        return now + REFUSED_REST
    return due_at if outcome.state == MailboxState.BUSY else None
