"""The outgoing server: a checked connection, a sign-in, and a letter handed over. No Django, no models.

Beside mailsync.imap and independent of it; the TLS context comes from the caller.
"""

import base64
import io
import math
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailsync import netguard
from mailsync.sasl import choose

CONNECT_TIMEOUT = 20.0
ANSWER_TIMEOUT = 60.0
# RFC 5321 4.5.3.2.6 asks for ten minutes after the final dot; a worker's turn is not longer than that.
FINAL_TIMEOUT = 240.0
MOST_SAID = 1 << 16  # bytes of one answer
PIECE = 1 << 14  # bytes sent at once, a record of TLS: ANSWER_TIMEOUT counts for each


class SmtpTrouble(Exception):
    """What is wrong with the outgoing server; `sentence` may be shown and holds no secret.

    `login` says that it is the sign-in: trying again only locks people out.
    """

    def __init__(self, sentence: str, *, login: bool = False) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.login = login


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer about one recipient."""

    code: int
    words: str

    @property
    def is_final(self) -> bool:
        """5xx; anything else may be another answer later (RFC 5321 4.2.1)."""
        return self.code // 100 == 5


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has taken it, for all but those in `turned_down`."""

    turned_down: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody gets it. `kind`: sender | recipients | size | content."""

    sentence: str
    kind: str
    turned_down: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing has left; worth another try. `kind`: login | server | recipients."""

    sentence: str
    kind: str
    turned_down: Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Unsure:
    """The whole text has left and the server's word about it has not come."""

    sentence: str


Outcome = Accepted | Refused | Later | Unsure


@dataclass(frozen=True, slots=True)
class SmtpCredentials:
    """Where and as whom to sign in. `password` stays out of the repr; with `bearer` it is an OAuth access token."""

    host: str
    port: int
    security: str  # "tls", "starttls" or "none"
    login: str
    password: str = field(repr=False)
    tls: ssl.SSLContext
    bearer: bool = False
    allow_private: bool = False


def greet(credentials: SmtpCredentials, *, timeout: float = CONNECT_TIMEOUT) -> None:
    """Connect and protect, without signing in: is there a server of this kind? Raises SmtpTrouble."""
    with _translated(credentials), _connected(credentials, timeout):
        pass


def try_login(credentials: SmtpCredentials) -> int | None:
    """Connect, protect and sign in; nothing is sent. Returns the largest letter that the server takes, where it says
    so. Raises SmtpTrouble."""
    with _translated(credentials), _connected(credentials, CONNECT_TIMEOUT) as server:
        _sign_in(server, credentials)
        return server.most_bytes


def deliver(
    credentials: SmtpCredentials,
    raw: bytes,
    sender: str,
    recipients: Sequence[str],
    *,
    out_by: float = math.inf,
    before_the_end: Callable[[], None] = lambda: None,
    told_size: Callable[[int | None], None] = lambda _most: None,
) -> Outcome:
    """Hand one message over, once. Never raises for what a server does.

    `told_size` hears the largest letter that the server takes, or None where it does not say (RFC 1870).

    `raw` has CRLF and no Bcc; addresses are as on the wire. `before_the_end` is called when the text is out and only
    its final dot is not: what it raises ends the connection without it, and nobody gets the message (RFC 5321
    4.1.1.4: a server must not act on a text without its end). By `out_by` (as of time.monotonic) the text must be out:
    else it gets no final dot, and the outcome is Later.
    """
    handing = _HandingOver(raw, sender, recipients, out_by, before_the_end)
    if handing.fault:
        return handing.fault
    outcome: Outcome | None = None
    try:
        with _translated(credentials), _connected(credentials, CONNECT_TIMEOUT) as server:
            _sign_in(server, credentials)
            server.set_timeout(ANSWER_TIMEOUT)
            told_size(server.most_bytes)
            outcome = handing.over(server)
    except SmtpTrouble as error:
        # What breaks while we say goodbye changes nothing.
        return outcome or Later(error.sentence, "login" if error.login else "server", {})
    return outcome


class _HandingOver:
    """One message on its way through one connection."""

    def __init__(
        self,
        raw: bytes,
        sender: str,
        recipients: Sequence[str],
        out_by: float,
        before_the_end: Callable[[], None],
    ) -> None:
        self.raw = raw if raw.endswith(b"\r\n") else raw + b"\r\n"
        self.sender = sender
        self.recipients = recipients
        self.out_by = out_by
        self.before_the_end = before_the_end
        self.turned_down: dict[str, Answer] = {}

    @property
    def fault(self) -> Refused | None:
        """What no server is asked about: a bare CR or LF may end the text early at the next one (smuggling), and a
        line break in an address would be a command."""
        if _BARE.search(self.raw):
            return Refused("The text holds a bare line break or a NUL.", "content", {})
        if not _PATH.fullmatch(self.sender):
            return Refused("The sender's address is none.", "sender", {})
        if not self.recipients or not all(_PATH.fullmatch(address) for address in self.recipients):
            return Refused("A recipient's address is none.", "recipients", {})
        return None

    def over(self, server: "_Connection") -> Outcome:
        return self._announce(server) or self._name_recipients(server) or self._give(server)

    def _announce(self, server: "_Connection") -> Outcome | None:
        header = self.raw.partition(b"\r\n\r\n")[0]
        needs_utf8 = not all(address.isascii() for address in (self.sender, *self.recipients))
        if (needs_utf8 or not header.isascii()) and not server.has_extn("smtputf8"):
            return Refused("The outgoing server takes no addresses with such letters.", "recipients", {})
        if not self.raw.isascii() and not server.has_extn("8bitmime"):
            return Refused("The outgoing server takes only 7-bit text.", "content", {})
        limit = server.most_bytes
        if limit is not None and limit < len(self.raw):
            return Refused(
                f"The letter has {_megabytes(len(self.raw))}, and the outgoing server takes {_megabytes(limit)}.",
                "size",
                {},
            )
        return self._sender_taken(server, needs_utf8=needs_utf8 or not header.isascii())

    def _sender_taken(self, server: "_Connection", *, needs_utf8: bool) -> Outcome | None:
        options = [f"SIZE={len(self.raw)}"] if server.has_extn("size") else []
        options += [] if self.raw.isascii() else ["BODY=8BITMIME"]
        options += ["RET=HDRS"] if server.has_extn("dsn") else []
        if needs_utf8:
            options.append("SMTPUTF8")
            server.command_encoding = "utf-8"
        # Not smtplib's mail() and rcpt(), which parse the address once more and may send another one.
        answer = _answer(*server.docmd(" ".join([f"MAIL FROM:<{self.sender}>", *options])))
        if answer.code // 100 == 2:
            return None
        sentence = f"The outgoing server refuses the sender: “{answer.words}”."
        # 552: too much of it (RFC 1870 6.1)
        kind = "size" if answer.code == 552 else "sender"
        return Refused(sentence, kind, {}) if answer.is_final else Later(sentence, "server", {})

    def _name_recipients(self, server: "_Connection") -> Outcome | None:
        options = ["NOTIFY=FAILURE,DELAY"] if server.has_extn("dsn") else []
        for address in self.recipients:
            answer = _answer(*server.docmd(" ".join([f"RCPT TO:<{address}>", *options])))
            if answer.code // 100 != 2:
                self.turned_down[address] = answer
            if answer.code == 421:
                return Later(f"The outgoing server closes: “{answer.words}”.", "server", {})
        if len(self.turned_down) < len(self.recipients):
            return None
        words = next(iter(self.turned_down.values())).words
        sentence = f"The outgoing server refuses the recipients: “{words}”."
        if all(answer.is_final for answer in self.turned_down.values()):
            return Refused(sentence, "recipients", self.turned_down)
        return Later(sentence, "recipients", self.turned_down)

    def _give(self, server: "_Connection") -> Outcome:
        answer = _answer(*server.docmd("DATA"))
        if answer.code != 354:
            return self._turned_down(answer)
        server.send_text(re.sub(rb"(?m)^\.", b"..", self.raw), self.out_by)
        self.before_the_end()
        try:
            server.set_timeout(FINAL_TIMEOUT)
            server.send(b".\r\n")
            answer = _answer(*server.getreply())
        except (OSError, smtplib.SMTPException):
            return Unsure(
                "The connection ended before the outgoing server said whether it has taken the letter."
            )
        if answer.code // 100 == 2:
            return Accepted(self.turned_down)
        if answer.code // 100 in (4, 5):
            return self._turned_down(answer)
        return Unsure("The outgoing server's answer about the letter makes no sense.")

    def _turned_down(self, answer: Answer) -> Outcome:
        sentence = f"The outgoing server answers: “{answer.words}”."
        if not answer.is_final:
            return Later(sentence, "server", {})
        return Refused(sentence, "size" if answer.code == 552 else "content", self.turned_down)


_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_PATH = re.compile(r"[^\s<>\x00-\x1f\x7f]+@[^\s<>@\x00-\x1f\x7f]+")


def _answer(code: int, words: bytes) -> Answer:
    return Answer(code, _said(words))


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"


def _sign_in(server: "_Connection", credentials: SmtpCredentials) -> None:
    """A password in any way smtplib knows; a token only as a token."""
    if not credentials.bearer:
        server.login(credentials.login, credentials.password)
        return
    offered = set(server.esmtp_features.get("auth", "").upper().split())
    mechanism = choose(
        offered,
        login=credentials.login,
        secret=credentials.password,
        bearer=True,
        host=credentials.host,
        port=credentials.port,
    )
    if mechanism is None:
        raise smtplib.SMTPNotSupportedError("neither XOAUTH2 nor OAUTHBEARER.")

    def answer(challenge: bytes | None = None) -> str:
        return (mechanism.first if challenge is None else mechanism.after_error).decode()

    server.auth(mechanism.name, answer)


@contextmanager
def _connected(credentials: SmtpCredentials, timeout: float) -> Iterator["_Connection"]:
    server = _Connection(credentials, timeout)
    try:
        server.ehlo_or_helo_if_needed()
        if credentials.security == "starttls":
            # Raises where STARTTLS is not offered: going on in clear text would give the password away.
            server.starttls(context=credentials.tls)
            server.ehlo()
        yield server
        server.quit()
    finally:
        server.close()


class _Bounded(io.BufferedReader):
    """What a server says, up to `left` bytes of it: smtplib would collect the lines of an answer without an end."""

    left = 0

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("it does not stop talking")
        return line


class _Connection(smtplib.SMTP):
    """smtplib over a socket that netguard has opened, with an end to each answer."""

    def __init__(self, credentials: SmtpCredentials, timeout: float) -> None:
        self._credentials = credentials
        super().__init__(credentials.host, credentials.port, timeout=timeout)

    @property
    def most_bytes(self) -> int | None:
        """SIZE of EHLO (RFC 1870 4): without a number, or with 0, the server sets no limit that it tells of."""
        limit = self.esmtp_features.get("size", "")
        return int(limit) if limit.isdecimal() and 0 < int(limit) < 2**63 else None

    def set_timeout(self, seconds: float) -> None:
        """For the answers from now on."""
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Bounded(self.sock.makefile("rb", buffering=0))
        if self.file is not None:
            self.file.left = MOST_SAID
        return super().getreply()

    def send_text(self, text: bytes, out_by: float) -> None:
        """In pieces: a large letter takes a thin line longer than the socket waits. Raises SmtpTrouble, and OSError."""
        assert self.sock is not None
        view = memoryview(text)
        try:
            for start in range(0, len(text), PIECE):
                left = out_by - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.sock.settimeout(min(left, ANSWER_TIMEOUT))
                self.sock.sendall(view[start : start + PIECE])
        except TimeoutError:
            raise SmtpTrouble(
                f"{self._credentials.host} takes the letter too slowly: not all of it was out in time."
            ) from None
        except ssl.SSLError as error:
            raise ConnectionError from error  # in the middle of a text: it does speak TLS

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        asked = self._credentials
        plain = netguard.connect(host, port, allow_private=asked.allow_private, timeout=timeout)
        if asked.security == "tls":
            return asked.tls.wrap_socket(plain, server_hostname=host)
        return plain


@contextmanager
def _translated(credentials: SmtpCredentials) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, smtplib.SMTPException) as error:
        login = isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500
        raise SmtpTrouble(_scrubbed(_sentence(error, credentials), credentials), login=login) from None


def _sentence(error: Exception, credentials: SmtpCredentials) -> str:  # noqa: C901 (one line a case)
    host, port = credentials.host, credentials.port
    match error:
        case netguard.UnknownHost():
            return f"No server is known by the name {host}."
        case netguard.ForbiddenAddress():
            return f"{host} is not a public address; only the operator can allow it."
        case smtplib.SMTPAuthenticationError():
            what = "the consent for this mailbox" if credentials.bearer else "this login and password"
            return f"{host} refuses {what}: “{_said(error.smtp_error)}”."
        case UnicodeError():
            return f"{host} cannot take a login or password with such letters."
        case smtplib.SMTPNotSupportedError():
            return f"{host} offers neither the protection nor the sign-in that is needed: {error}"
        case smtplib.SMTPServerDisconnected():
            return f"{host} closed the connection on port {port}; is it an SMTP server?"
        case smtplib.SMTPResponseException():
            return f"{host} answers: “{_said(error.smtp_error)}”."
        case ssl.SSLCertVerificationError():
            return f"The certificate of {host} is not trusted: {error.verify_message}."
        case TimeoutError():
            return f"{host} does not answer on port {port}."
        case ssl.SSLError():
            return f"{host} does not speak TLS on port {port}."
        case ConnectionRefusedError():
            return f"{host} refuses connections on port {port}."
    return f"The connection to {host}, port {port}, was lost."


def _scrubbed(sentence: str, credentials: SmtpCredentials) -> str:
    """A server may repeat what it was sent, and the sentence is stored and shown."""
    secret = credentials.password
    plain = f"\0{credentials.login}\0{secret}"
    for form in (secret, *(base64.b64encode(text.encode()).decode() for text in (secret, plain))):
        sentence = sentence.replace(form, "…") if form else sentence
    return sentence


def _said(words: bytes | str) -> str:
    """For a sentence: in one line, and without a NUL, which the database does not take."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(_CONTROL.sub(" ", text).split())[:300]
