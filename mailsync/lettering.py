"""A letter's row as the values that mime.build makes bytes of: what leaves, what lies in Drafts, what lies in Sent."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from mailsync import blobs
from mailsync.mime import draftmark, sanitize
from mailsync.mime.build import File, Letter, Unfit, build, wire_address
from mailsync.mime.headers import Address
from mailsync.models import Origin, Outgoing, OutgoingAttachment


def letter_of(outgoing: Outgoing, at: datetime) -> Letter:
    """What will leave, dated `at`. The editor's HTML is cleaned here, whatever a browser has sent."""
    images = {file.content_id: file for file in outgoing.attachments.all() if file.inline}
    files = [file for file in outgoing.attachments.all() if not file.inline]
    return Letter(
        sender=Address(outgoing.from_name, outgoing.from_address),
        to=_people(outgoing.to),
        cc=_people(outgoing.cc),
        bcc=_people(outgoing.bcc),
        subject=outgoing.subject,
        message_id=outgoing.message_id,
        date=at,
        in_reply_to=outgoing.in_reply_to,
        references=outgoing.references,
        html=_html(outgoing, images),
        text=outgoing.text,
        inline=[_file(image) for image in images.values()],
        attachments=[_file(file) for file in files],
        automatic="auto-generated" if outgoing.origin in (Origin.AUTOMATION, Origin.WORKFLOW) else "",
    )


def draft(outgoing: Outgoing) -> bytes:
    """The copy for the Drafts folder, with Bcc, and without what is not an address yet. Raises Unfit."""
    letter = letter_of(outgoing, outgoing.updated_at)
    hidden = [_wire(person.address) for person in letter.bcc]
    made = Letter(
        sender=letter.sender,
        to=_finished(letter.to),
        cc=_finished(letter.cc),
        subject=letter.subject,
        message_id=letter.message_id,
        date=letter.date,
        in_reply_to=letter.in_reply_to,
        references=letter.references,
        html=letter.html,
        text=letter.text,
        inline=letter.inline,
        attachments=letter.attachments,
        more=[("Bcc", ", ".join(filter(None, hidden)))],
    )
    return draftmark.mark(build(made), outgoing.revision)


def sent(outgoing: Outgoing) -> bytes:
    """The copy for Sent: what left, and for its author to whom it went besides."""
    assert outgoing.header is not None
    assert outgoing.body is not None
    hidden = ",\r\n ".join(wire_address(address) for _name, address in outgoing.bcc)
    bcc = f"Bcc: {hidden}\r\n" if hidden else ""
    return bcc.encode() + bytes(outgoing.header) + blobs.body_of(outgoing.body)


def _html(outgoing: Outgoing, images: Iterable[str]) -> str:
    known = set(images)
    whole = outgoing.html + outgoing.quoted
    if not whole:
        return ""
    return sanitize.clean(
        whole, inline_url=lambda cid: f"cid:{cid}" if cid in known else None, image_url=lambda url: url
    ).html


def _file(file: OutgoingAttachment) -> File:
    return File(file.name, file.type, blobs.body_of(file.blob), file.content_id)


def _people(people: Iterable[tuple[str, str]]) -> list[Address]:
    return [Address(name, address) for name, address in people]


def _finished(people: Iterable[Address]) -> list[Address]:
    return [person for person in people if _wire(person.address)]


def _wire(address: str) -> str:
    with suppress(Unfit):
        return wire_address(address)
    return ""
