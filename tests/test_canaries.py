"""Secrets are planted, and then everything goes on that makes use of them: connecting, synchronising, failing, sending.

Afterwards they are looked for, in every shape in which they travel, wherever something is written down.
"""

import base64
import json
import logging
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import redis
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import tenancy
from accounts.logs import formatter
from accounts.models import Employee
from accounts.two_factor import TwoFactorAdapter
from demo.services import Postgres
from mailsync import connecting, jobs, outbox
from mailsync.models import ConnectionTest, Mailbox, MailboxState, OutgoingState
from tests.accounts.matrix import text_of
from tests.engine.conftest import Box
from tests.rigs import smtp
from tests.rigs.consenting import ConsentedBox, consented, offered, provider
from tests.rigs.mailserver import MailServer
from tests.rigs.smtp import Fault
from tests.sending.conftest import ZOE, due_now, work
from tests.test_watcher import watching
from tests.world import PASSWORD, World

__all__ = ["consented", "offered", "provider"]  # fixtures

MAILBOX, WRONG, FACTOR = "Mailbox-canary-5d21", "Wrong-canary-83ab", "FACTORCANARY2QKJ"


class Written(logging.Handler):
    """Every line of every logger, as production writes it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(formatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[Written]:
    """LOG_LEVEL=DEBUG, for the libraries too."""
    root, written = logging.getLogger(), Written()
    before = root.level
    root.addHandler(written)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(before)
    root.removeHandler(written)


@pytest.mark.django_db(transaction=True)
def test_secrets_are_nowhere_but_sealed(
    world: World, dovecot: MailServer, consented: ConsentedBox, postgres: Postgres, redis_url: str,
    log: Written, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tokens = consented.provider.grant(consented.address)
    client = Client(raise_request_exception=False)
    seen: list[str] = []
    sign_in(client, world.ann, seen)
    typed = fields_of(dovecot)
    for password in (WRONG, MAILBOX):
        seen.append(text_of(client.post(reverse("mail:connect"), typed | {"password": password})))
        probe(world)
    fail_in_the_middle(client, typed, seen, monkeypatch)
    box = connected(client, world, dovecot, typed)
    with watching():
        box.sync()
        dovecot.set_password(typed["login"], "another")
        assert box.try_sync().error
        with world.acting():
            assert Mailbox.objects.get(pk=box.mailbox.pk).state == MailboxState.REFUSED
        consented.run_out()
        consented.box.sync()
    send(box)
    seen += [text_of(client.get(reverse(name))) for name in ("mail:mailboxes", "mail:inbox", "people:audit")]

    places = {
        "the database": dump(postgres),
        "the sessions": json.dumps([each.get_decoded() for each in Session.objects.all()], default=str),
        "Redis": everything_in(redis_url),
        "the log": "\n".join(log.lines),
        "pages": "\n".join(seen),
        "files": "".join(
            each.read_bytes().decode("latin-1")
            for each in Path(os.environ["MAIL_FILES"]).rglob("*")
            if each.is_file()
        ),
    }
    assert min(len(text) for name, text in places.items() if name != "files") > 100
    assert '"level": "debug"' in places["the log"]
    planted = [MAILBOX, WRONG, FACTOR, PASSWORD, tokens["refresh_token"], tokens["access_token"]]
    leaks = [
        (secret, place) for secret in planted for place, text in places.items()
        if any(shape in text for shape in shapes(secret, typed["login"]))
    ]  # fmt: skip
    assert leaks == []
    # A session's key is at home in the database and in Redis; whoever reads a log or a page must not get it.
    key = client.session.session_key
    assert key
    assert key not in places["the log"] + places["pages"]


def test_the_net_has_no_holes(
    postgres: Postgres, redis_url: str, log: Written, transactional_db: None
) -> None:
    """A secret that is written down anywhere is found there, in each of its shapes."""
    logging.getLogger("imapclient.imaplib").debug("> LOGIN %s", MAILBOX)
    assert MAILBOX in "\n".join(log.lines)
    client = redis.Redis.from_url(redis_url)
    client.rpush("celery", json.dumps({"args": [MAILBOX]}))
    client.hset("a hash", "password", MAILBOX)
    client.close()
    assert everything_in(redis_url).count(MAILBOX) == 2
    Session.objects.create(session_key="x", session_data=MAILBOX, expire_date=timezone.now())
    assert MAILBOX in dump(postgres)
    sealed = base64.b64encode(f"\0ann\0{MAILBOX}".encode()).decode()
    for written in (f"AUTH PLAIN {sealed}", f"\\x00{MAILBOX.encode().hex()}00", f"password={quote(MAILBOX)}"):
        assert any(shape in written for shape in shapes(MAILBOX, "ann")), written


def test_no_password_is_seen_in_the_list_of_processes() -> None:
    """The product starts one process, which gets mail through a pipe and an environment without anything in it; and a
    command takes the name of a variable instead of a password."""
    starts = re.compile(r"\b(subprocess|multiprocessing|os\.(system|exec\w+|spawn\w+|popen))\b")
    given = re.compile(r"add_argument\(\s*\"--?\w*(password|secret|token)\"")
    found = [
        f"{path}: {match[0]}"
        for app in ("accounts", "plans", "mailsync", "crm", "tasks", "retention")
        for path in Path(app).rglob("*.py")
        for match in (starts.search(path.read_text()), given.search(path.read_text()))
        if match
    ]
    assert found == ["mailsync/apart.py: subprocess"]


# What happens to the secrets


def sign_in(client: Client, who: Employee, seen: list[str]) -> None:
    login = {"login": who.email, "password": WRONG}
    seen.append(text_of(client.post(reverse("account_login"), login)))
    assert client.post(reverse("account_login"), login | {"password": PASSWORD}).status_code == 302
    with tenancy.acting_for(who.account_id):
        data = {"secret": TwoFactorAdapter().encrypt(FACTOR)}
        Authenticator.objects.create(user=who, type="totp", data=data)


def fields_of(dovecot: MailServer) -> dict[str, str]:
    # Of a domain without a provider: a password is asked for.
    login, _password = dovecot.new_user("ann.archer@elsewhere.example")
    dovecot.set_password(login, MAILBOX)
    dovecot.append(login, b"Subject: one\r\n\r\nHello\r\n")
    return {"address": login, "login": login, "imap_host": dovecot.host, "imap_port": str(dovecot.port),
            "imap_security": "none"}  # fmt: skip


def probe(world: World) -> None:
    """A worker tries what was typed last."""
    with world.acting():
        test = ConnectionTest.objects.order_by("pk").last()
    assert test
    jobs.test_connection(world.acme.pk, test.pk)


def fail_in_the_middle(
    client: Client, typed: dict[str, str], seen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours while the password is in the form and in a variable."""

    def mistake(**given: object) -> None:
        password = MAILBOX
        raise RuntimeError(f"a mistake of ours with {len(given)} things and {len(password)} letters")

    with monkeypatch.context() as patch:
        patch.setattr(connecting, "start_test", mistake)
        answer = client.post(reverse("mail:connect"), typed | {"password": MAILBOX})
    assert answer.status_code == 500
    seen.append(text_of(answer))


def connected(client: Client, world: World, dovecot: MailServer, typed: dict[str, str]) -> Box:
    with world.acting():
        test = ConnectionTest.objects.get(state="passed")
    choose = reverse("mail:connect-choose", args=[test.pk])
    folders = re.findall(r'value="(\d+)" checked>\s*<span class="folder-name">', text_of(client.get(choose)))
    assert client.post(choose, {"folders": folders, "fetch_days": 7, "sender_name": "A"}).status_code == 302
    with world.acting():
        return Box(world, dovecot, typed["login"], Mailbox.objects.get(address=typed["address"]))


def send(box: Box) -> None:
    """The first outgoing server repeats what it was told, as some do when they refuse."""
    with smtp.outgoing_server() as server, box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(
            smtp_host="127.0.0.1", smtp_port=server.port, smtp_security="none"
        )
        box.mailbox.refresh_from_db()
        server.faults = [Fault.LOGIN_REPEATED]
        letter = outbox.start(box.mailbox, by=box.world.ann, to=[ZOE], subject="Offer", html="<p>42</p>")
        letter = work(due_now(outbox.queue(letter, by=box.world.ann, key="")))
        assert letter.error
        assert work(due_now(letter)).state == OutgoingState.SENT
        assert any(base64.b64encode(f"\0{box.login}\0{MAILBOX}".encode()) in line for line in server.heard)


# Where they are looked for


def shapes(secret: str, login: str) -> set[str]:
    """As it is, as SASL and the header of HTTP carry it, as an address does, and as PostgreSQL prints bytes."""
    plain = f"\0{login}\0{secret}".encode()
    encoded = {base64.b64encode(each).decode() for each in (secret.encode(), plain)}
    return {secret, quote(secret), quote_plus(secret), secret.encode().hex(), plain.hex(), *encoded}


def dump(postgres: Postgres) -> str:
    """All of the database, of every company."""
    command = [str(postgres.programs / "pg_dump"), "--data-only", "--inserts", postgres.owner_url]
    return str(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def everything_in(redis_url: str) -> str:
    client = redis.Redis.from_url(redis_url)
    read: dict[object, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }
    try:
        return "\n".join(f"{key!r} {read[client.type(key)](key)!r}" for key in client.scan_iter())
    finally:
        client.close()
