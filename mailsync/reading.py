"""One message as a page shows it: the document of its frame, with its own pictures in it."""

import base64
from collections.abc import Callable, Sequence
from typing import Protocol

from mailsync.mime import document as framed
from mailsync.mime import parse, sanitize

# Pictures that a browser may show: pixels, never SVG.
RASTER = frozenset(f"image/{kind}" for kind in ("png", "jpeg", "jpg", "gif", "webp", "avif", "bmp"))


class Raw(Protocol):
    """The bytes of a message: header up to and including the blank line, and the body."""

    @property
    def header(self) -> bytes: ...
    @property
    def body(self) -> bytes: ...


def document(raw: Raw, *, image_url: Callable[[str], str] | None) -> str:
    """The page of a message's HTML for the sandboxed frame; serve it with mime.document.headers() only.

    Its own pictures are in it as data: the frame has no origin and so sends no cookie with which to fetch
    them. `image_url` gives the proxy's address of a remote picture; None blocks those.
    """
    content = parse.read(raw.header, raw.body)
    pictures = _Pictures(raw, content.attachments)
    cleaned = sanitize.clean(content.html, inline_url=pictures.data_url, image_url=image_url)
    return framed.document(cleaned.html)


class _Pictures:
    """The inline pictures of one message as data: URLs, up to a size that a browser still likes."""

    def __init__(self, raw: Raw, parts: Sequence[parse.AttachmentPart]) -> None:
        self.raw = raw
        self.parts = {part.content_id: part for part in parts if part.content_id}
        self.left = 12_000_000

    def data_url(self, content_id: str) -> str | None:
        part = self.parts.get(content_id)
        if part is None or part.type.lower() not in RASTER or part.size > self.left:
            return None
        self.left -= part.size
        _part, content = parse.part_bytes(self.raw.header, self.raw.body, part.part)
        return f"data:{part.type.lower()};base64,{base64.b64encode(content).decode()}"
