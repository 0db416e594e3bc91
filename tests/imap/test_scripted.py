"""Servers that are broken, full, hostile or something else: each ends in a sentence, none in a hang or a crash."""

import re
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from mailsync.imap import session as session_module
from mailsync.imap.errors import Broken, Busy, CommandRefused, FolderGone, Refused, ServerError, Unreachable
from mailsync.imap.server import ImapServer
from mailsync.imap.session import Credentials, connect
from tests.rigs.scripted import Conversation, Reply, ScriptedServer, scripted

PASSWORD = "the password that nobody sees"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds where the product waits a minute."""
    monkeypatch.setattr(session_module, "CONNECT_TIMEOUT", 1.5)
    monkeypatch.setattr(session_module, "READ_TIMEOUT", 1.5)


def credentials(server: ScriptedServer, **more: object) -> Credentials:
    values = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "login": "ann",
        "password": PASSWORD,
    }
    return Credentials(**{**values, "allow_private": True, **more})  # type: ignore[arg-type]


@contextmanager
def signed_in(replies: dict[str, Reply], **more: object) -> Iterator[tuple[ImapServer, ScriptedServer]]:
    with scripted(replies) as server:
        session = connect(credentials(server, **more))
        try:
            yield ImapServer(session), server
        finally:
            session.close()


def refused(server: ScriptedServer, kind: type[ServerError], step: str, **more: object) -> str:
    """Connecting fails in this way at this step, soon, without showing the password; returns the sentence."""
    began = time.monotonic()
    with pytest.raises(ServerError) as caught:
        connect(credentials(server, **more))
    assert (type(caught.value), caught.value.step) == (kind, step), caught.value.sentence
    assert time.monotonic() - began < 10
    assert PASSWORD not in caught.value.sentence
    return caught.value.sentence


def said_nothing(server: ScriptedServer) -> bool:
    """Neither login nor password were sent."""
    return not any(b"ann" in line or b"LOGIN" in line or b"AUTHENTICATE" in line for line in server.heard)


# Greetings.


def test_a_full_server_is_busy() -> None:
    """K12, L12"""
    with scripted(greeting=b"* BYE Too many connections\r\n") as server:
        assert "Too many connections" in refused(server, Busy, "connect")


def test_a_server_that_lets_everybody_in_is_not_trusted() -> None:
    """K12"""
    with scripted(greeting=b"* PREAUTH welcome whoever you are\r\n") as server:
        assert "PREAUTH" in refused(server, Refused, "login")
        assert said_nothing(server)


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"+OK POP3 ready\r\n",
        b"\0\1\2\3\r\n",
        b"\r\n",
        b"* OK",
        b"x" * 3_000_000,
        b"* OK [CAPABILITY " + b"X" * 2_000_000 + b"]\r\n",
    ],
)
def test_a_port_that_speaks_something_else(greeting: bytes) -> None:
    """L15, K13"""

    def say(talk: Conversation, words: list[bytes]) -> None:
        talk.send(greeting)
        talk.cut()

    with scripted(greeting=say) as server:
        refused(server, Broken, "connect")


def test_a_port_that_says_nothing() -> None:
    with scripted(greeting=lambda talk, words: talk.hang()) as server:
        assert "stopped answering" in refused(server, Unreachable, "connect")


def test_a_port_where_nobody_listens() -> None:
    with scripted() as server:
        pass
    assert str(server.port) in refused(server, Unreachable, "connect")


def test_a_name_that_does_not_exist() -> None:
    with scripted() as server:
        assert "mail.invalid" in refused(server, Unreachable, "name", host="mail.invalid")


def test_a_private_address_needs_the_operator() -> None:
    with scripted() as server:
        assert "operator" in refused(server, Unreachable, "name", allow_private=False)
        assert server.heard == []


# TLS.


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scripted") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def context_for(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def expired(authority: trustme.CA, folder: Path) -> ssl.SSLContext:
    issued = authority.issue_cert("127.0.0.1")
    old = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    authority_key = load_pem_private_key(authority.private_key_pem.bytes(), None)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer,
        subject_name=old.subject,
        public_key=old.public_key(),
        serial_number=old.serial_number,
        not_valid_before=now - timedelta(days=30),
        not_valid_after=now - timedelta(days=1),
        extensions=list(old.extensions),
    )
    certificate = builder.sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    chain, key = folder / "expired.pem", folder / "expired.key"
    chain.write_bytes(certificate.public_bytes(Encoding.PEM))
    issued.private_key_pem.write_to_path(str(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def test_a_trusted_certificate_is_accepted(authority: trustme.CA, ca_file: str) -> None:
    with scripted(tls=context_for(authority, "127.0.0.1")) as server:
        connect(credentials(server, security="tls", ca_file=ca_file)).close()


def test_an_unknown_authority(authority: trustme.CA) -> None:
    """L04"""
    with scripted(tls=context_for(authority, "127.0.0.1")) as server:
        assert "not trusted" in refused(server, Unreachable, "tls", security="tls")
        assert server.heard == []


def test_a_certificate_for_another_name(authority: trustme.CA, ca_file: str) -> None:
    with scripted(tls=context_for(authority, "mail.elsewhere.example")) as server:
        sentence = refused(server, Unreachable, "tls", security="tls", ca_file=ca_file)
    assert re.search("mismatch|not valid for", sentence)


def test_a_certificate_that_is_over(authority: trustme.CA, ca_file: str, tmp_path: Path) -> None:
    with scripted(tls=expired(authority, tmp_path)) as server:
        assert "expired" in refused(server, Unreachable, "tls", security="tls", ca_file=ca_file)


def test_tls_to_a_port_without(ca_file: str) -> None:
    with scripted() as server:
        assert "TLS" in refused(server, Unreachable, "tls", security="tls", ca_file=ca_file)


def test_tls_to_a_port_that_says_nothing(ca_file: str) -> None:
    with scripted(greeting=lambda talk, words: talk.hang()) as server:
        assert "TLS" in refused(server, Unreachable, "tls", security="tls", ca_file=ca_file)


def test_starttls_that_somebody_took_out_of_the_list() -> None:
    """L01: nothing is ever sent in clear instead."""
    with scripted() as server:
        assert "STARTTLS" in refused(server, Unreachable, "tls", security="starttls")
        assert said_nothing(server)


STARTTLS = b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n{tag} OK done\r\n"


@pytest.mark.parametrize("answer", [b"{tag} NO not today\r\n", b"{tag} BAD what\r\n"])
def test_starttls_refused(answer: bytes) -> None:
    """L02"""
    with scripted({"CAPABILITY": STARTTLS, "STARTTLS": answer}) as server:
        assert "STARTTLS" in refused(server, Unreachable, "tls", security="starttls")
        assert said_nothing(server)


def test_what_was_said_before_tls_is_forgotten(authority: trustme.CA, ca_file: str) -> None:
    """L03: an attacker adds answers of his own to the clear part."""
    context = context_for(authority, "127.0.0.1")
    injected = b"* CAPABILITY IMAP4rev1 AUTH=EVIL LOGINDISABLED\r\n" * 3

    def begin(talk: Conversation, words: list[bytes]) -> None:
        talk.start_tls(context, injected)
        talk.server.replies = {**talk.server.replies, "CAPABILITY": b"* CAPABILITY IMAP4rev1\r\n{tag} OK\r\n"}

    with scripted({"CAPABILITY": STARTTLS, "STARTTLS": begin}) as server:
        with pytest.raises(ServerError):
            connect(credentials(server, security="starttls", ca_file=ca_file))
        assert said_nothing(server)


def test_starttls_that_works(authority: trustme.CA, ca_file: str) -> None:
    context = context_for(authority, "127.0.0.1")

    def begin(talk: Conversation, words: list[bytes]) -> None:
        talk.start_tls(context)
        talk.server.replies = {
            **talk.server.replies, "CAPABILITY": b"* CAPABILITY IMAP4rev1 UIDPLUS\r\n{tag} OK done\r\n",
        }  # fmt: skip

    with scripted({"CAPABILITY": STARTTLS, "STARTTLS": begin}) as server:
        session = connect(credentials(server, security="starttls", ca_file=ca_file))
        assert session.can("UIDPLUS")
        assert not session.can("STARTTLS")  # G15
        session.close()


# Signing in.


def test_a_server_that_takes_no_password_here() -> None:
    """G13"""
    listed = b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n{tag} OK done\r\n"
    with scripted({"CAPABILITY": listed}) as server:
        assert "LOGINDISABLED" in refused(server, Refused, "login")
        assert said_nothing(server)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"{tag} NO [AUTHENTICATIONFAILED] no\r\n", Refused),
        (b"{tag} NO no\r\n", Refused),
        (b"{tag} BAD no\r\n", Refused),
        (b"{tag} NO [UNAVAILABLE] the user database sleeps\r\n", Busy),
        (b"{tag} NO [LIMIT] too many\r\n", Busy),
    ],
)
@pytest.mark.parametrize("mechanism", ["AUTH=PLAIN", ""])
def test_a_login_that_is_refused(answer: bytes, kind: type[ServerError], mechanism: str) -> None:
    listed = b"* CAPABILITY IMAP4rev1 %s\r\n{tag} OK done\r\n" % mechanism.encode()
    with scripted({"CAPABILITY": listed, "LOGIN": answer, "AUTHENTICATE": answer}) as server:
        refused(server, kind, "login")


@pytest.mark.parametrize("mechanism", ["AUTH=PLAIN", ""])
def test_a_server_that_says_goodbye_during_the_login(mechanism: str) -> None:
    def leave(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"* BYE go away\r\n")
        talk.cut()

    listed = b"* CAPABILITY IMAP4rev1 %s\r\n{tag} OK done\r\n" % mechanism.encode()
    with scripted({"CAPABILITY": listed, "LOGIN": leave, "AUTHENTICATE": leave}) as server:
        refused(server, Broken, "login")


def test_an_alert_is_text() -> None:
    """K17: the page escapes it; control bytes are gone already."""
    answer = b"{tag} NO [ALERT] <script>alert(1)</script>\x1b[31m\x07\r\n"
    with scripted({"AUTHENTICATE": answer}) as server:
        sentence = refused(server, Refused, "login")
    assert "<script>" in sentence
    assert "\x1b" not in sentence


def test_a_password_in_other_letters_needs_a_server_that_takes_them() -> None:
    listed = b"* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n"
    with scripted({"CAPABILITY": listed}) as server:
        assert "letters" in refused(server, Refused, "login", login="änn")
        assert said_nothing(server)


# Sessions.


def test_bad_is_an_answer_and_the_session_lives_on() -> None:
    """G08: a server that does not know a command refuses that command, not the mailbox."""
    with signed_in({"STATUS": b"{tag} BAD unknown\r\n"}) as (imap, _):
        assert imap.statuses([b"INBOX", b"Sent"]) == {}
        assert imap.open(b"INBOX").exists == 3
        with pytest.raises(CommandRefused) as caught:
            imap.session.command("NOOP")
    assert caught.value.final


@pytest.mark.parametrize(
    ("code", "final"), [("", True), ("[NOPERM] ", True), ("[INUSE] ", False), ("[OVERQUOTA] ", True)]
)
def test_a_refusal_tells_whether_to_ask_again(code: str, final: bool) -> None:
    with signed_in({"UID STORE": b"{tag} NO " + code.encode() + b"not now\r\n"}) as (imap, _):
        imap.open(b"INBOX")
        with pytest.raises(CommandRefused) as caught:
            imap.store([1], add=["\\Seen"], remove=[])
    assert caught.value.final is final
    assert "not now" in caught.value.sentence


def test_after_a_refused_command_no_answer_is_left_on_the_wire() -> None:
    first = iter([b"{tag} NO refused\r\n"])

    def store(talk: Conversation, words: list[bytes]) -> None:
        talk.send(next(first, b"{tag} OK done\r\n").replace(b"{tag}", words[0]))

    fetched = b"* 1 FETCH (UID 7 FLAGS (\\Seen))\r\n{tag} OK done\r\n"
    with signed_in({"UID STORE": store, "FETCH": fetched}) as (imap, _):
        imap.open(b"INBOX")
        with pytest.raises(CommandRefused):
            imap.store([1], add=["\\Seen"], remove=["\\Flagged"])
        assert [m.uid for m in imap.list_messages(1, 1)] == [7]


def test_a_folder_that_does_not_open_leaves_the_others() -> None:
    """J10"""
    for answer in (b"{tag} NO [NONEXISTENT] gone\r\n", b"{tag} BAD gone\r\n"):
        with signed_in({"SELECT": answer}) as (imap, server):
            with pytest.raises(FolderGone, match="gone"):
                imap.open(b"Phantom")
            server.replies = {**server.replies, "SELECT": scripted_select()}
            assert imap.open(b"INBOX").uidvalidity == 1


def scripted_select() -> Reply:
    return b"* 3 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n{tag} OK [READ-ONLY] done\r\n"


def test_a_folder_that_may_only_be_read_says_so() -> None:
    """K21"""
    with signed_in({"SELECT": scripted_select()}) as (imap, _):
        opened = imap.open(b"INBOX")
    assert (opened.writable, opened.uidnext, opened.modseq, opened.permanent) == (False, 0, None, None)


@pytest.mark.parametrize("size", [2**31, 2**63, 100_000_000])
def test_two_gigabytes_announced_are_refused_before_memory_is_asked_for(size: int) -> None:
    """I07"""

    def announce(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {%d}\r\n" % size)
        talk.hang()

    with signed_in({"UID FETCH": announce}) as (imap, _):
        imap.open(b"INBOX")
        with pytest.raises(Broken, match="literal"):
            imap.headers([1])


def test_an_answer_cut_inside_a_literal_gives_nothing() -> None:
    """E01, K03"""

    def cut(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {1000}\r\nonly this")
        talk.cut()

    with signed_in({"UID FETCH": cut}) as (imap, _):
        imap.open(b"INBOX")
        with pytest.raises(Broken, match="inside a literal"):
            imap.headers([1])


@pytest.mark.parametrize(
    "answer",
    [
        b"* 1 FETCH (UID 1 BODY[HEADER] {3}\r\nSubject: more than three\r\n\r\n)\r\n{tag} OK done\r\n",
        b"X99 OK somebody else's\r\n",
        b"OK no tag\r\n",
        b"garbage\r\n",
        b"\xff\xfe\0\r\n",
        b"* BYE going down\r\n",
        b"y" * 1_500_000 + b"\r\n",
    ],
)
def test_an_answer_that_makes_no_sense_ends_the_session(answer: bytes) -> None:
    """K03, K11, K13"""
    with signed_in({"UID FETCH": answer}) as (imap, _):
        imap.open(b"INBOX")
        with pytest.raises(Broken):
            imap.headers([1])


def test_a_server_that_hangs_in_a_literal_is_left() -> None:
    """E08"""

    def stall(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {1000}\r\nonly this")
        talk.hang()

    with signed_in({"UID FETCH": stall}) as (imap, _):
        imap.open(b"INBOX")
        began = time.monotonic()
        with pytest.raises(Unreachable, match="stopped answering"):
            imap.headers([1])
        assert time.monotonic() - began < 5


def test_a_server_that_does_not_stop_talking_is_left_before_it_fills_our_memory(monkeypatch) -> None:
    """K14"""
    monkeypatch.setattr(session_module, "MOST_SAID", 1 << 20)

    def chatter(talk: Conversation, words: list[bytes]) -> None:
        for _line in range(100):
            talk.send(b"* OK still here\r\n" * 1000)
        talk.send(words[0] + b" OK done\r\n")

    with signed_in({"UID FETCH": chatter}) as (imap, _):
        imap.open(b"INBOX")
        with pytest.raises(Broken, match="does not stop talking"):
            imap.headers([1])


def test_a_byte_now_and_then_is_no_answer(monkeypatch) -> None:
    """E09: each of them comes in time."""
    monkeypatch.setattr(session_module, "PATIENCE", 0.5)

    def trickle(talk: Conversation, words: list[bytes]) -> None:
        for byte in b"* 1 FETCH (UID 1 BODY[] {1000}\r\n" + b"x" * 1000:
            talk.send(bytes([byte]))
            time.sleep(0.02)

    with signed_in({"UID FETCH": trickle}) as (imap, _):
        imap.open(b"INBOX")
        began = time.monotonic()
        with pytest.raises(Unreachable, match="stopped answering"):
            imap.headers([1])
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("protected", [True, False])
def test_whoever_hangs_up_ends_what_another_thread_reads(
    monkeypatch, authority: trustme.CA, ca_file: str, protected: bool
) -> None:
    monkeypatch.setattr(session_module, "READ_TIMEOUT", 60)
    context = context_for(authority, "127.0.0.1") if protected else None
    said = Event()

    def begin(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"* 1 FETCH (UID 1 BODY[] {9999999}\r\nonly this much")
        said.set()
        talk.hang()

    with scripted({"UID FETCH": begin}, tls=context) as server:
        tls = {"security": "tls", "ca_file": ca_file} if protected else {}
        session = connect(credentials(server, **tls))
        imap = ImapServer(session)
        imap.open(b"INBOX")
        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(imap.take_messages, imap.ask_messages([1]), {})
            assert said.wait(10)
            imap.hang_up()
            assert isinstance(reading.exception(timeout=10), Broken)
        session.close()


def test_a_connection_that_breaks_closes_quietly() -> None:
    with scripted() as server:
        session = connect(credentials(server))
    session.close()
    session.close()


def test_messages_nobody_asked_for_are_not_taken() -> None:
    """K09"""
    answer = (
        b"* 1 FETCH (UID 1 BODY[HEADER] {4}\r\nours)\r\n"
        b"* 2 FETCH (UID 2 BODY[HEADER] {6}\r\ntheirs)\r\n{tag} OK done\r\n"
    )
    with signed_in({"UID FETCH": answer}) as (imap, _):
        imap.open(b"INBOX")
        assert imap.headers([1]) == {1: b"ours"}


def test_uids_out_of_order_are_put_in_order_and_the_last_word_counts() -> None:
    """K07, K08"""
    answer = (
        b"* 1 FETCH (UID 9 FLAGS ())\r\n* 2 FETCH (UID 4 FLAGS ())\r\n* 3 FETCH (UID 9 FLAGS (\\Seen))\r\n"
        b"{tag} OK done\r\n"
    )
    with signed_in({"FETCH": answer}) as (imap, _):
        imap.open(b"INBOX")
        found = imap.list_messages(1, 3)
    assert [(m.uid, m.flags) for m in found] == [(4, frozenset()), (9, frozenset({"\\Seen"}))]


LISTED = b'* 8 FETCH (UID 9 FLAGS () INTERNALDATE "01-Feb-2026 10:00:00 +0000" RFC822.SIZE 70)\r\n'
NEWS = b"* 8 FETCH (FLAGS (\\Seen) UID 9)\r\n"  # as Cyrus says it within a UID command


def test_news_of_flags_take_neither_date_nor_size_from_what_was_listed() -> None:
    """Somebody flagged it while it was listed: the last word counts of what it speaks of."""
    with signed_in({"UID FETCH": LISTED + NEWS + b"{tag} OK done\r\n"}) as (imap, _):
        _opened, found, _flags = imap.open_since(b"INBOX", after=8, known=8, changed_since=None)
    [message] = found
    assert (message.received_at, message.size) == (datetime(2026, 2, 1, 10, tzinfo=UTC), 70)
    assert message.flags == {"\\Seen"}


def test_news_of_flags_from_elsewhere_in_the_folder_are_not_listed() -> None:
    """A walk down a folder that goes on in the next run would take all between for looked at."""
    answer = LISTED + b"* 2 FETCH (UID 3 FLAGS (\\Seen))\r\n{tag} OK done\r\n"
    with signed_in({"FETCH": answer}) as (imap, _):
        imap.open(b"INBOX")
        assert [message.uid for message in imap.list_messages(8, 8)] == [9]
        assert [message.uid for message in imap.list_messages(2, 8)] == [3, 9], "this one said no more"
        [(_opened, found)] = imap.look_into([(b"INBOX", 3)]).values()
        assert [message.uid for message in found] == [9]


def test_flags_outside_the_range_are_not_taken() -> None:
    answer = b"* 1 FETCH (UID 4 FLAGS ())\r\n* 2 FETCH (UID 99 FLAGS ())\r\n{tag} OK done\r\n"
    with signed_in({"UID FETCH": answer}) as (imap, _):
        imap.open(b"INBOX")
        assert set(imap.flags_of(1, 10)) == {4}


def test_one_folder_ten_thousand_times_is_one_folder() -> None:
    """K22"""
    answer = b'* LIST (\\HasNoChildren) "/" INBOX\r\n' * 10_000 + b"{tag} OK done\r\n"
    with signed_in({"LIST": answer}) as (imap, _):
        assert [folder.name for folder in imap.folders()] == [b"INBOX"]


def test_an_empty_list_is_empty() -> None:
    """J13"""
    with signed_in({"LIST": b"{tag} OK done\r\n"}) as (imap, _):
        assert imap.folders() == []


@pytest.mark.parametrize(
    ("line", "name", "delimiter"),
    [
        (b'() "/" INBOX', b"INBOX", "/"),
        (b'() NIL "flat"', b"flat", ""),
        (b'() "." "a.b"', b"a.b", "."),
        (b'() "\\\\" "a\\\\b"', b"a\\b", "\\"),
        (b'() "/" "say \\"hi\\""', b'say "hi"', "/"),
        (b'() "/" {5}\r\na"b\\c', b'a"b\\c', "/"),
        (b'() "/" "Gel&APY-scht"', b"Gel&APY-scht", "/"),
        ('() "/" "Gelöscht"'.encode(), "Gelöscht".encode(), "/"),
        (b'() "/" "&x"', b"&x", "/"),
        (b'() "/" "a {5}"', b"a {5}", "/"),
        (b'() "/" "blanks  "', b"blanks  ", "/"),
        (b'() "/" 12345', b"12345", "/"),
        (b'() "/" "007"', b"007", "/"),
        (b'() "/" Sent Items', b"Sent Items", "/"),
        (b'() "/" "extended" ("CHILDINFO" ("SUBSCRIBED"))', b"extended", "/"),
        (b'() "/" "' + b"n" * 2000 + b'"', b"n" * 2000, "/"),
        (b'() "/" NIL', b"NIL", "/"),
        (b'() "/" Inbox', b"INBOX", "/"),
        (b'() "/" "inbox"', b"INBOX", "/"),
        (b'() "/" Inbox/Sub', b"Inbox/Sub", "/"),
        (b'() "//" "a//b"', b"a//b", ""),
        (b'() "\x01" flat', b"flat", ""),
    ],
)
def test_names_of_folders_are_kept_byte_for_byte(line: bytes, name: bytes, delimiter: str) -> None:
    """J01 to J09"""
    with signed_in({"LIST": b"* LIST " + line + b"\r\n{tag} OK done\r\n"}) as (imap, _):
        (folder,) = imap.folders()
    assert (folder.name, folder.delimiter) == (name, delimiter)


@pytest.mark.parametrize("name", [b"{4}\r\na\r\nb", b"{2}\r\na\n", b'"a\0b"', b"n" * 2501])
def test_a_name_of_no_use_is_left_out(name: bytes) -> None:
    """J08, J09"""
    listed = b'* LIST () "/" %s\r\n* LIST () "/" INBOX\r\n{tag} OK done\r\n' % name
    with signed_in({"LIST": listed}) as (imap, _):
        assert [folder.name for folder in imap.folders()] == [b"INBOX"]


def test_highestmodseq_of_zero_is_none() -> None:
    """C10"""
    listed = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN CONDSTORE\r\n{tag} OK done\r\n"
    status = (
        b'* STATUS "INBOX" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 5 UNSEEN 0 HIGHESTMODSEQ 0)\r\n{tag} OK done\r\n'
    )
    with signed_in({"CAPABILITY": listed, "STATUS": status}) as (imap, _):
        assert imap.statuses([b"INBOX"])[b"INBOX"].modseq is None


def test_uids_that_cannot_be_are_not_taken_from_a_search_or_an_append_either() -> None:
    endless = b"9" * 5_000

    def append(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"+ go on\r\n")
        talk.line()
        talk.send(words[0] + b" OK [APPENDUID 5 " + endless + b"] done\r\n")

    found = b"* SEARCH 7 0 4294967296 " + endless + b"\r\n{tag} OK done\r\n"
    with signed_in({"UID SEARCH": found, "APPEND": append}) as (imap, _):
        imap.open(b"INBOX")
        assert imap.with_message_id("a@b") == [7]
        assert imap.append(b"Sent", b"x", flags=[], at=None) is None


def test_a_folder_of_more_messages_than_our_counters_hold() -> None:
    said = b'* STATUS "INBOX" (MESSAGES 9223372036854775807 UIDNEXT 1 UIDVALIDITY 5 UNSEEN 0)\r\n{tag} OK done\r\n'
    with signed_in({"STATUS": said}) as (imap, _):
        assert imap.statuses([b"INBOX"])[b"INBOX"].messages == 2**31 - 1


def test_a_move_whose_copyuid_lies_is_a_move_without() -> None:
    """G06"""
    listed = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN MOVE UIDPLUS\r\n{tag} OK done\r\n"
    moved = b"* OK [COPYUID 5 1:3 7:8] half\r\n{tag} OK done\r\n"
    with signed_in({"CAPABILITY": listed, "UID MOVE": moved}) as (imap, _):
        imap.open(b"INBOX")
        assert imap.move([1, 2, 3], b"Archive", 5) == {}


@pytest.mark.parametrize("capabilities", [b"UIDPLUS", b""])
def test_a_move_without_move_never_expunges_the_folder(capabilities: bytes) -> None:
    """D13, G07"""
    listed = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN %s\r\n{tag} OK done\r\n" % capabilities
    ok = b"{tag} OK done\r\n"
    copied = b"{tag} OK [COPYUID 5 1:2 7:8] done\r\n"
    replies: dict[str, Reply] = {
        "UID COPY": copied,
        "UID STORE": ok,
        "UID EXPUNGE": ok,
        "EXPUNGE": ok,
        "CLOSE": ok,
    }
    with signed_in({"CAPABILITY": listed, **replies}) as (imap, server):
        imap.open(b"INBOX")
        assert imap.move([1, 2], b"Archive", 5) == {1: 7, 2: 8}
    heard = b"".join(server.heard)
    assert b"EXPUNGE" not in heard.replace(b"UID EXPUNGE 1:2", b"")
    assert b"CLOSE" not in heard
    assert (b"UID EXPUNGE 1:2" in heard) is bool(capabilities)
