"""Every UID of a folder, from servers that search, that do not, and that say nonsense."""

from datetime import UTC, date, datetime

import pytest

from mailsync.imap.answers import found_spans
from mailsync.imap.errors import CommandRefused
from mailsync.imap.server import ImapServer, imap_date
from mailsync.imap.session import Credentials, connect
from mailsync.sync.ledger import UidRanges
from tests.rigs.scripted import Conversation, Reply, scripted

CAPABILITY = b"* CAPABILITY IMAP4rev1 ESEARCH AUTH=PLAIN\r\n{tag} OK done\r\n"
ONE_BY_ONE = b"* 1 FETCH (UID 4)\r\n* 2 FETCH (UID 5)\r\n* 3 FETCH (FLAGS ())\r\n* 3 FETCH (UID 9)\r\n{tag} OK done\r\n"


def uids(
    found: bytes, *, exists: int = 3, fetched: bytes = ONE_BY_ONE
) -> tuple[list[tuple[int, int]], list[str]]:
    """What the server is understood to have, and the commands that it took."""
    with scripted({"CAPABILITY": CAPABILITY, "UID SEARCH": found, "FETCH": fetched}) as server:
        session = connect(Credentials("127.0.0.1", server.port, "none", "ann", "x", allow_private=True))
        try:
            imap = ImapServer(session)
            imap.open(b"INBOX")
            return imap.uids(exists), [name for name in server.commands() if name in ("UID", "FETCH")]
        finally:
            session.close()


def test_a_search_answers_in_ranges() -> None:
    assert uids(b'* ESEARCH (TAG "x") UID ALL 4:5,9\r\n{tag} OK done\r\n') == ([(4, 5), (9, 9)], ["UID"])


def test_mail_that_arrives_meanwhile_is_no_nonsense() -> None:
    assert uids(b'* ESEARCH (TAG "x") UID ALL 4:8\r\n{tag} OK done\r\n') == ([(4, 8)], ["UID"])


@pytest.mark.parametrize(
    "nonsense",
    [
        b"* SEARCH 4 5 9\r\n{tag} OK the old answer\r\n",
        b'* ESEARCH (TAG "x") UID ALL 1:4294967295\r\n{tag} OK done\r\n',
        b'* ESEARCH (TAG "x") UID\r\n{tag} OK nothing\r\n',
        b'* ESEARCH (TAG "x") UID ALL 4:x\r\n{tag} OK done\r\n',
        b'* ESEARCH (TAG "x") UID ALL 4294967296:4294967298\r\n{tag} OK done\r\n',
    ],
)
def test_ranges_that_do_not_add_up_are_not_believed(nonsense: bytes) -> None:
    assert uids(nonsense) == ([(4, 4), (5, 5), (9, 9)], ["UID", "FETCH"])


def test_an_empty_folder_is_not_asked_about() -> None:
    assert uids(b"{tag} BAD no\r\n", exists=0) == ([], [])


def test_a_refused_search_leaves_nothing_on_the_wire() -> None:
    """The second slice's answer must not be taken for the answer of the command after it."""
    asked: list[bytes] = []

    def search(talk: Conversation, words: list[bytes]) -> None:
        asked.append(words[-1])
        if len(asked) == 1:
            talk.send(words[0] + b" NO not now\r\n")
        else:
            talk.send(b'* ESEARCH (TAG "x") UID ALL 1:50000\r\n' + words[0] + b" OK done\r\n")

    replies: dict[str, Reply] = {"CAPABILITY": CAPABILITY, "UID SEARCH": search}
    with scripted(replies) as server:
        session = connect(Credentials("127.0.0.1", server.port, "none", "ann", "x", allow_private=True))
        imap = ImapServer(session)
        imap.open(b"INBOX")
        with pytest.raises(CommandRefused):
            imap.uids(100_000)
        assert asked == [b"50001:100000", b"1:50000"]
        asked[:] = [b"before"]
        assert imap.uids_before(date(2026, 2, 1), 3) == [(1, 50_000)]
        session.close()


def test_without_search_nothing_is_known_about_days(dovecot) -> None:
    """And with it a day of INTERNALDATE divides the folder, whatever language this process speaks."""
    login, password = dovecot.new_user()
    for day in (30, 31):
        dovecot.append(login, b"Subject: x\r\n\r\nx\r\n", at=datetime(2026, 1, day, 12, tzinfo=UTC))
    late = datetime(2026, 2, 1, 12, tzinfo=UTC)
    dovecot.append(login, b"Subject: y\r\n\r\ny\r\n", flags="\\Flagged", at=late)
    session = connect(Credentials(dovecot.host, dovecot.port, "none", login, password, allow_private=True))
    imap = ImapServer(session)
    opened = imap.open(b"INBOX")
    assert UidRanges.joined(imap.uids(opened.exists)).spans == ((1, 3),)
    assert imap.uids_before(date(2026, 2, 1), opened.exists) == [(1, 2)]
    described = imap.describe([1, 3, 77])
    assert {uid: message.received_at.day for uid, message in described.items()} == {1: 30, 3: 1}
    assert described[3].flags == {"\\Flagged"}
    session.capabilities = session.capabilities - {"ESEARCH", "IMAP4REV2"}
    assert imap.uids_before(date(2026, 2, 1), opened.exists) == []
    assert imap.uids(opened.exists) == [(1, 1), (2, 2), (3, 3)]
    session.close()


def test_a_date_is_written_as_the_protocol_asks() -> None:
    assert imap_date(date(2026, 2, 1)) == b"1-Feb-2026"
    assert imap_date(date(2026, 12, 31)) == b"31-Dec-2026"


def test_spans_are_read_in_any_order_and_never_expanded() -> None:
    assert found_spans([b'(TAG "a") UID ALL 9:7,3', b'(TAG "b") UID all 1']) == [(7, 9), (3, 3), (1, 1)]
    assert found_spans([b'(TAG "a") UID', None, (b"x", b"y"), b"(TAG ALL"]) == []
