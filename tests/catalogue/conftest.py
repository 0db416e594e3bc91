"""One case = one throw-away mailbox at one kind of server, and the judge when it is over."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailsync.models import OPEN, Folder
from tests.engine.conftest import Box, connect
from tests.rigs import judge
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import BARE, FULL, NOCOND, NOPLUS, Profile, Proxy, line_to
from tests.world import FOLDERS, World

MOST_RUNS = 3
_BARE_ENDS = re.compile(rb"\r\n|\r|\n")


@dataclass
class Case(Box):
    """A Box behind a line, with a phone (another mail program at the same mailbox, directly at the server).

    `copies` says of how much mail the server must hold how many copies in the end: delivered, less what somebody
    removed for good.
    """

    line: Proxy = field(kw_only=True)
    copies: Counter[str] = field(default_factory=Counter)
    shas: dict[str, str] = field(default_factory=dict)

    @property
    def profile(self) -> str:
        return self.line.profile.name

    def deliver(self, subject: str = "Hello", **how) -> bytes:
        raw = super().deliver(subject, **how)
        self.put(raw, subject)
        return raw

    def give(self, raw: bytes, subject: str = "", **how) -> bytes:
        """A mail byte for byte, but for lines that do not end in CRLF: imaplib mends those."""
        raw = _BARE_ENDS.sub(b"\r\n", raw)
        self.dovecot.append(self.login, raw, **how)
        self.put(raw, subject)
        return raw

    def put(self, raw: bytes, subject: str) -> None:
        self.shas[subject] = judge.sha(raw)
        self.copies[judge.sha(raw)] += 1

    def count_what_is_there(self) -> None:
        """From here on: what somebody put there behind our back (tests.rigs.filling) must stay there, too."""
        view = judge.server_view(self.dovecot, self.login)
        self.copies = Counter(row.sha256 for folder in view.values() for row in folder.rows.values())

    def removed(self, *subjects: str) -> None:
        """Somebody removed them for good: the server must not have them any more."""
        self.copies -= Counter(self.shas[subject] for subject in subjects)

    # The phone.

    def uid(self, subject: str, folder: str = "INBOX") -> int:
        """The UID of the mail, highest if there are copies."""
        with self.dovecot.imap(self.login) as client:
            rows = judge.folder_view(client, folder.encode()).rows
        return max(uid or 0 for uid, row in rows.items() if row.sha256 == self.shas[subject])

    def phone_flags(self, sign: str, flags: str, *subjects: str, folder: str = "INBOX") -> None:
        for subject in subjects:
            self.on_server(
                "STORE", str(self.uid(subject, folder)), f"{sign}FLAGS", f"({flags})", folder=folder
            )

    def phone_moves(self, subject: str, to: str, folder: str = "INBOX") -> None:
        self.on_server("MOVE", str(self.uid(subject, folder)), f'"{to}"', folder=folder)

    def phone_copies(self, subject: str, to: str, folder: str = "INBOX") -> None:
        self.on_server("COPY", str(self.uid(subject, folder)), f'"{to}"', folder=folder)
        self.copies[self.shas[subject]] += 1

    def phone_removes(self, *subjects: str, folder: str = "INBOX") -> None:
        for subject in subjects:
            uid = str(self.uid(subject, folder))
            self.on_server("STORE", uid, "+FLAGS", "(\\Deleted)", folder=folder)
            self.on_server("EXPUNGE", uid, folder=folder)
        self.removed(*subjects)

    # We.

    def until_quiet(self) -> None:
        """Runs until one finds nothing; more than three are a loop."""
        for _run in range(MOST_RUNS):
            outcome = self.sync(thorough=False)
            if not (outcome.imported or outcome.changed or outcome.again):
                return
        raise AssertionError("it does not come to rest")

    def waits(self) -> int:
        """How much the server has not heard of."""
        return sum(operation.state in OPEN for operation in self.operations())

    def bodies_asked(self) -> list[bytes]:
        """Commands since `line.forget()` that ask for whole messages."""
        return self.line.asked("FETCH", "BODY.PEEK[]")

    def judge(self) -> None:
        """Rows = server; every mail is there as often as it must be; one more sync writes nothing (SYNC_CASES 2.0)."""
        self.reload()
        self.assert_equal_to_server()
        before = judge.snapshot(self.mailbox)
        outcome = self.sync(thorough=False)
        assert (outcome.imported, outcome.changed, outcome.again) == (0, 0, False)
        assert judge.snapshot(self.mailbox) == before

    def assert_equal_to_server(self) -> dict[str, list[str]]:
        """Rows = server, which holds as many copies of each mail as it must; what we left behind there does not count.

        Returns what is seen: the subjects in each folder, sorted.
        """
        server = judge.server_view(self.dovecot, self.login)
        expected = judge.expected_view(server, self.mailbox)
        assert judge.our_view(self.mailbox) == expected
        behind = judge.left_behind(self.mailbox)
        there: Counter[str] = Counter(
            row.sha256
            for name, folder in server.items()
            for uid, row in folder.rows.items()
            if not ("\\Deleted" in row.flags and (name, folder.uidvalidity, uid) in behind)
        )
        assert there == self.copies
        subjects = {sha: subject for subject, sha in self.shas.items()}
        return {
            name.decode(errors="replace"): sorted(
                subjects.get(row.sha256, "") for row in folder.rows.values()
            )
            for name, folder in expected.items()
        }


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """At a bare server the quick suite plays the first variant of a case that has several; -m slow plays them all."""
    seen = set()
    for item in items:
        if isinstance(item, pytest.Function) and item.path.parent == Path(__file__).parent:
            callspec = getattr(item, "callspec", None)
            if callspec and callspec.params.get("profile") is BARE:
                case = (item.path, item.originalname)
                if case in seen:
                    item.add_marker(pytest.mark.slow)
                seen.add(case)


@pytest.fixture(
    params=[
        FULL,
        pytest.param(NOCOND, marks=pytest.mark.slow),
        pytest.param(NOPLUS, marks=pytest.mark.slow),
        BARE,
    ],
    ids=lambda profile: profile.name,
)
def profile(request: pytest.FixtureRequest) -> Profile:
    """Every kind of server; the two in the middle only with -m slow."""
    chosen: Profile = request.param
    return chosen


@pytest.fixture
def case(world: World, dovecot: MailServer, profile: Profile) -> Iterator[Case]:
    """At every kind of server. When the test is over, the judge looks."""
    yield from _case(world, dovecot, profile)


@pytest.fixture
def full(world: World, dovecot: MailServer) -> Iterator[Case]:
    """The same, at a server that has everything."""
    yield from _case(world, dovecot, FULL)


def _case(world: World, dovecot: MailServer, profile: Profile) -> Iterator[Case]:
    with line_to(dovecot.host, dovecot.port, profile) as line:
        case = make(world, dovecot, line)
        yield case
        if line.lies:
            line.heal()
            case.until_quiet()
        case.judge()


def make(world: World, dovecot: MailServer, line: Proxy, **fields: object) -> Case:
    """A new login, connected through the line, with the roles that the person who connects it has chosen."""
    box = connect(world, dovecot, imap_port=line.port, **fields)
    with box.acting():
        for name, role in FOLDERS.items():
            Folder.objects.create(
                account=world.acme,
                mailbox=box.mailbox,
                name=name.encode(),
                path=name,
                delimiter="/",
                special_use=role,
            )
    return Case(world, dovecot, box.login, box.mailbox, line=line)
