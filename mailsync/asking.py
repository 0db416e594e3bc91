"""Before a letter goes: what must not go, and questions (is a file missing, is there a newer message, …)."""

from datetime import datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import conversation, presence
from mailsync.mime import doubts
from mailsync.models import How, Message, Outgoing, OutgoingState

_LEAVES = (OutgoingState.QUEUED, OutgoingState.SENDING, OutgoingState.SENT)


def questions(letter: Outgoing, *, by: Employee) -> list[str]:
    """Sentences for the author; none for nearly every letter."""
    asked = []
    if doubts.speaks_of_attachment(letter.html) and not letter.attachments.exists():
        asked.append(_("The text speaks of an attachment, but nothing is attached."))
    own = [letter.from_address.rpartition("@")[2]]
    for address, domain in doubts.slips(letter.recipients, own):
        asked.append(
            _("Is %(address)s right? %(domain)s is more usual.") % {"address": address, "domain": domain}
        )
    return asked + _about_the_conversation(letter, by)


def obstacle(letter: Outgoing) -> str:
    """What nobody means to send, whatever they are asked: a field of a template that says nothing; "" without one."""
    empty = doubts.unfilled(letter.subject, letter.html)
    if not empty:
        return ""
    return _("These fields of the template are empty: %(fields)s. Fill them in, or take them out.") % {
        "fields": ", ".join(empty)
    }


def _about_the_conversation(letter: Outgoing, by: Employee) -> list[str]:
    """What has come into it since, and what colleagues have answered or are answering."""
    if letter.answers is None or letter.how == How.FORWARD:
        return []
    asked = []
    sent = _colleagues_answer(letter, by)
    if sent:
        said = {"name": sent.by, "when": _when(sent.sent_at or sent.queued_at or sent.updated_at)}
        asked.append(_("%(name)s has answered this message already, %(when)s.") % said)
    newer = newer_in_conversation(letter)
    if newer and not (sent and newer.message_id == sent.message_id):
        said = {"name": newer.sender_name or newer.sender_address, "when": _when(newer.received_at)}
        asked.append(_("There is a newer message of %(name)s in this conversation, from %(when)s.") % said)
    others = presence.others(letter.mailbox_id, conversation.root_of_letter(letter), by.pk)
    at_it = Employee.objects.filter(pk__in=others).order_by("name") if others else []
    return asked + [
        _("%(name)s is answering it at this moment.") % {"name": colleague} for colleague in at_it
    ]


def _colleagues_answer(letter: Outgoing, by: Employee) -> Outgoing | None:
    """The newest letter of somebody else that answers the same and has left, or is about to."""
    others = Outgoing.objects.filter(
        mailbox=letter.mailbox_id, answers=letter.answers_id, by__isnull=False, state__in=_LEAVES
    )
    replies = others.exclude(by=by).exclude(how=How.FORWARD)
    return replies.select_related("by").order_by("-queued_at").first()


def _when(moment: datetime) -> str:
    return date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")


def newer_in_conversation(letter: Outgoing) -> Message | None:
    """The newest message that answers what this letter answers."""
    answered = letter.answers
    if answered is None or letter.how == "forward":
        return None
    return next(conversation.answers_to(answered), None)
