"""Beginning a letter: under which of my addresses, to whom, with what in it. Keeping and sending is outbox's."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import access, actions, naming, outbox
from mailsync.access import Letter
from mailsync.mime import draftmark, parse, quotes, writing
from mailsync.mime.headers import Address, Fields, addresses, pairs, unfold
from mailsync.models import GrantLevel, How, Mailbox, Message, Outgoing, OutgoingState, Placement

MOST_NAMED = 500
_CID_FIT = re.compile(r"[!-;=?-~]{1,200}\Z")
People = list[list[str]]


@dataclass(frozen=True, slots=True)
class Sender:
    """An address that the employee may write under: a mailbox's own, or one of its aliases."""

    mailbox: Mailbox
    name: str
    address: str

    @property
    def key(self) -> str:
        return f"{self.mailbox.pk}:{self.address}"

    @property
    def label(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


def senders(employee: Employee) -> list[Sender]:
    """The employee's own mailboxes first; those without an outgoing server cannot send."""
    boxes = access.visible_mailboxes(employee, GrantLevel.REPLY).exclude(smtp_host="").order_by("address")
    mine_first = sorted(boxes, key=lambda box: box.owner_id != employee.pk)
    return [sender for box in mine_first for sender in of_mailbox(box)]


def of_mailbox(mailbox: Mailbox) -> list[Sender]:
    others = [Sender(mailbox, name, address) for name, address in mailbox.aliases]
    return [Sender(mailbox, mailbox.sender_name, mailbox.address), *others]


def signature_block(mailbox: Mailbox) -> str:
    """The signature as the editor knows it: a block of its own that goes with the sender."""
    return f'<div class="signature">{mailbox.signature}</div>' if mailbox.signature else ""


# Beginnings


def blank(
    sender: Sender, *, by: Employee, to: Sequence[Address] = (), subject: str = "", origin: str = "webmail"
) -> Outgoing:
    return outbox.start(
        sender.mailbox,
        by=by,
        origin=origin,
        from_name=sender.name,
        from_address=sender.address,
        to=as_pairs(to),
        subject=subject,
        html=beginning(sender),
    )


def answer(letter: Letter, how: str, *, by: Employee) -> Outgoing:
    """A reply, a reply to all or a forward of what the employee may answer, with its quotation and images."""
    mailbox = Mailbox.objects.get(pk=letter.box.id)
    sender = _written_to(mailbox, letter.header)
    content = parse.read(letter.header, letter.body)
    people = _people(letter.header, how, [each.address for each in [*senders(by), *of_mailbox(mailbox)]])
    thread = quotes.thread(letter.header)
    begun = outbox.start(
        mailbox,
        by=by,
        from_name=sender.name,
        from_address=sender.address,
        to=as_pairs(people.to),
        cc=as_pairs(people.cc),
        subject=_subject(letter.subject, how),
        html=beginning(sender),
        quoted=_quotation(letter, content, how),
        answers=Message.objects.filter(pk=letter.message_id).first(),
        how=how,
        in_reply_to=thread.in_reply_to,
        references=thread.references,
    )
    shown = writing.images(begun.quoted)
    _carry(begun, letter, content.attachments, shown=shown, all_files=how == How.FORWARD)
    return begun


def forward_as_file(letter: Letter, *, by: Employee) -> Outgoing:
    """A new letter with the original, byte for byte, as an attached mail."""
    sender = _written_to(Mailbox.objects.get(pk=letter.box.id), letter.header)
    begun = outbox.start(
        sender.mailbox,
        by=by,
        from_name=sender.name,
        from_address=sender.address,
        subject=quotes.forward_subject(letter.subject),
        html=beginning(sender),
        answers=Message.objects.filter(pk=letter.message_id).first(),
        how=How.FORWARD,
    )
    outbox.attach(
        begun,
        name=f"{letter.subject[:80].replace('/', '_') or _('message')}.eml",
        content_type="message/rfc822",
        content=letter.header + letter.body,
    )
    return begun


@transaction.atomic
def resume(letter: Letter, *, by: Employee) -> Outgoing:
    """A draft of the Drafts folder as a letter. One of ours is that letter, on its way perhaps: a planned one keeps its
    copy there, and that of one that has left is there until the next run. Of another program's a letter is made, and
    the copy goes to the Trash where the employee may move it: nothing is doubled, nothing is lost. Raises
    actions.CannotMove where it cannot be moved at this moment.
    """
    name = parse.summarize(letter.header, b"").message_id
    ours = Outgoing.objects.filter(mailbox=letter.box.id, message_id=name)
    for known in ours.exclude(state=OutgoingState.DISCARDED):
        if known.state != OutgoingState.SENT or _is_leftover(letter, known):
            return known
    begun = _taken_over(letter, by)
    if access.includes(letter.box.level, GrantLevel.DELETE):
        with suppress(actions.NoSuchFolder):
            actions.trash(Placement.objects.filter(pk=letter.id), by=by)
    return begun


def _is_leftover(letter: Letter, sent: Outgoing) -> bool:
    """Whether it is our own copy of the draft, which goes, and nothing that another program has made of it."""
    return sent.copy_revision is not None and draftmark.is_ours(letter.header + letter.body)


def _taken_over(letter: Letter, by: Employee) -> Outgoing:
    mailbox = Mailbox.objects.get(pk=letter.box.id)
    fields = Fields(letter.header)
    author = addresses(fields.raw("from"), 1)
    known = of_mailbox(mailbox)
    sender = next((each for each in known if author and each.address == author[0].address), known[0])
    content = parse.read(letter.header, letter.body)
    thread = {name.lower(): unfold(value) for name, value in pairs(letter.header)}
    begun = outbox.start(
        mailbox,
        by=by,
        from_name=sender.name,
        from_address=sender.address,
        to=as_pairs(addresses(fields.raw("to"), MOST_NAMED)),
        cc=as_pairs(addresses(fields.raw("cc"), MOST_NAMED)),
        bcc=as_pairs(addresses(fields.raw("bcc"), MOST_NAMED)),
        subject=letter.subject,
        html=writing.clean(content.html) if content.html else text_as_html(content.text),
        in_reply_to=thread.get(b"in-reply-to", ""),
        references=thread.get(b"references", ""),
    )
    _carry(begun, letter, content.attachments, shown=writing.images(begun.html), all_files=True)
    return begun


def moved(found: Outgoing, sender: Sender, *, revision: int, **fields: Any) -> Outgoing:
    """The draft under an address of another mailbox: begun anew there with all it has, and thrown away here.

    Raises outbox.SavedElsewhere.
    """
    kept = outbox.save(found, revision=revision, **fields)
    copied = {name: getattr(kept, name) for name in outbox.WRITABLE}
    host = outbox.new_message_id(sender.address).rpartition("@")[2]
    # What it was written from goes with it.
    named = naming.renewed(kept.message_id, account_id=kept.account_id, host=host)
    begun = outbox.start(sender.mailbox, by=kept.by, origin=kept.origin, message_id=named, **copied)
    for file in kept.attachments.order_by("pk"):
        file.pk, file.outgoing = None, begun
        file.save(force_insert=True)
    outbox.discard(kept)
    return begun


def beginning(sender: Sender) -> str:
    """An empty paragraph and the signature; "" without one."""
    signature = signature_block(sender.mailbox)
    return f"<p></p>{signature}" if signature else ""


def _written_to(mailbox: Mailbox, header: bytes) -> Sender:
    known = of_mailbox(mailbox)
    address = quotes.written_to(header, [sender.address for sender in known])
    return next((sender for sender in known if sender.address == address), known[0])


def _people(header: bytes, how: str, own: Iterable[str]) -> quotes.People:
    if how == How.FORWARD:
        return quotes.People([])
    return (quotes.reply_to_all if how == How.REPLY_ALL else quotes.reply_to)(header, set(own))


def _subject(subject: str, how: str) -> str:
    return quotes.forward_subject(subject) if how == How.FORWARD else quotes.reply_subject(subject)


def _quotation(letter: Letter, content: parse.Content, how: str) -> str:
    sent = date_format(timezone.localtime(letter.sent_at or letter.received_at), "DATETIME_FORMAT")
    author = str_of(letter.sender_name, letter.sender_address)
    if how != How.FORWARD:
        line = _("On %(date)s, %(name)s wrote:") % {"date": sent, "name": author or _("somebody")}
        return quotes.quoted(content.html, content.text, line)
    fields = Fields(letter.header)
    said = [
        (_("From"), author),
        (_("Date"), sent),
        (_("Subject"), letter.subject),
        (_("To"), _named(addresses(fields.raw("to"), MOST_NAMED))),
        (_("Cc"), _named(addresses(fields.raw("cc"), MOST_NAMED))),
    ]
    return quotes.forwarded(content.html, content.text, _("Forwarded message"), said)


def _carry(
    begun: Outgoing,
    letter: Letter,
    parts: Sequence[parse.AttachmentPart],
    *,
    shown: set[str],
    all_files: bool,
) -> None:
    """The images of these Content-IDs or, with a forward and a draft, all of the files."""
    for part in parts:
        inline = part.content_id in shown and bool(_CID_FIT.match(part.content_id))
        if inline or all_files:
            _part, content = parse.part_bytes(letter.header, letter.body, part.part)
            outbox.attach(
                begun,
                name=part.name,
                content_type=part.type,
                content=content,
                content_id=part.content_id if inline else "",
                inline=inline,
            )


# People as rows keep them and as fields show them


def as_pairs(people: Iterable[Address]) -> People:
    return [[person.name, person.address] for person in people]


def people_of(text: str) -> list[Address]:
    """What stands in a To field; what is no address stays as it is typed, for its author to mend."""
    flat = " ".join(text.replace(";", ",").split())
    found = addresses(flat, MOST_NAMED)
    return [person if person.address else Address("", person.name) for person in found]


def from_field(text: str) -> People:
    return as_pairs(people_of(text))


def to_field(people: Iterable[Sequence[str]]) -> str:
    return ", ".join(str_of(name, address) for name, address in people)


def str_of(name: str, address: str) -> str:
    """One person in a field; the name is quoted where a comma or the like would break it in two."""
    if not name or not address:
        return name or address
    plain = re.fullmatch(r"[^\"(),.:;<>@\[\]\\]+", name)
    quoted = name if plain else '"' + name.replace("\\", "").replace('"', "'") + '"'
    return f"{quoted} <{address}>"


def _named(people: Iterable[Address]) -> str:
    return to_field((person.name, person.address) for person in people)


def text_as_html(text: str) -> str:
    """What a link or another program gives as text, for the editor."""
    return "".join(f"<p>{escape(line)}</p>" for line in text.splitlines())
