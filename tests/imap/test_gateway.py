"""The one place that puts text into a command: nothing of a stranger's becomes a command of its own.

Against a real Dovecot, through a wire that records every byte we send (SYNC_CASES finding 1).
"""

import base64
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailsync.imap import session
from mailsync.imap.answers import RemoteName
from mailsync.imap.errors import CommandRefused, FolderGone, ForbiddenText, Refused, ServerError
from mailsync.imap.server import COMMAND_UIDS, LINE_BYTES, ImapServer, uid_chunks
from mailsync.imap.session import Credentials, connect, flag_list, quoted, uid_set
from tests.rigs.mailserver import MailServer

CANARY = b"INJECTED"
# What a stranger would like to send, broken out of the command in each way a line can end.
ENDS = [b"\r\n", b"\n", b"\r", b"\0", b"\r\n\r\n", b'"\r\n', b"x\r", b"\nx", b"{1}\r\nx"]
ATTACKS = [b"x" + end + b"A1 DELETE " + CANARY + end for end in ENDS]


@dataclass
class Wire:
    """Carries bytes to Dovecot and back, and keeps what we sent."""

    target: tuple[str, int]
    sent: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                there = socket.create_connection(self.target)
                self._open += [here, there]
                for pair in ((here, there, True), (there, here, False)):
                    thread = threading.Thread(target=self._carry, args=pair, daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _carry(self, source: socket.socket, target: socket.socket, ours: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if ours:
                    self.sent += data
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def wire(dovecot: MailServer) -> Iterator[Wire]:
    carrying = Wire((dovecot.host, dovecot.port))
    yield carrying
    carrying.close()


@pytest.fixture
def ann(dovecot: MailServer) -> str:
    """A mailbox with one letter and a folder that an attacker wants to delete."""
    login, _ = dovecot.new_user()
    dovecot.append(login, b"Subject: precious\r\n\r\nkeep me\r\n")
    with dovecot.imap(login) as client:
        client.create(CANARY.decode())
    return login


@pytest.fixture
def imap(dovecot: MailServer, wire: Wire, ann: str) -> Iterator[ImapServer]:
    session = connect(credentials(wire.port, ann, dovecot.passwords[ann]))
    yield ImapServer(session)
    session.close()


def credentials(port: int, login: str, password: str) -> Credentials:
    return Credentials("127.0.0.1", port, "none", login, password, allow_private=True)


def nothing_passed(wire: Wire, dovecot: MailServer, login: str) -> None:
    assert CANARY not in wire.sent
    with dovecot.imap(login) as client:
        assert client.select(CANARY.decode())[0] == "OK"
        assert client.select("INBOX")[1] == [b"1"]


# Every argument a command takes.

SINKS: dict[str, Callable[[ImapServer, bytes], object]] = {
    "select": lambda imap, text: imap.open(text),
    "status": lambda imap, text: imap.statuses([b"INBOX", text]),
    "create": lambda imap, text: imap.create(text),
    "rename": lambda imap, text: imap.rename(text, b"x"),
    "new name": lambda imap, text: imap.rename(b"INBOX", text),
    "delete": lambda imap, text: imap.delete(text),
    "subscribe": lambda imap, text: imap.subscribe(add=[text]),
    "unsubscribe": lambda imap, text: imap.subscribe(remove=[text]),
    "open since": lambda imap, text: imap.open_since(text, after=0, known=0, changed_since=None),
    "move target": lambda imap, text: imap.move([1], text, None),
    "flag to add": lambda imap, text: imap.store([1], add=[text.decode("latin-1")], remove=[]),
    "flag to remove": lambda imap, text: imap.store([1], add=[], remove=[text.decode("latin-1")]),
    "flag after a good one": lambda imap, text: imap.store([1], add=["\\Seen", text.decode("latin-1")], remove=[]),
    "any argument": lambda imap, text: imap.session.command("NOOP", text),
    "any pipelined argument": lambda imap, text: imap.session.send("SEARCH", b"SUBJECT", text),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("sink", SINKS)
def test_no_line_break_and_no_nul_gets_through(imap, wire, dovecot, ann, sink: str, attack: bytes) -> None:
    imap.open(b"INBOX")

    with pytest.raises(ForbiddenText):
        SINKS[sink](imap, attack)

    nothing_passed(wire, dovecot, ann)
    assert imap.open(b"INBOX").exists == 1  # the session goes on


def test_a_copy_without_move_is_as_careful(imap, wire, dovecot, ann) -> None:
    imap.session.capabilities = frozenset({"UIDPLUS"})
    imap.open(b"INBOX")

    for attack in ATTACKS:
        with pytest.raises(ForbiddenText):
            imap.move([1], attack, None)

    nothing_passed(wire, dovecot, ann)


def test_of_a_change_with_a_flag_that_is_none_nothing_is_sent(imap, wire) -> None:
    """Else half of it would stand at the server while all of it is taken back here."""
    imap.open(b"INBOX")
    with pytest.raises(ForbiddenText, match="tag “a]”"):
        imap.store([1], add=["\\Seen"], remove=["a]"])
    imap.open(b"INBOX")
    assert b" STORE " not in wire.sent


@pytest.mark.parametrize("field_name", ["login", "password"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_line_break_gets_through_when_signing_in(
    dovecot, wire, ann, field_name: str, attack: bytes
) -> None:
    values = {"login": ann, "password": dovecot.passwords[ann]} | {field_name: attack.decode("latin-1")}

    with pytest.raises(ForbiddenText):
        connect(credentials(wire.port, **values))

    nothing_passed(wire, dovecot, ann)
    assert b"LOGIN" not in wire.sent.upper()
    assert b"AUTHENTICATE" not in wire.sent.upper()


HARMLESS = {b"SELECT", b"STATUS", b"UID", b"NOOP", b"CREATE", b"RENAME", b"DELETE", b"SUBSCRIBE", b"UNSUBSCRIBE",
            b"SEARCH", b"FETCH"}  # fmt: skip


@pytest.mark.parametrize("sink", SINKS)
def test_the_known_injections_at_every_sink(imap, wire, dovecot, ann, corpus: Path, sink: str) -> None:
    """The corpus' own, whatever they were made for: each is refused, or stays one harmless argument in quotes."""
    lines = (corpus / "vectors" / "injection.jsonl").read_text().splitlines()
    texts = [json.loads(line)["input"].encode() for line in lines]
    assert len(texts) == 64
    imap.open(b"INBOX")
    del wire.sent[:]

    for text in texts:
        with suppress(ForbiddenText, ServerError):
            SINKS[sink](imap, quoted(text) if sink.startswith("any") else text)
        if any(byte in text for byte in b"\r\n\0"):
            assert text not in wire.sent
        imap.open(b"INBOX")

    for line in bytes(wire.sent).split(b"\r\n"):
        assert b"\n" not in line
        assert line == b"" or line.split(b" ")[1] in HARMLESS, line
    nothing_passed(wire, dovecot, ann)


@pytest.mark.parametrize(
    "flag",
    [
        "", " ", "\\", "a b", "(x)", "x)", '"x"', "{1}", "\\Seen)", "\\\\Seen", "%", "*", "\\*", "x]",
        "\\Seen \\Deleted", "é", "\x7f", "\t", "x\N{NO-BREAK SPACE}", "\\Seen\n", "\n\\Seen",
    ],
)  # fmt: skip
def test_what_is_no_flag_is_not_sent(flag: str) -> None:
    with pytest.raises(ForbiddenText):
        flag_list([flag])


@pytest.mark.parametrize(
    "flag", ["\\Seen", "\\Flagged", "$Forwarded", "NonJunk", "tag-7", "a/b", "x'y", "[x", "~"]
)
def test_what_is_a_flag_is_sent(flag: str) -> None:
    """F07"""
    assert flag_list([flag]) == f"({flag})".encode()


def test_quoted() -> None:
    assert quoted(b'a"b\\c') == b'"a\\"b\\\\c"'
    assert quoted(b"") == b'""'
    assert quoted("Größe {5} (x) %*".encode()) == b'"' + "Größe {5} (x) %*".encode() + b'"'


# Sets of UIDs.


@pytest.mark.parametrize(
    ("uids", "text"),
    [
        ([3, 1, 2], b"1:3"),
        ([7], b"7"),
        ([1, 3, 4, 9], b"1,3:4,9"),
        ([5, 5], b"5"),
        ([4294967290, 1], b"1,4294967290"),
    ],
)
def test_uid_sets_are_short(uids: list[int], text: bytes) -> None:
    assert uid_set(uids) == text


@pytest.mark.parametrize(
    "uids",
    [
        range(1, 50_001),
        range(1, 100_000, 2),
        [1_000_000_000 + 3 * number for number in range(9_999)],
        [7],
        [],
        [*range(1, 6000), *range(10_000, 40_000, 7), *range(90_000, 120_000)],
    ],
)
def test_long_sets_are_cut_into_short_commands_and_lose_nothing(uids) -> None:
    """I02"""
    chunks = list(uid_chunks(uids))

    found = []
    for chunk in chunks:
        assert len(chunk) <= LINE_BYTES
        numbers = [
            uid
            for part in chunk.split(b",")
            for uid in range(int(part.split(b":")[0]), int(part.split(b":")[-1]) + 1)
        ]
        assert 1 <= len(numbers) <= COMMAND_UIDS
        found += numbers
    assert found == sorted(uids)


# Signing in to a real server.


@pytest.mark.parametrize(
    "password",
    [
        "simple", 'quote"s', "back\\slash", 'both \\" and "\\', "blanks  inside ", "{5}", "(x) %*]", "pässwörd",
        "пароль", "密码🔑", "~`!@#$%^&*()_-+=[]{}|;:'<>,.?/", "a" * 200,
    ],
)  # fmt: skip
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_passwords_of_every_kind(dovecot: MailServer, password: str, mechanism: str, monkeypatch) -> None:
    login = user_with(dovecot, password)
    if mechanism == "LOGIN":
        without_plain(monkeypatch)
    mine = credentials(dovecot.port, login, password)

    if mechanism == "LOGIN" and not password.isascii():
        with pytest.raises(Refused, match="letters"):
            connect(mine)
    else:
        connect(mine).close()
        with pytest.raises(Refused):
            connect(credentials(dovecot.port, login, password + "x"))


@pytest.mark.parametrize(
    "login", ['o"brien', "back\\slash", "jürgen@acme.example", "with blank", "(x)%*", "ann+tag"]
)
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_logins_of_every_kind_are_one_argument(dovecot, login: str, mechanism: str, monkeypatch) -> None:
    """Dovecot takes few of them; what matters is that it hears the login and says no, or takes it."""
    if mechanism == "LOGIN":
        without_plain(monkeypatch)

    with pytest.raises(Refused) as caught:
        connect(credentials(dovecot.port, login, "wrong"))

    assert caught.value.step == "login"
    assert "wrong" not in caught.value.sentence


def test_a_wrong_password_is_refused_and_not_shown(dovecot, ann) -> None:
    with pytest.raises(Refused) as caught:
        connect(credentials(dovecot.port, ann, "a wrong password"))

    assert caught.value.step == "login"
    assert "a wrong password" not in f"{caught.value.sentence}{caught.value!r}"
    assert caught.value.__cause__ is None


def user_with(dovecot: MailServer, password: str) -> str:
    """As new_user, with a password that the rig's own client could not say."""
    login = f"{uuid.uuid4().hex}@acme.example"
    encoded = base64.b64encode(password.encode()).decode()
    (dovecot.server.users / login).write_text(f"{login}:{{PLAIN.b64}}{encoded}\n")
    return login


def without_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a server that offers LOGIN only."""
    asked = session._Connection._get_capabilities

    def shortened(self: session._Connection) -> None:
        asked(self)
        self.capabilities = tuple(name for name in self.capabilities if name != "AUTH=PLAIN")

    monkeypatch.setattr(session._Connection, "_get_capabilities", shortened)


# Names of folders.

NAMES = [
    b"Gel&APY-scht", b"&ZeVnLIqe-", b"a&-b", b"&Jjo-!", b"&AGE-", b"Work/2026", b"Work/Clients/A",
    b'say "hi"', b"back\\slash", b"blank end ", b" blank start", b"{5}", b"a {5}", b"(x)", b"x)",
    b"100 %", b"a+1", b"+123", b"~home", b"inbox2", b"ARCHIVE", b"Archive2", b"archive2", b"007",
    b"12345", b"NIL", b"a'b", b"#news", b"[Gmail]", b"a" * 200, b"l/" * 15 + b"deep",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_every_name_is_listed_opened_asked_and_moved_to(imap, dovecot, ann, name: bytes) -> None:
    """J01 to J09: the name that LIST says is the name that every command takes, byte for byte."""
    with dovecot.imap(ann) as client:
        state, answer = client._simple_command("CREATE", quoted(name))
        if state != "OK":
            pytest.skip(f"Dovecot does not make it: {answer}")

    listed = {folder.name for folder in imap.folders()}
    assert name in listed
    assert imap.statuses([name])[name].messages == 0
    opened = imap.open(name)
    assert opened.exists == 0
    imap.open(b"INBOX")
    assert imap.move([1], name, opened.uidvalidity) == {1: 1}
    assert imap.open(name).exists == 1
    assert [message.uid for message in imap.list_messages(1, 1)] == [1]


def test_inbox_alone_is_the_same_in_every_case(imap) -> None:
    """J07"""
    assert imap.open(b"inbox").exists == 1
    with pytest.raises(FolderGone):
        imap.open(b"injected")


@pytest.mark.parametrize(
    "name", [b"..", b"../../etc/passwd", b"/etc/passwd", b"~root", b"*", b"%", b"&x", b"&AGE", b"&", b""]
)
def test_names_that_no_folder_has_are_refused_and_the_session_lives(imap, name: bytes) -> None:
    """J03, J08"""
    with pytest.raises((FolderGone, CommandRefused)):
        imap.open(name)

    assert imap.statuses([name]) == {}
    assert imap.open(b"INBOX").exists == 1


def test_a_folder_in_raw_utf_8_from_a_careless_server_goes_back_as_it_came(imap) -> None:
    """J02: Dovecot refuses such a name, and says so in one answer."""
    with pytest.raises(FolderGone):
        imap.open("Gelöscht".encode())
    assert imap.open(b"INBOX").exists == 1


def test_roles_are_told(imap) -> None:
    roles = {folder.name: folder.attributes for folder in imap.folders()}

    assert "\\trash" in roles[b"Trash"]
    assert RemoteName(b"INBOX", "/", roles[b"INBOX"]) in imap.folders()
