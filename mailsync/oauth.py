"""Providers at which a person may consent that we read a mailbox (OAuth 2): who they are, where to send the person.

No network here: a worker asks the provider (tokens.py). What is not in settings.OAUTH is offered to nobody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authlib.common.security import generate_token
from authlib.oauth2.client import OAuth2Client
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailsync import presets
from mailsync.models import Mailbox, Security
from mailsync.presets import Server

# Scopes that say who somebody is or how long a consent lasts; the others are rights, and must all be given.
_NO_RIGHTS = {"openid", "email", "profile", "offline_access"}
_OF_PRESET = {"gmail": "google", "microsoft": "microsoft"}
_MICROSOFT = "https://login.microsoftonline.com/common/oauth2/v2.0"


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider with our registration there. `own`: an operator named its addresses, so they may be private."""

    key: str
    name: str
    domains: tuple[str, ...]
    imap: Server
    smtp: Server
    client_id: str
    client_secret: str = field(repr=False)
    authorize_url: str
    token_url: str
    revoke_url: str
    scopes: tuple[str, ...]
    asked_with: Mapping[str, str] = field(default_factory=dict)
    own: bool = False
    refused_help: Promise | str = ""

    @property
    def rights(self) -> frozenset[str]:
        """The scopes without which we cannot work."""
        return frozenset(self.scopes) - _NO_RIGHTS


@dataclass(frozen=True, slots=True)
class Request:
    """Where to send a person, and what the session must remember until they are back (RFC 6749 10.12, RFC 7636)."""

    url: str
    state: str
    verifier: str = field(repr=False)


def request_consent(provider: Provider, *, redirect_uri: str, address: str) -> Request:
    """A fresh request that asks the person to consent as `address`."""
    client = OAuth2Client(
        None,
        provider.client_id,
        redirect_uri=redirect_uri,
        scope=" ".join(provider.scopes),
        code_challenge_method="S256",
    )
    verifier = generate_token(64)
    url, state = client.create_authorization_url(
        provider.authorize_url,
        state=generate_token(43),
        code_verifier=verifier,
        login_hint=address,
        **provider.asked_with,
    )
    return Request(url, state, verifier)


def configured() -> list[Provider]:
    """The providers that an operator registered us with."""
    return [provider for key in settings.OAUTH if (provider := by_key(key))]


def by_key(key: str) -> Provider | None:
    """None where the provider is unknown or not configured."""
    said = settings.OAUTH.get(key)
    return _BUILD[key](said) if said and said["client_id"] else None


def by_preset(key: str) -> Provider | None:
    """The configured provider of a preset ("gmail"): companies' own domains live there, too."""
    return by_key(_OF_PRESET.get(key, ""))


def for_address(address: str) -> Provider | None:
    """The configured provider of an address, by its domain."""
    domain = address.rpartition("@")[2].strip().lower()
    return next((provider for provider in configured() if domain in provider.domains), None)


def for_mailbox(mailbox: Mailbox) -> Provider | None:
    """Where a mailbox that exists may be signed in to by consent: where it is, or where its server is."""
    if mailbox.consent:
        return by_key(mailbox.consent.provider)
    return next((provider for provider in configured() if provider.imap.host == mailbox.imap_host), None)


def same_person(one: str, other: str) -> bool:
    """Whether two addresses are one mailbox. Google knows no dots and has two domains."""
    return _canonical(one) == _canonical(other)


def _canonical(address: str) -> str:
    local, _at, domain = address.strip().casefold().rpartition("@")
    if domain in ("gmail.com", "googlemail.com"):
        return local.replace(".", "") + "@gmail.com"
    return f"{local}@{domain}"


def _google(said: Mapping[str, Any]) -> Provider:
    return _known(
        said,
        preset="gmail",
        name="Google",
        authorize="https://accounts.google.com/o/oauth2/v2/auth",
        token="https://oauth2.googleapis.com/token",  # noqa: S106 (an address)
        revoke="https://oauth2.googleapis.com/revoke",
        scopes="https://mail.google.com/ openid email",
        # Without these Google gives no lasting consent to who has consented before.
        asked_with={"access_type": "offline", "prompt": "consent select_account"},
        refused_help=_(
            "In an organisation, its administrator decides whether IMAP is allowed: ask there to switch it on."
        ),
    )


def _microsoft(said: Mapping[str, Any]) -> Provider:
    return _known(
        said,
        preset="microsoft",
        name="Microsoft",
        authorize=f"{_MICROSOFT}/authorize",
        token=f"{_MICROSOFT}/token",
        revoke="",  # Microsoft has none: people end consents at myapps.microsoft.com
        scopes=(
            "https://outlook.office.com/IMAP.AccessAsUser.All https://outlook.office.com/SMTP.Send "
            "offline_access openid email profile"
        ),
        asked_with={"prompt": "select_account"},
        refused_help=_(
            "IMAP may be switched off for this mailbox: in an organisation its administrator can allow it, "
            "for outlook.com you can, under Settings, Mail, Forwarding and IMAP."
        ),
    )


def _known(
    said: Mapping[str, Any],
    *,
    preset: str,
    name: str,
    authorize: str,
    token: str,
    revoke: str,
    scopes: str,
    asked_with: Mapping[str, str],
    refused_help: Promise,
) -> Provider:
    place, endpoints = presets.by_key(preset), said["endpoints"]
    assert place
    assert place.imap
    assert place.smtp
    return Provider(
        key=_OF_PRESET[preset],
        name=name,
        domains=place.domains,
        imap=place.imap,
        smtp=place.smtp,
        client_id=said["client_id"],
        client_secret=said["client_secret"],
        authorize_url=endpoints.get("authorize", authorize),
        token_url=endpoints.get("token", token),
        revoke_url=endpoints.get("revoke", revoke),
        scopes=tuple(scopes.split()),
        asked_with=asked_with,
        own="token" in endpoints,
        refused_help=refused_help,
    )


def _company(said: Mapping[str, Any]) -> Provider:
    endpoints = said["endpoints"]
    if not endpoints.get("authorize") or not endpoints.get("token") or not said["servers"].get("imap"):
        raise ImproperlyConfigured(
            "OAUTH_COMPANY_ENDPOINTS needs authorize=… and token=…, OAUTH_COMPANY_SERVERS needs imap=host:port."
        )
    return Provider(
        key="company",
        name=said["name"],
        domains=tuple(domain.lower() for domain in said["domains"]),
        imap=_server(said["servers"]["imap"], tls_port=993),
        smtp=_server(said["servers"].get("smtp", ":465"), tls_port=465),
        client_id=said["client_id"],
        client_secret=said["client_secret"],
        authorize_url=endpoints["authorize"],
        token_url=endpoints["token"],
        revoke_url=endpoints.get("revoke", ""),
        scopes=tuple(said["scopes"].split()),
        own=True,
    )


def _server(text: str, *, tls_port: int) -> Server:
    """From "host:port" or "host:port:starttls"; any port but the usual one for TLS is STARTTLS unless it says tls."""
    match = re.fullmatch(r"([^:]*):(\d{1,5})(?::(tls|starttls))?", text)
    if not match:
        raise ImproperlyConfigured(f"OAUTH_COMPANY_SERVERS: {text} is not host:port.")
    usual = Security.TLS if int(match[2]) == tls_port else Security.STARTTLS
    return Server(match[1], int(match[2]), match[3] or usual)


_BUILD = {"google": _google, "microsoft": _microsoft, "company": _company}
