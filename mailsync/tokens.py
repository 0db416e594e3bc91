"""What a worker asks a provider of consents: keys for a code, new keys for old ones, and to forget them.

Everything that can go wrong is a ServerError: Withdrawn where only the person can help, Unreachable for the rest,
which leaves the keys we have as they are.
"""

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from urllib.parse import urlencode

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from mailsync import web
from mailsync.imap.errors import Unreachable, Withdrawn
from mailsync.imap.session import tls_context
from mailsync.oauth import Provider

SECONDS = 10.0
# How long an access token is taken to live where the provider does not say (RFC 6749 5.1).
USUAL_LIFE = timedelta(minutes=30)
# RFC 6749 5.2, and what Microsoft and OpenID Connect say when the person has to come back.
_ENDED = {"invalid_grant", "interaction_required", "consent_required", "login_required"}


@dataclass(frozen=True, slots=True)
class Tokens:
    """Keys of a consent. `refresh` is "" where none came; `scopes` None where the provider does not say which it
    gave; `people` are the names by which it knows who consented."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_at: datetime
    scopes: frozenset[str] | None
    people: tuple[str, ...]


def exchange(provider: Provider, *, code: str, verifier: str, redirect_uri: str) -> Tokens:
    """The keys for the code that the person came back with (RFC 6749 4.1.3, RFC 7636 4.5)."""
    return _asked(
        provider,
        lambda client: client.fetch_token(
            provider.token_url,
            grant_type="authorization_code",
            code=code,
            code_verifier=verifier,
            redirect_uri=redirect_uri,
        ),
    )


def renew(provider: Provider, refresh: str) -> Tokens:
    """A new access token (RFC 6749 6). Some providers give a new refresh token with it and end the old one."""
    return _asked(provider, lambda client: client.refresh_token(provider.token_url, refresh_token=refresh))


def revoke(provider: Provider, refresh: str) -> None:
    """Have the provider forget the consent (RFC 7009), where it can."""
    if provider.revoke_url:
        wire = _Wire(provider)
        answer = wire.post(
            provider.revoke_url, {"token": refresh}, {}, _client(provider, wire).client_auth(_METHOD)
        )
        answer.raise_for_status()


_METHOD = "client_secret_post"


def _client(provider: Provider, wire: "_Wire") -> OAuth2Client:
    return OAuth2Client(
        wire,
        provider.client_id,
        provider.client_secret,
        token_endpoint_auth_method=_METHOD if provider.client_secret else "none",
        scope=" ".join(provider.scopes),
    )


def _asked(provider: Provider, question: Any) -> Tokens:
    try:
        return _tokens(provider, question(_client(provider, _Wire(provider))))
    except OAuth2Error as error:
        _refused(provider, str(error.error or ""))
    except (KeyError, TypeError, ValueError, AttributeError):
        _unusable(provider)


def _refused(provider: Provider, error: str) -> NoReturn:
    """An error of RFC 6749 5.2; its description is the provider's and may hold anything, so it is not shown."""
    if error in _ENDED:
        raise Withdrawn(
            _(
                "%(provider)s says that the consent to read this mailbox has ended. Give it again with one click."
            )
            % {"provider": provider.name},
            step="consent",
        )
    if error in ("temporarily_unavailable", "server_error", "slow_down"):
        _unusable(provider)
    raise Unreachable(
        _(
            "%(provider)s does not accept this installation (%(error)s). An operator has to check the client id and "
            "secret in the settings. Nothing is lost."
        )
        % {"provider": provider.name, "error": error[:40]},
        step="consent",
    )


def _unusable(provider: Provider) -> NoReturn:
    raise Unreachable(
        _("The sign-in service of %(provider)s does not answer as it should. It is asked again by itself.")
        % {"provider": provider.name},
        step="consent",
    ) from None


def _tokens(provider: Provider, token: Mapping[str, Any]) -> Tokens:
    expires = token.get("expires_at")
    scope = token.get("scope")
    return Tokens(
        access=_word(token["access_token"]),
        refresh=_word(token.get("refresh_token") or ""),
        expires_at=datetime.fromtimestamp(int(expires), UTC) if expires else timezone.now() + USUAL_LIFE,
        scopes=frozenset(str(scope).split()) if scope else None,
        people=_people(provider, str(token.get("id_token") or "")),
    )


def _word(token: str) -> str:
    """A token goes into a command of IMAP: printable ASCII only (RFC 6749 A.12, A.17). Raises ValueError."""
    if not token.isascii() or not token.isprintable():
        raise ValueError("no token")
    return token


def _people(provider: Provider, id_token: str) -> tuple[str, ...]:
    """Who consented, as the provider told us itself: over its own TLS no signature is needed (OpenID Connect Core
    3.1.3.7, 6). Empty where it does not say."""
    if not id_token:
        return ()
    payload = id_token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    audience = claims.get("aud")
    if provider.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise ValueError("an ID token for somebody else")
    names = [claims.get("preferred_username"), claims.get("upn")]
    if claims.get("email_verified") is not False:
        names.append(claims.get("email"))
    return tuple(dict.fromkeys(str(name) for name in names if name and "@" in str(name)))


class _Wire:
    """What authlib calls a session: one POST at a time, through netguard."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> "_Answer":
        url, headers, body = auth.prepare("POST", url, {**headers, **_FORM}, urlencode(data))
        try:
            answer = web.ask(
                url,
                headers=headers,
                body=body.encode(),
                allow_private=self._provider.own or settings.MAIL_ALLOW_PRIVATE_HOSTS,
                tls=tls_context(settings.MAIL_CA_FILE),
                seconds=SECONDS,
            )
        except (OSError, ValueError, http.client.HTTPException):
            _unusable(self._provider)
        return _Answer(self._provider, answer.status, answer.body)


_FORM = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class _Answer:
    provider: Provider
    status_code: int
    body: bytes = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)

    def raise_for_status(self) -> None:
        if self.status_code >= 400:
            _unusable(self.provider)
