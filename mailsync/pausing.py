"""Stopping the synchronisation of mailboxes until a person resumes it. What is here can be read; letters still go."""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Case, CharField, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.models import Employee
from mailsync import live, schedule
from mailsync.models import Mailbox, MailboxState

SENTENCE = _("An admin paused this mailbox.")


@transaction.atomic
def pause(mailbox_ids: Iterable[int], *, by: Employee) -> list[int]:
    """Stop them, also a run that is under way; returns those that ran until now."""
    now = timezone.now()
    boxes = _held(mailbox_ids, paused_at=None)
    schedule.interrupt(boxes)
    Mailbox.objects.filter(pk__in=boxes).update(
        paused_at=now, state=MailboxState.PAUSED, last_error=str(SENTENCE), troubled_since=now
    )
    return _done("mailbox.paused", boxes, by)


@transaction.atomic
def resume(mailbox_ids: Iterable[int], *, by: Employee) -> list[int]:
    """Let them go on at once; returns those that were paused."""
    boxes = _held(mailbox_ids, paused_at__isnull=False)
    state = Case(
        When(synced_at=None, then=Value(MailboxState.NEW.value)),
        default=Value(MailboxState.OK.value),
        output_field=CharField(),
    )
    Mailbox.objects.filter(pk__in=boxes).update(
        paused_at=None, state=state, last_error="", troubled_since=None
    )
    schedule.start_anew(*boxes)
    return _done("mailbox.resumed", boxes, by)


@transaction.atomic
def try_now(mailbox_ids: Iterable[int]) -> list[int]:
    """Synchronise them now, but for those whose server asked for patience and those that are paused."""
    boxes = _held(mailbox_ids, paused_at=None)
    patient = Mailbox.objects.filter(pk__in=boxes, state=MailboxState.BUSY).values_list("pk", flat=True)
    woken = sorted(set(boxes) - set(patient))
    schedule.start_anew(*woken)
    return woken


def _held(mailbox_ids: Iterable[int], **which: object) -> list[int]:
    """The connected ones of these that are so, locked in the order of every writer of mail."""
    ids = list(mailbox_ids)
    schedule.lock(ids)
    boxes = Mailbox.objects.filter(pk__in=ids, disconnected_at=None, **which)
    return list(boxes.order_by("pk").values_list("pk", flat=True))


def _done(verb: str, boxes: list[int], by: Employee) -> list[int]:
    for mailbox_id, address in Mailbox.objects.filter(pk__in=boxes).values_list("pk", "address"):
        audit.record(verb, address, account_id=by.account_id, by=by)
        live.tell(mailbox_id)
    return boxes
