"""Finding the servers of an address that no preset knows: what its domain publishes, then the usual names.

Only a worker may ask the network; `guesses` and `parse` are pure. DNS SRV records (RFC 6186) are not read:
the standard library has no resolver for them.
"""

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from mailsync import web
from mailsync.models import Security
from mailsync.presets import Server

_SECONDS = 5.0
_MAX_REDIRECTS = 3
_REDIRECTS = (301, 302, 303, 307, 308)
_SECURITY = {"SSL": Security.TLS, "STARTTLS": Security.STARTTLS}


@dataclass(frozen=True, slots=True)
class Published:
    """What a domain says about its mail, in Mozilla's format."""

    imap: Server
    smtp: Server | None
    login: str


def guesses(domain: str) -> Iterator[Server]:
    """IMAP servers by habit, likeliest first. Never without protection: a guess must not leak a password."""
    hosts = (f"imap.{domain}", f"mail.{domain}", domain)
    for host in hosts:
        yield Server(host, 993, Security.TLS)
    for host in hosts:
        yield Server(host, 143, Security.STARTTLS)


def smtp_guesses(domain: str, imap_host: str) -> Iterator[Server]:
    """SMTP servers by habit, beginning beside the IMAP server that was found."""
    neighbour = f"smtp.{imap_host.removeprefix('imap.')}" if imap_host.startswith("imap.") else imap_host
    for host in dict.fromkeys((neighbour, f"smtp.{domain}", f"mail.{domain}", imap_host)):
        yield Server(host, 465, Security.TLS)
        yield Server(host, 587, Security.STARTTLS)


def ask(address: str, *, allow_private: bool, tls: ssl.SSLContext) -> Published | None:
    """What the domain itself publishes, over verified HTTPS only; None when it says nothing usable."""
    domain = address.rpartition("@")[2]
    # Only the domain is told, never the person.
    query = urlencode({"emailaddress": f"mail@{domain}"})
    places = (
        f"https://autoconfig.{domain}/mail/config-v1.1.xml?{query}",
        f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
    )
    for url in places:
        text = download(url, allow_private=allow_private, tls=tls)
        found = parse(text, address) if text else None
        if found:
            return found
    return None


def parse(text: bytes, address: str) -> Published | None:
    """Read Mozilla's clientConfig; None when it is something else or names no protected IMAP server."""
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        return None  # the format needs neither, a decompression attack does
    try:
        root = ET.fromstring(text)  # noqa: S314 (entities refused above, size bounded by download)
    except ET.ParseError:
        return None
    provider = root.find("emailProvider")
    if provider is None:
        return None
    imap = _first(provider.findall("incomingServer[@type='imap']"), address)
    if imap is None:
        return None
    smtp = _first(provider.findall("outgoingServer[@type='smtp']"), address)
    return Published(imap[0], smtp[0] if smtp else None, imap[1])


def _first(entries: list[ET.Element], address: str) -> tuple[Server, str] | None:
    """The first protected server of a list (the publisher's order is their preference), with its login."""
    for entry in entries:
        security = _SECURITY.get((entry.findtext("socketType") or "").strip())
        host = _fill(entry.findtext("hostname") or "", address)
        port = (entry.findtext("port") or "").strip()
        if security and host and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536:
            return Server(host, int(port), security), _fill(
                entry.findtext("username") or "", address
            ) or address
    return None


def _fill(text: str, address: str) -> str:
    local, _, domain = address.rpartition("@")
    for name, value in (
        ("%EMAILADDRESS%", address),
        ("%EMAILLOCALPART%", local),
        ("%EMAILDOMAIN%", domain),
    ):
        text = text.replace(name, value)
    return text.strip()[:253]


def download(url: str, *, allow_private: bool, tls: ssl.SSLContext) -> bytes | None:
    """The body of an HTTPS page, at most web.MAX_BYTES; None on any trouble: most domains publish nothing."""
    for _hop in range(_MAX_REDIRECTS):
        if not url.lower().startswith("https://"):
            return None
        try:
            answer = web.ask(
                url,
                headers={"Accept": "application/xml, text/xml"},
                allow_private=allow_private,
                tls=tls,
                seconds=_SECONDS,
            )
        except (OSError, ValueError, http.client.HTTPException):
            return None
        if answer.status not in _REDIRECTS:
            return answer.body if answer.status == 200 else None
        url = answer.location or ""
    return None
