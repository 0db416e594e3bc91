"""The content of a leaf: its bytes, its size without decoding it, its text."""

import binascii
import re

from mailsync.mime import charsets
from mailsync.mime.headers import from_base64
from mailsync.mime.structure import Part

_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,60})", re.IGNORECASE)
# Padding in the middle: some programs encode in pieces and put them one after the other.
_BASE64_SEAM = re.compile(rb"=\s*[A-Za-z0-9+/]")
_BASE64_ONLY = re.compile(rb"[A-Za-z0-9+/=\s]*")
_SMALL = 4096
_UUENCODE = ("x-uuencode", "uuencode", "x-uue", "uue")


def content(part: Part, body: bytes, limit: int | None = None) -> bytes:
    """The decoded bytes of a leaf, or about the first `limit` of them."""
    end = part.end if limit is None else min(part.end, part.start + limit + limit // 2)
    if part.encoding == "base64":
        return _from_base64(body[part.start : end])
    if part.encoding == "quoted-printable":
        return binascii.a2b_qp(body[part.start : end])
    if part.encoding in _UUENCODE:
        return _from_uuencode(body[part.start : end])
    if part.cuts:
        return _without_cuts(part, body, end)
    return body[part.start : end]


def size(part: Part, body: bytes) -> int:
    """Decoded size. Of a large part it is computed: exact unless the part breaks the rules of its encoding."""
    start, end = part.start, part.end
    length = end - start
    if length < _SMALL:
        return len(content(part, body))
    if part.encoding == "base64":
        padding = body.count(b"=", max(start, end - 8), end)
        return (length - _line_ends(body, start, end) - padding) * 3 // 4
    if part.encoding == "quoted-printable":
        soft = body.count(b"=\r\n", start, end)
        return max(length - 2 * body.count(b"=", start, end) - soft, 0)
    if part.encoding in _UUENCODE:
        return sum((byte[0] - 32) & 63 for byte in body[start:end].splitlines() if byte)
    return length - sum(stop - begin for begin, stop in part.cuts)


def _line_ends(body: bytes, start: int, end: int) -> int:
    """How many CR and LF stand in a stretch of base64: lines of one length are counted by multiplication."""
    first = body.find(b"\n", start, min(end, start + 1000)) + 1
    if first > start:
        stride = first - start
        lines = (end - start) // stride
        if all(body[start + stride * n - 1] == 10 for n in (lines, lines // 2 or 1, lines // 3 or 1)):
            rest = start + stride * lines
            each = 2 if body[first - 2 : first] == b"\r\n" else 1
            return lines * each + body.count(b"\n", rest, end) + body.count(b"\r", rest, end)
    return body.count(b"\n", start, end) + body.count(b"\r", start, end)


def text(part: Part, body: bytes, limit: int) -> str:
    """The text of a leaf, about its first `limit` bytes, with \\n as line break."""
    data = content(part, body, limit)
    cut = part.end - part.start > limit
    declared = part.charset
    if part.type == "text/html" and (not declared or not charsets.codec(declared)):
        meta = _META_CHARSET.search(data, 0, 4096)
        declared = meta[1].decode("ascii") if meta else declared
    if declared.lower().startswith("utf-16") and data[:200].count(0) == 0:
        declared = ""  # a page that was converted and still names what it was
    found = charsets.decode(data, declared, cut=cut).removeprefix("\ufeff")
    return found.replace("\r\n", "\n").replace("\r", "\n") if "\r" in found else found


def _from_base64(data: bytes) -> bytes:
    if _BASE64_SEAM.search(data) and _BASE64_ONLY.fullmatch(data):
        return b"".join(from_base64(piece) for piece in data.split(b"=") if piece.strip())
    return from_base64(data)


def _from_uuencode(data: bytes) -> bytes:
    return b"".join(_uuencoded_line(line) for line in data.splitlines() if line)


def _uuencoded_line(line: bytes) -> bytes:
    try:
        return binascii.a2b_uu(line)
    except binascii.Error:
        # Too long by a checksum or by blanks: as many characters as the length says.
        wanted = (((line[0] - 32) & 63) * 4 + 5) // 3
        try:
            return binascii.a2b_uu(line[:wanted])
        except binascii.Error:
            return b""


def _without_cuts(part: Part, body: bytes, end: int) -> bytes:
    kept, at = [], part.start
    for begin, stop in part.cuts:
        kept.append(body[at : min(begin, end)])
        at = stop
    kept.append(body[at:end])
    return b"".join(kept)
