"""A draft as its editor's page needs it. What became of a letter that was sent is letter_state's."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import composing, conversation, outbox
from mailsync.composing import Sender
from mailsync.mime import writing
from mailsync.models import (
    How,
    Outgoing,
    OutgoingAttachment,
)

_BEYOND_TEXT = 4 / 3 * 1.04  # what base64 and its line ends add to a file


@dataclass(frozen=True, slots=True)
class Attached:
    id: int
    name: str
    size: str
    url: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Moment:
    """A time to send at that one click chooses; `value` as a datetime-local field has it."""

    label: str
    words: str
    value: str


@dataclass(frozen=True, slots=True)
class Composer:
    """Everything the editor's page needs; fields as the browser's inputs hold them."""

    letter: Outgoing
    key: str
    is_new: bool
    title: str
    senders: Sequence[Sender]
    sender: str
    signatures: dict[str, str]
    to: str
    cc: str
    bcc: str
    html: str
    files: Sequence[Attached]
    used: int
    limit: int
    too_big: str
    moments: Sequence[Moment]
    # Whether colleagues may be answering the same: only then the page says that somebody is at it.
    is_shared: bool


def composer(letter: Outgoing, employee: Employee, key: str, *, is_new: bool) -> Composer:
    known = composing.senders(employee)
    sender = Sender(letter.mailbox, letter.from_name, letter.from_address)
    if sender.key not in {each.key for each in known}:
        known = [sender, *known]
    attachments = list(letter.attachments.order_by("pk"))
    limit = most_bytes(letter)
    return Composer(
        letter=letter,
        key=key,
        is_new=is_new,
        title=letter.subject or _titles().get(letter.how, ""),
        senders=known,
        sender=sender.key,
        signatures={each.key: composing.signature_block(each.mailbox) for each in known},
        to=composing.to_field(letter.to),
        cc=composing.to_field(letter.cc),
        bcc=composing.to_field(letter.bcc),
        html=with_urls(letter.html, attachments),
        files=[attached(file) for file in attachments if not file.inline],
        used=sum(file.size for file in attachments),
        limit=limit,
        too_big=_too_big(letter),
        moments=moments(timezone.localtime()),
        is_shared=bool(conversation.root_of_letter(letter)) and letter.mailbox.grants.exists(),
    )


def _titles() -> dict[str, str]:
    return {
        How.NEW: _("New message"),
        How.REPLY: _("Reply"),
        How.REPLY_ALL: _("Reply to all"),
        How.FORWARD: _("Forward"),
    }


def moments(now: datetime) -> list[Moment]:
    """When people mean to send later: this evening while it is far, tomorrow morning, the next Monday."""
    evening = now.replace(hour=18, minute=0, second=0, microsecond=0)
    morning = now.replace(hour=8, minute=0, second=0, microsecond=0)
    tomorrow = morning + timedelta(days=1)
    monday = morning + timedelta(days=7 - now.weekday())
    found = [(_("This evening"), evening)] if now.hour < 16 else []
    found.append((_("Tomorrow morning"), tomorrow))
    if monday != tomorrow:
        found.append((_("Monday morning"), monday))
    return [Moment(label, date_format(at, "D H:i"), f"{at:%Y-%m-%dT%H:%M}") for label, at in found]


def most_bytes(letter: Outgoing) -> int:
    """How much all files of a letter may have together, before they are encoded."""
    return int(outbox.most_bytes(letter.mailbox) / _BEYOND_TEXT)


def _too_big(letter: Outgoing) -> str:
    """Said before anything is uploaded."""
    said = {"limit": filesizeformat(most_bytes(letter)), "host": letter.mailbox.smtp_host}
    if outbox.most_bytes(letter.mailbox) < settings.MAIL_MAX_LETTER_BYTES:
        return _("That is too much: %(host)s takes letters with at most %(limit)s of files.") % said
    return _("That is too much: all files together may have %(limit)s.") % said


def attached(file: OutgoingAttachment) -> Attached:
    url = reverse("mail:letter-file", args=[file.outgoing_id, file.pk])
    return Attached(file.pk, file.name, filesizeformat(file.size), url, file.size)


def with_urls(html: str, attachments: Sequence[OutgoingAttachment]) -> str:
    """The letter's images as the editor can load them."""
    urls = {file.content_id: attached(file).url for file in attachments if file.inline}
    cleaned = writing.clean(html)

    def shown(match: re.Match[str]) -> str:
        return f'src="{urls.get(match[1], "")}"'

    return re.sub(r'src="cid:([^"]+)"', shown, cleaned)
