"""A letter as its pages show it: the draft in its editor, and in words what became of one that was sent."""

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
from django.utils.translation import ngettext

from accounts.models import Employee
from mailsync import composing, conversation, outbox
from mailsync.composing import Sender
from mailsync.mime import writing
from mailsync.models import (
    How,
    OperationKind,
    OperationState,
    Outgoing,
    OutgoingAttachment,
    OutgoingState,
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


# What became of it


@dataclass(frozen=True, slots=True)
class State:
    """A letter that is no draft. `refused` are (address, the server's words)."""

    letter: Outgoing
    icon: str
    sentence: str
    explained: str
    refused: Sequence[tuple[str, str]]
    undo_seconds: int

    @property
    def short(self) -> str:
        """Beside the recipients' names, which need not be said again."""
        goes = self.letter.state == OutgoingState.QUEUED and not self.letter.planned and not self.letter.error
        return _("Leaves in a moment") if goes else self.sentence

    @property
    def whom(self) -> str:
        return whom(self.letter)

    @property
    def people(self) -> list[tuple[str, list[list[str]]]]:
        labels = (_("To"), self.letter.to), (_("Cc"), self.letter.cc), (_("Bcc"), self.letter.bcc)
        return [(label, people) for label, people in labels if people]

    @property
    def files(self) -> list[Attached]:
        return [attached(file) for file in self.letter.attachments.filter(inline=False).order_by("pk")]

    @property
    def may_undo(self) -> bool:
        waits = self.letter.state in (OutgoingState.QUEUED, OutgoingState.REFUSED)
        return waits and not self.letter.accepted

    @property
    def may_send_again(self) -> bool:
        return self.letter.state in (OutgoingState.UNSURE, OutgoingState.REFUSED)


_ICONS = {
    OutgoingState.DRAFT: "file-pen",
    OutgoingState.QUEUED: "clock",
    OutgoingState.SENDING: "loader",
    OutgoingState.SENT: "circle-check",
    OutgoingState.REFUSED: "circle-alert",
    OutgoingState.UNSURE: "circle-question-mark",
    OutgoingState.DISCARDED: "trash-2",
}


def state_of(letter: Outgoing) -> State:
    now = timezone.now()
    left = (letter.send_at - now).total_seconds() if letter.send_at else 0
    return State(
        letter=letter,
        icon=_ICONS[OutgoingState(letter.state)],
        sentence=_sentence(letter),
        explained=_explained(letter),
        refused=sorted(letter.refused.items()),
        undo_seconds=max(0, int(left)) if letter.state == OutgoingState.QUEUED and not letter.planned else 0,
    )


def _sentence(letter: Outgoing) -> str:
    if letter.state == OutgoingState.QUEUED:
        return _queued(letter)
    if letter.state == OutgoingState.SENT:
        return _("Sent %s") % _when(letter.sent_at)
    return {
        OutgoingState.DRAFT: _("Draft, kept %s") % _when(letter.updated_at),
        OutgoingState.SENDING: _("Being sent at this moment"),
        OutgoingState.REFUSED: _("The server did not take it"),
        OutgoingState.UNSURE: _("Nobody knows whether it arrived"),
        OutgoingState.DISCARDED: _("Thrown away %s") % _when(letter.updated_at),
    }[OutgoingState(letter.state)]


def _queued(letter: Outgoing) -> str:
    if letter.planned:
        return _("Will be sent %s") % _when(letter.send_at)
    if letter.error:
        return _("Not sent yet, the next try is at %s") % _when(letter.due_at)
    return _("On its way to %s") % whom(letter)


def _explained(letter: Outgoing) -> str:
    if letter.state == OutgoingState.UNSURE:
        return _(
            "The connection ended after the text went out and before the server said that it has it. "
            "It is looked for in your Sent folder. If you know more, say so here: it is never sent again by itself."
        )
    return letter.error or (_of_copy(letter) if letter.state == OutgoingState.SENT else "")


def _of_copy(letter: Outgoing) -> str:
    """Why the copy of a sent letter is not in Sent on the mail server; "" where it is, or nothing went wrong."""
    trouble = letter.operations.filter(kind=OperationKind.APPEND).order_by("-pk").first()
    if trouble is None or not trouble.error or trouble.state == OperationState.DONE:
        return ""
    said = {"why": trouble.error, "time": _when(trouble.not_before)}
    if trouble.state == OperationState.FAILED:
        return _("Its copy could not be put into Sent: %(why)s") % said
    if trouble.not_before:
        return _("Its copy is not in Sent yet: %(why)s It is tried again at %(time)s.") % said
    return _("Its copy is not in Sent yet: %(why)s It is tried again.") % said


def whom(letter: Outgoing) -> str:
    """The first two recipients by name, and how many more."""
    people = [name or address for name, address in [*letter.to, *letter.cc, *letter.bcc]]
    more = len(people) - 2
    if more > 0:
        return ngettext("%(names)s and %(n)d more", "%(names)s and %(n)d more", more) % {
            "names": ", ".join(people[:2]),
            "n": more,
        }
    return ", ".join(people) or _("nobody yet")


def _when(moment: datetime | None) -> str:
    """Today the time, else date and time."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return date_format(local, "TIME_FORMAT")
    return date_format(local, "SHORT_DATETIME_FORMAT")
