"""How often a sign-in may fail: by place, by login and by both, so that guessing is slow and nobody is locked out.

A browser in which somebody has signed in before carries a signed cookie ("known browser") and is counted for itself
alone. So a stranger who fails on purpose, from the same office or from everywhere, keeps nobody from their desk.
Counters live in the cache: fixed spans of time, each begun by its first failure.
"""

import hashlib
import ipaddress
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse

COOKIE = "known"
COOKIE_DAYS = 180
_PEOPLE_OF_A_BROWSER = 5
_SALT = "accounts.throttling"
_IPV6_PREFIX = 64  # what one customer has


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many failures in so many seconds."""

    name: str
    most: int
    seconds: int


KNOWN = Limit("known", 10, 600)
HERE = Limit("here", 5, 300)  # one login from one place
LOGIN = Limit("login", 40, 3600)  # one login from everywhere
PLACE = Limit("place", 60, 600)  # all logins from one place


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt is counted by, narrowest first."""

    counters: Sequence[tuple[Limit, str]]

    def begin(self) -> Limit | None:
        """Count it as a failure; the limit that forbids it, or None. What is forbidden does not count further on."""
        for limit, key in self.counters:
            cache.add(key, 0, limit.seconds)
            try:
                used = cache.incr(key)
            except ValueError:  # its time was over at this very moment
                used = 1
            if used > limit.most:
                return limit
        return None

    def succeeded(self) -> None:
        """It was no failure. What others failed at stays counted."""
        for _, key in self.counters:
            try:
                cache.decr(key)
            except ValueError:
                continue


def attempt(request: HttpRequest, login: str) -> Attempt:
    """`login` is the address as it was typed, in lower case; it need not exist."""
    known = _known(request).get(_short(login))
    if known:
        return Attempt([(KNOWN, _key(KNOWN, login, known))])
    place = address_of(request)
    return Attempt(
        [(HERE, _key(HERE, login, place)), (LOGIN, _key(LOGIN, login)), (PLACE, _key(PLACE, place))]
    )


def know(request: HttpRequest, response: HttpResponse, login: str) -> None:
    """Mark the browser as one in which this login has signed in."""
    people = _known(request)
    mine = people.pop(_short(login), None) or secrets.token_urlsafe(12)
    kept = dict(list(people.items())[-_PEOPLE_OF_A_BROWSER + 1 :]) | {_short(login): mine}
    response.set_cookie(
        COOKIE,
        signing.dumps(kept, salt=_SALT),
        max_age=COOKIE_DAYS * 86_400,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def address_of(request: HttpRequest) -> str:
    """The client's address; of IPv6 the network, because a client has all of it."""
    text = str(get_adapter().get_client_ip(request))
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return text
    return str(ipaddress.ip_network(f"{text}/{_IPV6_PREFIX}", strict=False).network_address)


def _known(request: HttpRequest) -> dict[str, str]:
    try:
        people: dict[str, str] = signing.loads(
            request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=COOKIE_DAYS * 86_400
        )
    except signing.BadSignature:
        return {}
    return people


def _short(login: str) -> str:
    return hashlib.sha256(login.encode()).hexdigest()[:16]


def _key(limit: Limit, *parts: str) -> str:
    return f"sign-in:{limit.name}:{hashlib.sha256(' '.join(parts).encode()).hexdigest()}"
