"""The outgoing server: a checked connection and a sign-in. No Django, no models.

Beside mailsync.imap and independent of it; the TLS context comes from the caller.
"""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mailsync import netguard
from mailsync.sasl import choose

CONNECT_TIMEOUT = 20.0


class SmtpTrouble(Exception):
    """What is wrong with the outgoing server; `sentence` may be shown and holds no secret."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


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


def try_login(credentials: SmtpCredentials) -> None:
    """Connect, protect and sign in; nothing is sent. Raises SmtpTrouble."""
    with _translated(credentials), _connected(credentials, CONNECT_TIMEOUT) as server:
        _sign_in(server, credentials)


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


class _Connection(smtplib.SMTP):
    """smtplib over a socket that netguard has opened."""

    def __init__(self, credentials: SmtpCredentials, timeout: float) -> None:
        self._credentials = credentials
        super().__init__(credentials.host, credentials.port, timeout=timeout)

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
        raise SmtpTrouble(_sentence(error, credentials)) from None


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


def _said(words: bytes | str) -> str:
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    return " ".join(text.split())[:300]
