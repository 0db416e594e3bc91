"""One authenticated connection to an IMAP server: the only place that puts text into a command.

Built on IMAPClient 3.1 / imaplib. Every argument passes `quoted`, `uid_set` or `flag_list`, and those refuse
CR, LF and NUL: Message-IDs, folder names and flags come from strangers (SYNC_CASES finding 1).
"""

import base64
import contextlib
import imaplib
import io
import re
import select
import socket
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError

from mailsync import netguard
from mailsync.imap import errors
from mailsync.imap.answers import unquoted
from mailsync.imap.errors import (
    Broken,
    Busy,
    CommandRefused,
    FolderGone,
    ForbiddenText,
    Refused,
    ServerError,
    Unreachable,
)
from mailsync.sasl import Mechanism, choose

READ_TIMEOUT = 60.0  # seconds without a byte before a server counts as hanging (RFC 9051 asks for none)
CONNECT_TIMEOUT = 20.0
PULSE = 5.0  # seconds after which whoever waits for a server does what is to be done meanwhile
PATIENCE = 180.0  # seconds for one answer, after which it must have come at a bearable pace (E09)
SLOWEST = 500  # bytes a second
MOST_SAID = 64 << 20  # bytes of lines in one answer, literals apart: the flags of a million messages (K14)
PIECE = 1 << 16  # bytes sent at once: the socket's timeout counts for each
RECEIVE_BUFFER = 4 * 1024 * 1024  # holds the next batch while this one is stored
# An answer about one message: they come by the thousand.
_FETCHED = re.compile(rb"\* (\d+) FETCH (.*)", re.DOTALL)
FLAG = re.compile(r'\\?[^\x00-\x20\x7f-\U0010ffff(){%*"\\\]]+')

LOST = "The connection to the server was lost."
NO_SENSE = "The server's answer makes no sense."

Meanwhile = Callable[[], None]
Sent = tuple[str, tuple[bytes, ...], bytes]  # a command on the wire: its name, its arguments and its tag


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where and as whom to sign in. `password` stays out of the repr; with `bearer` it is an OAuth access token."""

    host: str
    port: int
    security: str  # "tls", "starttls" or "none"
    login: str
    password: str = field(repr=False)
    bearer: bool = False
    allow_private: bool = False
    ca_file: str = ""
    max_literal: int = 64 * 1024 * 1024


def nothing() -> None:
    """What is to be done meanwhile, where there is nothing."""


def connect(credentials: Credentials, *, meanwhile: Meanwhile = nothing) -> "Session":
    """Connect, protect and sign in.

    `meanwhile` is called again and again while anything is sent or waited for, then and for as long as the session
    lasts, by whatever thread waits; what it raises ends the waiting. Raises Unreachable (name, connect, tls), Refused
    (login), Busy, or Broken; each says at which step.
    """
    session = Session(open_client(credentials, meanwhile), credentials.host)
    try:
        session.sign_in(credentials)
    except BaseException:
        session.close()
        raise
    return session


def open_client(credentials: Credentials, meanwhile: Meanwhile = nothing) -> "_Client":
    """The connection before the login: checked address, TLS as asked. STARTTLS is never skipped."""
    sock = _reach(credentials)
    client: _Client | None = None
    try:
        meanwhile()
        if credentials.security == "tls":
            sock = _wrap(sock, tls_context(credentials.ca_file), credentials.host)
        client = _Client(sock, credentials, meanwhile)
        if credentials.security == "starttls":
            _start_tls(client, tls_context(credentials.ca_file), credentials.host)
    except BaseException:
        _abandon(client._imap.sock if client else sock)
        raise
    return client


def _abandon(sock: socket.socket) -> None:
    """Close now: imaplib's reader would keep the descriptor until the garbage collector comes."""
    descriptor = sock.detach()
    if descriptor >= 0:
        socket.close(descriptor)


@lru_cache(maxsize=2)
def tls_context(ca_file: str) -> ssl.SSLContext:
    """System authorities plus the operator's own CA file; TLS 1.2 at least (RFC 8996).

    One for all connections of the process: reading the authorities takes 0.1 s and half a megabyte.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Session:
    """A signed-in connection. Any Broken or Unreachable means: close it and start over."""

    def __init__(self, client: "_Client", host: str) -> None:
        self.client = client
        self.host = host
        self.imap = client._imap
        self.capabilities: frozenset[str] = frozenset()

    def sign_in(self, credentials: Credentials) -> None:
        """By consent or by password, PLAIN where offered (any characters), else LOGIN. Raises Refused or Busy."""
        refuse_line_breaks(credentials.login.encode(), credentials.password.encode())
        if self.imap.state != "NONAUTH":
            raise Refused("The server lets everybody in without a login (PREAUTH).", step="login")
        offered = {name.upper() for name in self.imap.capabilities}
        self.imap.untagged_responses.pop("CAPABILITY", None)
        with translated("login"):
            try:
                if mechanism := mechanism_for(credentials, offered):
                    self._authenticate(mechanism, at_once="SASL-IR" in offered)
                else:
                    self._login(credentials)
            except (imaplib.IMAP4.error, IMAPClientError) as error:
                if isinstance(error, imaplib.IMAP4.abort):
                    raise
                raise errors.login_refused(_safe(error), bearer=credentials.bearer) from None
        self.refresh_capabilities()

    def _authenticate(self, mechanism: Mechanism, *, at_once: bool) -> None:
        """One exchange (RFC 9051 6.2.2), `at_once` within the command itself (RFC 4959): a round trip less."""
        words = [base64.b64encode(mechanism.first)] if at_once else []
        tag = self.imap._command("AUTHENTICATE", mechanism.name.encode(), *words)
        for answer in (mechanism.first, mechanism.after_error)[at_once:]:
            if not self._waits_for_an_answer(tag):
                break
            self.imap.send(base64.b64encode(answer) + b"\r\n")
        kind, data = self.imap._get_tagged_response(tag)
        if kind != "OK":
            raise imaplib.IMAP4.error(data[-1])
        self.imap.state = "AUTH"

    def _waits_for_an_answer(self, tag: bytes) -> bool:
        """Read until the server asks with "+" or has ended the command."""
        while not self.imap.tagged_commands[tag]:
            self.imap._check_bye()
            if self.imap._get_response() is None:
                return True
        return False

    def _login(self, credentials: Credentials) -> None:
        try:
            login, password = (
                quoted(text.encode("ascii")) for text in (credentials.login, credentials.password)
            )
        except UnicodeEncodeError:
            raise Refused(
                "This server cannot take a login or password with such letters.", step="login"
            ) from None
        kind, data = self.imap._simple_command("LOGIN", login, password)
        if kind != "OK":
            raise imaplib.IMAP4.error(data[-1])
        self.imap.state = "AUTH"

    def refresh_capabilities(self) -> None:
        """The list changes with TLS and with the login (G15): as the answer to the login has it, else asked."""
        lines = self.imap.untagged_responses.pop("CAPABILITY", None)
        lines = lines or self.command("CAPABILITY", answer="CAPABILITY")
        words = b" ".join(line for line in lines if isinstance(line, bytes))
        self.capabilities = frozenset(words.decode("ascii", "replace").upper().split())

    def can(self, capability: str) -> bool:
        return capability in self.capabilities

    def forgo(self, capability: str) -> None:
        """It was offered and is not obeyed: not to be used again in this session."""
        self.capabilities -= {capability}

    def command(self, name: str, *arguments: bytes, answer: str | None = None) -> list[Any]:
        """Send one command and return the untagged answers of a kind (lines, or (line, literal) pairs).

        Raises CommandRefused for NO and BAD, Broken when the connection dies.
        """
        return self.receive(self.send(name, *arguments), answer)

    def send(self, name: str, *arguments: bytes) -> Sent:
        """Put a command on the wire without waiting, so that commands can be pipelined (RFC 9051 5.5)."""
        refuse_line_breaks(*arguments)
        with translated():
            self.imap.untagged_responses.pop("READ-ONLY", None)
            return name, arguments, self.imap._command(name, *arguments)

    def receive(self, sent: Sent, answer: str | None = None) -> list[Any]:
        """Wait for the tagged end of a sent command; returns its untagged answers of a kind."""
        _name, arguments, tag = sent
        self.imap.listen()
        with translated():
            kind, data = self._complete(tag)
            if kind != "OK":
                raise refusal(kind, data, arguments)
            if answer is None:
                return list(data)
            found = self.imap.untagged_responses.pop(answer, [])
        return list(found)

    def append(self, *arguments: bytes, raw: bytes) -> None:
        """APPEND with its literal, which goes out when the server asks for it (RFC 9051 6.3.12).

        Raises ForbiddenText for a NUL, which no literal may hold.
        """
        if b"\0" in raw:
            raise ForbiddenText("No message on a mail server may hold NUL.")
        self.imap.literal = raw
        self.receive(self.send("APPEND", *arguments))

    def _complete(self, tag: bytes) -> tuple[str, list[Any]]:
        """imaplib's way, except that BAD is an answer like NO: the session lives on (G08)."""
        self.imap._check_bye()
        kind, data = self.imap._get_tagged_response(tag)
        self.imap._check_bye()
        return kind, data

    def ask_select(self, name: bytes, *, condstore: bool) -> Sent:
        """SELECT without waiting: commands about the folder may follow at once, and fail if it does not open."""
        self.imap.is_readonly = True  # imaplib would raise on READ-ONLY; we look ourselves
        sent = self.send("SELECT", quoted(name), *([b"(CONDSTORE)"] if condstore else []))
        self.imap.state = "SELECTED"
        return sent

    def selected(self, sent: Sent) -> dict[str, Any]:
        """The untagged answers to a SELECT by name. Raises FolderGone when the folder does not open."""
        self.imap.untagged_responses = {}  # what has been read until now is about the folder before
        try:
            self.receive(sent)
        except CommandRefused as error:
            self.imap.state = "AUTH"
            raise FolderGone(f"The server does not open this folder: {error.sentence}") from None
        self.imap.state = "SELECTED"  # also after another SELECT, asked before, that failed
        answers = dict(self.imap.untagged_responses)
        self.imap.untagged_responses = {}
        return answers

    def hang_up(self) -> None:
        """End the connection although an answer is due; a thread that reads it raises Broken. To be closed after."""
        with contextlib.suppress(OSError):
            self.imap.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Say goodbye without waiting for an answer; never raises."""
        with contextlib.suppress(Exception):
            self.imap.sock.settimeout(2)
            self.imap._command("LOGOUT")
        with contextlib.suppress(Exception):
            self.imap.shutdown()


def quoted(text: bytes) -> bytes:
    """A quoted string (RFC 9051 4.3). Bytes above 127 pass: that is how such servers named the folder."""
    refuse_line_breaks(text)
    return b'"' + text.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def uid_set(uids: Iterable[int]) -> bytes:
    """Sorted and joined into ranges, so that a command stays short: 1:4,9."""
    ranges: list[list[int]] = []
    for uid in sorted(set(uids)):
        if ranges and uid == ranges[-1][1] + 1:
            ranges[-1][1] = uid
        else:
            ranges.append([uid, uid])
    return b",".join(b"%d" % a if a == b else b"%d:%d" % (a, b) for a, b in ranges)


def flag_list(flags: Iterable[str]) -> bytes:
    """A parenthesised list of flags; raises ForbiddenText for one that is no flag (RFC 9051 9, flag)."""
    checked = sorted(set(flags))
    for flag in checked:
        if not FLAG.fullmatch(flag):
            raise ForbiddenText(f"Mail servers take no tag “{flag}”: some of its characters are not allowed.")
    return ("(" + " ".join(checked) + ")").encode("ascii")


def refusal(kind: str, data: list[Any], arguments: Iterable[bytes] = ()) -> CommandRefused | Busy:
    """The last line of a tagged NO or BAD to a command with these arguments, as an error."""
    text = data[-1].decode("utf-8", "replace") if data and data[-1] else "no reason given"
    names = [unquoted(each[1:-1]).decode("utf-8", "replace") for each in arguments if each.startswith(b'"')]
    return errors.refusal(text, understood=kind != "BAD", said=names)


@contextlib.contextmanager
def translated(step: str = "session") -> Iterator[None]:
    """Turn imaplib's and the socket's exceptions into ours. What is read as an answer and is none may be a part of
    somebody's mail: it goes into no sentence."""
    try:
        yield
    except TimeoutError as error:
        raise Unreachable("The server stopped answering.", step=step) from error
    except imaplib.IMAP4.abort as error:
        raise _broken(_safe(error), step) from None
    except (imaplib.IMAP4.error, IMAPClientError):
        raise Broken(NO_SENSE, step=step) from None
    except (OSError, EOFError, ValueError) as error:
        raise Broken(LOST, step=step) from error


def _broken(text: str, step: str) -> ServerError:
    """What ended a session, by imaplib's words or the server's own of its BYE."""
    if text.startswith("socket error: "):
        return Broken(LOST, step=step)
    if text.startswith("unexpected "):
        return Broken(NO_SENSE, step=step)
    return errors.too_much(text, step=step) or Broken(f"The connection broke: {text}.", step=step)


@contextlib.contextmanager
def _greeted() -> Iterator[None]:
    """imaplib hands over a greeting that is no OK as an error; BYE is a server that is full (RFC 9051 7.1.5)."""
    try:
        yield
    except imaplib.IMAP4.error as error:
        text = _safe(error)
        if text.upper().startswith("* BYE"):
            raise Busy(f"The server turns us away: “{text[5:].strip()}”.", step="connect") from None
        raise


class _Paced(io.RawIOBase):
    """What a socket hands over, as long as it keeps a bearable pace: a byte a second is no answer (E09)."""

    def __init__(self, sock: socket.socket, meanwhile: Meanwhile) -> None:
        self._sock = sock
        self._news = select.poll()
        self._news.register(sock, select.POLLIN)
        self.meanwhile = meanwhile
        self.begin()

    def begin(self) -> None:
        """Another answer is waited for."""
        self._since, self._bytes = time.monotonic(), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._wait()
        got = self._sock.recv_into(buffer)
        self._bytes += got
        waited = time.monotonic() - self._since
        if waited > PATIENCE and self._bytes < waited * SLOWEST:
            raise TimeoutError
        return got

    def _wait(self) -> None:
        """Until something comes, or nothing for as long as the socket would wait."""
        self.meanwhile()
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending():
            return
        timeout = self._sock.gettimeout()
        until = None if timeout is None else time.monotonic() + timeout
        while not self._news.poll(1000 * (PULSE if timeout is None else min(PULSE, timeout))):
            if until is not None and time.monotonic() >= until:
                raise TimeoutError
            self.meanwhile()


class _Connection(imaplib.IMAP4):
    """imaplib over a socket that netguard has opened, with limits on what a server may make us read (I07, K14)."""

    def __init__(self, sock: socket.socket, max_literal: int, meanwhile: Meanwhile) -> None:
        self._given = sock
        self._meanwhile = meanwhile
        self._max_literal = max_literal
        self._given_back: bytes | None = None
        super().__init__()

    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:  # noqa: ARG002
        self.host, self.port = host, port
        self.hear(self._given)

    def hear(self, sock: socket.socket) -> None:
        """From now on the server speaks on this socket; what another one had read ahead is dropped."""
        self.sock, self._paced = sock, _Paced(sock, self._meanwhile)
        self.file: Any = io.BufferedReader(self._paced, 1 << 18)
        self._said = 0

    def listen(self) -> None:
        """Another answer is waited for."""
        self._paced.begin()
        self._said = 0

    def send(self, data: bytes) -> None:  # type: ignore[override]  # imaplib has nothing else
        """In pieces: a large letter takes a thin line longer than the socket waits, and than a lease lasts. Whoever was
        asleep until the lease was over says no more."""
        view = memoryview(data)
        for start in range(0, len(data), PIECE):
            self._meanwhile()
            self.sock.sendall(view[start : start + PIECE])

    def readline(self) -> bytes:
        line: bytes = super().readline()
        self._said += len(line)
        if self._said > MOST_SAID:
            raise self.abort("it does not stop talking")
        return line

    def _get_response(self) -> bytes | None:
        """imaplib's way, and a short one to the same for answers about messages."""
        line = self._get_line()
        fetched = _FETCHED.fullmatch(line)
        if fetched is None:
            self._given_back = line
            other: bytes | None = super()._get_response()  # type: ignore[misc]
            return other
        text = b"%b %b" % fetched.groups()
        said = self.untagged_responses.setdefault("FETCH", [])
        while text.endswith(b"}") and (literal := self.Literal.match(text)):
            said.append((text, self.read(int(literal["size"]))))
            text = self._get_line()
        said.append(text)
        return line

    def _get_line(self) -> bytes:
        """A line without its end. Of imaplib's, only without the notes that it keeps of each."""
        line, self._given_back = self._given_back, None
        if line is not None:
            return line
        line = self.readline()
        if not line:
            raise self.abort("socket error: EOF")
        if not line.endswith(b"\r\n"):
            raise self.abort(f"socket error: unterminated line: {line!r}")
        return line[:-2]

    def _get_capabilities(self) -> None:
        """As the greeting has them (RFC 9051 7.1), else asked: a round trip less with most servers."""
        told = [line for line in self.untagged_responses.pop("CAPABILITY", []) if isinstance(line, bytes)]
        if told:
            self.capabilities = tuple(told[-1].decode("ascii", "replace").upper().split())
        else:
            super()._get_capabilities()  # type: ignore[misc]

    def read(self, size: int) -> bytes:
        if size > self._max_literal:
            raise self.abort(f"a literal of {size} bytes was announced")
        data: bytes = self.file.read(size)
        if len(data) < size:
            raise self.abort("the connection ended inside a literal")
        return data


class _Client(IMAPClient):  # type: ignore[misc]
    """IMAPClient on our connection: bytes for names, aware dates, no debug copy of the traffic."""

    def __init__(self, sock: socket.socket, credentials: Credentials, meanwhile: Meanwhile) -> None:
        self._sock_given = sock
        self._meanwhile = meanwhile
        self._max_literal = credentials.max_literal
        with translated("connect"), _greeted():
            super().__init__(credentials.host, credentials.port, ssl=False, timeout=READ_TIMEOUT)
        self._imap.debug = 0
        self.folder_encode = False
        self.normalise_times = False

    def _create_IMAP4(self) -> _Connection:  # noqa: N802 (IMAPClient's name)
        return _Connection(self._sock_given, self._max_literal, self._meanwhile)


def _reach(credentials: Credentials) -> socket.socket:
    try:
        sock = netguard.connect(
            credentials.host,
            credentials.port,
            allow_private=credentials.allow_private,
            timeout=CONNECT_TIMEOUT,
        )
    except netguard.UnknownHost:
        raise Unreachable(f"No server is known by the name {credentials.host}.", step="name") from None
    except netguard.ForbiddenAddress:
        raise Unreachable(
            f"{credentials.host} is not a public address; only the operator can allow it.", step="name"
        ) from None
    except TimeoutError:
        raise Unreachable(
            f"{credentials.host} does not answer on port {credentials.port}.", step="connect"
        ) from None
    except OSError:
        raise Unreachable(
            f"{credentials.host} refuses connections on port {credentials.port}.", step="connect"
        ) from None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(CONNECT_TIMEOUT)
    return sock


def _wrap(sock: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(
            f"The certificate of {host} is not trusted: {error.verify_message}.", step="tls"
        ) from None
    except TimeoutError:
        raise Unreachable(f"{host} does not start TLS; is the port right?", step="tls") from None
    except (ssl.SSLError, OSError):
        raise Unreachable(f"{host} does not speak TLS on this port.", step="tls") from None


def _start_tls(client: _Client, context: ssl.SSLContext, host: str) -> None:
    """Refuse to go on in clear text when STARTTLS is not offered or not obeyed (L01, L02)."""
    imap = client._imap
    if "STARTTLS" not in {name.upper() for name in imap.capabilities}:
        raise Unreachable(f"{host} does not offer STARTTLS; nothing was sent.", step="tls")
    with translated("tls"):
        kind, _data = imap._get_tagged_response(imap._command("STARTTLS"))
    if kind != "OK":
        raise Unreachable(f"{host} refuses STARTTLS; nothing was sent.", step="tls")
    imap.hear(_wrap(imap.sock, context, host))  # drops what was injected before TLS (L03)
    imap.untagged_responses = {}  # and what was told before it
    with translated("tls"):
        imap._get_capabilities()


def mechanism_for(credentials: Credentials, offered: Collection[str]) -> Mechanism | None:
    """How to sign in, by the capabilities in capitals; None for the command LOGIN. Raises Refused, ForbiddenText."""
    names = {name.removeprefix("AUTH=") for name in offered if name.startswith("AUTH=")}
    try:
        mechanism = choose(
            names,
            login=credentials.login,
            secret=credentials.password,
            bearer=credentials.bearer,
            host=credentials.host,
            port=credentials.port,
        )
    except ValueError as error:
        raise ForbiddenText(f"There is {error}.") from None
    if mechanism is None and credentials.bearer:
        raise Refused(
            "The server takes no sign-in by consent (neither XOAUTH2 nor OAUTHBEARER).", step="login"
        )
    if mechanism is None and "LOGINDISABLED" in offered:
        raise Refused("The server accepts no password over this connection (LOGINDISABLED).", step="login")
    return mechanism


def _safe(error: Exception) -> str:
    """The server's words, cut; imaplib puts no argument of ours into them but may hand over bytes."""
    first = error.args[0] if error.args else ""
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
    return re.sub(r"[\x00-\x1f\x7f]+", " ", text)[:300]


def refuse_line_breaks(*texts: bytes) -> None:
    """Raises ForbiddenText. What was not looked at here goes on no wire."""
    for text in texts:
        if b"\r" in text or b"\n" in text or b"\0" in text:
            raise ForbiddenText("No command to a mail server may hold CR, LF or NUL.")
