"""What people do with letters: write, send, take back, throw away, and decide where nobody knows what happened.

Callers have checked the rights. Every verb is one transaction and takes the letter's row first, so that two tabs, two
clicks or a worker in between never do the same thing twice.
"""

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import tenancy
from accounts.models import Account, Employee
from mailsync import actions, blobs, dispatch, filing, lettering, quota, schedule
from mailsync.mime import build, parse
from mailsync.models import How, Mailbox, Message, Outgoing, OutgoingAttachment, OutgoingState, Placement
from mailsync.signals import letter_queued, letter_recalled, letter_sent

# What `save` and `start` may be given.
WRITABLE = frozenset(
    {
        "from_name", "from_address", "to", "cc", "bcc", "subject", "html", "text", "quoted", "answers", "how",
        "in_reply_to", "references",
    }
)  # fmt: skip
MOST_RECIPIENTS = 500
KEPT_DISCARDED = timedelta(days=7)


class CannotSend(Exception):
    """The letter stays as it is; `sentence` says what is wrong with it."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


class SavedElsewhere(Exception):
    """Another tab has saved a newer revision, or the letter is no longer a draft; `current` is how it is now."""

    def __init__(self, current: Outgoing) -> None:
        super().__init__(f"letter {current.pk} is at revision {current.revision}, {current.state}")
        self.current = current


@transaction.atomic
def start(
    mailbox: Mailbox, *, by: Employee | None, origin: str = "webmail", message_id: str = "", **fields: Any
) -> Outgoing:
    """A new draft. `message_id`, without brackets, is what it will be known by for life: given by who has a use for
    one of its own making (CRM), else made here."""
    _check(fields)
    fields.setdefault("from_address", mailbox.address)
    fields.setdefault("from_name", mailbox.sender_name)
    schedule.lock([mailbox.pk])
    letter = Outgoing.objects.create(
        account_id=mailbox.account_id,
        mailbox=mailbox,
        by=by,
        origin=origin,
        message_id=message_id or new_message_id(fields["from_address"]),
        **fields,
    )
    filing.ask(letter)
    return letter


@transaction.atomic
def save(outgoing: Outgoing, *, revision: int, **fields: Any) -> Outgoing:
    """Keep what was written on top of that revision; returns the letter with its new one. Raises SavedElsewhere."""
    _check(fields)
    letter = _locked(outgoing)
    if letter.state != OutgoingState.DRAFT or letter.revision != revision:
        raise SavedElsewhere(letter)
    return _changed(letter, **fields)


@transaction.atomic
def attach(
    outgoing: Outgoing,
    *,
    name: str,
    content_type: str,
    content: bytes,
    content_id: str = "",
    inline: bool = False,
) -> OutgoingAttachment:
    """Add a file to a draft. Raises SavedElsewhere if it is none any more."""
    digest = blobs.digest_of(content)
    if file := blobs.begin_file(outgoing.account_id, digest, content):
        file.result()
    letter = _draft(outgoing)
    made = OutgoingAttachment.objects.create(
        account_id=letter.account_id,
        outgoing=letter,
        blob_id=blobs.store(letter.account_id, {digest: content})[digest],
        name=name,
        type=content_type,
        size=len(content),
        content_id=content_id,
        inline=inline,
    )
    _changed(letter)
    return made


@transaction.atomic
def detach(attachment: OutgoingAttachment) -> None:
    """Take a file out of a draft. Raises SavedElsewhere if it is none any more."""
    letter = _draft(attachment.outgoing)
    attachment.delete()
    _changed(letter)


def queue(outgoing: Outgoing, *, by: Employee | None, key: str, send_at: datetime | None = None) -> Outgoing:
    """Fix the bytes, reserve the quota, and have it sent after the time for second thoughts, or at `send_at`.

    `key` is the click's: asked again with it, or for a letter that is on its way already, it answers with that letter
    and sends nothing more. Raises CannotSend or quota.QuotaUsedUp, and the draft is as it was.
    """
    try:
        with transaction.atomic():
            return _queue(outgoing, by, key, send_at)
    except IntegrityError:
        # The same click, for another row: whoever was first has it.
        for same in Outgoing.objects.filter(account_id=outgoing.account_id, key=key).exclude(key=""):
            return same
        raise


def _queue(outgoing: Outgoing, by: Employee | None, key: str, send_at: datetime | None) -> Outgoing:
    letter = _locked(outgoing)
    if letter.state != OutgoingState.DRAFT:
        return letter
    now = timezone.now()
    undo_until = now + timedelta(seconds=settings.MAIL_UNDO_SECONDS if by else 0)
    header, body = _fixed(letter, now)
    quota.reserve(letter, len(letter.recipients), send_at or now)
    digest = blobs.digest_of(body)
    if file := blobs.begin_file(letter.account_id, digest, body):
        file.result()
    letter.header, letter.body_id = header, blobs.store(letter.account_id, {digest: body})[digest]
    letter.key, letter.queued_at, letter.planned = key, now, bool(send_at and send_at > undo_until)
    letter.send_at = max(send_at or now, undo_until)
    letter.accepted, letter.refused, letter.error, letter.error_kind, letter.tries = [], {}, "", "", 0
    _wait(letter, letter.send_at)
    letter.save()
    letter_queued.send(Outgoing, outgoing=letter)
    return letter


@transaction.atomic
def undo(outgoing: Outgoing) -> Outgoing:
    """Make a letter that waits, or that nobody took, a draft again. Raises SavedElsewhere if it has left."""
    letter = _locked(outgoing)
    if letter.state not in (OutgoingState.QUEUED, OutgoingState.REFUSED) or letter.accepted:
        raise SavedElsewhere(letter)
    letter_recalled.send(Outgoing, outgoing=letter)
    quota.release(letter)
    letter.state, letter.due_at, letter.key = OutgoingState.DRAFT, None, ""
    letter.header = letter.body = letter.queued_at = letter.send_at = None
    return _changed(letter, planned=False)


@transaction.atomic
def discard(outgoing: Outgoing) -> Outgoing:
    """Throw a draft away, here and on the server; `restore` takes that back. Raises SavedElsewhere."""
    return _changed(_draft(outgoing), state=OutgoingState.DISCARDED)


@transaction.atomic
def restore(outgoing: Outgoing) -> Outgoing:
    letter = _locked(outgoing)
    if letter.state != OutgoingState.DISCARDED:
        raise SavedElsewhere(letter)
    return _changed(letter, state=OutgoingState.DRAFT)


@transaction.atomic
def send_again(outgoing: Outgoing) -> Outgoing:
    """A person decided it: send once more to those who did not get it, under the same Message-ID.

    For letters that are unsure or refused. Raises quota.QuotaUsedUp, SavedElsewhere.
    """
    letter = _locked(outgoing)
    if letter.state not in (OutgoingState.UNSURE, OutgoingState.REFUSED):
        raise SavedElsewhere(letter)
    now = timezone.now()
    quota.reserve(letter, len(letter.refused), now)
    letter.refused, letter.error, letter.error_kind, letter.tries, letter.data_at = {}, "", "", 0, None
    letter.queued_at = now  # the sender's patience begins anew
    _wait(letter, now)
    letter.save()
    return letter


@transaction.atomic
def it_arrived(outgoing: Outgoing, *, at: datetime | None = None) -> Outgoing:
    """Somebody knows, or Sent shows, that an unsure letter got through."""
    letter = _locked(outgoing)
    if letter.state != OutgoingState.UNSURE:
        raise SavedElsewhere(letter)
    letter.state, letter.sent_at, letter.error, letter.error_kind = (
        OutgoingState.SENT,
        at or timezone.now(),
        "",
        "",
    )
    letter.accepted = [address for address in letter.recipients if address not in letter.refused]
    letter.updated_at = timezone.now()
    letter.save()
    has_left(letter)
    return letter


def has_left(letter: Outgoing) -> None:
    """What follows when a server has taken a letter, in the transaction that says so; see `lock`."""
    filing.ask(letter)
    _mark_answered(letter)
    letter_sent.send(Outgoing, outgoing=letter)


def lock(letter: Outgoing) -> None:
    """Before the letter's row: the schedules of the mailboxes that this may be about, as every write about mail."""
    ids = {letter.mailbox_id}
    if letter.answers_id is not None:
        ids |= set(Message.objects.filter(pk=letter.answers_id).values_list("mailbox_id", flat=True))
    schedule.lock(sorted(ids))


def forget_discarded(now: datetime) -> int:
    """Delete for good what was thrown away a week ago, in every account; returns how many letters."""
    gone = 0
    for account_id in Account.objects.values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            old = Outgoing.objects.filter(state=OutgoingState.DISCARDED, updated_at__lt=now - KEPT_DISCARDED)
            # The copy on a server that was away all week is found by its letter when it is back.
            done = old.filter(Q(copy_revision=None) | Q(mailbox__disconnected_at__isnull=False))
            gone += done.delete()[1].get("mailsync.Outgoing", 0)
    return gone


def most_bytes(mailbox: Mailbox) -> int:
    """How large a letter of this mailbox may be, encoded: what its outgoing server says, and never more than ours."""
    ours: int = settings.MAIL_MAX_LETTER_BYTES
    return min(ours, mailbox.smtp_most_bytes or ours)


def new_message_id(address: str) -> str:
    """Without angle brackets, never given before."""
    domain = address.rpartition("@")[2].strip().lower()
    return f"{secrets.token_hex(16)}@{domain.encode('idna').decode() if domain else 'mailbound.invalid'}"


def _check(fields: Iterable[str]) -> None:
    if unknown := set(fields) - WRITABLE:
        raise TypeError(f"not for people to write: {sorted(unknown)}")


def _mark_answered(letter: Outgoing) -> None:
    """\\Answered (RFC 9051 2.3.2) or $Forwarded on what it answers, wherever that lies now."""
    if letter.how == How.NEW or letter.answers_id is None:
        return
    flag = "$Forwarded" if letter.how == How.FORWARD else "\\Answered"
    places = list(Placement.objects.filter(message=letter.answers_id).values_list("pk", flat=True))
    actions.set_flags(places, add=[flag], by=letter.by or letter.mailbox.owner)


def _locked(outgoing: Outgoing) -> Outgoing:
    lock(outgoing)
    return (
        Outgoing.objects.select_for_update(of=("self",))
        .select_related("account", "mailbox")
        .get(pk=outgoing.pk)
    )


def _draft(outgoing: Outgoing) -> Outgoing:
    letter = _locked(outgoing)
    if letter.state != OutgoingState.DRAFT:
        raise SavedElsewhere(letter)
    return letter


def _changed(letter: Outgoing, **fields: Any) -> Outgoing:
    """One more revision, and the server's copy is to follow."""
    for name, value in fields.items():
        setattr(letter, name, value)
    letter.revision += 1
    letter.updated_at = timezone.now()
    letter.save()
    filing.ask(letter)
    return letter


def _wait(letter: Outgoing, due_at: datetime) -> None:
    letter.state, letter.due_at, letter.updated_at = OutgoingState.QUEUED, due_at, timezone.now()
    dispatch.make_due(letter.account_id, letter.mailbox_id, due_at)


def _fixed(letter: Outgoing, at: datetime) -> tuple[bytes, bytes]:
    """Header and body as they will leave. Raises CannotSend."""
    if not letter.mailbox.smtp_host:
        raise CannotSend(_("This mailbox has no outgoing server, so nothing can be sent from it."))
    if not letter.recipients:
        raise CannotSend(_("Nobody is named to whom it should go."))
    if len(letter.recipients) > MOST_RECIPIENTS:
        raise CannotSend(_("One letter goes to at most %(most)d recipients.") % {"most": MOST_RECIPIENTS})
    try:
        made = lettering.letter_of(letter, at)
        build.recipients(made)
        raw = build.build(made)
    except build.Unfit as error:
        raise CannotSend(str(error)) from None
    if len(raw) > (most := most_bytes(letter.mailbox)):
        told = {"size": filesizeformat(len(raw)), "most": filesizeformat(most)}
        raise CannotSend(
            _("The letter has %(size)s with its files, and at most %(most)s can be sent.") % told
        )
    return parse.split(raw)
