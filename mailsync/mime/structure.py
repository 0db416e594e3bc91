"""The tree of parts of one message, found by offsets: no body byte is copied or decoded here.

A leaf's number is its place in the walk, from 0; all functions that speak of a part mean this number, so the walk
must give the same numbers for ever. What no tree can be made of is one leaf of text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from mailsync.mime import headers
from mailsync.mime.headers import Fields

MAX_LEAVES = 500
MAX_DEPTH = 30
_PART_HEADER_BYTES = 64 * 1024
_SNIFFED_BYTES = 64 * 1024
_SHORT_HEADER = 200

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,90}/[a-z0-9!#$&^_.+-]{1,90}\Z")
_HEADER_LINE = re.compile(rb"[!-9;-~]+[ \t]*:")
_BLANK_LINE = re.compile(rb"\n\r?\n")
# Nearly all delimiters; the others need a closer look.
_USUAL_DELIMITER_END = re.compile(rb"(--)?[ \t]*\r?\n")
_DELIMITER_END = re.compile(rb"(--)?[^\r\n]{0,200}")
# A delimiter when none is declared: a line of dashes and something, and a field right after it.
_UNDECLARED = re.compile(rb"^--([!-~]{1,70})[ \t]*\r?\n[Cc]ontent-[!-9;-~]+:", re.MULTILINE)
_UUENCODED = re.compile(rb"begin [0-7]{3,4} ([^\r\n]{1,255})\r?\n")
_UUENCODED_LINE = re.compile(rb"[!-M][ -`]{4,84}[ \t]*\r?\n")
_UUENCODED_END = re.compile(rb"end[ \t]*\r?(?:\n|\Z)")
_BARE_NAMES = {
    "text": "text/plain",
    "html": "text/html",
    "plain": "text/plain",
    "multipart": "multipart/mixed",
}


@dataclass(slots=True)
class Part:
    """One node. A leaf has a number and no children; a multipart has children and no number."""

    type: str
    start: int
    end: int
    encoding: str
    charset: str
    flowed: bool
    delete_space: bool
    disposition: str
    name: str
    content_id: str
    root_id: str  # multipart/related: the Content-ID of its document, if named,
    root_type: str  # and its type
    number: int = -1
    children: list["Part"] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)  # uuencoded files inside this text

    @property
    def main(self) -> str:
        return self.type.partition("/")[0]

    def leaves(self) -> Iterator["Part"]:
        if self.number >= 0:
            yield self
        for child in self.children:
            yield from child.leaves()


class _Said(NamedTuple):
    """What a header says of its part: the type as written, the boundary, and the middle of a Part, in its order."""

    token: str
    boundary: str
    rest: tuple[str, str, bool, bool, str, str, str, str, str]


class Walk:
    """One pass over a body. `problem` is a sentence when the body is not what its header says."""

    def __init__(self, fields: Fields, body: bytes) -> None:
        self.body = body
        self.problem = ""
        self.leaves: list[Part] = []
        self.root = self._part(_said(fields), 0, len(body), "text/plain", 0)

    def _part(self, said: _Said, start: int, end: int, default: str, depth: int) -> Part:
        part = Part(_type_of(said.token, default), start, end, *said.rest)
        if part.main == "multipart":
            if depth >= MAX_DEPTH:
                self.problem = "It is nested too deeply to be taken apart."
                part.type = "application/octet-stream"
            elif self._divide(part, said.boundary, depth):
                return part
            else:
                self.problem = self.problem or "Its parts are not marked as its header says."
                part.type = "text/plain"
        self._number(part)
        if part.type == "text/plain" and part.encoding == "":
            self._find_uuencoded(part)
        return part

    def _number(self, part: Part) -> None:
        part.number = len(self.leaves)
        self.leaves.append(part)

    def _divide(self, part: Part, declared: str, depth: int) -> bool:
        """Find the children of a multipart. False if no delimiter is there."""
        spans = list(self._spans(part, self._boundary(part, declared)))
        default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
        for start, end in spans:
            if len(self.leaves) >= MAX_LEAVES:
                self.problem = f"It has more than {MAX_LEAVES} parts; the rest is not shown."
                break
            said, content = self._open(start, end)
            part.children.append(self._part(said, content, end, default, depth + 1))
        return bool(spans)

    def _boundary(self, part: Part, declared: str) -> bytes:
        boundary = declared.encode("utf-8")[:200]
        if boundary and self.body.find(b"--" + boundary, part.start, part.end) >= 0:
            return boundary
        guess = _UNDECLARED.search(self.body, part.start, min(part.end, part.start + _SNIFFED_BYTES))
        return guess[1] if guess else b""

    def _spans(self, part: Part, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of each child. A missing last delimiter is forgiven; the epilogue is not a part."""
        if not boundary:
            return
        open_at = -1
        for line, content, closing in self._delimiters(part, b"--" + boundary):
            if open_at >= 0:
                yield open_at, max(line, open_at)
            open_at = -1 if closing else content
            if closing:
                return
        if open_at >= 0:
            yield open_at, part.end

    def _delimiters(self, part: Part, mark: bytes) -> Iterator[tuple[int, int, bool]]:
        """(where the part before ends, where the part after starts, whether this is the last delimiter)."""
        at = part.start
        for _ in range(2 * MAX_LEAVES):
            at = self._next_mark(mark, at, part)
            if at < 0:
                return
            end = at + len(mark)
            if usual := _USUAL_DELIMITER_END.match(self.body, end, part.end):
                yield self._line_before(at, part.start), usual.end(), bool(usual[1])
                at = end
                continue
            tail = _DELIMITER_END.match(self.body, end, part.end)
            assert tail is not None  # it matches nothing at all, too
            if tail[0].removeprefix(b"--").strip() == b"" or tail[1]:
                after = self.body.find(b"\n", tail.end(), part.end)
                yield self._line_before(at, part.start), part.end if after < 0 else after + 1, bool(tail[1])
            at = end

    def _next_mark(self, mark: bytes, at: int, part: Part) -> int:
        if at == part.start and self.body.startswith(mark, at, part.end):
            return at
        found = self.body.find(b"\n" + mark, max(at - 1, 0), part.end)
        return -1 if found < 0 else found + 1

    def _line_before(self, at: int, start: int) -> int:
        """The line break before a delimiter belongs to the delimiter (RFC 2046 5.1.1)."""
        end = at
        if end > start and self.body[end - 1 : end] == b"\n":
            end -= 1
            if end > start and self.body[end - 1 : end] == b"\r":
                end -= 1
        return end

    def _open(self, start: int, end: int) -> tuple[_Said, int]:
        """What the header of a child says and where its content starts; a child may have no header at all."""
        first = self.body[start : start + 2]
        if first[:1] == b"\n" or first == b"\r\n":
            return _said_often(b""), start + (1 if first[:1] == b"\n" else 2)
        if not _HEADER_LINE.match(self.body, start, end):
            return _said_often(b""), start
        stop = blank_line(self.body, start, end)
        header = self.body[start : min(stop, start + _PART_HEADER_BYTES)]
        return _said_often(header) if len(header) < _SHORT_HEADER else _said(Fields(header)), stop

    def _find_uuencoded(self, part: Part) -> None:
        """Files that old mailers put right into the text become leaves of their own."""
        at = part.start
        for _ in range(MAX_LEAVES):
            begin = self._line(_UUENCODED, b"begin ", at, part.end)
            if begin is None or len(self.leaves) >= MAX_LEAVES:
                return
            at = begin.end()
            if not _UUENCODED_LINE.match(self.body, at, part.end):
                continue
            end = self._line(_UUENCODED_END, b"end", at, part.end)
            stop = end.start() if end else part.end
            leaf = Part("application/octet-stream", at, stop, *_said_often(b"").rest)
            leaf.encoding, leaf.disposition = "x-uuencode", "attachment"
            leaf.name = headers.one_line(headers.unfold(begin[1]))
            self._number(leaf)
            part.children.append(leaf)
            at = end.end() if end else part.end
            part.cuts.append((begin.start(), at))

    def _line(self, pattern: re.Pattern[bytes], word: bytes, at: int, end: int) -> re.Match[bytes] | None:
        """The next line that begins with the word and is as the pattern says."""
        while True:
            at = self.body.find(word, at, end)
            if at < 0:
                return None
            if at == 0 or self.body[at - 1] == 10:
                found = pattern.match(self.body, at, end)
                if found:
                    return found
            at += len(word)


def blank_line(data: bytes, start: int, end: int) -> int:
    """Where the content begins after the header at `start`: behind the first empty line, else at the end."""
    found = _BLANK_LINE.search(data, start, end)
    return found.end() if found else end


def _type_of(token: str, default: str) -> str:
    if not token:
        return default
    if _TYPE.match(token):
        return token
    words = token.partition("(")[0].split()
    for candidate in (words[:1], words):  # "text/plain charset=x" without its semicolon, and "text / plain"
        if _TYPE.match("".join(candidate)):
            return "".join(candidate)
    return _BARE_NAMES.get(token.partition("/")[0], "text/plain")


def _said(fields: Fields) -> _Said:
    token, found = headers.parameters(fields.raw("content-type"))
    encoding = fields.raw("content-transfer-encoding").strip("\"' ;").lower()
    encoding = encoding.partition(";")[0].partition("(")[0].strip()
    disposition, named = headers.parameters(fields.raw("content-disposition"))
    flowed = "format" in found and found["format"].strip().lower() == "flowed"
    rest = (
        "" if encoding in ("7bit", "8bit", "binary") else encoding[:40],
        found.get("charset", "").strip("'\" ").partition(" ")[0][:60],
        flowed,
        flowed and found.get("delsp", "").strip().lower() == "yes",
        disposition[:40],
        named.get("filename") or found.get("name") or "",
        headers.one_line(fields.raw("content-id")).strip("<> ")[:500],
        found.get("start", "").strip("<> "),
        found.get("type", "").strip().lower(),
    )
    return _Said(token, found.get("boundary", ""), rest)


@lru_cache(maxsize=1024)
def _said_often(header: bytes) -> _Said:
    """The headers of texts are few and come again in every mail."""
    return _said(Fields(header))
