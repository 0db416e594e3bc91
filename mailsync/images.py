"""Images that a mail takes from elsewhere, fetched by us, so that the sender learns neither who looks nor from where.

Only pixels pass: whatever comes is decoded here and encoded anew, without metadata; no cookie and no referrer goes out.
"""

import http.client
import io
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from PIL import Image, ImageOps, UnidentifiedImageError

from mailsync import netguard

SECONDS = 5.0  # for everything together, from the name to the last byte
MAX_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 25_000_000
MAX_REDIRECTS = 3
_LONGEST_SIDE = 2000
_MAX_FRAMES = 60
_MAX_ANIMATED_PIXELS = 8_000_000
_MAX_URL = 4000

# What the first bytes must say; no decoder is tried for anything else, and none knows SVG.
_FORMATS = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
}
_PATH_SAFE = "%/:=&?~#+!$,;'@()*[]"
# Nothing that names this installation or the reader.
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: image/*\r\n"
    "Accept-Encoding: identity\r\nConnection: close\r\n\r\n"
)


class UnfitImage(Exception):
    """The image cannot be shown; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Picture:
    content: bytes
    type: str


def fetch(url: str, *, allow_private: bool, ca_file: str = "", seconds: float = SECONDS) -> Picture:
    """The image at a URL, encoded anew. Raises UnfitImage, whatever goes wrong.

    `allow_private` also lifts the limit to ports 80 and 443: it is for installations inside one network.
    """
    journey = _Journey(time.monotonic() + seconds, allow_private, ca_file)
    try:
        return encoded(journey.content(url))
    except UnfitImage:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UnfitImage(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Journey:
    """The way to one image over its redirects, under one deadline."""

    until: float
    allow_private: bool
    ca_file: str

    def content(self, url: str) -> bytes:
        for _ in range(1 + MAX_REDIRECTS):
            response, stream = self._ask(self._checked(url))
            with stream:
                if response.status in (301, 302, 303, 307, 308):
                    url = urljoin(url, response.getheader("Location", ""))
                    continue
                return self._body(response)
        raise UnfitImage(f"more than {MAX_REDIRECTS} redirects")

    def _checked(self, url: str) -> SplitResult:
        parts = urlsplit(url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username is not None
            or len(url) > _MAX_URL
        ):
            raise UnfitImage("not an address of the web")
        if parts.port is not None and parts.port != _usual_port(parts) and not self.allow_private:
            raise UnfitImage(f"port {parts.port} is not one of the web")
        return parts

    def _ask(self, parts: SplitResult) -> tuple[http.client.HTTPResponse, socket.socket]:
        assert parts.hostname is not None  # _checked has seen it
        stream = self._connected(parts.hostname, parts.port or _usual_port(parts), parts.scheme)
        path = quote(parts._replace(scheme="", netloc="", fragment="").geturl() or "/", safe=_PATH_SAFE)
        host = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii").decode("ascii")
        try:
            stream.sendall(
                _REQUEST.format(path=path if path.startswith("/") else f"/{path}", host=host).encode("ascii")
            )
            response = http.client.HTTPResponse(cast(socket.socket, _Timed(stream, self.until)), method="GET")
            response.begin()
        except BaseException:
            stream.close()
            raise
        return response, stream

    def _connected(self, host: str, port: int, scheme: str) -> socket.socket:
        stream = netguard.connect(host, port, allow_private=self.allow_private, timeout=self._left())
        if scheme == "http":
            return stream
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            stream.settimeout(self._left())
            return context.wrap_socket(stream, server_hostname=host)
        except BaseException:
            stream.close()
            raise

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != 200:
            raise UnfitImage(f"status {response.status}")
        if (response.length or 0) > MAX_BYTES:
            raise UnfitImage("too large")
        content = response.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UnfitImage("too large")
        return content

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise UnfitImage("too slow")
        return left


def _usual_port(parts: SplitResult) -> int:
    return 443 if parts.scheme == "https" else 80


class _Timed:
    """A socket as HTTPResponse wants it, whose every read ends at the deadline: a socket's own timeout starts anew with
    each byte, so a server could hold us for ever by sending slowly.
    """

    def __init__(self, stream: socket.socket, until: float) -> None:
        self.stream, self.until = stream, until

    def makefile(self, *_args: object, **_options: object) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self.stream, self.until))


class _TimedReader(io.RawIOBase):
    def __init__(self, stream: socket.socket, until: float) -> None:
        super().__init__()
        self.stream, self.until = stream, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise UnfitImage("too slow")
        self.stream.settimeout(left)
        return self.stream.recv_into(buffer)


def encoded(content: bytes) -> Picture:
    """The image drawn anew from its pixels, at most 2000 pixels a side. Raises UnfitImage."""
    kind = _format_of(content)
    try:
        with Image.open(io.BytesIO(content), formats=[kind]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UnfitImage("too many pixels")
            if kind in ("GIF", "WEBP") and _is_small_animation(image):
                return _animation(image)
            image.seek(0)
            return _still(image)
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnfitImage(str(error)) from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        KeyError,
        TypeError,
        ZeroDivisionError,
    ) as error:
        # What Pillow's decoders raise on damaged files.
        raise UnfitImage(f"damaged: {error}") from error


def _format_of(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    for magic, kind in _FORMATS.items():
        if content.startswith(magic):
            return kind
    raise UnfitImage("not an image that we show")


def _is_small_animation(image: Image.Image) -> bool:
    """Counts no further than it allows: a GIF may claim a hundred thousand frames."""
    if not getattr(image, "is_animated", False):
        return False
    most = min(_MAX_FRAMES, _MAX_ANIMATED_PIXELS // (image.width * image.height))
    try:
        image.seek(most)
    except EOFError:
        return most > 1
    return False


def _animation(image: Image.Image) -> Picture:
    frames, durations = [], []
    for number in range(_MAX_FRAMES):
        try:
            image.seek(number)
        except EOFError:
            break
        frames.append(_bare(image.convert("RGBA")))
        durations.append(max(int(image.info.get("duration", 100) or 100), 20))
    out = io.BytesIO()
    frames[0].save(
        out, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0, disposal=2
    )
    return Picture(out.getvalue(), "image/gif")


def _bare(image: Image.Image) -> Image.Image:
    """Without what Pillow would write back beside the pixels: comments, profiles, positions."""
    image.info = {}
    return image


def _still(image: Image.Image) -> Picture:
    image.draft(None, (_LONGEST_SIDE, _LONGEST_SIDE))
    turned = ImageOps.exif_transpose(image)
    transparent = turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info
    drawn = _bare(turned.convert("RGBA" if transparent else "RGB"))
    drawn.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    out = io.BytesIO()
    if image.format == "JPEG" or (not transparent and drawn.width * drawn.height > 500_000):
        drawn.convert("RGB").save(out, "JPEG", quality=85)
        return Picture(out.getvalue(), "image/jpeg")
    drawn.save(out, "PNG", compress_level=4)
    return Picture(out.getvalue(), "image/png")
