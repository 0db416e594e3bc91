"""The company's provider, for the tests here."""

from tests.rigs.consenting import consented, offered, provider

__all__ = ["consented", "offered", "provider"]
