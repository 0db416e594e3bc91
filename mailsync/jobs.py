"""Celery's jobs: three lines each; ids come in, the truth is in rows."""

from celery import shared_task
from django.utils import timezone

from mailsync import (
    admitting,
    checking,
    consents,
    discarding,
    dispatch,
    engine,
    enrolling,
    events,
    noting,
    outbox,
    probing,
    schedule,
    sender,
    unread,
)


@shared_task(name="mailsync.tick")
def tick() -> int:
    """Hint workers at every mailbox that is due (beat, every few seconds)."""
    return schedule.hint_due(timezone.now())


@shared_task(name="mailsync.sync_mailbox")
def sync_mailbox(mailbox_id: int, queue: str = schedule.SYNC) -> None:
    """One run of a mailbox, if it is due and nobody else has it."""
    lease = schedule.claim(mailbox_id, timezone.now(), click=queue == schedule.INTERACTIVE)
    if (
        lease
        and engine.synchronise(
            lease, seconds=schedule.RUN_SECONDS[queue], patience=schedule.PATIENCE_SECONDS[queue]
        ).again
    ):
        schedule.continue_in_bulk(lease)


@shared_task(name="mailsync.send_due")
def send_due() -> int:
    """Hint workers at every mailbox that has something to send (beat, every few seconds)."""
    return dispatch.hint_due(timezone.now())


@shared_task(name=dispatch.JOB, soft_time_limit=570, time_limit=590)
def send_letters(mailbox_id: int) -> None:
    """Send what is due from a mailbox, if nobody else is at it."""
    if turn := dispatch.claim(mailbox_id, timezone.now()):
        sender.send(turn)


@shared_task(name="mailsync.test_connection")
def test_connection(account_id: int, test_id: int) -> None:
    """Try a mail server while the page watches (queue interactive)."""
    probing.probe(account_id, test_id)


@shared_task(name="mailsync.admit")
def admit(account_id: int, row_id: int) -> None:
    """Test a mailbox that an admin connects for somebody, and connect it (queue bulk)."""
    admitting.admit(account_id, row_id)


@shared_task(name="mailsync.hint_enrolments")
def hint_enrolments() -> None:
    """Hint workers at mailboxes that wait to be connected (beat; queue bulk)."""
    enrolling.hint_everywhere()


@shared_task(name="mailsync.forget_enrolments")
def forget_enrolments() -> None:
    """Forget the passwords of mailboxes that were not connected, and of tests, within a day (beat, by night; queue
    bulk)."""
    enrolling.forget_everywhere()


@shared_task(name="mailsync.discard_copies")
def discard_copies(account_id: int, mailbox_id: int) -> None:
    """Remove our copies of what a person let go (queue bulk)."""
    discarding.discard_let_go(account_id, mailbox_id)


@shared_task(name="mailsync.discard_left")
def discard_left() -> None:
    """Hint workers at what was let go and is still here (beat, hourly; queue bulk)."""
    discarding.hint_everywhere()


@shared_task(name="mailsync.forget_consent")
def forget_consent(account_id: int, consent_id: int) -> None:
    """Have a provider forget the consent of a mailbox that was let go (queue bulk)."""
    consents.forget(account_id, consent_id)


@shared_task(name="mailsync.drop_events")
def drop_events() -> int:
    """Forget what happened to messages longer ago than is kept (beat, by night; queue bulk)."""
    return events.drop_old(timezone.now())


@shared_task(name="mailsync.drop_notes")
def drop_notes() -> int:
    """Forget notes that were deleted or whose message left long ago, old notices, and what people had not read where
    that is one for everybody again (beat, by night; queue bulk)."""
    return noting.drop_old(timezone.now()) + unread.drop_old(timezone.now())


@shared_task(name="mailsync.forget_letters")
def forget_letters() -> int:
    """Delete the drafts that were thrown away long ago (beat, by night; queue bulk)."""
    return outbox.forget_discarded(timezone.now())


@shared_task(name="mailsync.hint_checks")
def hint_checks() -> int:
    """Hint workers at every mailbox whose comparison was asked for or whose turn it is by night (beat)."""
    return schedule.hint_checks(timezone.now())


@shared_task(name="mailsync.check_mailbox")
def check_mailbox(account_id: int, mailbox_id: int) -> None:
    """Compare a mailbox with its server, unless another worker has it (queue bulk)."""
    checking.check(account_id, mailbox_id)
