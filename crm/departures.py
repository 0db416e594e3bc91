"""A letter goes: one that was written from a record, or answers such mail, is on the record's timeline at once.

From queueing on, in the transaction that fixes its bytes: its Message-ID, Date and body are those of the copy that is
pulled from Sent later, so that copy finds this activity by its fingerprint. Taken back, it is gone from the timeline.
Every other letter comes by its copy alone, as all mail does (crm.arrivals).
"""

from typing import Any

import structlog
from django.db import DataError, IntegrityError, transaction
from django.utils import timezone

from crm import activities, known, letters, matching
from crm.known import Known
from crm.letters import Letter
from crm.matching import Policy, Ref, Rule
from crm.models import Activity, ActivityKind, Binding
from mailsync import blobs
from mailsync.importing import Prepared, prepare
from mailsync.models import Origin, Outgoing

log = structlog.get_logger(__name__)


def receive(*, outgoing: Outgoing, **_signal: Any) -> None:
    """The receiver of mailsync.signals.letter_queued and letter_sent."""
    if outgoing.origin == Origin.WEBMAIL and not outgoing.in_reply_to:
        return  # begun from no record, and no answer: the parsing is spared
    try:
        with transaction.atomic():
            _keep(outgoing)
    except (DataError, IntegrityError) as error:
        # It has left whatever CRM makes of it; matching again finds its copy.
        log.warning("crm_refused_letter", letter=outgoing.pk, error=type(error).__name__)


def recall(*, outgoing: Outgoing, **_signal: Any) -> None:
    """The receiver of mailsync.signals.letter_recalled: nobody has the letter, so nothing happened."""
    mails = Activity.objects.filter(account_id=outgoing.account_id, message_id=outgoing.message_id)
    mails.filter(kind=ActivityKind.MAIL, outgoing=True, copies=None).delete()


def _keep(outgoing: Outgoing) -> None:
    item = _prepared(outgoing)
    letter = letters.arrived(0, item, own=known.own(outgoing.account_id))
    about = known.about(outgoing.account_id, [letter])
    decision = matching.decide(letter.participants, about.candidates(letter), Policy())
    if decision.rule in (Rule.PERSON, Rule.WRITTEN_FROM):
        activities.one_at_a_time(outgoing.account_id)
        activity = _activity(outgoing, item, letter, about, activities.reason_of(decision))
        for ref in decision.bind:
            _bind(activity, ref, outgoing)
        if outgoing.sent_at and activity.at != item.received_at:
            # It stood there since it was queued: now it has its place among what happened.
            Activity.objects.filter(pk=activity.pk).update(at=item.received_at)
            Binding.objects.filter(activity=activity).update(at=item.received_at)


def _prepared(outgoing: Outgoing) -> Prepared:
    assert outgoing.header is not None
    assert outgoing.body is not None
    raw = bytes(outgoing.header) + blobs.body_of(outgoing.body)
    return prepare(outgoing.account_id, 0, frozenset(), outgoing.sent_at or timezone.now(), raw)


def _activity(
    outgoing: Outgoing, item: Prepared, letter: Letter, about: Known, reason: dict[str, Any]
) -> Activity:
    summary = item.summary
    return Activity.objects.get_or_create(
        account_id=outgoing.account_id,
        fingerprint=letter.fingerprint,
        defaults={
            "kind": ActivityKind.MAIL,
            "at": item.received_at,
            "by": outgoing.by,
            "header": item.header,
            "body": outgoing.body,
            "outgoing": True,
            "message_id": letter.message_id,
            "thread": about.thread_of(letter),
            "subject": letter.subject,
            "sender_name": letter.sender_name,
            "sender_address": summary.sender.address if summary.sender else "",
            "recipients": summary.recipients,
            "snippet": summary.snippet,
            "has_attachments": bool(summary.attachments),
            "reason": reason,
        },
    )[0]


def _bind(activity: Activity, ref: Ref, outgoing: Outgoing) -> None:
    Binding.objects.get_or_create(
        account_id=activity.account_id,
        activity=activity,
        **{f"{ref.kind}_id": ref.id},
        defaults={"at": activity.at, "by": outgoing.by},
    )
