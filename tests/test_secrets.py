"""A mailbox password is unreadable in the database, opens for its company only, and shows itself nowhere."""

import dataclasses
import logging
import traceback

import pytest
from cryptography.fernet import Fernet
from pytest_django import Settings

from mailsync import secrets
from mailsync.imap.session import Credentials
from mailsync.secrets import Secret, WrongKeyError, seal, unseal

PASSWORD = 'pässwörd "quoted" \\ :colon: 秘密'


@pytest.mark.parametrize("text", [PASSWORD, "", ":", "7:x", "a" * 1000])
def test_what_is_sealed_comes_back(text: str) -> None:
    token = seal(text, account_id=7)

    assert unseal(token, account_id=7).reveal() == text
    assert not text or text.encode() not in token


def test_the_same_password_never_looks_the_same() -> None:
    assert seal(PASSWORD, account_id=7) != seal(PASSWORD, account_id=7)


def test_a_row_copied_to_another_company_does_not_open() -> None:
    with pytest.raises(WrongKeyError, match="another account"):
        unseal(seal(PASSWORD, account_id=7), account_id=77)


def test_the_account_is_compared_whole() -> None:
    """ "7:7:x" sealed for 7 is not "7:x" sealed for 77."""
    with pytest.raises(WrongKeyError):
        unseal(seal("7:x", account_id=7), account_id=77)


def test_an_altered_token_does_not_open() -> None:
    token = bytearray(seal(PASSWORD, account_id=7))
    token[20] ^= 1

    with pytest.raises(WrongKeyError):
        unseal(bytes(token), account_id=7)


def test_a_key_is_replaced_without_a_moment_of_silence(settings: Settings) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.MAIL_SECRET_KEYS = [old]
    before = seal(PASSWORD, account_id=7)
    settings.MAIL_SECRET_KEYS = [new, old]
    after = seal(PASSWORD, account_id=7)

    assert unseal(before, account_id=7).reveal() == PASSWORD
    settings.MAIL_SECRET_KEYS = [new]
    assert unseal(after, account_id=7).reveal() == PASSWORD
    with pytest.raises(WrongKeyError, match="MAIL_SECRET_KEYS"):
        unseal(before, account_id=7)


def test_the_database_gives_the_token_as_a_view_of_memory() -> None:
    assert unseal(memoryview(seal(PASSWORD, account_id=7)), account_id=7).reveal() == PASSWORD  # type: ignore[arg-type]


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__, lambda s: f"{[s]}"])
def test_a_secret_shows_itself_nowhere(show) -> None:
    assert PASSWORD not in show(Secret(PASSWORD))


def test_a_secret_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Secret(PASSWORD)._text = "other"  # type: ignore[misc]


def test_credentials_show_no_password(caplog: pytest.LogCaptureFixture) -> None:
    credentials = Credentials("mail.example", 993, "tls", "ann", PASSWORD)
    logging.getLogger("test").warning("signing in with %s", credentials)

    assert PASSWORD not in repr(credentials)
    assert PASSWORD not in caplog.text


def test_an_error_while_opening_names_no_secret() -> None:
    token = seal(PASSWORD, account_id=7)
    try:
        unseal(token, account_id=8)
    except WrongKeyError as error:
        told = "".join(traceback.format_exception(error))

    assert PASSWORD not in told
    assert secrets.WrongKeyError.__name__ in told
