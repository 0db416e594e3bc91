"""A mailbox connected to a real Dovecot, synchronised in this process, judged by the standard library's client."""

import hashlib
import imaplib
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.conf import settings
from django.utils import timezone

from accounts import tenancy
from mailsync import engine, schedule, secrets
from mailsync.blobs import body_of
from mailsync.engine import Outcome
from mailsync.imap.errors import Broken
from mailsync.imap.session import Session
from mailsync.models import Folder, Mailbox, Operation, Placement, Schedule
from tests.consistency import assert_consistent
from tests.rigs.mailserver import MailServer
from tests.world import World

Talk = list[tuple[str, str]]


@dataclass
class Box:
    """One person's mailbox: `server` is the other side, `mailbox` ours."""

    world: World
    dovecot: MailServer
    login: str
    mailbox: Mailbox
    moment: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(days=2))
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def deliver(
        self,
        subject: str = "Hello",
        *,
        folder: str = "INBOX",
        flags: str = "",
        days_ago: float = 1,
        text: str = "Hi\r\n",
    ) -> bytes:
        """A new mail on the server, each with a Message-ID of its own; returns its bytes."""
        number = next(self._numbers)
        raw = (
            f"From: Zoe <zoe@elsewhere.example>\r\nTo: {self.login}\r\nSubject: {subject}\r\n"
            f"Message-ID: <{number}.{self.login}>\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n\r\n{text}"
        ).encode()
        at = datetime.now(UTC) - timedelta(days=days_ago) + timedelta(seconds=number)
        self.dovecot.append(self.login, raw, folder=folder, flags=flags, at=at)
        return raw

    def sync(self, *, thorough: bool = True) -> Outcome:
        """One run, as a worker does it; it must not fail."""
        outcome = self.try_sync(thorough=thorough)
        assert not outcome.error, outcome.error
        return outcome

    def try_sync(self, *, thorough: bool = True) -> Outcome:
        with tenancy.acting_for(self.mailbox.account_id):
            lease = schedule.claim(self.mailbox.pk, timezone.now(), even_if_not_due=True)
        assert lease, "somebody else has the mailbox"
        return engine.synchronise(lease, seconds=120, thorough=thorough)

    def acting(self):
        return tenancy.acting_for(self.mailbox.account_id)

    def folder(self, path: str = "INBOX") -> Folder:
        with self.acting():
            return Folder.objects.get(mailbox=self.mailbox, path=path)

    def placements(self, path: str = "INBOX") -> list[Placement]:
        """Oldest first, with their messages."""
        with self.acting():
            rows = Placement.objects.filter(folder__mailbox=self.mailbox, folder__path=path)
            return list(rows.select_related("message", "folder").order_by("uid", "id"))

    def subjects(self, path: str = "INBOX") -> list[str]:
        return [placement.message.subject for placement in self.placements(path)]

    def one(self, subject: str, path: str = "INBOX") -> Placement:
        return next(p for p in self.placements(path) if p.message.subject == subject)

    def chosen(self, *subjects: str, path: str = "INBOX"):
        """The placements as a queryset, as a view hands them to an action; use inside `acting`."""
        rows = Placement.objects.filter(folder__mailbox=self.mailbox, folder__path=path)
        return rows.filter(message__subject__in=subjects) if subjects else rows

    def chosen_folder(self, path: str) -> Folder:
        """A folder that exists on both sides, made if need be; inside `acting` it can be a move's target."""
        with self.dovecot.imap(self.login) as client:
            client.create(f'"{path}"')
        return Folder.objects.create(
            account=self.mailbox.account, mailbox=self.mailbox, name=path.encode(), path=path, delimiter="/"
        )

    def operations(self) -> list[Operation]:
        with self.acting():
            return list(Operation.objects.filter(mailbox=self.mailbox).order_by("id"))

    def reload(self) -> Mailbox:
        with self.acting():
            self.mailbox.refresh_from_db()
        return self.mailbox

    def on_server(self, command: str, *arguments: str, folder: str = "INBOX") -> None:
        """What another mail program does: a UID command in a folder."""
        with self.dovecot.imap(self.login) as client:
            assert client.select(f'"{folder}"')[0] == "OK"
            kind, data = client.uid(command, *arguments)
            assert kind == "OK", data

    def server_view(self) -> dict[str, dict[int, tuple[frozenset[str], str]]]:
        """Every folder as an independent client reads it: UID -> (flags, sha256 of the bytes)."""
        view = {}
        with self.dovecot.imap(self.login) as client:
            for line in client.list()[1]:
                assert isinstance(line, bytes)
                name = line.decode().rsplit(' "/" ', 1)[1].strip('"')
                client.select(f'"{name}"', readonly=True)
                rows = {}
                _, parts = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
                for part in parts:
                    if isinstance(part, tuple):
                        uid = int(part[0].partition(b"UID ")[2].split()[0])
                        flags = {f.decode() for f in imaplib.ParseFlags(part[0])} - {"\\Recent"}
                        rows[uid] = (frozenset(flags), hashlib.sha256(part[1]).hexdigest())
                view[name] = rows
        return view

    def our_view(self) -> dict[str, dict[int | None, tuple[frozenset[str], str]]]:
        view: dict[str, dict[int | None, tuple[frozenset[str], str]]] = {}
        with self.acting():
            for folder in Folder.objects.filter(mailbox=self.mailbox, selectable=True):
                rows = folder.placements.select_related("message__body")
                view[bytes(folder.name).decode()] = {
                    p.uid: (
                        frozenset(p.flags),
                        hashlib.sha256(bytes(p.message.header) + body_of(p.message.body)).hexdigest(),
                    )
                    for p in rows
                }
        return view

    def assert_equal(self) -> None:
        """Rows = server, byte for byte, and one more sync writes nothing (SYNC_CASES 2.0)."""
        assert self.our_view() == self.server_view()
        outcome = self.sync()
        assert (outcome.imported, outcome.changed, outcome.again) == (0, 0, False)
        with self.acting():
            assert_consistent(self.mailbox.account)


def connect(world: World, dovecot: MailServer, **fields: object) -> Box:
    """Ann connects a new login of the server; nothing is fetched yet."""
    login, password = dovecot.new_user()
    with world.acting():
        mailbox = Mailbox.objects.create(
            account=world.acme,
            owner=world.ann,
            address=login,
            imap_host=dovecot.host,
            imap_security="none",
            login=login,
            secret=secrets.seal(password, account_id=world.acme.pk),
            **{"imap_port": dovecot.port, "fetch_days": 90, **fields},
        )
        Schedule.objects.create(mailbox=mailbox, account=world.acme, due_at=timezone.now())
    return Box(world, dovecot, login, mailbox)


@contextmanager
def dying_before_store() -> Iterator[None]:
    """Whoever moves by COPY ends when the copies are made and nothing is removed yet."""
    real = Session.send

    def send(session: Session, name: str, *arguments: bytes) -> Any:
        if arguments[:1] == (b"STORE",):
            raise Broken("The line is cut.")
        return real(session, name, *arguments)

    with patch.object(Session, "send", send):
        yield


@pytest.fixture
def box(world: World, dovecot: MailServer) -> Box:
    assert settings.MAIL_ALLOW_PRIVATE_HOSTS
    return connect(world, dovecot)


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch) -> Talk:
    """What leaves and what is waited for, in order."""
    said: Talk = []
    real_send, real_receive = Session.send, Session.receive

    def send(self: Session, name: str, *arguments: bytes) -> Any:
        said.append(("ask", arguments[0].decode() if name == "UID" else name))
        return real_send(self, name, *arguments)

    def receive(self: Session, sent: Any, answer: str | None = None) -> Any:
        said.append(("hear", sent[0]))
        return real_receive(self, sent, answer)

    monkeypatch.setattr(Session, "send", send)
    monkeypatch.setattr(Session, "receive", receive)
    return said
