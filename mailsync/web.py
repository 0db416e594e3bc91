"""One HTTPS request to a checked address, bounded in time and size. No redirects, no cookies, no proxies.

For what we ask of other people's servers by ourselves; remote images of mail have their own way (images.py).
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from mailsync import netguard

MAX_BYTES = 64 * 1024
_THIS_HOST = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `location` is where a redirect points."""

    status: int
    body: bytes
    location: str | None


def ask(
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes | None = None,
    allow_private: bool,
    tls: ssl.SSLContext,
    seconds: float,
) -> Answer:
    """GET, or POST where there is a body. Without TLS only to this very host.

    Raises OSError, http.client.HTTPException, and ValueError for an unusable address or more than MAX_BYTES.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    secure = parts.scheme == "https"
    if not secure and (parts.scheme != "http" or host not in _THIS_HOST):
        raise ValueError("not an HTTPS address")
    port = parts.port or (443 if secure else 80)
    plain = netguard.connect(host, port, allow_private=allow_private, timeout=seconds)
    stream = tls.wrap_socket(plain, server_hostname=host) if secure else plain
    with stream, _bounded(stream, 2 * seconds):
        connection = http.client.HTTPConnection(host, port, timeout=seconds)
        # http.client would resolve the name again: it gets the checked connection instead.
        connection.sock = stream
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(
            "GET" if body is None else "POST", target, body=body, headers={**headers, "Connection": "close"}
        )
        response = connection.getresponse()
        content = response.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError("the answer is too long")
    return Answer(response.status, content, response.getheader("Location"))


@contextmanager
def _bounded(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Cut the connection after a while: a timeout of the socket alone lets a server drip for hours."""
    timer = threading.Timer(seconds, _cut, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
