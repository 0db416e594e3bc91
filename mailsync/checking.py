"""Is everything here? Each folder of a mailbox compared with the server, noted, and mended where nothing explains it.

Nothing is changed on the server. Here only cursors are taken back (and then a sync is woken): what is missing is
fetched and what is known is only placed again, by the same code as ever.
"""

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.db.models import F
from django.utils import timezone

from accounts import tenancy
from mailsync import importing, replica, schedule, secrets
from mailsync.foldernames import canonical
from mailsync.imap.errors import CommandRefused, FolderGone, ServerError
from mailsync.imap.server import ImapServer
from mailsync.models import (
    OPEN,
    Folder,
    FolderCheck,
    Mailbox,
    MailboxState,
    Operation,
    OperationKind,
    Placement,
    SkippedMessage,
    SpecialUse,
    Tombstone,
)
from mailsync.parking import is_parked
from mailsync.probing import found_folder
from mailsync.schedule import CheckTurn, LeaseLost
from mailsync.signing_in import signed_in
from mailsync.sync.ledger import Cause, Comparison, Difference, OurSide, ServerSide, UidRanges, compare
from mailsync.sync.state import RemoteMessage, is_undated
from mailsync.windows import window_of
from plans.subscriptions import limits_for

log = structlog.get_logger(__name__)

HISTORY_KEPT = timedelta(days=90)
RUN_SECONDS = 200  # the bulk workers' share; the rest goes on in the next run
NO_MAIL = "The account's plan has no mail: nothing is compared."
PAUSED = "An admin paused the mailbox: nothing is compared."
PARKED = "The mailbox is parked, because the plan has no room for it: nothing is compared."
NEW_FOLDER = "This folder is new on the server; it comes with the next sync."
UNEXPECTED = "The comparison stopped on an unexpected error; the operator's log says more."


@dataclass(slots=True)
class Check:
    """One run of one comparison. `wake`: something was found that a sync mends or fetches."""

    turn: CheckTurn
    mailbox: Mailbox
    server: ImapServer
    window_start: datetime
    deadline: float
    wake: bool = False


def check(account_id: int, mailbox_id: int, *, seconds: float = RUN_SECONDS) -> bool:
    """Compare what is left to compare of a mailbox; False while another worker has it or something is left.

    Raises LeaseLost and nothing of the server's: its trouble becomes a row.
    """
    with tenancy.acting_for(account_id):
        turn = schedule.claim_check(account_id, mailbox_id, timezone.now())
    if turn is None:
        return False
    finished, wake = True, False
    try:
        finished, wake = _compare_mailbox(turn, seconds)
    except LeaseLost:
        raise
    except ServerError as error:
        _note_failure(turn, error.sentence)
    except secrets.WrongKeyError as error:
        _note_failure(turn, str(error.sentence))
    except SystemExit:  # told to end: it goes on with the next worker
        _end(turn, finished=False, wake=False)
        raise
    except Exception:
        _note_failure(turn, UNEXPECTED)
        _end(turn, finished=True, wake=False)
        raise
    _end(turn, finished=finished, wake=wake)
    return finished


def _compare_mailbox(turn: CheckTurn, seconds: float) -> tuple[bool, bool]:
    """Whether all folders are done, and whether a sync is wanted at once."""
    with tenancy.acting_for(turn.lease.account_id):
        mailbox = Mailbox.objects.select_related("account", "consent").get(pk=turn.lease.mailbox_id)
        limits = limits_for(mailbox.account, mailbox.account.today())
        parked = is_parked(mailbox, limits)
    if mailbox.disconnected_at:
        return True, False
    if mailbox.paused_at:
        _note_failure(turn, PAUSED)
        return True, False
    if not limits.sync_enabled:
        _note_failure(turn, NO_MAIL)
        return True, False
    if parked:
        _note_failure(turn, PARKED)
        return True, False
    is_refused = mailbox.state in (MailboxState.REFUSED, MailboxState.WITHDRAWN)
    # Providers lock accounts: only a person tries again, and while it is to be left alone nobody.
    if turn.rests or (is_refused and turn.asked_by_id is None):
        _note_failure(turn, mailbox.last_error)
        return True, False
    window = window_of(mailbox, limits, now=timezone.now())
    with signed_in(mailbox, meanwhile=replica.keeping(turn.lease)) as server:
        run = Check(turn, mailbox, server, window, time.monotonic() + seconds)
        return _compare_folders(run), run.wake


def _compare_folders(run: Check) -> bool:
    """Folder by folder, INBOX first; stops between two of them when a sync is due or the time is over."""
    for number, folder in enumerate(_folders(run.turn)):
        if number and (_someone_waits(run) or time.monotonic() > run.deadline):
            return False
        try:
            _compare_folder(run, folder)
        except (FolderGone, CommandRefused) as error:
            _note(run.turn, folder, None, path=folder.path, error=error.sentence)
    _note_new_folders(run)
    return True


def _folders(turn: CheckTurn) -> list[Folder]:
    """In step, known to the server, and not compared yet by an earlier run of the same comparison."""
    box = turn.lease.mailbox_id
    with tenancy.acting_for(turn.lease.account_id):
        done = FolderCheck.objects.filter(mailbox=box, at__gte=turn.since, folder__isnull=False)
        making = Operation.objects.filter(
            mailbox=box, state__in=OPEN, kind=OperationKind.CREATE, folder__isnull=False
        )
        left = Folder.objects.filter(mailbox=box, syncing=True, selectable=True, deleting=False)
        others = {*done.values_list("folder", flat=True), *making.values_list("folder", flat=True)}
        rows = list(left.exclude(pk__in=others))
    return sorted(rows, key=lambda folder: (folder.special_use != SpecialUse.INBOX, folder.path.lower()))


def _note_new_folders(run: Check) -> None:
    """Folders that the server has and we have never heard of: the next sync brings them."""
    with tenancy.acting_for(run.turn.lease.account_id):
        known = {canonical(bytes(name)) for name in run.mailbox.folders.values_list("name", flat=True)}
    listed = [found_folder(remote, None, gmail=run.server.is_gmail) for remote in run.server.folders()]
    for found in listed:
        if found.name not in known and found.selectable and found.worth_syncing:
            run.wake = True
            _note(run.turn, None, None, path=found.path, error=NEW_FOLDER)


def _someone_waits(run: Check) -> bool:
    with tenancy.acting_for(run.turn.lease.account_id):
        return schedule.someone_waits(run.turn)


def _compare_folder(run: Check, folder: Folder) -> None:
    opened = run.server.open(bytes(folder.name))
    uids = UidRanges.joined(run.server.uids(opened.exists))
    # Ours after theirs: what a click does in between is in our operations already.
    ours = _our_side(run, folder)
    if folder.uidvalidity != opened.uidvalidity:
        ours = OurSide(
            UidRanges(), 0, ours.window_start, waiting=ours.waiting + len(ours.uids), fetching=True
        )
    absent = uids - ours.uids
    # A day apart, because a server compares days of whatever zone the date was written in.
    day = (ours.window_start - timedelta(days=1)).date()
    older = UidRanges.joined(run.server.uids_before(day, opened.exists)) & absent if absent else UidRanges()
    described = run.server.describe(absent - older)
    ours = _with_tombstones(run, ours, described)
    comparison = compare(ServerSide(uids, older, described), ours)
    _mend(run, folder, comparison, ours)


def _our_side(run: Check, folder: Folder) -> OurSide:
    with replica.writing(run.turn.lease):
        folder.refresh_from_db()
        skipped = SkippedMessage.objects.filter(folder=folder, uidvalidity=folder.uidvalidity or 0)
        leaving = Operation.objects.filter(
            folder=folder, state__in=OPEN, kind__in=[OperationKind.MOVE, OperationKind.EXPUNGE]
        )
        return OurSide(
            uids=replica.placed_uids(folder),
            uid_seen=folder.uid_seen,
            window_start=run.window_start,
            waiting=Placement.objects.filter(folder=folder, uid=None).count(),
            leaving=frozenset(uid for uid in leaving.values_list("uid", flat=True) if uid is not None),
            skipped=dict(skipped.values_list("uid", "reason")),
            fetching=folder.full_at is None,
            held=folder.held_back > 0,
        )


def _with_tombstones(run: Check, ours: OurSide, described: dict[int, RemoteMessage]) -> OurSide:
    """Which of those that are not here were let go on purpose: their header proves it. Their date proposes it; and that
    they were met and are not here, for a copy may have a date of its own."""
    with tenancy.acting_for(run.turn.lease.account_id):
        rows = list(Tombstone.objects.filter(mailbox=run.mailbox).values_list("received_at", "header_hash"))
    dates, graves = {date for date, _ in rows}, {bytes(key) for _, key in rows}
    suspects = [
        message
        for message in described.values()
        if message.received_at in dates
        or is_undated(message.received_at)
        or (rows and message.uid <= ours.uid_seen and message.received_at >= ours.window_start)
    ]
    headers = run.server.headers(message.uid for message in suspects) if suspects else {}
    discarded = frozenset(
        message.uid
        for message in suspects
        if message.uid in headers and importing.header_hash(headers[message.uid], message.size) in graves
    )
    return replace(ours, discarded=discarded)


def _mend(run: Check, folder: Folder, comparison: Comparison, ours: OurSide) -> None:
    """Note the folder; where something is wrong, take its cursor back so that the next sync puts it right."""
    rewind_to = comparison.rewind_to
    removed = comparison.count(Cause.REMOVED) > 0
    if rewind_to is not None or removed:
        with replica.writing(run.turn.lease, folder.pk) as locked:
            assert locked is not None
            locked.full_at = locked.walk = None
            locked.uid_seen = min(locked.uid_seen, locked.uid_seen if rewind_to is None else rewind_to)
            locked.save(update_fields=["full_at", "walk", "uid_seen"])
            if missing := comparison.count(Cause.MISSING):
                found = Mailbox.objects.filter(pk=folder.mailbox_id)
                found.update(missing=F("missing") + missing, missing_at=timezone.now())
    news = comparison.count(Cause.ARRIVED) + comparison.count(Cause.FETCHING)
    run.wake |= rewind_to is not None or removed or news > 0
    _note(run.turn, folder, comparison, path=folder.path, repaired=rewind_to is not None, ours=ours)


def _note(
    turn: CheckTurn,
    folder: Folder | None,
    comparison: Comparison | None,
    *,
    path: str = "",
    ours: OurSide | None = None,
    repaired: bool = False,
    error: str = "",
) -> None:
    differences = comparison.differences if comparison else ()
    with replica.writing(turn.lease):
        FolderCheck.objects.create(
            account_id=turn.lease.account_id,
            mailbox_id=turn.lease.mailbox_id,
            folder=folder,
            path=path,
            server_count=comparison.server_count if comparison else None,
            here_count=comparison.here_count if comparison else None,
            differences=[_as_json(each, ours) for each in differences],
            repaired=repaired,
            error=error,
            asked_by_id=turn.asked_by_id,
        )
    if repaired:
        log.warning("mail_was_missing", mailbox=turn.lease.mailbox_id, folder=folder and folder.pk)


def _as_json(difference: Difference, ours: OurSide | None) -> dict[str, object]:
    kept: dict[str, object] = {
        "cause": difference.cause.value,
        "count": difference.count,
        "named": [
            {
                "uid": each.uid,
                "received_at": each.received_at.isoformat() if each.received_at else None,
                "size": each.size,
                "why": each.why,
            }
            for each in difference.named
        ],
    }
    if difference.cause is Cause.OLDER and ours:
        kept["since"] = ours.window_start.isoformat()
    return kept


def _note_failure(turn: CheckTurn, sentence: str) -> None:
    _note(turn, None, None, error=sentence)


def _end(turn: CheckTurn, *, finished: bool, wake: bool) -> None:
    """Give the mailbox back; with the end of a comparison goes what is too old to keep."""
    with replica.writing(turn.lease):
        if finished:
            old = FolderCheck.objects.filter(
                mailbox=turn.lease.mailbox_id, at__lt=timezone.now() - HISTORY_KEPT
            )
            old.delete()
        schedule.end_check(turn, finished=finished, sync_now=wake or not finished)
