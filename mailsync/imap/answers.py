"""Reading the server's answers: FETCH, STATUS and response codes into values. Pure; tested as data.

Only what we asked for is looked for, by name and never by position (H08); what a mail says is never searched,
whether it comes as a literal or quoted.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

from mailsync.foldernames import canonical
from mailsync.sync.state import Flags

_START = re.compile(rb"^\d+ \(")
_UID = re.compile(rb"\bUID (\d+)", re.IGNORECASE)
_FLAGS = re.compile(rb"\bFLAGS \(([^()]*)\)", re.IGNORECASE)
_DATE_TIME = rb'"\s*(\d{1,2})-([A-Za-z]{3})-(\d{4,9}) (\d\d):(\d\d):(\d\d) ([+-]\d\d\d\d)"'
_DATE = re.compile(rb"INTERNALDATE " + _DATE_TIME, re.IGNORECASE)
_GMAIL_ID = re.compile(rb"\bX-GM-MSGID (\d+)\b", re.IGNORECASE)
_SIZE = re.compile(rb"RFC822\.SIZE (\d+)", re.IGNORECASE)
_BODY = re.compile(rb'BODY\[[^\]]*\](?:<\d+>)? (?:"((?:[^"\\]|\\.)*)"|(NIL))', re.IGNORECASE)
# A whole answer as nearly all servers give it: what we asked for, in that order. The others are searched.
_USUAL = re.compile(
    rb"(\d{1,10}) \(UID (\d{1,10}) FLAGS \(([^()]*)\)(?: MODSEQ \(\d+\))?(?: INTERNALDATE "
    + _DATE_TIME
    + rb")?(?: RFC822\.SIZE (\d{1,18})| BODY\[\] \{\d+\})?\)"
)
_BODY_LITERAL = re.compile(rb"BODY\[[^\]]*\](?:<\d+>)? ~?\{\d+\+?\}$", re.IGNORECASE)
_LIST = re.compile(rb'\(([^()]*)\) (?:"((?:[^"\\]|\\.)*)"|NIL) (.*)', re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_STATUS_NAME = re.compile(rb'(?:"((?:[^"\\]|\\.)*)"|([^\s(){%*"\\]+)) \(')
_STATUS = re.compile(rb"\(([^()]*)\)\s*$")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}
_ZERO = datetime(1970, 1, 2, tzinfo=UTC)  # what no date, 0 seconds and 30-Dec-1899 come to, in every zone
_LONGEST_NAME = 2_500  # bytes
_LAST_UID = 2**32 - 1  # RFC 9051 9, nz-number
_MOST_COPIED = 100_000  # a lying server must not fill our memory
_FEW_FLAGS = 200  # bytes
_KNOWN_FLAGS = {flag.lower(): flag for flag in ("\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft")}


class Answer(NamedTuple):
    """One FETCH answer. Fields the server left out are None; `body` is the header or the whole message; `server_id` is
    what Gmail calls the message wherever it is (X-GM-MSGID). A number of more than 63 bits, which no column holds, was
    left out. `place` is the sequence number, 0 for none that can be."""

    uid: int
    flags: Flags | None
    received_at: datetime | None
    size: int | None
    body: bytes | None
    server_id: int | None = None
    place: int = 0

    def with_news(self, later: "Answer") -> "Answer":
        """This, with what a later answer about the same message says: often no more than that its flags changed."""
        return self._replace(**{name: told for name, told in later._asdict().items() if told is not None})

    @property
    def is_news(self) -> bool:
        """Whether it says no more than flags, as servers do unasked when somebody changes them."""
        return self.size is None and self.received_at is None and self.body is None


def fetch_answers(items: Iterable[Any]) -> Iterator[Answer]:
    """imaplib's FETCH items to answers; those without a UID (unasked flag news by number), or with one that cannot be,
    are left out."""
    for text, literal in _responses(items):
        usual = _USUAL.fullmatch(text)
        if usual:
            place, told, flags, *date, size = usual.groups()
            at = _moment(*date) if date[0] else None
            if uid := uid_of(told):
                yield Answer(
                    uid, parse_flags(flags), at, int(size) if size else None, literal, place=int(place)
                )
            continue
        bare = _BODY.sub(b"", text)
        found = _UID.search(_FLAGS.sub(b"", bare))
        if found and (uid := uid_of(found[1])):
            yield Answer(
                uid,
                _flags(bare),
                internal_date(bare),
                _number_of(_SIZE, bare),
                _body(text, literal),
                _number_of(_GMAIL_ID, bare),
                number([text.partition(b" ")[0]]) or 0,
            )


@dataclass(frozen=True, slots=True)
class RemoteName:
    """A folder in LIST; `name` is what the server said, byte for byte but for INBOX (`canonical`), `attributes` in
    lower case; `delimiter` is one character, or "" where there is none."""

    name: bytes
    delimiter: str
    attributes: frozenset[str]


def list_answers(items: Iterable[Any]) -> Iterator[RemoteName]:
    """LIST answers in the server's order, without names that are of no use: one must not keep us from the others.

    IMAPClient reads a name of digits as a number ("007" becomes 7).
    """
    for item in items:
        line, literal = item if isinstance(item, tuple) else (item, None)
        match = _LIST.match(line or b"")
        if match:
            words, delimiter, rest = match.groups()
            quoted = _QUOTED.match(rest)
            name = unquoted(quoted[1]) if quoted else rest
            name = name if literal is None else literal
            if is_of_use(name):
                attributes = frozenset(words.decode("ascii", "replace").lower().split())
                yield RemoteName(canonical(name), _delimiter(delimiter), attributes)


def is_of_use(name: bytes) -> bool:
    """Whether a folder's name can be said in a command (no CR, LF or NUL) and be kept: a row's key in PostgreSQL has
    2 704 bytes at most. Dovecot makes names of 4 096 bytes where the file system bears them, which take 255 in a part.
    """
    return len(name) <= _LONGEST_NAME and not any(byte in name for byte in b"\r\n\0")


def _delimiter(quoted: bytes | None) -> str:
    """None of more than one character, which there cannot be (RFC 9051 9, mailbox-list): it would part no names."""
    text = unquoted(quoted or b"").decode("ascii", "replace")
    return text if len(text) == 1 and text.isprintable() else ""


def status_answers(items: Iterable[Any]) -> Iterator[tuple[bytes, dict[str, int]]]:
    """STATUS answers with the folders they are about, for a command that asked about many."""
    name: bytes | None = None
    for item in items:
        if isinstance(item, tuple):
            name = item[1]  # a literal; the items follow in the next line
            continue
        match = _STATUS_NAME.match(item)
        if name is None and match:
            name = unquoted(match[1]) if match[1] is not None else match[2]
        if name is not None:
            yield canonical(name), status_items([item])
        name = None


def status_items(lines: Iterable[Any]) -> dict[str, int]:
    """The items of a STATUS answer, upper case; numbers only."""
    found: dict[str, int] = {}
    for line in lines:
        if isinstance(line, tuple):
            continue  # the folder's name in a literal; the items follow in the next line
        match = _STATUS.search(line)
        words = match[1].split() if match else []
        for name, value in zip(words[::2], words[1::2], strict=False):
            if (told := number([value])) is not None:
                found[name.decode("ascii", "replace").upper()] = told
    return found


def internal_date(text: bytes) -> datetime | None:
    """INTERNALDATE, aware; None where the server wrote none, an impossible one or the zero of its clock (K05)."""
    match = _DATE.search(text)
    return _moment(*match.groups()) if match else None


def _moment(
    day: bytes, month: bytes, year: bytes, hour: bytes, minute: bytes, second: bytes, zone: bytes
) -> datetime | None:
    try:
        clock = datetime(
            int(year), _MONTHS[month.lower()], int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
        moment = clock - _offset(zone)
    except (ValueError, KeyError, OverflowError):
        return None
    return moment if moment > _ZERO else None


@lru_cache(maxsize=128)
def _offset(zone: bytes) -> timedelta:
    """Raises ValueError for what no clock on earth has."""
    offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:]))
    if offset >= timedelta(days=1):
        raise ValueError(zone)
    return -offset if zone.startswith(b"-") else offset


def number(values: Iterable[Any] | None) -> int | None:
    """The first number of an untagged answer or response code; None if none has at most 63 bits (RFC 9051 9)."""
    for value in values or ():
        digits = value.strip() if isinstance(value, bytes) else b""
        if digits.isdigit() and len(digits) < 20 and (found := int(digits)) < 2**63:
            return found
    return None


def uid_of(digits: bytes) -> int | None:
    """A UID, or None for what is none."""
    uid = int(digits) if digits.isdigit() and len(digits) <= 10 else 0
    return uid if 0 < uid <= _LAST_UID else None


def copied_uids(values: Iterable[Any] | None, uidvalidity: int | None) -> dict[int, int]:
    """COPYUID (RFC 4315 3): source UID to target UID; {} where it is absent, does not add up, or is of another
    UIDVALIDITY than that by which the target is known (None: by none yet)."""
    pairs: dict[int, int] = {}
    for value in values or ():
        parts = value.split() if isinstance(value, bytes) else []
        if len(parts) == 3 and uidvalidity and number(parts[:1]) == uidvalidity:
            source, target = list(expand(parts[1])), list(expand(parts[2]))
            if len(source) == len(target) < _MOST_COPIED:
                pairs.update(zip(source, target, strict=True))
    return pairs


def found_spans(values: Iterable[Any]) -> list[tuple[int, int]]:
    """ESEARCH's ALL (RFC 4731 3.1) as ranges, never expanded: a lying server must not fill our memory."""
    spans = []
    for value in values:
        words = value.upper().split() if isinstance(value, bytes) else []
        for name, found in pairwise(words):
            if name == b"ALL":
                spans += [span for part in found.split(b",") if (span := _span(part))]
    return spans


def _span(part: bytes) -> tuple[int, int] | None:
    """One part of a UID set; None for what is none."""
    first, colon, last = part.partition(b":")
    low, high = uid_of(first), uid_of(last if colon else first)
    return (min(low, high), max(low, high)) if low and high else None


def expand(uids: bytes, limit: int = _MOST_COPIED) -> Iterator[int]:
    """A UID set as numbers, at most `limit` of them."""
    left = limit
    for part in uids.split(b","):
        span = _span(part)
        if span is None:
            return
        low, high = span
        for uid in range(low, min(high, low + left - 1) + 1):
            left -= 1
            yield uid


def parse_flags(words: bytes) -> Flags:
    """Flags as text; system flags in RFC spelling whatever the server's case; \\Recent is nobody's (F10)."""
    return _known_flags(words) if len(words) < _FEW_FLAGS else _parsed_flags(words)


@lru_cache(maxsize=256)
def _known_flags(words: bytes) -> Flags:
    """Most mail of a folder has one of a few sets."""
    return _parsed_flags(words)


def _parsed_flags(words: bytes) -> Flags:
    names = (word.decode("utf-8", "replace") for word in words.split())
    return frozenset(
        _KNOWN_FLAGS.get(name.lower(), name)
        for name in names
        if name.lower() != "\\recent" and "\0" not in name
    )


def _responses(items: Iterable[Any]) -> Iterator[tuple[bytes, bytes | None]]:
    """Join the pieces of each answer: its text without literals, and the literal of its BODY, if any."""
    text, body = b"", None
    for item in items:
        line, literal = item if isinstance(item, tuple) else (item, None)
        if line is None:
            continue
        if _START.match(line):
            if text:
                yield text, body
            text, body = b"", None
        text += line
        if literal is not None and _BODY_LITERAL.search(line):
            body = literal
    if text:
        yield text, body


def _flags(text: bytes) -> Flags | None:
    match = _FLAGS.search(text)
    return parse_flags(match[1]) if match else None


def _number_of(item: re.Pattern[bytes], text: bytes) -> int | None:
    match = item.search(text)
    return number([match[1]]) if match else None


def _body(text: bytes, literal: bytes | None) -> bytes | None:
    if literal is not None:
        return literal
    match = _BODY.search(text)
    if not match or match[2]:
        return None
    return unquoted(match[1])


def unquoted(text: bytes) -> bytes:
    """What stands between the quotes of a quoted string, as it is meant (RFC 9051 4.3)."""
    return re.sub(rb"\\(.)", rb"\1", text)
