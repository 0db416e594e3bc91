"""Which messages of a mailbox belong together, by the Message-IDs that their headers name (RFC 5322 3.6.4)."""

import re
from collections.abc import Iterator

from mailsync.mime.headers import pairs, unfold
from mailsync.mime.quotes import reply_subject
from mailsync.models import How, Message, Outgoing

_LOOKED_THROUGH = 300  # of the newest messages of the mailbox
_LIKELY = 20
_ID = re.compile(r"<([^<>\s\x00-\x1f]{1,500})>")
_MOST_REFERENCES = 40


def references(header: bytes) -> list[str]:
    """What a message answers, without brackets: the beginning of the conversation first, each once."""
    found: dict[str, None] = {}
    for wanted in (b"references", b"in-reply-to"):
        for name, value in pairs(header):
            if name.lower() == wanted:
                found |= dict.fromkeys(_ID.findall(unfold(value)))
    names = list(found)
    return names[:1] + names[1:][-_MOST_REFERENCES:]


def root(header: bytes, message_id: str) -> str:
    """The Message-ID that the conversation began with, as far as this message says."""
    return (references(header) or [message_id])[0]


def root_of_letter(letter: Outgoing) -> str:
    """The same of a letter that is being written; "" where it begins its own conversation."""
    if letter.how == How.FORWARD:
        return ""
    return next(iter(_ID.findall(f"{letter.references} {letter.in_reply_to}")), "")


def answers_to(message: Message) -> Iterator[Message]:
    """Newer messages that answer this one, newest first: by subject, which rows have, then by what they name."""
    if not message.message_id:
        return
    subject = reply_subject(message.subject).casefold()
    newer = Message.objects.filter(mailbox=message.mailbox_id, received_at__gt=message.received_at)
    rows = newer.order_by("-received_at").values_list("pk", "subject")[:_LOOKED_THROUGH]
    likely = [pk for pk, other in rows if reply_subject(other).casefold() == subject][:_LIKELY]
    for other in Message.objects.filter(pk__in=likely).order_by("-received_at"):
        if message.message_id in references(bytes(other.header)):
            yield other


def members(message: Message) -> list[int]:
    """The ids of its conversation in its mailbox: itself, what it answers, and what answers it."""
    answered = Message.objects.filter(
        mailbox=message.mailbox_id, message_id__in=references(bytes(message.header))
    )
    answers = [other.pk for other in answers_to(message)]
    return list(dict.fromkeys([message.pk, *answered.values_list("pk", flat=True), *answers]))
