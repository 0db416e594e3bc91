"""Header fields: finding, decoding (RFC 2047, RFC 2231, raw 8-bit), addresses and dates."""

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import mktime_tz, parsedate_tz
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from mailsync.mime import charsets

# A crowd of recipients may stand before the subject; the rest is not looked at.
HEADER_BYTES = 2 * 1024 * 1024
VALUE_BYTES = 64 * 1024  # of one field
_PARAMETER_BYTES = 16 * 1024

# A name, a colon, and the lines that continue it. Obsolete syntax allows blanks before the colon.
_FIELD = re.compile(rb"^([!-9;-~]{1,200})[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.MULTILINE)
# Of these, the ones that we read; most of a header is the postmarks of servers, and goes by in half the time.
_READ_FIELD = re.compile(
    rb"\n((?i:b?cc|content-(?:disposition|id|transfer-encoding|type)|date|from|message-id|reply-to"
    rb"|s(?:ender|ubject)|to))[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# RFC 2047 2, and what is sent in its name: blanks inside, a language (RFC 2231 5).
_WORD = re.compile(r"=\?([A-Za-z0-9_.:+-]{1,60})(?:\*[^?]{0,40})?\?([bBqQ])\?([^?]*)\?=")
_GAP = re.compile(r"[ \t\r\n]*\Z")
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)', re.DOTALL)
_SECTION = re.compile(r"([^*]+)\*(?:(\d{1,3})(\*?))?\Z")
_ESCAPED = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of an address field; either part may be empty, not both."""

    name: str
    address: str


class Fields:
    """The fields of one header that we read, by name. Only the first of a repeated field counts."""

    __slots__ = ("_first", "charset")

    def __init__(self, header: bytes) -> None:
        found = _READ_FIELD.findall(b"\n" + _lines(header))
        self._first: dict[bytes, bytes] = {name.lower(): value for name, value in reversed(found)}
        # What raw 8-bit bytes of the header are most likely in; set once the body's charset is known.
        self.charset = ""

    def raw(self, name: str) -> str:
        """The unfolded value before any decoding of encoded words; "" if absent."""
        value = self._first.get(name.encode())
        if value is None:
            return ""
        return unfold(value, self.charset)

    def text(self, name: str, limit: int) -> str:
        """The value as a person reads it, on one line, at most `limit` characters."""
        value = self.raw(name)
        if not value:
            return ""
        # An encoded word takes up to twelve times the room of the character it holds.
        return one_line(decode_words(value[: limit * 12]))[:limit]


def pairs(header: bytes) -> list[tuple[bytes, bytes]]:
    """Every field, in order, as it was sent."""
    return _FIELD.findall(_lines(header))


def _lines(header: bytes) -> bytes:
    header = header[:HEADER_BYTES]
    if b"\n" not in header:  # a mail from before Mac OS X
        header = header.replace(b"\r", b"\n")
    return header


def unfold(value: bytes, charset: str = "") -> str:
    """One line of text; bytes above 127 are read as UTF-8, else in `charset`."""
    value = value[:VALUE_BYTES]
    if value.isascii() and b"\x1b" not in value:
        text = value.decode("ascii")
    else:
        text = charsets.decode(value, _raw_charset(value, charset))
    if "\n" in text:
        text = text.replace("\r\n", "").replace("\n", "")  # RFC 5322 2.2.3: the blank after it stays
    return text.strip()


def _raw_charset(value: bytes, charset: str) -> str:
    """UTF-8 is tried before the body's charset, for that one would accept anything."""
    try:
        value.decode("utf-8")
    except UnicodeError:
        return charset
    return "utf-8"


def one_line(text: str) -> str:
    """Without control characters and line breaks, so that a subject stays one line wherever it is printed."""
    if not text.isprintable():  # nearly all text is, and asking is cheap
        text = charsets.clean(_CONTROL.sub(" ", text))
    return text.strip()


def decode_words(value: str) -> str:
    """Encoded words decoded; neighbours of one charset are joined first, for some cut characters in two."""
    if "=?" not in value:
        return value
    out: list[str] = []
    pending, charset, at = b"", "", 0
    for word in _WORD.finditer(value):
        between = value[at : word.start()]
        if pending and (word[1] != charset or not _GAP.match(between)):
            out.append(charsets.decode(pending, charset))
            pending = b""
        if not (at and _GAP.match(between)):
            out.append(between)
        charset, at = word[1], word.end()
        pending += _word_bytes(word[2], word[3], charset)
    if pending:
        out.append(charsets.decode(pending, charset))
    out.append(value[at:])
    return "".join(out)


def _word_bytes(encoding: str, text: str, charset: str) -> bytes:
    # Raw 8-bit in an encoded word is against the rules; it was in the charset of the word, most likely.
    data = (
        text.encode("ascii") if text.isascii() else text.encode(charsets.codec(charset) or "utf-8", "replace")
    )
    if encoding in "qQ":
        return binascii.a2b_qp(data.replace(b" ", b"_"), header=True)
    return from_base64(data)


def from_base64(data: bytes) -> bytes:
    """Decoded base64 whatever is wrong with it: stray bytes, missing padding, half a quad at the end."""
    try:
        return binascii.a2b_base64(data + b"==")
    except binascii.Error:
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        return binascii.a2b_base64(
            letters[: len(letters) // 4 * 4 + (len(letters) % 4 > 1) * (len(letters) % 4)] + b"=="
        )


def parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """The token before the first semicolon, in lower case, and the parameters, RFC 2231 undone."""
    if len(value) < 60:
        return _known_parameters(value)
    return _parameters(value[:_PARAMETER_BYTES])


@lru_cache(maxsize=1024)
def _known_parameters(value: str) -> tuple[str, Mapping[str, str]]:
    """Most mail declares its parts in the same few ways."""
    return _parameters(value)


def _parameters(value: str) -> tuple[str, Mapping[str, str]]:
    if ";" not in value and "=" in value:
        value = ";".join(value.split(None, 1))  # text/plain charset=x
    token = value.partition(";")[0].strip().lower()
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for name, found in _PARAMETER.findall(value):
        key, content = name.lower(), _unquoted(found)
        section = _SECTION.match(key) if "*" in key else None
        if section is None:
            plain.setdefault(key, one_line(decode_words(content)))
        else:
            number = int(section[2] or 0)
            encoded = section[2] is None or bool(section[3])
            sections.setdefault(section[1], {}).setdefault(number, (content, encoded))
    for key, pieces in sections.items():
        plain[key] = one_line(_joined(pieces))
    return token, plain


def _unquoted(found: str) -> str:
    if found.startswith('"'):
        if "\\" not in found:
            return found[1:].removesuffix('"')
        return _ESCAPED.sub(r"\1", found[1:].removesuffix('"'))
    return found.strip()


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    """RFC 2231 3 and 4: sections in order, the charset stands before the first."""
    first, encoded = pieces[min(pieces)]
    charset = ""
    if encoded and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        pieces = {**pieces, min(pieces): (first, True)}
    data = b"".join(
        unquote_to_bytes(content) if encoded else content.encode("utf-8")
        for _, (content, encoded) in sorted(pieces.items())
    )
    return decode_words(charsets.decode(data, charset))


_PIECES = re.compile(
    r"=\?[^?\s]{1,80}\?[bBqQ]\?[^?]*\?="  # an encoded word; its commas separate nothing
    r'|"(?:[^"\\]|\\.)*"?'
    r'|[^"=(),:;<>]+'
    r"|[=(),:;<>]",
    re.DOTALL,
)


class _Collector:
    """Takes the pieces of an address field and makes addresses of them (RFC 5322 3.4, and worse)."""

    def __init__(self) -> None:
        self.found: list[Address] = []
        self._start()

    def _start(self) -> None:
        self.phrase: list[str] = []
        self.comment: list[str] = []
        self.angle: list[str] | None = None  # what stands between < and >
        self.closed = False
        self.has_at = False  # in what was gathered last, the phrase or the angle
        self.depth = 0

    def take(self, piece: str) -> None:
        if self.depth or piece == "(":
            self._in_comment(piece)
        elif self.angle is not None and not self.closed:
            self._in_angle(self.angle, piece)
        elif piece == "<":
            if self.closed:
                self.finish()  # the comma is missing
            self.angle, self.has_at = [], False
        elif piece in ",;":
            self.finish()
        elif piece == ":" and not self.has_at:
            self.phrase = []  # the name of a group
        elif not self.closed:
            self._gather(self.phrase, _unquoted(piece) if piece.startswith('"') else piece)

    def _gather(self, pieces: list[str], piece: str) -> None:
        pieces.append(piece)
        self.has_at = self.has_at or "@" in piece

    def _in_comment(self, piece: str) -> None:
        self.depth += (piece == "(") - (piece == ")")
        if self.depth and not (piece == "(" and self.depth == 1):
            self.comment.append(piece)

    def _in_angle(self, angle: list[str], piece: str) -> None:
        if piece == ">":
            self.closed = True
        elif piece == "," and self.has_at and not angle[0].startswith("@"):
            self.finish()  # the ">" is missing
        elif piece != "<":
            self._gather(angle, piece)

    def finish(self) -> None:
        phrase = one_line(decode_words("".join(self.phrase)))
        comment = one_line(decode_words("".join(self.comment)))
        if self.angle is not None:
            self._add(phrase or comment, "".join(self.angle))
        elif "@" in phrase:
            words = phrase.split()
            address = next((word for word in words if "@" in word.strip("@")), "".join(words))
            self._add(comment or " ".join(word for word in words if word != address), address)
        elif phrase or comment:
            self._add(phrase or comment, "")
        self._start()

    def _add(self, name: str, address: str) -> None:
        address = "".join(one_line(decode_words(address)).split()).removeprefix("mailto:")
        if address.startswith("@"):
            address = address.rpartition(":")[2]  # a route, RFC 5322 4.4
        name = name.strip("\"' \t")[:200]
        if name == address:
            name = ""
        if name or address:
            self.found.append(Address(name, address[:320]))


_SIMPLE = re.compile(r"""\s*(?:"?([^<>@"\\]*?)"?\s*<([^<>\s@]+@[^<>\s@]+)>|([^<>\s@"=]+@[^<>\s@"=]+))\s*\Z""")


def addresses(value: str, limit: int) -> Sequence[Address]:
    """The first `limit` mailboxes of an address field; groups are flattened."""
    if not value:
        return ()
    return _known_addresses(value, limit) if len(value) < 100 else _addresses(value, limit)


@lru_cache(maxsize=2048)
def _known_addresses(value: str, limit: int) -> Sequence[Address]:
    """A mailbox is written to by the same people, and always to its owner."""
    return tuple(_addresses(value, limit))


def _addresses(value: str, limit: int) -> list[Address]:
    return _simple_addresses(value, limit) or _collected(value, limit)


def _simple_addresses(value: str, limit: int) -> list[Address]:
    """The field as nearly all mail has it, quickly; nothing if any of it needs a closer look."""
    if any(map(value.__contains__, "(;:\\")) or not value:
        return []
    found = []
    for piece in value.split(",", limit)[:limit]:
        match = _SIMPLE.match(piece)
        if match is None:
            return []
        name = one_line(decode_words(match[1] or "")).strip("\"' ")[:200]
        address = (match[2] or match[3])[:320]
        found.append(Address("" if name == address else name, address))
    return found


def _collected(value: str, limit: int) -> list[Address]:
    collector = _Collector()
    for piece in _PIECES.finditer(value):
        collector.take(piece[0])
        if len(collector.found) >= limit:
            return collector.found
    collector.finish()
    return collector.found[:limit]


_MONTH_NAMES = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_USUAL_DATE = re.compile(
    rf"(?:[A-Z][a-z]{{2}}, +)?(\d{{1,2}}) +({_MONTH_NAMES.replace(' ', '|')}) +((?:19|20)\d\d)"
    r" +(\d\d):(\d\d):(\d\d) +([+-])(\d\d)(\d\d)(?: \([^)]*\))?\Z"
)


def _usual_date(found: re.Match[str]) -> datetime:
    day, month, year, hour, minute, second, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    # A leap second is the second before it; datetime has none.
    clock = datetime(
        int(year), _MONTHS[month], int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
    )
    return clock - offset if sign == "+" else clock + offset


def date(value: str) -> datetime | None:
    """The moment a Date field names, aware; None for what is no date or lies outside living memory."""
    value = value[:100]
    try:
        usual = _USUAL_DATE.match(value)
        if usual:
            return _usual_date(usual)
        parsed = parsedate_tz(value)
        if parsed is not None:
            moment = datetime.fromtimestamp(mktime_tz(parsed), UTC)
        else:
            moment = datetime.fromisoformat(value.strip())
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, IndexError, TypeError, OverflowError, OSError):
        return None
    return moment if 1900 <= moment.year <= 2200 else None
