"""One opened message as the reading pane shows it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from mailsync import paging
from mailsync.access import Letter
from mailsync.mime import parse
from mailsync.models import DeliveryReport, GrantLevel, SpecialUse
from mailsync.paging import Key
from mailsync.trees import FolderLine, MailboxLine
from mailsync.views.letter_state import Reported, reported
from mailsync.views.listing import Listing

_REMOTE = re.compile(r"""<img\b[^>]*?\bsrc\s*=\s*["']?\s*(?:https?:)?//""", re.IGNORECASE)
_LINK = re.compile(r"\b(https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]}])")


@dataclass(frozen=True, slots=True)
class File:
    name: str
    size: str
    type: str
    url: str


@dataclass(frozen=True, slots=True)
class Pane:
    letter: Letter
    listing: Listing
    mailbox: MailboxLine
    text: SafeString
    html: bool
    remote_images: int
    files: Sequence[File]
    problem: str
    newer: str
    older: str
    also_in: Sequence[FolderLine]
    reports: Sequence[Reported]

    @property
    def may_flag(self) -> bool:
        return self.mailbox.may(GrantLevel.REPLY)

    @property
    def may_mark(self) -> bool:
        """Read and unread: everybody where that concerns them alone."""
        return self.mailbox.apart or self.may_flag

    @property
    def may_sort(self) -> bool:
        return self.mailbox.may(GrantLevel.DELETE)

    @property
    def sender(self) -> str:
        return self.letter.sender_name or self.letter.sender_address

    @property
    def targets(self) -> tuple[MailboxLine, ...]:
        return (self.mailbox,)

    @property
    def to_line(self) -> str:
        """Whom it was sent to, in one line: the first three names."""
        known = self.letter.recipients
        people = [*known.get("to", ()), *known.get("cc", ()), *known.get("bcc", ())]
        names = [
            _("me") if address.lower() == self.mailbox.address.lower() else name or address
            for name, address in people
        ]
        if not names:
            return _("to nobody named")
        more = len(names) - 3
        shown = ", ".join(names[:3])
        return (
            _("to %(names)s and %(n)s more") % {"names": shown, "n": more} if more > 0 else _("to %s") % shown
        )

    @property
    def fields(self) -> list[tuple[str, list[list[str]]]]:
        """The recipients by header field, with the field's name for people."""
        labels = {"to": _("To"), "cc": _("Cc"), "bcc": _("Bcc"), "reply_to": _("Reply to")}
        known = self.letter.recipients
        return [(label, known[key]) for key, label in labels.items() if known.get(key)]


def pane(letter: Letter, listed: Listing) -> Pane:
    """Parse the message and look beside it in the list. The HTML itself is left to the frame's own request."""
    content = parse.read(letter.header, letter.body)
    newer, older = paging.neighbours(
        listed.folder_ids,
        Key(letter.received_at, letter.id),
        show=listed.show,
        reader=listed.reader,
        apart=listed.apart,
    )
    mailbox = listed.tree.mailbox(letter.box.id)
    others = paging.folders_of(letter.message_id) - {letter.folder_id}
    return Pane(
        letter=letter,
        listing=listed,
        mailbox=mailbox,
        text=SafeString("") if content.html else plain(content.text),
        html=bool(content.html),
        remote_images=len(_REMOTE.findall(content.html)),
        files=files(letter.id, content.attachments),
        problem=content.problem,
        newer=listed.message_url(newer) if newer else "",
        older=listed.message_url(older) if older else "",
        # That it is in All Mail goes without saying.
        also_in=[line for line in mailbox.folders if line.id in others and line.role != SpecialUse.ALL],
        reports=_reports(letter) if letter.role == SpecialUse.SENT else [],
    )


def _reports(letter: Letter) -> list[Reported]:
    """What was reported of a letter that was sent from here, beside its copy in Sent."""
    name = parse.message_id(letter.header)
    return reported(DeliveryReport.objects.filter(outgoing__message_id=name)) if name else []


def files(placement_id: int, parts: Sequence[parse.AttachmentPart]) -> list[File]:
    """What can be downloaded; pictures that the text shows itself are not listed again."""
    return [
        File(
            part.name or f"part-{part.part}",
            filesizeformat(part.size),
            part.type,
            reverse("mail:attachment", args=[placement_id, part.part]),
        )
        for part in parts
        if not part.inline
    ]


def plain(text: str) -> SafeString:
    """Text of a mail as HTML of ours: escaped, addresses of the web as links, quoted lines set back."""
    lines = []
    for line in text.strip("\n").split("\n"):
        shown = _LINK.sub(r'<a href="\1" target="_blank" rel="noopener noreferrer">\1</a>', escape(line))
        lines.append(f'<span class="quoted">{shown}</span>' if line.startswith(">") else shown)
    return mark_safe("\n".join(lines))  # noqa: S308 (each line is escaped above)
