"""How a login is said to a server, the same for IMAP, IDLE and SMTP. Pure: text in, bytes out."""

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One SASL exchange: `first` is the whole answer; `after_error` is what RFC 7628 3.2.3 wants said to the
    server's reason, which comes as a challenge, before its NO."""

    name: str
    first: bytes = field(repr=False)
    after_error: bytes = b""


def choose(
    offered: Collection[str], *, login: str, secret: str, bearer: bool, host: str, port: int
) -> Mechanism | None:
    """The best of what the server offers, by name in capitals ("PLAIN"); None where nothing fits.

    `bearer` says that `secret` is an OAuth access token: it is never given to a mechanism made for passwords.
    XOAUTH2 comes first because it is what Google and Microsoft document.
    """
    if not bearer:
        return plain(login, secret) if "PLAIN" in offered else None
    if "XOAUTH2" in offered:
        return xoauth2(login, secret)
    return oauthbearer(login, secret, host, port) if "OAUTHBEARER" in offered else None


def plain(login: str, password: str) -> Mechanism:
    """RFC 4616."""
    return Mechanism("PLAIN", f"\0{login}\0{password}".encode())


def xoauth2(login: str, token: str) -> Mechanism:
    """Google's, taken over by Microsoft: user=… ^A auth=Bearer … ^A ^A."""
    return Mechanism("XOAUTH2", f"user={_one_field(login)}\1auth=Bearer {_one_field(token)}\1\1".encode())


def oauthbearer(login: str, token: str, host: str, port: int) -> Mechanism:
    """RFC 7628 3.1, with the GS2 header of RFC 5801 4."""
    name = _one_field(login).replace("=", "=3D").replace(",", "=2C")
    first = f"n,a={name},\1host={host}\1port={port}\1auth=Bearer {_one_field(token)}\1\1"
    return Mechanism("OAUTHBEARER", first.encode(), after_error=b"\1")


def _one_field(text: str) -> str:
    """A ^A would begin a field of its own. Raises ValueError."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("a control character in a login or token")
    return text
