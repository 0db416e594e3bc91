"""The outgoing server is signed in to over real TLS and STARTTLS, and never in clear text by accident."""

import asyncio
import ssl
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from mailsync import smtp
from mailsync.smtp import SmtpCredentials, SmtpTrouble

PASSWORD = "the outgoing password"


class Server(Controller):
    """aiosmtpd with TLS from the first byte, STARTTLS, or neither; it takes one login."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None) -> None:
        self.starttls = starttls
        super().__init__(None, hostname="127.0.0.1", port=0, ssl_context=tls)

    def factory(self) -> SMTP:
        return SMTP(
            self.handler,
            tls_context=self.starttls,
            authenticator=lambda _server, _session, _envelope, _mechanism, data: AuthResult(
                success=data.login == b"ann" and data.password == PASSWORD.encode(), handled=False
            ),
            auth_require_tls=bool(self.starttls),
            decode_data=False,
        )

    def _trigger_server(self) -> None:
        """The parent would connect to port 0."""
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def own(authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def trusting(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def server(request, own) -> Iterator[Server]:
    started = Server(**({request.param: own} if request.param else {}))
    started.start()
    yield started
    started.stop()


def credentials(server: Server, security: str, tls: ssl.SSLContext, **changes: str) -> SmtpCredentials:
    known: dict[str, Any] = {"login": "ann", "password": PASSWORD, "host": "localhost"} | changes
    return SmtpCredentials(**known, port=server.port, security=security, tls=tls, allow_private=True)


@pytest.mark.parametrize(("server", "security"), [("starttls", "starttls")], indirect=["server"])
def test_ann_is_signed_in_over_starttls(server, security, trusting):
    smtp.try_login(credentials(server, security, trusting))


@pytest.mark.parametrize("server", ["starttls"], indirect=True)
def test_a_wrong_password_is_told_without_it(server, trusting):
    with pytest.raises(SmtpTrouble) as caught:
        smtp.try_login(credentials(server, "starttls", trusting, password="not it at all"))
    assert "refuses this login" in caught.value.sentence
    assert "not it at all" not in caught.value.sentence


@pytest.mark.parametrize("server", [None], indirect=True)
def test_stripped_starttls_ends_before_the_password(server, trusting):
    with pytest.raises(SmtpTrouble) as caught:
        smtp.try_login(credentials(server, "starttls", trusting))
    assert "neither the protection" in caught.value.sentence


@pytest.mark.parametrize("server", ["starttls"], indirect=True)
def test_an_untrusted_certificate_is_refused(server):
    with pytest.raises(SmtpTrouble) as caught:
        smtp.try_login(credentials(server, "starttls", ssl.create_default_context()))
    assert "not trusted" in caught.value.sentence


def test_the_password_is_not_in_the_representation(trusting):
    shown = repr(SmtpCredentials("localhost", 1, "tls", "ann", PASSWORD, trusting))
    assert PASSWORD not in shown
