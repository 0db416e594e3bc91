"""A company's own provider in front of its own mail server: both real, on loopback (tests.conftest starts them).

The fixtures here are for whoever imports them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from mailsync import consents
from mailsync.models import Consent, Mailbox
from tests.engine.conftest import Box, connect
from tests.rigs import oauth
from tests.rigs.mailserver import MailServer
from tests.rigs.oauth import Provider

DOMAIN = "acme.example"


@pytest.fixture
def provider(provider_process: Provider) -> Provider:
    """The provider, well-behaved."""
    provider_process.set()
    return provider_process


@pytest.fixture
def offered(provider: Provider, dovecot_oauth: MailServer, settings) -> Provider:
    """This installation is registered at the provider, for addresses of acme.example."""
    settings.MAIL_CA_FILE = str(dovecot_oauth.ca_file)
    settings.OAUTH = {"company": registration(provider, dovecot_oauth)}
    return provider


def registration(provider: Provider, server: MailServer) -> dict[str, object]:
    """As settings.OAUTH has it."""
    return {
        "client_id": oauth.CLIENT_ID,
        "client_secret": oauth.CLIENT_SECRET,
        "endpoints": provider.endpoints,
        "name": "Acme",
        "domains": [DOMAIN],
        "scopes": oauth.SCOPES,
        "servers": {"imap": f"localhost:{server.tls_port}:tls"},
    }


@dataclass
class ConsentedBox:
    """Ann's mailbox that lives by a consent, and the provider of it."""

    box: Box
    provider: Provider

    @property
    def address(self) -> str:
        return self.box.login

    def consent(self) -> Consent:
        with self.box.acting():
            found = Mailbox.objects.select_related("consent").get(pk=self.box.mailbox.pk).consent
        assert found
        return found

    def ends(self, moment: datetime) -> None:
        """Let the access token end then, as far as we know."""
        with self.box.acting():
            Consent.objects.filter(mailbox=self.box.mailbox).update(expires_at=moment)

    def run_out(self) -> None:
        self.provider.end_access(self.address)
        self.ends(timezone.now() - timedelta(minutes=1))


@pytest.fixture
def consented(world, offered: Provider, dovecot_oauth: MailServer) -> ConsentedBox:
    box = connect(world, dovecot_oauth)
    given = offered.grant(box.login)
    with world.acting():
        consent = Consent.objects.create(
            account=world.acme,
            provider="company",
            address=box.login,
            secret=consents.sealed(given["access_token"], given["refresh_token"], world.acme.pk),
            expires_at=timezone.now() + timedelta(hours=1),
        )
        Mailbox.objects.filter(pk=box.mailbox.pk).update(
            consent=consent,
            secret=b"",
            imap_host="localhost",
            imap_port=dovecot_oauth.tls_port,
            imap_security="tls",
        )
    return ConsentedBox(box, offered)
