"""A connection test against real servers: every step, and every way in which a step can fail, in words."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import trustme
from django.test import override_settings

from mailsync import autoconfig, probing
from mailsync.connecting import NO_SERVER, ServerSettings
from mailsync.foldernames import path_of
from mailsync.imap import session
from mailsync.models import Security
from mailsync.presets import Server
from mailsync.probing import Found, ProbeFailed, Subject
from mailsync.secrets import Secret


@dataclass
class Told:
    """What the page would have shown."""

    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def __call__(self, step: str, state: str, text: str) -> None:
        self.lines.append((step, state, text))

    @property
    def ends(self) -> dict[str, str]:
        """The last state of each step."""
        return {step: state for step, state, _ in self.lines}


def subject(
    server: Server,
    login: str = "ann@acme.example",
    password: str = "secret",
    *,
    smtp: Server | None = None,
    address: str = "",
    allow_private: bool = True,
) -> Subject:
    settings = ServerSettings(imap=server, login=login, smtp=smtp or NO_SERVER)
    return Subject(address or login, settings, Secret(password), allow_private)


def failure(of: Subject, told: Told | None = None) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        probing.examine(of, told or Told())
    return caught.value


@contextlib.contextmanager
def server_that(talks: Callable[[socket.socket], None]) -> Iterator[Server]:
    """A server of our own for one or more connections; `talks` gets each of them."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def serve() -> None:
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                talks(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield Server("127.0.0.1", listener.getsockname()[1], Security.NONE)
    finally:
        closing.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def silent(connection: socket.socket) -> None:
    """Listens and never says a word."""
    while connection.recv(4096):
        pass


def says(*lines: bytes) -> Callable[[socket.socket], None]:
    """A server that greets with the first line and answers each command with the next one."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(lines[0] + b"\r\n")
        stream = connection.makefile("rb")
        for answer in lines[1:]:
            command = stream.readline()
            if not command:
                return
            tag = command.split(b" ", 1)[0].strip()
            connection.sendall(answer.replace(b"TAG", tag) + b"\r\n")
        stream.read()

    return talk


@pytest.fixture
def plain(dovecot):
    """Dovecot without TLS, and a login of it."""
    login, password = dovecot.new_user()
    return SimpleNamespace(
        server=Server(dovecot.host, dovecot.port, Security.NONE), login=login, password=password, box=dovecot
    )


def test_every_step_is_told_and_the_folders_are_found_with_their_roles(plain):
    plain.box.append(plain.login, b"Subject: one\r\n\r\nHello\r\n")
    plain.box.append(plain.login, b"Subject: two\r\n\r\nHello\r\n", folder="Entw&APw-rfe")
    told = Told()
    found = probing.examine(subject(plain.server, plain.login, plain.password), told)
    assert told.ends == {
        "name": "ok",
        "connect": "ok",
        "tls": "warning",
        "login": "ok",
        "folders": "ok",
        "smtp": "skipped",
    }
    by_path = {folder.path: folder for folder in found.folders}
    assert by_path["INBOX"].messages == 1
    assert by_path["Entwürfe"].name == b"Entw&APw-rfe"
    assert by_path["Trash"].special_use == "trash"
    assert by_path["Sent"].special_use == "sent"


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_both_kinds_of_protection_work_with_the_operators_authority(dovecot_tls, security):
    login, password = dovecot_tls.new_user()
    port = dovecot_tls.tls_port if security == Security.TLS else dovecot_tls.port
    told = Told()
    with override_settings(MAIL_CA_FILE=str(dovecot_tls.ca_file)):
        probing.examine(subject(Server("localhost", port, security), login, password), told)
    assert told.ends["tls"] == "ok"


def test_a_certificate_nobody_here_trusts_is_refused_before_the_password_is_sent(dovecot_tls):
    login, password = dovecot_tls.new_user()
    told = Told()
    failed = failure(subject(Server("localhost", dovecot_tls.tls_port, Security.TLS), login, password), told)
    assert failed.step == "tls"
    assert "not signed by an authority known here" in failed.sentence
    assert told.ends == {"name": "ok", "connect": "ok"}


@pytest.fixture
def tls_server_named():
    """A server with a certificate for other names, or out of date; it never gets past TLS."""

    @contextlib.contextmanager
    def start(tmp_path, *names: str, **options) -> Iterator[tuple[Server, str]]:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names, **options).configure_cert(context)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

        def talk(connection: socket.socket) -> None:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(1)

        with server_that(talk) as server:
            yield Server("localhost", server.port, Security.TLS), str(tmp_path / "ca.pem")

    return start


def test_a_certificate_of_another_name_is_told_as_that(tls_server_named, tmp_path):
    with tls_server_named(tmp_path, "other.example") as (server, ca), override_settings(MAIL_CA_FILE=ca):
        assert "belongs to another name" in failure(subject(server)).sentence


def test_an_expired_certificate_is_told_as_that(tls_server_named, tmp_path):
    past = {"not_before": datetime(2020, 1, 1, tzinfo=UTC), "not_after": datetime(2021, 1, 1, tzinfo=UTC)}
    with tls_server_named(tmp_path, "localhost", **past) as (server, ca), override_settings(MAIL_CA_FILE=ca):
        failed = failure(subject(server))
    assert (failed.step, "out of date" in failed.sentence) == ("tls", True)


def test_a_wrong_password_is_told_with_the_servers_words(plain):
    told = Told()
    failed = failure(subject(plain.server, plain.login, "not it"), told)
    assert failed.step == "login"
    assert "refuses this login and password" in failed.sentence
    assert told.ends["tls"] == "warning"


def test_a_refused_gmail_login_says_what_gmail_wants(plain):
    failed = failure(subject(plain.server, plain.login, "not it", address="ann@gmail.com"))
    assert "app password" in failed.sentence


def test_an_unknown_name_says_check_the_spelling():
    failed = failure(subject(Server("imap.nowhere.invalid", 993, Security.TLS)))
    assert failed.step == "name"
    assert "imap.nowhere.invalid" in failed.sentence
    assert "spelling" in failed.sentence


def test_a_closed_port_is_a_refused_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    failed = failure(subject(Server("127.0.0.1", port, Security.TLS)))
    assert failed.step == "connect"
    assert "refuses connections" in failed.sentence


@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS, Security.TLS])
def test_a_server_that_hangs_ends_in_words_and_in_time(monkeypatch, security):
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 1.0)
    with server_that(silent) as server:
        failed = failure(subject(Server(server.host, server.port, security)))
    assert failed.step in ("connect", "tls")
    assert "stopped answering" in failed.sentence or "does not start TLS" in failed.sentence


def test_a_server_that_hangs_at_the_login_ends_in_words(monkeypatch):
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr(session, "READ_TIMEOUT", 1.0)
    talk = says(b"* OK hello", b"* CAPABILITY IMAP4rev1\r\nTAG OK done")
    with server_that(talk) as server:
        failed = failure(subject(server))
    assert failed.step == "login"


@pytest.mark.parametrize(
    "greeting", [b"220 mail.example ESMTP Postfix", b"HTTP/1.1 400 Bad Request", b"SSH-2.0-OpenSSH_9"]
)
def test_a_port_that_speaks_something_else_is_no_mail_server(greeting):
    with server_that(says(greeting, b"500 what?")) as server:
        failed = failure(subject(server))
    assert failed.step == "connect"
    assert failed.sentence


def test_stripped_starttls_sends_nothing():
    heard: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"* OK hello\r\n")
        for command in connection.makefile("rb"):
            heard.append(command)
            tag = command.split()[0]
            connection.sendall(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n" + tag + b" OK done\r\n")

    with server_that(talk) as server:
        failed = failure(subject(Server(server.host, server.port, Security.STARTTLS), password="topsecret"))
    assert failed.step == "tls"
    assert "does not offer STARTTLS" in failed.sentence
    assert not any(word in line.upper() for line in heard for word in (b"LOGIN", b"AUTHENTICATE"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "::1", "[::1]"])
def test_a_private_server_is_not_even_knocked_at(host):
    failed = failure(subject(Server(host, 993, Security.TLS), allow_private=False))
    assert failed.step == "name"
    assert "public internet" in failed.sentence


def test_a_server_without_an_inbox_is_told_so():
    talk = says(
        b"* OK hello",
        b"* CAPABILITY IMAP4rev1\r\nTAG OK done",
        b"TAG OK in",
        b"* CAPABILITY IMAP4rev1\r\nTAG OK done",
        b'* LIST () "/" "Shared"\r\nTAG OK done',
        b'* STATUS "Shared" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 1 UNSEEN 0)\r\nTAG OK done',
    )
    with server_that(talk) as server:
        failed = failure(subject(server))
    assert (failed.step, "INBOX" in failed.sentence) == ("folders", True)


def test_a_server_that_repeats_the_password_does_not_get_it_onto_the_page():
    talk = says(
        b"* OK hello", b"* CAPABILITY IMAP4rev1\r\nTAG OK done", b"TAG NO ann with topsecret is unknown"
    )
    with server_that(talk) as server:
        failed = failure(subject(server, password="topsecret"))
    assert "topsecret" not in failed.sentence
    assert "unknown" in failed.sentence


def test_a_login_with_a_line_break_is_never_sent(plain):
    failed = failure(subject(plain.server, "ann\r\nA1 DELETE INBOX", "x"))
    assert failed.step == "login"


def test_trouble_with_the_outgoing_server_is_only_a_warning(plain):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    told = Told()
    of = subject(plain.server, plain.login, plain.password, smtp=Server("127.0.0.1", port, Security.NONE))
    found = probing.examine(of, told)
    assert told.ends["smtp"] == "warning"
    assert told.lines[-1][2] == f"127.0.0.1 refuses connections on port {port}."
    assert found.settings.smtp.port == port


def test_a_working_outgoing_server_is_signed_in_to(plain, smtp_sink):
    told = Told()
    of = subject(
        plain.server, plain.login, plain.password, smtp=Server("127.0.0.1", smtp_sink.port, Security.NONE)
    )
    probing.examine(of, told)
    assert told.ends["smtp"] == "ok"


def test_an_outgoing_server_that_refuses_the_password_says_so(plain, smtp_sink):
    other, password = plain.box.new_user()
    plain.box.passwords[other] = password
    told = Told()
    of = subject(
        plain.server, plain.login, plain.password, smtp=Server("127.0.0.1", plain.server.port, Security.NONE)
    )
    probing.examine(of, told)
    assert told.ends["smtp"] == "warning"
    assert plain.password not in told.lines[-1][2]


def test_an_address_alone_finds_the_server_by_its_usual_name(dovecot_tls, monkeypatch):
    """Only names and ports are ours to choose here: `localhost` is the domain, its IMAP the guessed one."""
    _login, password = dovecot_tls.new_user("ann@localhost")
    monkeypatch.setattr(
        autoconfig,
        "guesses",
        lambda domain: iter(
            [
                Server(f"imap.{domain}.invalid", 993, Security.TLS),
                Server(domain, dovecot_tls.tls_port, Security.TLS),
            ]
        ),
    )
    told = Told()
    with override_settings(MAIL_CA_FILE=str(dovecot_tls.ca_file)):
        found: Found = probing.examine(
            subject(Server("", 993, Security.TLS), "", password, address="ann@localhost"), told
        )
    assert found.settings.imap == Server("localhost", dovecot_tls.tls_port, Security.TLS)
    assert found.settings.login == "ann@localhost"
    assert ("name", "ok", "Found localhost") in told.lines


def test_a_domain_without_any_server_is_told_to_be_typed_by_hand():
    failed = failure(subject(Server("", 993, Security.TLS), "", address="ann@nowhere.invalid"))
    assert failed.step == "name"
    assert "by hand" in failed.sentence


def test_a_folder_name_that_is_no_utf7_is_shown_anyway():
    assert path_of("Größe".encode()) == "Größe"
    assert path_of(b"Gr\xf6\xdfe") == "Gr\ufffd\ufffde"
    assert path_of(b"&AP8A") != ""
