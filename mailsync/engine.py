"""The engine: one run of one mailbox. Connect, push, list the folders, pull each, note how it went.

Whoever calls holds the lease (schedule.claim); the engine renews it with every transaction and stops when it is
lost. Nothing here decides: sync.plan and sync.ladder do.
"""

import random
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.utils import timezone

from accounts import tenancy
from mailsync import deaths, first, holding, letterpush, live, pulling, pushing, replica, schedule, secrets
from mailsync.apart import Parser
from mailsync.foldernames import within
from mailsync.folders import open_changes
from mailsync.imap.errors import Busy, CommandRefused, FolderGone, Refused, ServerError, Withdrawn
from mailsync.imap.server import Status
from mailsync.models import Folder, Mailbox, MailboxState, SpecialUse
from mailsync.parking import is_parked
from mailsync.probing import found_folder
from mailsync.roles import FoundFolder
from mailsync.run import OutOfTime, Run
from mailsync.schedule import Lease, LeaseLost
from mailsync.signing_in import signed_in
from mailsync.windows import window_of
from plans.subscriptions import limits_for

log = structlog.get_logger(__name__)

SYNC_OFF_AGAIN = timedelta(minutes=10)  # a plan may have changed: asking costs one query
MOST_BACK_OFF = timedelta(minutes=15)
BUSY_BACK_OFF, MOST_BUSY_BACK_OFF = timedelta(minutes=5), timedelta(hours=1)
REFUSED_TRIES = 3  # then only a repair tries again, or an employee's act once a day: providers lock accounts
REFUSED_REST = timedelta(days=1)
FIRST_FOLDERS = [SpecialUse.INBOX, SpecialUse.SENT, SpecialUse.DRAFTS, ""]
MOST_FOLDER_ERRORS = 3
# How long a folder is refused before the mail that is in it here goes: a refusal need not say that it is only for now.
REFUSED_GRACE = timedelta(hours=1)
PLAN_OFF = "Your company's plan has no mail at present."
# No states of the mailbox: they are asked anew each time.
PARKED, ON_HOLD = "parked", "on hold"
UNEXPECTED = (
    "The synchronisation stopped on an unexpected error. It is tried again; the operator's log says more."
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended. `again` asks for another at once; `error` is the sentence that the page shows; `seconds` is how
    long the server wants to be left alone, where it says so."""

    state: str
    error: str = ""
    again: bool = False
    imported: int = 0
    changed: int = 0
    seconds: int = 0


def synchronise(lease: Lease, *, seconds: float, thorough: bool = False) -> Outcome:
    """One run of at most about `seconds`, then give the lease back. Raises LeaseLost and nothing of the server's."""
    started = timezone.now()
    try:
        outcome = _run(lease, seconds=seconds, thorough=thorough)
    except ServerError as error:
        seconds = error.seconds if isinstance(error, Busy) else 0
        outcome = Outcome(state_after(error), error=error.sentence, seconds=seconds)
    except secrets.WrongKeyError:
        outcome = Outcome(
            MailboxState.REFUSED, error="The stored password cannot be opened any more; enter it again."
        )
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
            careful=lease.deaths > 0,
            one_by_one=lease.failures > 0,
        )
        again = _work(run)
    return Outcome(MailboxState.OK, again=again, imported=run.imported, changed=run.changed)


def _work(run: Run) -> bool:
    """Push, then pull folder by folder; whether another run is wanted at once."""
    with replica.writing(run.lease):
        has_work = pushing.has_work(run.mailbox_id)
    if has_work:
        pushing.revive(run)
        pushing.push(run)
    folders = refresh_folders(run)
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


def _guarded(run: Run, folder: Folder, status: Status | None) -> bool:
    """One folder; its trouble is noted on it and the rest goes on. True if it must be looked at again at once."""
    try:
        return pulling.pull(run, folder, status)
    except (FolderGone, CommandRefused) as error:
        with replica.writing(run.lease, folder.pk) as locked:
            assert locked is not None
            locked.error, locked.errors_in_row = error.sentence, locked.errors_in_row + 1
            locked.refused_since = locked.refused_since or timezone.now()
            locked.save(update_fields=["error", "errors_in_row", "refused_since"])
        return False


def refresh_folders(run: Run) -> list[Folder]:
    """Bring our folders in line with LIST and return those to synchronise, INBOX first.

    A folder that is listed no more goes only if STATUS refuses it too; an empty LIST changes nothing (J13). One that is
    listed, and neither SELECT nor STATUS knows it, is closed: so Dovecot lists a folder that was deleted or renamed
    away while it had others inside. What an employee wishes of folders and the server has not taken yet is left alone
    on both sides.
    """
    run.folders_listed = True
    listed = {
        remote.name: found_folder(remote, None, gmail=run.server.is_gmail) for remote in run.server.folders()
    }
    with replica.writing(run.lease):
        ours = {bytes(folder.name): folder for folder in Folder.objects.filter(mailbox=run.mailbox_id)}
    closed = {name for name, found in listed.items() if not found.selectable}
    doubtful = [n for n in ours if listed and (n not in listed or _is_doubtful(ours[n])) and n not in closed]
    closed |= run.server.missing(doubtful)
    _follow(run, ours, listed, closed)
    due = [
        folder
        for name, folder in ours.items()
        if folder.syncing and folder.selectable and name not in closed and _worth_trying(folder)
    ]
    return sorted(due, key=_order)


def _is_doubtful(folder: Folder) -> bool:
    """Whether STATUS is to say if there is such a folder: it was found closed, or SELECT has refused it for long."""
    since = folder.refused_since
    patience = REFUSED_GRACE if folder.total else timedelta(0)
    return not folder.selectable or (since is not None and since < timezone.now() - patience)


def _follow(
    run: Run, ours: dict[bytes, Folder], listed: Mapping[bytes, FoundFolder], closed: Collection[bytes]
) -> None:
    """Let folders go and come as they did on the server; `ours` is what we have, before and after."""
    leaving = [n for n, folder in ours.items() if n in closed and (folder.selectable or n not in listed)]
    coming = [n for n in listed if n not in ours or not (n in closed or ours[n].selectable)]
    if not (leaving or coming):
        return
    with replica.writing(run.lease):
        wished = _wished_names(run)
        for name in sorted(leaving, key=lambda name: ours[name].pk):
            if ours[name].deleting or (not _is_wished(name, wished) and holding.may_go(ours[name])):
                if name in listed:
                    replica.close_folder(ours[name])
                else:
                    replica.remove_folder(ours.pop(name))
        for name in coming:
            taken = {folder.special_use for folder in ours.values()}
            if name in ours:
                _reopen(ours[name], _role(listed[name], taken))
            elif not _is_wished(name, wished):
                ours[name] = _add_folder(run, listed[name], _role(listed[name], taken))


def _wished_names(run: Run) -> list[tuple[bytes, str]]:
    """The names that open changes of folders are about, each with its delimiter."""
    changes = open_changes(run.mailbox_id)
    delimiters = dict(
        Folder.objects.filter(pk__in=[c.folder_id for c in changes]).values_list("pk", "delimiter")
    )
    return [
        (bytes(name), delimiters[change.folder_id])
        for change in changes
        for name in (change.old_name, change.new_name)
        if name is not None and change.folder_id
    ]


def _is_wished(name: bytes, wished: list[tuple[bytes, str]]) -> bool:
    return any(within(name, each, delimiter) for each, delimiter in wished)


def _worth_trying(folder: Folder) -> bool:
    """A folder that failed again and again is tried in one run of ten: a phantom must not be hammered (J10)."""
    return folder.errors_in_row < MOST_FOLDER_ERRORS or random.random() < 0.1  # noqa: S311


def _order(folder: Folder) -> tuple[int, str]:
    rank = (
        FIRST_FOLDERS.index(folder.special_use) if folder.special_use in FIRST_FOLDERS else len(FIRST_FOLDERS)
    )
    return rank, folder.path


def _role(found: FoundFolder, taken: Collection[str]) -> str:
    role = SpecialUse.INBOX if found.name.upper() == b"INBOX" else found.special_use
    return role if role in SpecialUse.values and role not in taken else ""


def _reopen(folder: Folder, role: str) -> None:
    folder.selectable, folder.special_use = True, role
    folder.save(update_fields=["selectable", "special_use"])


def _add_folder(run: Run, found: FoundFolder, role: str) -> Folder:
    folder, _made = Folder.objects.get_or_create(  # an employee may have made it a moment ago
        mailbox_id=run.mailbox_id,
        name=found.name,
        defaults={
            "account_id": run.lease.account_id,
            "path": found.path,
            "delimiter": found.delimiter,
            "special_use": role,
            "selectable": found.selectable,
            "syncing": not found.is_virtual,
        },
    )
    return folder


def _give_back(lease: Lease, due_at: datetime) -> None:
    """The worker was told to end (a deploy): nothing failed, and the next may have the mailbox at once."""
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
    if outcome.state == MailboxState.WITHDRAWN or refusals >= REFUSED_TRIES:
        return None
    if outcome.state == MailboxState.BUSY:
        wait: timedelta = min(BUSY_BACK_OFF * 2 ** min(failures - 1, 10), MOST_BUSY_BACK_OFF)
        # Never earlier than the server asked, and not all at once: what asked too much were many.
        return now + max(wait, timedelta(seconds=outcome.seconds)) * random.uniform(1.0, 1.4)  # noqa: S311
    if outcome.error:
        wait = min(timedelta(seconds=15) * 2 ** min(failures, 10), MOST_BACK_OFF)
        return now + wait * random.uniform(0.8, 1.2)  # noqa: S311 (spread, not secrecy)
    return now if outcome.again else now + timedelta(seconds=settings.MAIL_POLL_SECONDS)


def _rests_until(outcome: Outcome, due_at: datetime | None, now: datetime) -> datetime | None:
    """Until when not even a click may try: as long as the server asked, or a day where it refuses the login."""
    if due_at is None:
        return now + REFUSED_REST
    return due_at if outcome.state == MailboxState.BUSY else None
