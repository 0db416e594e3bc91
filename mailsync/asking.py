"""Questions before a letter goes: is a file or a name missing, is there a newer message, is that domain right?"""

import re

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from mailsync.mime import doubts
from mailsync.mime.headers import pairs, unfold
from mailsync.mime.quotes import reply_subject
from mailsync.models import Message, Outgoing

_LOOKED_THROUGH = 300  # of the newest messages of the mailbox


def questions(letter: Outgoing) -> list[str]:
    """Sentences for the author; none for nearly every letter."""
    asked = []
    if doubts.speaks_of_attachment(letter.html) and not letter.attachments.exists():
        asked.append(_("The text speaks of an attachment, but nothing is attached."))
    if empty := doubts.unfilled(letter.subject, letter.html):
        asked.append(_("These fields of the template are empty: %(fields)s.") % {"fields": ", ".join(empty)})
    own = [letter.from_address.rpartition("@")[2]]
    for address, domain in doubts.slips(letter.recipients, own):
        asked.append(
            _("Is %(address)s right? %(domain)s is more usual.") % {"address": address, "domain": domain}
        )
    newer = newer_in_conversation(letter)
    if newer:
        when = date_format(timezone.localtime(newer.received_at), "SHORT_DATETIME_FORMAT")
        said = {"name": newer.sender_name or newer.sender_address, "when": when}
        asked.append(_("There is a newer message of %(name)s in this conversation, from %(when)s.") % said)
    return asked


def newer_in_conversation(letter: Outgoing) -> Message | None:
    """The newest message that answers what this letter answers: by subject, which rows have, then by References."""
    answered = letter.answers
    if answered is None or not answered.message_id or letter.how == "forward":
        return None
    subject = reply_subject(answered.subject).casefold()
    newest = Message.objects.filter(mailbox=answered.mailbox_id, received_at__gt=answered.received_at)
    rows = newest.order_by("-received_at").values_list("pk", "subject")[:_LOOKED_THROUGH]
    likely = [pk for pk, other in rows if reply_subject(other).casefold() == subject]
    for message in Message.objects.filter(pk__in=likely[:20]).order_by("-received_at"):
        if answered.message_id in _referred(bytes(message.header)):
            return message
    return None


def _referred(header: bytes) -> set[str]:
    fields = (
        unfold(value) for name, value in pairs(header) if name.lower() in (b"references", b"in-reply-to")
    )
    return {found for value in fields for found in re.findall(r"<([^<>\s]+)>", value)}
