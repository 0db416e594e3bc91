"""Signing in to a mailbox's servers with what the mailbox has: a password, or a person's consent."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from mailsync import consents, oauth, secrets
from mailsync.imap.errors import Refused
from mailsync.imap.server import ImapServer
from mailsync.imap.session import Credentials, Meanwhile, Session, connect, tls_context
from mailsync.models import Mailbox
from mailsync.smtp import SmtpCredentials


@contextmanager
def signed_in(mailbox: Mailbox, *, meanwhile: Meanwhile) -> Iterator[ImapServer]:
    """A connection for the length of the block; `mailbox` has its consent selected. `meanwhile`: see session.connect.

    Raises what session.connect raises, Withdrawn, and secrets.WrongKeyError. Outside of every transaction.
    """
    session = _connected(mailbox, meanwhile)
    try:
        yield ImapServer(session)
    finally:
        session.close()


def credentials_at_hand(mailbox: Mailbox) -> Credentials:
    """Without asking a provider. Raises Unreachable where an access token has run out, secrets.WrongKeyError."""
    secret = consents.token_at_hand(mailbox.consent) if mailbox.consent else _password(mailbox)
    return _credentials(mailbox, secret)


def smtp_credentials(mailbox: Mailbox, *, refused: str = "") -> SmtpCredentials:
    """For the outgoing server, which takes what the incoming one takes; `refused` is a token it has just turned down.

    Raises what consents.access_token raises, and secrets.WrongKeyError. Outside of every transaction.
    """
    consent = mailbox.consent
    secret = consents.access_token(consent, refused=refused) if consent else _password(mailbox)
    return SmtpCredentials(
        host=mailbox.smtp_host,
        port=mailbox.smtp_port,
        security=mailbox.smtp_security,
        login=mailbox.login,
        password=secret.reveal(),
        tls=tls_context(settings.MAIL_CA_FILE),
        bearer=consent is not None,
        allow_private=_may_be_private(mailbox),
    )


def _connected(mailbox: Mailbox, meanwhile: Meanwhile) -> Session:
    if mailbox.consent is None:
        return connect(_credentials(mailbox, _password(mailbox)), meanwhile=meanwhile)
    token = consents.access_token(mailbox.consent)
    meanwhile()
    try:
        return connect(_credentials(mailbox, token), meanwhile=meanwhile)
    except Refused:
        # A token may end before its time (a changed password does that): the provider says whether the consent has.
        newer = consents.access_token(mailbox.consent, refused=token.reveal())
        meanwhile()
        return connect(_credentials(mailbox, newer), meanwhile=meanwhile)


def _password(mailbox: Mailbox) -> secrets.Secret:
    return secrets.unseal(bytes(mailbox.secret), account_id=mailbox.account_id)


def _at_own(mailbox: Mailbox) -> bool:
    """The mailbox lives at the operator's own provider, whose servers the operator named."""
    provider = oauth.by_key(mailbox.consent.provider) if mailbox.consent else None
    return provider is not None and provider.own


def _may_be_private(mailbox: Mailbox) -> bool:
    return mailbox.private_host_allowed or settings.MAIL_ALLOW_PRIVATE_HOSTS or _at_own(mailbox)


def _credentials(mailbox: Mailbox, secret: secrets.Secret) -> Credentials:
    return Credentials(
        host=mailbox.imap_host,
        port=mailbox.imap_port,
        security=mailbox.imap_security,
        login=mailbox.login,
        password=secret.reveal(),
        bearer=mailbox.consent is not None,
        allow_private=_may_be_private(mailbox),
        ca_file=settings.MAIL_CA_FILE,
        max_literal=settings.MAIL_MAX_MESSAGE_BYTES + 1024 * 1024,
    )
