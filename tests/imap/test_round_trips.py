"""With 40 ms between us and the server it is the round trips that take the time: which commands we do without."""

import base64
import imaplib
from contextlib import closing

import pytest

from mailsync.imap.server import ImapServer, Status
from mailsync.imap.session import connect
from tests.imap.test_gateway import credentials as on_dovecot
from tests.imap.test_scripted import PASSWORD, credentials, signed_in
from tests.rigs.mailserver import MailServer
from tests.rigs.scripted import scripted

TALKATIVE = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] ready\r\n"
WELCOME = b"{tag} OK [CAPABILITY IMAP4rev1 LIST-STATUS SPECIAL-USE] in\r\n"
LISTED = b'* LIST (\\HasNoChildren) "/" INBOX\r\n* LIST (\\Sent) "/" "My \\"Sent\\""\r\n* LIST () "/" {3}\r\na b\r\n'
STATUSES = (
    b"* STATUS INBOX (MESSAGES 3 UIDNEXT 9 UIDVALIDITY 7 UNSEEN 1)\r\n"
    b'* STATUS "My \\"Sent\\"" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 8 UNSEEN 0)\r\n'
    b"* STATUS {3}\r\na b (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 9 UNSEEN 0)\r\n"
)
NAMES = [b"INBOX", b'My "Sent"', b"a b"]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all commands, in order."""
    names: list[str] = []
    command = imaplib.IMAP4._command  # type: ignore[attr-defined]

    def noted(self: imaplib.IMAP4, name: str, *arguments: object) -> bytes:
        names.append(name)
        tag: bytes = command(self, name, *arguments)
        return tag

    monkeypatch.setattr(imaplib.IMAP4, "_command", noted)
    return names


def test_a_visit_to_dovecot_that_finds_nothing_new_takes_two_questions(
    dovecot: MailServer, sent: list[str]
) -> None:
    login, password = dovecot.new_user()
    sent.clear()
    with closing(connect(on_dovecot(dovecot.port, login, password))) as session:
        imap = ImapServer(session)
        names = [folder.name for folder in imap.folders()]
        statuses = imap.statuses(names)

    assert sent == ["AUTHENTICATE", "LIST", "LOGOUT"]
    assert set(statuses) == set(names) >= {b"INBOX", b"Sent"}


def test_what_the_greeting_and_the_login_say_is_not_asked_again(sent: list[str]) -> None:
    replies = {"AUTHENTICATE": WELCOME}
    with scripted(replies, greeting=TALKATIVE) as server, closing(connect(credentials(server))) as session:
        assert (session.can("LIST-STATUS"), session.can("SASL-IR")) == (True, False)

    assert sent == ["AUTHENTICATE", "LOGOUT"]
    answer = base64.b64encode(f"\0ann\0{PASSWORD}".encode())
    assert any(b"AUTHENTICATE PLAIN " + answer in line for line in server.heard)


def test_one_answer_lists_the_folders_and_says_what_is_in_them(sent: list[str]) -> None:
    replies = {"AUTHENTICATE": WELCOME, "LIST": LISTED + STATUSES + b"{tag} OK listed\r\n"}
    with scripted(replies, greeting=TALKATIVE) as server, closing(connect(credentials(server))) as session:
        imap = ImapServer(session)
        assert [folder.name for folder in imap.folders()] == NAMES
        assert imap.statuses(NAMES)[b"a b"] == Status(9, 1, 0, 0, None)

    assert "STATUS" not in sent


def test_what_was_told_once_is_asked_when_it_is_wanted_again(sent: list[str]) -> None:
    replies = {
        "AUTHENTICATE": WELCOME,
        "LIST": LISTED + STATUSES + b"{tag} OK listed\r\n",
        "STATUS": b"* STATUS INBOX (MESSAGES 4 UIDNEXT 10 UIDVALIDITY 7 UNSEEN 2)\r\n{tag} OK said\r\n",
    }
    with scripted(replies, greeting=TALKATIVE) as server, closing(connect(credentials(server))) as session:
        imap = ImapServer(session)
        imap.folders()
        assert imap.statuses([b"INBOX"])[b"INBOX"].messages == 3
        assert imap.statuses([b"INBOX"])[b"INBOX"].messages == 4


def test_a_server_that_offers_list_status_and_refuses_it_is_asked_plainly() -> None:
    refused_once: list[bytes] = []

    def listing(talk, words: list[bytes]) -> None:
        if b"RETURN" in words:
            refused_once.append(b"yes")
            talk.send(words[0] + b" BAD what?\r\n")
        else:
            talk.send(LISTED + words[0] + b" OK listed\r\n")

    capable = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN LIST-STATUS\r\n{tag} OK done\r\n"
    with signed_in({"CAPABILITY": capable, "LIST": listing}) as (imap, _server):
        assert [folder.name for folder in imap.folders()] == NAMES
    assert refused_once
