"""What a domain publishes about its mail, fetched over real HTTPS from servers of good and bad will."""

import http.server
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from mailsync import autoconfig

PAGE = b"<clientConfig/>"


class Answers(http.server.BaseHTTPRequestHandler):
    """One path for each kind of server."""

    def do_GET(self) -> None:
        path = self.path
        if path == "/moved":
            return self._redirect("/page")
        if path == "/loop":
            return self._redirect("/loop")
        if path == "/plain":
            return self._redirect("http://localhost/page")
        if path == "/inside":
            return self._redirect("https://169.254.169.254/latest/meta-data")
        if path == "/drip":
            return self._drip()
        body = b"x" * 70_000 if path == "/huge" else PAGE
        self.send_response(404 if path == "/absent" else 200)
        self.end_headers()
        self.wfile.write(body)
        return None

    def _redirect(self, path: str) -> None:
        there = (
            path if path.startswith("http") else f"https://localhost:{self.connection.getsockname()[1]}{path}"
        )
        self.send_response(302)
        self.send_header("Location", there)
        self.end_headers()

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(300):
            self.wfile.write(b"x")
            time.sleep(0.1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the library's name)
        """Silent."""


@contextmanager
def serving(authority: trustme.CA, name: str) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def site(authority) -> Iterator[str]:
    with serving(authority, "localhost") as url:
        yield url


@pytest.mark.parametrize("path", ["/page", "/moved"])
def test_a_page_is_fetched_also_behind_a_redirect(site, trusting, path):
    assert autoconfig.download(site + path, allow_private=True, tls=trusting) == PAGE


@pytest.mark.parametrize("path", ["/absent", "/loop", "/plain", "/inside", "/huge"])
def test_what_is_absent_endless_unprotected_inside_or_huge_is_nothing(site, trusting, path):
    started = time.monotonic()
    assert autoconfig.download(site + path, allow_private=path != "/inside", tls=trusting) is None
    assert time.monotonic() - started < 10


def test_a_private_address_is_not_asked(site, trusting):
    assert autoconfig.download(f"{site}/page", allow_private=False, tls=trusting) is None


def test_an_untrusted_certificate_or_another_name_is_nothing(site, authority, trusting):
    assert autoconfig.download(f"{site}/page", allow_private=True, tls=ssl.create_default_context()) is None
    with serving(authority, "other.example") as url:
        assert autoconfig.download(f"{url}/page", allow_private=True, tls=trusting) is None


def test_a_server_that_drips_is_cut(site, trusting, monkeypatch):
    monkeypatch.setattr(autoconfig, "_SECONDS", 0.4)
    started = time.monotonic()
    autoconfig.download(f"{site}/drip", allow_private=True, tls=trusting)
    assert time.monotonic() - started < 10
