"""A message taken apart: what a list shows, what the reading pane shows, one file of it.

Everything works on the two halves we store, the header and the body, and nothing raises on what a stranger sent
(part_bytes raises LookupError for a part that is not there). Why not a library: fast-mail-parser raises on some real
mail and would need a second parser behind it that numbers the parts differently; the standard library can take
seconds. Offsets into the bytes decode only what is shown.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import TypeVar

from mailsync.mime import charsets, decoding, headers, structure, text
from mailsync.mime.headers import Address, Fields
from mailsync.mime.structure import Part, Walk

__all__ = [
    "Address", "AttachmentPart", "Content", "Summary", "header_fields", "header_size", "part_bytes", "read", "split",
    "summarize",
]  # fmt: skip

MAX_RECIPIENTS = 50
_SUBJECT = 1000
_MESSAGE_ID = 500  # PostgreSQL indexes at most 2700 bytes
_SHOWN_TEXT = 1_000_000
_SHOWN_HTML = 3_000_000
_SHOWN_FIELDS = 1000

_MESSAGE_ID_FORM = re.compile(r"<([^<>]+)>")
_UNFIT_FOR_NAMES = re.compile("[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]")  # they turn "exe.pdf" around
_NAMELESS = {
    "image/png": "image.png",
    "image/jpeg": "image.jpg",
    "image/jpg": "image.jpg",
    "image/gif": "image.gif",
    "image/webp": "image.webp",
    "application/pdf": "document.pdf",
    "application/pgp-signature": "signature.asc",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/pkcs7-mime": "smime.p7m",
    "application/ms-tnef": "winmail.dat",
    "message/delivery-status": "delivery-status.txt",
    "message/disposition-notification": "receipt.txt",
    "message/feedback-report": "feedback-report.txt",
    "message/rfc822": "message.eml",
    "message/global": "message.eml",
    "message/partial": "part-of-message.txt",
    "message/external-body": "external-file.txt",
    "text/calendar": "invitation.ics",
    "text/vcard": "contact.vcf",
    "text/x-vcard": "contact.vcf",
    "text/rfc822-headers": "headers.txt",
    "text/html": "text.html",
    "text/csv": "table.csv",
    "text/plain": "text.txt",
}
# Text that is read as it stands; other kinds of text (calendars, cards, tables) are files.
_READABLE = frozenset(
    f"text/{kind}"
    for kind in ("plain", "html", "enriched", "richtext", "markdown", "x-markdown", "x-patch", "x-diff")
)
_MARKED_UP = frozenset(["text/html", "text/enriched", "text/richtext"])
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AttachmentPart:
    """A leaf that is a file. `inline`: an image that the HTML shows in place, so that no list need name it.

    `size` counts decoded bytes. `content_id` is without its angle brackets.
    """

    part: int
    name: str
    type: str
    size: int
    content_id: str
    inline: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """What the list needs. `message_id` is without its angle brackets; `recipients` has only the fields present.

    `sent_at` is aware or None. `problem` is a sentence, "" for nearly all mail.
    """

    message_id: str
    subject: str
    sender: Address | None
    recipients: dict[str, list[tuple[str, str]]]
    sent_at: datetime | None
    snippet: str
    attachments: tuple[AttachmentPart, ...]
    problem: str


@dataclass(frozen=True, slots=True)
class Content:
    """What the reading pane needs. `html` is as it was sent, "" when the mail is text; `text` is never markup."""

    text: str
    html: str
    attachments: tuple[AttachmentPart, ...]
    problem: str


def split(raw: bytes) -> tuple[bytes, bytes]:
    """The header with the blank line that ends it, and the rest; both together are the message, always."""
    end = header_size(raw)
    return raw[:end], raw[end:]


def header_size(raw: bytes) -> int:
    """Where the body of a message begins."""
    if raw[:1] == b"\n":
        return 1
    if raw[:2] == b"\r\n":
        return 2
    if b"\n" in raw:
        return structure.blank_line(raw, 0, len(raw))
    end = raw.find(b"\r\r") + 2
    return len(raw) if end < 2 else end


def summarize(header: bytes, body: bytes) -> Summary:
    """For import. Looks at no more of the body than its structure and the first words."""
    fields = _guarded(Fields(b""), Fields, header)
    message = _guarded(None, _Message, fields, _content(header, body))
    return Summary(
        message_id=_guarded("", _message_id, fields),
        subject=_guarded("", fields.text, "subject", _SUBJECT),
        sender=_guarded(None, _sender, fields),
        recipients=_guarded({}, _recipients, fields),
        sent_at=_guarded(None, lambda: headers.date(fields.raw("date"))),
        snippet=_guarded("", message.snippet) if message else "",
        attachments=_guarded((), message.attachments) if message else (),
        problem=message.walk.problem if message else "It could not be taken apart.",
    )


def message_id(header: bytes) -> str:
    """The Message-ID without its angle brackets, as `Summary` has it; "" if there is none."""
    return _guarded("", _message_id, Fields(header))


def read(header: bytes, body: bytes) -> Content:
    """For the reading pane: all text of the message, up to a bound that a person could still read."""
    body = _content(header, body)
    message = _guarded(None, _Message, _guarded(Fields(b""), Fields, header), body)
    if message is None:
        plain = charsets.decode(body[:_SHOWN_TEXT], cut=True)
        return Content(plain, "", (), "It could not be taken apart; this is the whole of it as it was sent.")
    shown_html = _guarded("", message.html)
    plain = _guarded("", message.text)
    if not plain and shown_html:
        plain = _guarded("", text.from_html, shown_html, _SHOWN_TEXT)
    files: tuple[AttachmentPart, ...] = _guarded((), message.attachments, shown_html)
    return Content(plain, shown_html, files, message.walk.problem)


def part_bytes(header: bytes, body: bytes, part: int) -> tuple[AttachmentPart, bytes]:
    """One leaf, decoded. Raises LookupError if the message has no such part."""
    body = _content(header, body)
    message = _guarded(None, _Message, _guarded(Fields(b""), Fields, header), body)
    if message is None or not 0 <= part < len(message.walk.leaves):
        raise LookupError(f"no part {part}")
    leaf = message.walk.leaves[part]
    data = _guarded(b"", decoding.content, leaf, body)
    return message.described(leaf, inline=False, size=len(data)), data


def header_fields(header: bytes) -> list[tuple[str, str]]:
    """Every field in its order, decoded, for the eyes of a person."""
    none: list[tuple[bytes, bytes]] = []
    return [
        (
            name.decode("ascii"),
            _guarded("", lambda v=value: headers.one_line(headers.decode_words(headers.unfold(v)))),
        )
        for name, value in _guarded(none, headers.pairs, header)[:_SHOWN_FIELDS]
    ]


_NO_FIELD = re.compile(rb"^(?![!-9;-~]{1,200}[ \t]*:|[ \t\r\n]|From |>From |\Z)", re.MULTILINE)


def _content(header: bytes, body: bytes) -> bytes:
    """The body; of a message without an empty line what stands in its header and is no field, as all readers do."""
    if body:
        return body
    stray = _NO_FIELD.search(header, 0, headers.HEADER_BYTES)
    return header[stray.start() :] if stray else body


def _guarded(otherwise: T, function: Callable[..., T], *args: object) -> T:
    """A field of a broken mail is missing rather than the mail: the one place that catches everything."""
    try:
        return function(*args)
    except Exception:
        return otherwise


def _message_id(fields: Fields) -> str:
    value = headers.one_line(fields.raw("message-id"))
    found = _MESSAGE_ID_FORM.search(value)
    return "".join((found[1] if found else value).split())[:_MESSAGE_ID]


def _sender(fields: Fields) -> Address | None:
    for name in ("from", "sender"):
        found = headers.addresses(fields.raw(name), 1)
        if found:
            return found[0]
    return None


def _recipients(fields: Fields) -> dict[str, list[tuple[str, str]]]:
    found = {}
    for key, name in (("to", "to"), ("cc", "cc"), ("bcc", "bcc"), ("reply_to", "reply-to")):
        value = fields.raw(name)
        if value:
            listed = [(a.name, a.address) for a in headers.addresses(value, MAX_RECIPIENTS)]
            if listed:
                found[key] = listed
    return found


@dataclass(slots=True)
class _Bodies:
    """The leaves to read, in order: `plain` for those who want text, `rich` for those who want HTML.

    `spare` are further renderings of the same words: neither shown nor listed as files.
    """

    plain: list[Part]
    rich: list[Part]
    spare: list[Part]

    @property
    def has_html(self) -> bool:
        return any(part.type == "text/html" for part in self.rich)


class _Message:
    """One message taken apart, for the length of one call."""

    def __init__(self, fields: Fields, body: bytes) -> None:
        self.body = body
        self.walk = Walk(fields, body)
        self.bodies = _bodies(self.walk.root, first=True)
        fields.charset = self._charset()

    def _charset(self) -> str:
        leaf = next((leaf for leaf in self.bodies.plain + self.bodies.rich if leaf.charset), None)
        return leaf.charset if leaf else ""

    def snippet(self) -> str:
        for leaf in self.bodies.plain or self.bodies.rich:
            for limit in (2_500, 200_000):
                words = text.snippet(self._words(leaf, limit))
                if words:
                    return words
                if leaf.end - leaf.start <= limit:
                    break
        return ""

    def _words(self, leaf: Part, limit: int) -> str:
        source = decoding.text(leaf, self.body, limit)
        if leaf.type in _MARKED_UP:
            return text.from_html(source, 3000)
        return text.unflow(source, delete_space=leaf.delete_space) if leaf.flowed else source

    def text(self) -> str:
        return "\n\n".join(_within(self._full_texts(), _SHOWN_TEXT))

    def _full_texts(self) -> Iterable[str]:
        for leaf in self.bodies.plain:
            source = decoding.text(leaf, self.body, _SHOWN_TEXT)
            if leaf.type in _MARKED_UP:
                source = text.from_html(source, _SHOWN_TEXT)
            elif leaf.flowed:
                source = text.unflow(source, delete_space=leaf.delete_space)
            yield source.strip("\n")

    def html(self) -> str:
        if not self.bodies.has_html:
            return ""
        return "\n".join(_within(map(self._as_html, self.bodies.rich), _SHOWN_HTML))

    def _as_html(self, leaf: Part) -> str:
        source = decoding.text(leaf, self.body, _SHOWN_HTML)
        if leaf.type == "text/html":
            return source
        return f'<div style="white-space: pre-wrap">{escape(source)}</div>' if source.strip() else ""

    def attachments(self, shown_html: str = "") -> tuple[AttachmentPart, ...]:
        """All leaves that are files. With the HTML at hand, what it shows in place is known, not guessed."""
        read_here = {id(leaf) for leaf in (*self.bodies.plain, *self.bodies.rich, *self.bodies.spare)}
        related = {id(leaf) for leaf in _related(self.walk.root)} if self.bodies.has_html else set()
        return tuple(
            self.described(leaf, inline=self._is_inline(leaf, id(leaf) in related, shown_html))
            for leaf in self.walk.leaves
            if id(leaf) not in read_here
        )

    def _is_inline(self, leaf: Part, related: bool, shown_html: str) -> bool:
        if leaf.main != "image" or not leaf.content_id or not self.bodies.has_html:
            return False
        if shown_html:
            return _cid_of(leaf) in shown_html or leaf.content_id in shown_html
        return leaf.disposition != "attachment" and (related or leaf.disposition == "inline")

    def described(self, leaf: Part, *, inline: bool, size: int | None = None) -> AttachmentPart:
        return AttachmentPart(
            part=leaf.number,
            name=self._name(leaf),
            type=leaf.type,
            size=decoding.size(leaf, self.body) if size is None else size,
            content_id=charsets.clean(leaf.content_id),
            inline=inline,
        )

    def _name(self, leaf: Part) -> str:
        """A name without folders or tricks, never empty."""
        name = _UNFIT_FOR_NAMES.sub("", headers.one_line(leaf.name))
        name = name.replace("\\", "/").rstrip("/").rpartition("/")[2].strip(" .\"'")
        if not name and leaf.type in ("message/rfc822", "message/global"):
            name = _guarded("", self._subject_inside, leaf)
        return _shortened(name) or _NAMELESS.get(leaf.type, "file.bin")

    def _subject_inside(self, leaf: Part) -> str:
        inside, _ = split(decoding.content(leaf, self.body, 16_000))
        subject = Fields(inside).text("subject", 100).replace("/", "_").replace("\\", "_").strip(" .")
        return f"{subject}.eml" if subject else ""


def _bodies(part: Part, *, first: bool) -> _Bodies:
    """What is read of a part and of those below; `first` while no text came before it."""
    if part.number >= 0:
        return _bodies_of_leaf(part, first=first)
    if part.type == "multipart/alternative":
        return _best_of([_bodies(child, first=first) for child in part.children])
    if part.type == "multipart/related":
        return _bodies(_document(part), first=first) if part.children else _Bodies([], [], [])
    together = _Bodies([], [], [])
    for child in part.children:
        found = _bodies(child, first=first and not together.rich)
        together.plain += found.plain
        together.rich += found.rich
        together.spare += found.spare
    return together


def _bodies_of_leaf(leaf: Part, *, first: bool) -> _Bodies:
    if leaf.type in ("text/x-amp-html", "text/watch-html"):
        return _Bodies([], [], [leaf])
    readable = leaf.type in _READABLE and not (leaf.disposition == "attachment" and (leaf.name or not first))
    if not readable or (leaf.name and not first):
        return _Bodies([], [], [])
    return _Bodies([leaf], [leaf], [])


def _best_of(choices: list[_Bodies]) -> _Bodies:
    """multipart/alternative: the last that can be shown, and of those as text the plainest (RFC 2046 5.1.4)."""
    shown = [choice for choice in choices if choice.rich]
    if not shown:
        return _Bodies([], [], [leaf for choice in choices for leaf in choice.spare])
    rich = next((choice for choice in reversed(shown) if choice.has_html), shown[-1])
    plain = next((choice for choice in shown if all(leaf.type != "text/html" for leaf in choice.plain)), rich)
    spare = [leaf for choice in choices for leaf in (*choice.plain, *choice.rich, *choice.spare)]
    return _Bodies(plain.plain, rich.rich, spare)


def _document(related: Part) -> Part:
    """The part that the others belong to: as named, else the first (RFC 2387 3.2)."""
    for child in related.children:
        if related.root_id and child.content_id == related.root_id:
            return child
    first = related.children[0]
    if first.type != related.root_type and first.main not in ("text", "multipart"):
        return next((child for child in related.children if child.main in ("text", "multipart")), first)
    return first


def _related(part: Part) -> Iterable[Part]:
    for child in part.children:
        if part.type == "multipart/related":
            yield from child.leaves()
        else:
            yield from _related(child)


def _cid_of(leaf: Part) -> str:
    return f"cid:{leaf.content_id}"


def _within(pieces: Iterable[str], limit: int) -> Iterable[str]:
    """The pieces until their length reaches the limit; the last is cut."""
    for piece in pieces:
        if limit <= 0:
            return
        yield piece[:limit]
        limit -= len(piece)


def _shortened(name: str) -> str:
    """At most 200 characters, the extension kept: it says what the file is."""
    if len(name) <= 200:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > 20:
        return name[:200]
    return f"{stem[: 199 - len(extension)]}.{extension}"
