"""What real servers answer, as their users report it, and what we take it for."""

import pytest

from mailsync.imap.errors import Busy, CommandRefused, Refused, ServerError, login_refused, refusal, too_much

# Gmail, Exchange, Yahoo, Dovecot, Rackspace, Courier.
TOO_MUCH = [
    "[ALERT] Too many simultaneous connections. (Failure)",
    "[OVERQUOTA] Account exceeded command or bandwidth limits.",
    "Account exceeded command or bandwidth limits. (Failure)",
    "[LIMIT] LOGIN Rate limit hit.",
    "[LIMIT] CAPABILITY Rate limit hit.",
    "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
    "User is authenticated but not connected.",
    "[UNAVAILABLE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=16)",
    "[THROTTLED] Too many requests",
    "Too many connections from your address, try again later",
]


@pytest.mark.parametrize("text", TOO_MUCH)
def test_a_server_that_is_asked_too_much_never_means_the_password(text: str) -> None:
    for error in (login_refused(text), refusal(text), too_much(text)):
        assert isinstance(error, Busy)
        assert "slow down" in error.sentence
        assert "[" not in error.sentence


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("[AUTHENTICATIONFAILED] Invalid credentials (Failure)", Refused, "refuses this login and password"),
        ("[AUTHENTICATIONFAILED] Authentication failed.", Refused, "refuses this login and password"),
        ("LOGIN failed.", Refused, "refuses this login and password"),
        ("AUTHENTICATE failed.", Refused, "refuses this login and password"),
        ("[EXPIRED] That password isn't valid any more", Refused, "has expired"),
        ("[PRIVACYREQUIRED] Plaintext authentication disallowed", Refused, "choose TLS"),
        ("[AUTHORIZATIONFAILED] No such authorization-ID", Refused, "may not open this mailbox"),
        ("[ALERT] Application-specific password required: https://x (Failure)", Refused, "app password"),
        ("[ALERT] Please log in via your web browser: https://x (Failure)", Refused, "web page first"),
        ("[WEBALERT https://x] Web login required.", Refused, "web page first"),
        ("[ALERT] Your account is not enabled for IMAP use.", Refused, "IMAP is switched off"),
        ("[UNAVAILABLE] Temporary authentication failure.", Busy, "try later"),
        ("[INUSE] Mailbox is locked", Busy, "try later"),
        ("[CONTACTADMIN] Something is wrong", Busy, "try later"),
    ],
)
def test_why_a_login_is_refused_is_said_in_words(text: str, kind: type[ServerError], told: str) -> None:
    error = login_refused(text)
    assert type(error) is kind
    assert told in error.sentence


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("[OVERQUOTA] Mailbox is full", True),  # a full mailbox is not a hurried one
        ("[TRYCREATE] Mailbox does not exist", True),
        ("[INUSE] Mailbox is locked", False),
        ("[UNAVAILABLE] Later", False),
        ("Permission denied", True),
    ],
)
def test_a_refused_command_is_final_or_not(text: str, final: bool) -> None:
    error = refusal(text)
    assert isinstance(error, CommandRefused)
    assert error.final is final


@pytest.mark.parametrize("text", ["It is\0 broken", "[OVERQUOTA] It is\x1b full", "Rate limit\x9b hit"])
def test_what_no_page_and_no_database_takes_is_in_no_sentence(text: str) -> None:
    assert refusal(text).sentence.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "[NONEXISTENT] Mailbox doesn't exist: {}",
        "[TRYCREATE] Mailbox doesn't exist: {}",
        "[AlreadyExists] Mailbox already exists: {}",
        "Unknown Mailbox: {} (now in authenticated state) (Failure)",
    ],
)
@pytest.mark.parametrize("name", ["Rate limit alerts", "Connection limits", "Throttled", "Mailbox full"])
def test_the_name_of_a_folder_says_nothing_of_the_server(text: str, name: str) -> None:
    error = refusal(text.format(name), said=[name])
    assert (type(error), name in error.sentence) == (CommandRefused, True)


def test_a_code_for_something_else_outweighs_the_words() -> None:
    """Whatever the server has made of the name: here it has taken off what stands before it."""
    text = "[NONEXISTENT] Mailbox doesn't exist: Rate limit alerts"
    assert type(refusal(text, said=["INBOX.Rate limit alerts"])) is CommandRefused


def test_the_time_that_exchange_asks_for_is_kept_and_has_an_end() -> None:
    asked = "Request is throttled. Suggested Backoff Time: {} milliseconds"
    found = [too_much(asked.format(n)) for n in (299_961, 10**12)]
    assert [busy.seconds for busy in found if busy] == [300, 6 * 3600]
