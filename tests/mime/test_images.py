"""Ann sees the pictures of a newsletter; its sender sees one server that asks for a picture, and gets nowhere else."""

import io
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import time_machine
import trustme
from django.test import Client
from PIL import Image

from mailsync import images, netguard
from mailsync.images import UnfitImage, fetch
from mailsync.mime.sanitize import PLACEHOLDER, PLACEHOLDER_BYTES
from mailsync.views.images import proxied


def picture(kind: str, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "red" if mode == "RGB" else 0).save(out, kind)
    return out.getvalue()


PNG = picture("PNG")


def answer(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@contextmanager
def web(
    *answers: bytes | Callable[[socket.socket], None], context: ssl.SSLContext | None = None
) -> Iterator["Web"]:
    """A web server on loopback that gives these answers in turn and keeps what it was asked."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        served = Web(listener.getsockname()[1])
        thread = threading.Thread(target=served.serve, args=(listener, answers, context), daemon=True)
        thread.start()
        yield served
        served.ended = True
        with socket.socket() as knock:
            knock.connect_ex(("127.0.0.1", served.port))
        thread.join(5)


class Web:
    def __init__(self, port: int) -> None:
        self.port, self.ended = port, False
        self.asked: list[bytes] = []

    def url(self, path: str = "/a.png", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def serve(self, listener: socket.socket, answers, context: ssl.SSLContext | None) -> None:
        for given in answers:
            connection, _ = listener.accept()
            if self.ended:
                connection.close()
                return
            try:
                with context.wrap_socket(connection, server_side=True) if context else connection as stream:
                    self.asked.append(stream.recv(65536))
                    if callable(given):
                        given(stream)
                    else:
                        stream.sendall(given)
            except OSError:
                connection.close()


def see(url: str, **options) -> Image.Image:
    found = fetch(url, **{"allow_private": True, **options})
    shown = Image.open(io.BytesIO(found.content))
    assert found.type == f"image/{str(shown.format).lower()}"
    return shown


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_picture_arrives(kind):
    with web(answer(picture(kind))) as site:
        assert see(site.url()).size == (8, 6)


def test_the_sender_learns_nothing_but_that_somebody_asked():
    with web(answer(PNG)) as site:
        see(site.url("/a b.png?who=ann&\u00fc#part"))
    lines = site.asked[0].decode("ascii").split("\r\n")
    assert lines[0] == "GET /a%20b.png?who=ann&%C3%BC HTTP/1.1"
    assert {line.split(":")[0] for line in lines[1:] if line} == {
        "Host",
        "Accept",
        "Accept-Encoding",
        "Connection",
    }


def test_only_pixels_pass():
    hidden = Image.new("RGB", (8, 6))
    exif = hidden.getexif()
    exif[0x010E] = "hidden words"
    out = io.BytesIO()
    hidden.save(out, "JPEG", exif=exif, comment=b"hidden words")
    with web(answer(out.getvalue() + b"<script>hidden words</script>")) as site:
        assert b"hidden words" not in fetch(site.url(), allow_private=True).content


def test_a_short_animation_still_moves_and_a_long_one_stands_still():
    def animation(frames: int) -> bytes:
        pictures = [Image.new("RGB", (4, 4), (number, 9 * number % 255, 99)) for number in range(frames)]
        out = io.BytesIO()
        pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=50)
        return out.getvalue()

    with web(answer(animation(3)), answer(animation(200))) as site:
        assert getattr(see(site.url()), "n_frames", 1) == 3
        assert getattr(see(site.url()), "n_frames", 1) == 1


def test_a_large_picture_comes_smaller():
    with web(answer(picture("JPEG", (5000, 3000)))) as site:
        assert max(see(site.url()).size) <= 2000


def test_redirects_are_followed_three_times():
    def to(path: str) -> bytes:
        return answer(b"", f"Location: {path}", status="302 Found")

    with web(to("/b"), to("c"), to("/d"), answer(PNG)) as site:
        assert see(site.url("/x/a")).size == (8, 6)
    assert [request.split()[1] for request in site.asked] == [b"/x/a", b"/b", b"/c", b"/d"]
    with web(to("/b"), to("/c"), to("/d"), to("/e")) as site, pytest.raises(UnfitImage, match="redirects"):
        see(site.url())


def test_a_redirect_into_our_own_network_is_refused(monkeypatch):
    """The first address counts as public here; the redirect is judged by the real rule."""
    public = netguard.is_public
    monkeypatch.setattr(netguard, "is_public", lambda address: address == "127.0.0.5" or public(address))
    monkeypatch.setattr(images, "_usual_port", lambda _: 0)
    with web(answer(PNG)) as inside:
        with socket.create_server(("127.0.0.5", 0)) as listener:
            monkeypatch.setattr(images, "_usual_port", lambda _: listener.getsockname()[1])

            def redirect() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(9999)
                    connection.sendall(
                        answer(b"", f"Location: http://127.0.0.1:{inside.port}/", status="301 Moved")
                    )

            thread = threading.Thread(target=redirect)
            thread.start()
            with pytest.raises(UnfitImage):
                fetch("http://127.0.0.5/", allow_private=False)
            thread.join()
        assert inside.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.png",
        "http://localhost/a.png",
        "http://0x7f000001/a.png",
        "http://[::1]/a.png",
        "http://[::ffff:10.0.0.1]/a.png",
        "http://169.254.169.254/latest/meta-data/",
        "http://8.8.8.8:22/a.png",
        "https://8.8.8.8:80/a.png",
        "ftp://8.8.8.8/a.png",
        "file:///etc/passwd",
        "gopher://8.8.8.8/",
        "http://user:secret@8.8.8.8/",
        "http:///a.png",
        "http://[/",
        "http://8.8.8.8:99999/",
        "//8.8.8.8/a.png",
        "",
        "http://" + "a" * 5000,
    ],
)
def test_what_is_not_the_public_web_is_refused_at_once(url):
    start = time.monotonic()
    with pytest.raises(UnfitImage):
        fetch(url, allow_private=False, seconds=20)
    assert time.monotonic() - start < 10


def bomb_png(side: int) -> bytes:
    """A PNG of a few hundred bytes that claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9999))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", ["Content-Type: image/png"]),
        (b"<html><script>alert(1)</script></html>", ["Content-Type: image/png"]),
        (b"\x89PNG\r\n\x1a\n<svg/>", []),
        (PNG[:40], []),
        (picture("JPEG")[:300], []),
        (b"GIF89a" + b"\xff" * 500, []),
        (b"\xff\xd8\xff" + b"\0" * 500, []),
        (b"RIFF\0\0\0\0WEBPVP8 " + b"\xff" * 99, []),
        (b"BM" + b"\xff" * 99, []),
        (bomb_png(6000), []),
        (bomb_png(60_000), []),
        (b"", []),
        (b"%PDF-1.7", []),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * (images.MAX_BYTES + 1), []),
    ],
)
def test_what_is_no_honest_picture_is_refused(body, lines):
    with web(answer(body, *lines)) as site, pytest.raises(UnfitImage):
        fetch(site.url(), allow_private=True)


def test_a_body_without_an_end_is_cut_off():
    def pour(stream: socket.socket) -> None:
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + b"\x89PNG\r\n\x1a\n")
        for _ in range(200):
            stream.sendall(b"x" * 65536)

    with web(pour) as site, pytest.raises(UnfitImage, match="large"):
        fetch(site.url(), allow_private=True)


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nX", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n\x89PNG\r\n\x1a\n"],
)
def test_a_server_that_sends_byte_by_byte_does_not_hold_us(first):
    def dribble(stream: socket.socket) -> None:
        stream.sendall(first)
        for _ in range(100):
            time.sleep(0.1)
            stream.sendall(b"a")

    start = time.monotonic()
    with web(dribble) as site:
        with pytest.raises(UnfitImage):
            fetch(site.url(), allow_private=True, seconds=0.7)
        assert time.monotonic() - start < 6


def test_the_name_in_the_certificate_must_be_the_name_in_the_address(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    trusted = str(tmp_path / "ca.pem")
    with web(answer(PNG), context=context) as site:
        assert see(site.url(scheme="https", host="localhost"), ca_file=trusted).size == (8, 6)
    with web(answer(PNG), context=context) as site, pytest.raises(UnfitImage, match=r"[Cc]ertificate"):
        see(site.url(scheme="https"), ca_file=trusted)
    with web(answer(PNG), context=context) as site, pytest.raises(UnfitImage, match=r"[Cc]ertificate"):
        see(site.url(scheme="https", host="localhost"))


# The page's side


@pytest.mark.django_db
def test_a_signed_address_shows_the_picture_without_a_session_and_asks_its_server_once():
    with web(answer(PNG), answer(PNG)) as site:
        address = proxied(site.url(), employee_id=1, message_id=2)
        first, second = Client().get(address), Client().get(address)
        assert len(site.asked) == 1
    for response in (first, second):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "image/png"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert response.headers["Cache-Control"].startswith("private")
        assert Image.open(io.BytesIO(response.content)).size == (8, 6)


@pytest.mark.django_db
def test_another_reader_does_not_learn_from_our_memory_what_was_opened():
    with web(answer(PNG), answer(PNG)) as site:
        for employee_id in (1, 2):
            Client().get(proxied(site.url(), employee_id=employee_id, message_id=2))
        assert len(site.asked) == 2


@pytest.mark.django_db
def test_an_address_that_we_did_not_sign_asks_nobody():
    with web(answer(PNG)) as site:
        address = proxied(site.url(), employee_id=1, message_id=2)
        for changed in (address[:-1] + ("A" if address[-1] != "A" else "B"), "/image/x", "/image/a:b:c"):
            response = Client().get(changed)
            assert (response.status_code, response.content) == (404, PLACEHOLDER_BYTES)
        assert site.asked == []


@pytest.mark.django_db
def test_the_address_is_good_for_a_day():
    with (
        web(answer(PNG), answer(PNG)) as site,
        time_machine.travel("2026-05-01T12:00:00Z", tick=False) as clock,
    ):
        address = proxied(site.url(), employee_id=1, message_id=2)
        clock.shift(23 * 3600)
        assert Client().get(address).status_code == 200
        clock.shift(2 * 3600)
        assert Client().get(address).status_code == 404


@pytest.mark.django_db
def test_a_picture_that_cannot_be_had_is_one_pixel_and_is_not_asked_for_again():
    with web(answer(b"<svg/>"), answer(b"<svg/>")) as site:
        address = proxied(site.url(), employee_id=1, message_id=2)
        for _ in range(2):
            response = Client().get(address)
            assert (response.status_code, response.content) == (404, PLACEHOLDER_BYTES)
        assert len(site.asked) == 1


@pytest.mark.django_db
def test_the_operators_own_network_is_closed_unless_allowed(settings):
    settings.MAIL_ALLOW_PRIVATE_HOSTS = False
    with web(answer(PNG)) as site:
        assert Client().get(proxied(site.url(), employee_id=1, message_id=2)).status_code == 404
        assert site.asked == []


def test_an_address_too_long_for_a_request_is_left_blocked():
    noise = "".join(chr(97 + number * 7 % 26) + str(number) for number in range(3000))
    assert proxied(f"http://x.example/{noise}", employee_id=1, message_id=2) == PLACEHOLDER
