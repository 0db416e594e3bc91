"""The provider and the mail server of these tests."""

from tests.rigs.consenting import consented, dovecot_oauth, offered, provider, provider_process

__all__ = ["consented", "dovecot_oauth", "offered", "provider", "provider_process"]
