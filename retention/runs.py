"""The rows of a purge: beginning one or joining the one that is open, its lines, its brake, its end."""

from datetime import datetime
from functools import partial

import structlog
from celery import current_app
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import audit, tenancy
from accounts.models import Account, Employee
from mailsync.models import Mailbox, Message
from plans.limits import Limits
from plans.subscriptions import limits_for
from retention import preview
from retention.models import OPEN, LineKind, RetentionLine, RetentionRun, RunState
from retention.policy import DAY, Rule
from retention.preview import Amount

log = structlog.get_logger(__name__)

# What became too old in this time is the ordinary amount, also after a night without workers: it never asks anybody.
ORDINARY = 2 * DAY
# Nor does what is fewer than this.
FEW = 100

_ADD = """
INSERT INTO retention_retentionline (account_id, run_id, mailbox_id, kind, messages, bytes)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (run_id, mailbox_id, kind) DO UPDATE SET
    messages = retention_retentionline.messages + EXCLUDED.messages,
    bytes = retention_retentionline.bytes + EXCLUDED.bytes
"""


def begin(account_id: int, at: datetime) -> RetentionRun | None:
    """The account's open run, or a new one; None where nothing is to leave. Two at once get the same.

    A new one that is too large waits for an admin. One that was begun under other limits is given up.
    """
    with tenancy.acting_for(account_id):
        account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
        limits = limits_for(account, account.day_of(at))
        run = RetentionRun.objects.filter(account=account, state__in=OPEN).first()
        if run and keeps_to(run, limits):
            return run
        if run:
            _end(run, RunState.REPLACED)
        return _new(account, limits, at)


def rule_of(run: RetentionRun) -> Rule:
    return Rule(run.storage_days, run.crm_bound_stays, run.at)


def keeps_to(run: RetentionRun, limits: Limits) -> bool:
    """Whether the run goes by these limits."""
    return (run.storage_days, run.crm_bound_stays) == (limits.storage_days, limits.crm_bound_stays)


def _new(account: Account, limits: Limits, at: datetime) -> RetentionRun | None:
    expected = preview.leaving(preview.removal(account, limits, at)).messages
    if not expected:
        return None
    copies = Message.objects.filter(mailbox__in=list(Mailbox.objects.filter(account=account))).count()
    too_much = _is_share(expected, copies) and _is_share(_unusual(account, limits, at), copies)
    run = RetentionRun.objects.create(
        account=account,
        at=at,
        cutoff=Rule.of(limits, at).cutoff,
        plan=limits.plan,
        storage_days=limits.storage_days,
        crm_bound_stays=limits.crm_bound_stays,
        state=RunState.WAITING if too_much else RunState.RUNNING,
        copies=copies,
        expected=expected,
    )
    if too_much:
        _record(run, "purge.waits", by=None, messages=expected, of=copies)
        log.warning("purge_waits", account=account.pk, run=run.pk, expected=expected, copies=copies)
    return run


def _is_share(messages: int, copies: int) -> bool:
    return messages > FEW and messages * 100 > copies * settings.MAIL_PURGE_BRAKE


def _unusual(account: Account, limits: Limits, at: datetime) -> int:
    """Of what leaves, how many messages were too old before."""
    return preview.leaving(preview.removal(account, limits, at - ORDINARY)).messages


def add(run: RetentionRun, mailbox_id: int, kind: str, amount: Amount) -> None:
    """To a line of the run, in the transaction that does what the line says."""
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [run.account_id, run.pk, mailbox_id, str(kind), amount.messages, amount.bytes])


def put(run: RetentionRun, mailbox_id: int, kind: str, amount: Amount) -> None:
    """A line as it is now: what was left in the mailbox, however often it was looked at."""
    if amount.messages:
        RetentionLine.objects.update_or_create(
            run=run,
            mailbox_id=mailbox_id,
            kind=kind,
            defaults={"account_id": run.account_id, "messages": amount.messages, "bytes": amount.bytes},
        )


def end(run: RetentionRun, state: RunState) -> None:
    """Once: who takes part and comes second changes nothing."""
    with tenancy.acting_for(run.account_id):
        _end(run, state)
        run.refresh_from_db()


def _end(run: RetentionRun, state: RunState) -> None:
    ours = RetentionRun.objects.filter(pk=run.pk, state__in=OPEN)
    if ours.update(state=state, finished_at=timezone.now()):
        lines = run.lines.values_list("kind").annotate(Sum("messages"), Sum("bytes"))
        done = {kind: (messages, size) for kind, messages, size in lines}
        removed, hidden = (done.get(kind, (0, 0)) for kind in (LineKind.REMOVED, LineKind.HIDDEN))
        _record(run, "purge.finished" if state == RunState.FINISHED else "purge.ended", by=None,
                removed=removed[0], hidden=hidden[0], bytes=removed[1] + hidden[1])  # fmt: skip


@transaction.atomic
def decide(run: RetentionRun, *, go: bool, by: Employee | None) -> bool:
    """Let a run go on that waits, or stop it; False where somebody has decided already. `by` empty: an operator."""
    now = timezone.now()
    decided: dict[str, object] = {"decided_by": by, "decided_at": now}
    state = RunState.RUNNING if go else RunState.REFUSED
    waiting = RetentionRun.objects.filter(pk=run.pk, state=RunState.WAITING)
    if not waiting.update(state=state, finished_at=None if go else now, **decided):
        return False
    _record(run, "purge.approved" if go else "purge.refused", by=by, messages=run.expected)
    if go:
        transaction.on_commit(partial(hint, run.account_id))
    return True


def hint(account_id: int) -> None:
    """Have a worker purge the account. Redis down is no error: the beat comes again."""
    try:
        current_app.send_task("retention.purge", args=[account_id], queue="purge", retry=False)
    except OperationalError:
        log.warning("purge_hint_lost", account=account_id)


def _record(run: RetentionRun, verb: str, *, by: Employee | None, **details: object) -> None:
    audit.record(verb, f"Purge {run.pk}", account_id=run.account_id, by=by, **details)
