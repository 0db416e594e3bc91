"""Sends what waits in the outbox of one mailbox, one letter after the other, each exactly once or not known to be.

A letter is taken by a conditional write and handed over outside of every transaction. Just before its final dot goes
out that is written down (`data_at`): a worker that dies earlier leaves a letter that is sent again, one that dies
later leaves it unsure, and what is unsure is never sent again by itself.
"""

import random
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import tenancy
from mailsync import blobs, dispatch, outbox, quota, schedule, secrets, smtp
from mailsync.dispatch import Turn, TurnLost
from mailsync.imap.errors import Refused as LoginRefused
from mailsync.imap.errors import ServerError
from mailsync.mime.build import wire_address
from mailsync.models import Mailbox, Outgoing, OutgoingState
from mailsync.signing_in import smtp_credentials
from mailsync.smtp import Accepted, Answer, Later, Outcome, Refused, Unsure

# Of a job, which is killed after 570 s: until when it begins letters, and until when it ends their text. A server that
# is slow to take one is not cut off at its final dot, for which smtp.FINAL_TIMEOUT comes on top.
RUN_SECONDS, TEXT_SECONDS = 90, 320
MOST_TRIES = 40
MOST_LOGINS = 5  # refused ones: more of them lock people out
PATIENCE = timedelta(days=2)
BACK_OFF, MOST_BACK_OFF = timedelta(minutes=1), timedelta(hours=2)
# How long all letters of a mailbox rest for one that has failed so often that it waits longer itself.
MOST_REST = timedelta(minutes=5)

log = structlog.get_logger(__name__)


def send(turn: Turn) -> int:
    """Send what is due, then give the turn back; returns how many letters the server has taken.

    Stops where the server cannot be reached: the others would fare no better; and after RUN_SECONDS, whatever waits.
    """
    taken, not_before, began = 0, None, time.monotonic()
    try:
        _revive(turn)
        while not_before is None and time.monotonic() < began + RUN_SECONDS and (letter := _take(turn)):
            outcome = _deliver(turn, letter, out_by=began + TEXT_SECONDS)
            not_before = _settle(turn, letter, outcome)
            taken += isinstance(outcome, Accepted)
            log.info(
                "letter_handled", letter=letter.pk, mailbox=turn.mailbox_id, outcome=type(outcome).__name__
            )
        _release(turn, not_before)
    except TurnLost:
        log.warning("turn_lost", mailbox=turn.mailbox_id)
    except (Exception, SystemExit):
        # An error, or a deploy: the next worker looks after the letter in hand, and the others need not wait for long.
        with suppress(DatabaseTrouble):
            dispatch.release(turn, due_at=timezone.now() + BACK_OFF)
        raise
    return taken


def _revive(turn: Turn) -> None:
    """What a worker left half sent: nothing of it was out yet, or nobody knows."""
    with dispatch.writing(turn):
        schedule.lock([turn.mailbox_id])
        for letter in Outgoing.objects.select_for_update().filter(
            mailbox=turn.mailbox_id, state=OutgoingState.SENDING
        ):
            if letter.data_at is not None:
                _unsure(letter, _("The worker that sent it ended before the outgoing server had answered."))
            else:
                _wait(letter, Later(_("The worker that sent it ended early."), "server", {}))
            _save(letter)


def _take(turn: Turn) -> Outgoing | None:
    """The next letter that is due, now in our hands."""
    now = timezone.now()
    with dispatch.writing(turn):
        if _sent_within_a_minute(turn.mailbox_id, now) >= settings.MAIL_SEND_PER_MINUTE:
            return None
        due = Outgoing.objects.filter(mailbox=turn.mailbox_id, state=OutgoingState.QUEUED, due_at__lte=now)
        # A person who takes it back at this moment has its row.
        rows = due.select_for_update(skip_locked=True, of=("self",)).order_by("due_at", "pk")
        letter = rows.select_related("mailbox__consent", "body").first()
        if letter is None:
            return None
        letter.state, letter.due_at, letter.data_at, letter.tries = (
            OutgoingState.SENDING,
            None,
            None,
            letter.tries + 1,
        )
        _save(letter)
    return letter


def _deliver(turn: Turn, letter: Outgoing, *, out_by: float) -> Outcome:
    """Outside of every transaction."""
    if letter.mailbox.disconnected_at is not None:
        return Refused(_("The mailbox is no longer connected."), "sender", {})
    try:
        return _hand_over(turn, letter, out_by)
    except LoginRefused as error:
        return Later(error.sentence, "login", {})
    except ServerError as error:
        return Later(error.sentence, "server", {})
    except secrets.WrongKeyError as error:
        return Later(str(error.sentence), "server", {})


def _hand_over(turn: Turn, letter: Outgoing, out_by: float) -> Outcome:
    def over() -> None:
        with dispatch.writing(turn):
            Outgoing.objects.filter(pk=letter.pk).update(data_at=timezone.now())

    assert letter.header is not None
    assert letter.body is not None
    raw = bytes(letter.header) + blobs.body_of(letter.body)
    credentials = smtp_credentials(letter.mailbox)
    sender, recipients = wire_address(letter.from_address), list(_remaining(letter))
    told: list[int | None] = []
    outcome = smtp.deliver(
        credentials, raw, sender, recipients, out_by=out_by, before_the_end=over, told_size=told.append
    )
    if told and told[-1] != letter.mailbox.smtp_most_bytes:
        with dispatch.writing(turn):
            Mailbox.objects.filter(pk=turn.mailbox_id).update(smtp_most_bytes=told[-1])
    if credentials.bearer and isinstance(outcome, Later) and outcome.kind == "login":
        # A token may end before its time: the provider says whether the consent has.
        credentials = smtp_credentials(letter.mailbox, refused=credentials.password)
        outcome = smtp.deliver(credentials, raw, sender, recipients, out_by=out_by, before_the_end=over)
    return outcome


def _remaining(letter: Outgoing) -> dict[str, str]:
    """Those who have neither got it nor been refused, as they are on the wire → as they were written."""
    done = {wire_address(address) for address in (*letter.accepted, *letter.refused)}
    everybody = {wire_address(address): address for address in letter.recipients}
    return {wire: address for wire, address in everybody.items() if wire not in done}


def _settle(turn: Turn, taken: Outgoing, outcome: Outcome) -> datetime | None:
    """Write down what became of it, and what follows from that; until when the server is left alone."""
    with dispatch.writing(turn):
        outbox.lock(taken)
        letter = (
            Outgoing.objects.select_for_update(of=("self",))
            .select_related("account", "mailbox__owner")
            .get(pk=taken.pk)
        )
        match outcome:
            case Accepted():
                _accepted(letter, outcome)
            case Refused():
                _refused(letter, outcome.sentence, outcome.kind, outcome.turned_down)
            case Later():
                _wait(letter, outcome)
            case Unsure():
                _unsure(letter, outcome.sentence)
        _save(letter)
        if letter.state == OutgoingState.SENT:
            outbox.has_left(letter)
    if not isinstance(outcome, Later) or outcome.kind == "recipients" or letter.due_at is None:
        return None
    return letter.due_at if outcome.kind == "login" else min(letter.due_at, timezone.now() + MOST_REST)


def _accepted(letter: Outgoing, outcome: Accepted) -> None:
    remaining = _remaining(letter)
    letter.accepted = [
        *letter.accepted,
        *(a for wire, a in remaining.items() if wire not in outcome.turned_down),
    ]
    final = {wire: answer for wire, answer in outcome.turned_down.items() if answer.is_final}
    _turn_down(letter, final)
    letter.error = letter.error_kind = ""
    if _remaining(letter):
        words = next(answer.words for answer in outcome.turned_down.values() if not answer.is_final)
        _wait(
            letter,
            Later(_("Some of the recipients later: “%(words)s”.") % {"words": words}, "recipients", {}),
        )
    else:
        letter.state, letter.sent_at = OutgoingState.SENT, timezone.now()


def _wait(letter: Outgoing, outcome: Later) -> None:
    """Once more, with growing patience; or never again."""
    now = timezone.now()
    since = max(letter.send_at or now, letter.queued_at or now)
    if outcome.kind == "login" and letter.error_kind != "login":
        letter.tries = 1  # a server that was down has refused no login
    too_often = letter.tries >= (MOST_LOGINS if outcome.kind == "login" else MOST_TRIES)
    if too_often or now - since > PATIENCE:
        _refused(letter, outcome.sentence, outcome.kind, outcome.turned_down)
        return
    wait = min(BACK_OFF * 2 ** min(letter.tries - 1, 10), MOST_BACK_OFF) * random.uniform(0.8, 1.2)  # noqa: S311
    letter.state, letter.due_at, letter.data_at = OutgoingState.QUEUED, now + wait, None
    letter.error, letter.error_kind = outcome.sentence, outcome.kind


def _refused(letter: Outgoing, sentence: str, kind: str, turned_down: Mapping[str, Answer]) -> None:
    _turn_down(letter, turned_down)
    _turn_down(letter, dict.fromkeys(_remaining(letter), Answer(0, sentence)))
    letter.error, letter.error_kind = sentence, kind
    letter.state = OutgoingState.SENT if letter.accepted else OutgoingState.REFUSED
    letter.sent_at = timezone.now() if letter.accepted else None


def _turn_down(letter: Outgoing, answers: Mapping[str, Answer]) -> None:
    """These will not get it: their share of the quota is free again."""
    remaining = _remaining(letter)
    refused = {remaining[wire]: answer.words for wire, answer in answers.items() if wire in remaining}
    letter.refused = {**letter.refused, **refused}
    if refused:
        quota.release(letter, len(refused))


def _unsure(letter: Outgoing, sentence: str) -> None:
    """The next synchronisation looks whether it is in Sent; else a person is asked."""
    letter.state, letter.error, letter.error_kind = OutgoingState.UNSURE, sentence, "lost"
    schedule.wake(letter.mailbox_id)


def _save(letter: Outgoing) -> None:
    letter.updated_at = timezone.now()
    letter.save(
        update_fields=[
            "state", "due_at", "data_at", "tries", "sent_at", "accepted", "refused", "error", "error_kind",
            "updated_at",
        ]
    )  # fmt: skip


def _sent_within_a_minute(mailbox_id: int, now: datetime) -> int:
    sent = Outgoing.objects.filter(mailbox=mailbox_id, state=OutgoingState.SENT)
    return sent.filter(
        updated_at__gt=now - timedelta(minutes=1), sent_at__gt=now - timedelta(minutes=1)
    ).count()


def _release(turn: Turn, not_before: datetime | None) -> None:
    now = timezone.now()
    with tenancy.acting_for(turn.account_id):
        dispatch.renew(turn)
        waiting = Outgoing.objects.filter(mailbox=turn.mailbox_id, state=OutgoingState.QUEUED)
        due_at = waiting.order_by("due_at").values_list("due_at", flat=True).first()
        if (
            due_at is not None
            and _sent_within_a_minute(turn.mailbox_id, now) >= settings.MAIL_SEND_PER_MINUTE
        ):
            due_at = max(due_at, now + timedelta(seconds=60 / settings.MAIL_SEND_PER_MINUTE))
        if due_at is not None and not_before is not None:
            due_at = max(due_at, not_before)
        dispatch.release(turn, due_at=due_at)
