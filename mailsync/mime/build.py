"""A letter as the bytes that go to the server (RFC 5322, 2045 to 2047, 2231), ready for DKIM: CRLF, short lines.

The header is written here, word by word, because the standard library folds Message-IDs into encoded words and
leaves long names unfolded; the body is the standard library's.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.message import MIMEPart
from email.policy import SMTP
from email.utils import format_datetime

from mailsync.mime import plain
from mailsync.mime.headers import Address

_LINE = 76
_LONGEST_WORD = 60  # of plain text, in a header; what is longer is encoded, so that it can be folded
_KEPT_REFERENCES = 40
_LONGEST_ID = 400

_CONTROL = re.compile("[\x00-\x1f\x7f\u2028\u2029]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+\Z")
_ID = re.compile(r"[!-;=?-~]+@[!-;=?-~]+\Z")
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,400}\Z")  # those of other programs often have no "@"
_IDS = re.compile(r"<([^<>]+)>")
_LOCAL = re.compile(r"""(?:[^\s<>()\[\]:;@\\,"]+|"(?:[^"\\\r\n]|\\[ -~])*")\Z""")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?\.?)+\Z|\[[0-9A-Fa-f:.IPv]+\]\Z")
_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,90}/[a-z0-9!#$&^_.+-]{1,90}\Z")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}\Z")
_BODY = SMTP.clone(max_line_length=_LINE, cte_type="7bit")


class Unfit(ValueError):
    """This cannot stand in a message: a line break in a header field, an address that is none. Tells which."""


@dataclass(frozen=True, slots=True)
class File:
    """One part. `content_id` (without brackets) names an image for the text's `cid:`."""

    name: str
    type: str
    content: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Letter:
    """All there is to say in a message. `html` was cleaned before; `text` is made from it where it is "".

    `date` is aware. Message-IDs stand with or without angle brackets; `references` is what the answered mail had and
    its own, oldest first. `automatic` is the word for Auto-Submitted (RFC 3834) of what no person wrote, "" else.
    `more` are further fields (List-Unsubscribe and the like).
    """

    sender: Address
    subject: str
    message_id: str
    date: datetime
    to: Sequence[Address] = ()
    cc: Sequence[Address] = ()
    bcc: Sequence[Address] = ()
    reply_to: Sequence[Address] = ()
    html: str = ""
    text: str = ""
    inline: Sequence[File] = ()
    attachments: Sequence[File] = ()
    in_reply_to: str = ""
    references: str = ""
    automatic: str = ""
    more: Sequence[tuple[str, str]] = ()


def build(letter: Letter) -> bytes:
    """The message without Bcc. Raises Unfit. Header bytes are ASCII unless an address needs SMTPUTF8."""
    return head(letter).encode() + b"MIME-Version: 1.0\r\n" + _body(letter).as_bytes(policy=_BODY)


def recipients(letter: Letter) -> list[str]:
    """Everybody it goes to, as SMTP names them, each once. Raises Unfit."""
    everybody = [*letter.to, *letter.cc, *letter.bcc]
    return list(dict.fromkeys(wire_address(person.address) for person in everybody))


def wire_address(address: str) -> str:
    """An address as it goes over the wire: the domain in ASCII (IDNA). Raises Unfit."""
    local, _, domain = address.strip().rpartition("@")
    if _CONTROL.search(address) or not _LOCAL.match(local) or len(local.encode()) > 64:
        raise Unfit(f"“{_CONTROL.sub(' ', address)}” is no mail address.")
    try:
        ascii_domain = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        ascii_domain = ""
    if not _DOMAIN.match(ascii_domain) or len(ascii_domain) > 253:
        raise Unfit(f"“{address}” is no mail address.")
    return f"{local}@{ascii_domain}"


def needs_smtputf8(letter: Letter) -> bool:
    """Whether a server must offer SMTPUTF8 for it (RFC 6531): an address that is not ASCII before its @."""
    people = [letter.sender, *letter.to, *letter.cc, *letter.bcc, *letter.reply_to]
    return not all(person.address.rpartition("@")[0].isascii() for person in people)


# The header


def head(letter: Letter) -> str:
    """The header without MIME's fields and without the blank line."""
    fields = [
        ("From", _people([letter.sender])),
        ("To", _people(letter.to)),
        ("Cc", _people(letter.cc)),
        ("Reply-To", _people(letter.reply_to)),
        ("Subject", _words(letter.subject, "subject")),
        ("Date", [format_datetime(letter.date)]),
        ("Message-ID", [f"<{_own_id(letter.message_id)}>"]),
        ("In-Reply-To", _ids(letter.in_reply_to)[:1]),
        ("References", _kept(_ids(letter.references))),
        *_loop_guards(letter.automatic),
        *((_field_name(name), _words(value, name)) for name, value in letter.more),
    ]
    if not letter.to and not letter.cc:
        fields[1] = ("To", ["undisclosed-recipients:;"])
    return "".join(_folded(name, words) for name, words in fields if words)


def _loop_guards(automatic: str) -> list[tuple[str, list[str]]]:
    """What no person wrote says so, and asks Exchange not to answer it by itself either."""
    if not automatic:
        return []
    return [("Auto-Submitted", _words(automatic, "Auto-Submitted")), ("X-Auto-Response-Suppress", ["All"])]


def _folded(name: str, words: Iterable[str]) -> str:
    """One field; lines break only between words, and each is short unless a word alone is not."""
    lines = [f"{name}:"]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _LINE and lines[-1] != f"{name}:":
            lines.append(f" {word}")
        else:
            lines[-1] += f" {word}"
    return "\r\n".join(lines) + "\r\n"


def _words(text: str, what: str) -> list[str]:
    """Text as words of a header: as it is where it can be, else encoded (RFC 2047)."""
    if _CONTROL.search(text):
        raise Unfit(f"The {what} holds a line break or a control character.")
    words = text.split(" ")
    plain_text = text.isascii() and all(words) and "=?" not in text
    if plain_text and all(len(word) <= _LONGEST_WORD for word in words):
        return words
    return _encoded(text) if text else []


def _encoded(text: str) -> list[str]:
    # The library would leave ASCII as it is; its own blanks are where lines may break.
    return Header(text, "utf-8", maxlinelen=_LINE - 1, header_name="Subject").encode(linesep="").split()


def _people(people: Sequence[Address]) -> list[str]:
    """Mailboxes as words, a comma at the end of each but the last."""
    words: list[str] = []
    for person in people:
        address = wire_address(person.address)
        name = person.name.strip()
        words += [*_phrase(name), f"<{address}>"] if name else [address]
        words[-1] += ","
    if words:
        words[-1] = words[-1][:-1]
    return words


def _phrase(name: str) -> list[str]:
    if _CONTROL.search(name):
        raise Unfit("A name holds a line break or a control character.")
    if name.isascii() and len(name) <= _LONGEST_WORD and "=?" not in name:
        quoted = name if _ATOMS.match(name) else '"' + re.sub(r'(["\\])', r"\\\1", name) + '"'
        return [quoted]
    return _encoded(name)


def _own_id(message_id: str) -> str:
    bare = message_id.strip().removeprefix("<").removesuffix(">")
    if not _ID.match(bare) or len(bare) > _LONGEST_ID:
        raise Unfit("The Message-ID is not one.")
    return bare


def _ids(text: str) -> list[str]:
    """The Message-IDs in a text of strangers; what is none, or too long for a line, is left out."""
    found = _IDS.findall(text) or text.split()
    return [f"<{bare}>" for bare in found if _ID.match(bare) and len(bare) <= _LONGEST_ID]


def _kept(ids: list[str]) -> list[str]:
    """The first and the latest ones of a long thread (RFC 5322 3.6.4 lets the middle go)."""
    return ids if len(ids) <= _KEPT_REFERENCES else [ids[0], *ids[1 - _KEPT_REFERENCES :]]


def _field_name(name: str) -> str:
    if not _FIELD_NAME.match(name):
        raise Unfit("A header field has no proper name.")
    return name


# The body


def _body(letter: Letter) -> MIMEPart:
    """mixed(alternative(text, related(html, images)), files), each level only where there is need of it."""
    part = MIMEPart(policy=_BODY)
    words = letter.text or plain.text(letter.html)
    part.set_content(_lines(words), cte=_encoding(words))
    if letter.html:
        page = _page(letter.html)
        part.add_alternative(_lines(page), subtype="html", cte=_encoding(page))
        _relate(part, letter.inline)
    for file in letter.attachments:
        _attach(part, file)
    for number, container in enumerate(node for node in part.walk() if node.is_multipart()):
        # Neither base64 nor quoted-printable can hold "=_"; the name is made from the letter's own, so that
        # building it twice gives the same bytes.
        digest = hashlib.sha256(f"{number} {letter.message_id}".encode()).hexdigest()[:24]
        container.set_boundary(f"=_{digest}")
    return part


def _page(html: str) -> str:
    """A whole document; filters of spam look askance at a mere piece of one."""
    if "<html" in html[:500].lower():
        return html
    return f'<!doctype html>\n<html><head><meta charset="utf-8"></head><body>\n{html}\n</body></html>'


def _lines(text: str) -> str:
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else f"{text}\n"


def _encoding(text: str) -> str:
    """The shorter one of the two that keep every line short and every byte as it is."""
    sample = text[:20_000]
    return "base64" if sum(not char.isascii() for char in sample) * 6 > len(sample) else "quoted-printable"


def _relate(part: MIMEPart, images: Sequence[File]) -> None:
    rich = part.get_body(preferencelist=("html",))
    assert isinstance(rich, MIMEPart)
    for image in images:
        main, _, sub = _type(image).partition("/")
        rich.add_related(
            image.content,
            main,
            sub,
            cid=f"<{_content_id(image.content_id)}>",
            disposition="inline",
            filename=_file_name(image.name),
        )


def _content_id(name: str) -> str:
    if not _CONTENT_ID.match(name):
        raise Unfit("An image of the text has no proper name.")
    return name


def _attach(part: MIMEPart, file: File) -> None:
    kind = _type(file)
    if kind == "message/rfc822":
        lines = re.sub(rb"\r\n|\r|\n", b"\r\n", file.content)
        if lines.isascii() and b"\0" not in lines and max(map(len, lines.split(b"\r\n"))) <= 998:
            part.add_attachment(lines, "message", "rfc822", cte="7bit", filename=_file_name(file.name))
            return
        kind = "application/octet-stream"  # RFC 2046 5.2.1 forbids to encode a message/rfc822
    main, _, sub = kind.partition("/")
    part.add_attachment(file.content, main, sub, filename=_file_name(file.name))


def _type(file: File) -> str:
    """The declared type of a file; what could be taken for a structure of this message is bytes."""
    kind = file.type.lower()
    structural = kind.startswith(("multipart/", "message/")) and kind != "message/rfc822"
    return kind if _TYPE.match(kind) and not structural else "application/octet-stream"


def _file_name(name: str) -> str:
    if _CONTROL.search(name):
        raise Unfit("The name of a file holds a line break or a control character.")
    return name or "file"
