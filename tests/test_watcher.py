"""New mail is heard of at once, whatever a server does; and a poll would find it all the same."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import pytest
from django.db import transaction
from django.utils import timezone

from mailsync import outages, schedule, secrets, watcher
from mailsync.imap import idle
from mailsync.imap.errors import Broken, Busy, CommandRefused, FolderGone, ForbiddenText, Refused, Unreachable
from mailsync.imap.idle import NoIdle, open_idle
from mailsync.imap.session import Credentials
from mailsync.models import Mailbox, Schedule
from mailsync.watcher import Gate, Shard, Watcher, pause_after
from plans.subscriptions import change_plan
from tests.engine.conftest import Box, connect
from tests.rigs.mailserver import MailServer, certificate_of
from tests.rigs.scripted import GREETING, Conversation, Reply, ScriptedServer, scripted
from tests.world import World

PASSWORD = "the password that nobody sees"
ALL = Shard()
Answer = TypeVar("Answer")
ROOT = Path(__file__).resolve().parent.parent
with_tables = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments where the product waits seconds, seconds where it waits minutes."""
    monkeypatch.setattr(watcher, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(watcher, "FIRST_BACK_OFF", 0.05)
    monkeypatch.setattr(watcher, "SERVER_SECONDS", 0.02)
    monkeypatch.setattr(watcher, "DATABASE_SECONDS", 0.1)
    monkeypatch.setattr(idle, "OPEN_SECONDS", 1.0)
    monkeypatch.setattr(idle, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(idle, "GOODBYE_SECONDS", 0.2)


@contextmanager
def watching(shard: Shard = ALL) -> Iterator[Watcher]:
    """A watcher in a thread of this process; it ends with the block, soon and without an error."""
    stop: list[Callable[[], object]] = []
    watchers: list[Watcher] = []
    ready = threading.Event()
    ended: list[float] = []

    async def work() -> None:
        stopped = asyncio.Event()
        stop.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stopped.set))
        watchers.append(Watcher(shard))
        ready.set()
        await watchers[0].run(stopped)
        ended.append(time.monotonic())

    thread = threading.Thread(target=asyncio.run, args=[work()])
    thread.start()
    assert ready.wait(10)
    try:
        yield watchers[0]
    finally:
        began = time.monotonic()
        stop[0]()
        thread.join(10)
    assert ended, "the watcher died"
    assert ended[0] - began < 3


def run_apart(work: Coroutine[Any, Any, Answer]) -> Answer:
    """In a thread of its own: that of the tests has Playwright's event loop once a browser test ran in it."""
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, work).result()


def until(happened: Callable[[], object], seconds: float = 20) -> float:
    """Wait for it; returns how long it took."""
    began = time.monotonic()
    while not happened():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.01)
    return time.monotonic() - began


def is_due(mailbox: Mailbox) -> bool:
    due = Schedule.objects.get(mailbox=mailbox).due_at
    return due is not None and due <= timezone.now()


def stays_quiet(mailbox: Mailbox, seconds: float = 0.8) -> bool:
    time.sleep(seconds)
    return not is_due(mailbox)


def change(box: Box, **fields: object) -> None:
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(**fields)


@pytest.fixture
def box(world: World, dovecot: MailServer) -> Box:
    """Ann's mailbox, synchronised, the only one that can be watched."""
    for account, others in ((world.acme, [world.ann_box, world.team_box]), (world.other, [world.eve_box])):
        with world.acting(account):
            Mailbox.objects.filter(pk__in=[each.pk for each in others]).update(state="refused")
    box = connect(world, dovecot)
    box.deliver("There before")
    box.sync()
    assert not is_due(box.mailbox)
    return box


def news(
    server: bytes = b"* 4 EXISTS\r\n", *, then: str = "listen"
) -> Callable[[Conversation, list[bytes]], None]:
    """An IDLE that tells this and then listens, hangs (never obeys DONE) or cuts the line."""

    def reply(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"+ idling\r\n" + server)
        if then == "cut":
            talk.cut()
        elif then == "hang":
            talk.hang()
        elif talk.line() == b"DONE":
            talk.send(words[0] + b" OK done\r\n")

    return reply


EXAMINED = (
    b"* 3 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 10] ok\r\n"
    b"* OK [HIGHESTMODSEQ 77] ok\r\n{tag} OK [READ-ONLY] done\r\n"
)
WITH_IDLE: dict[str, Reply] = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN IDLE\r\n{tag} OK done\r\n",
    "EXAMINE": EXAMINED,
    "IDLE": news(b""),
}


def beside(box: Box, server: ScriptedServer) -> Box:
    """Another mailbox of Ann, on the scripted server."""
    other = connect(box.world, box.dovecot)
    change(other, imap_port=server.port)
    return other


# What people notice.


@with_tables
def test_what_happens_in_the_inbox_makes_it_due_at_once_and_one_synchronisation_later_it_is_quiet(
    box: Box,
) -> None:
    """New mail, a flag by another program, and a message that is gone."""
    with watching() as watch:
        until(lambda: watch.holding == 1)
        box.deliver("News")
        until(lambda: is_due(box.mailbox), 2)
        box.sync()
        assert stays_quiet(box.mailbox)
        for act in [("STORE", "1", "+FLAGS", "(\\Deleted)"), ("EXPUNGE", "1")]:
            box.on_server(*act)
            until(lambda: is_due(box.mailbox), 2)
            time.sleep(0.5)
            box.sync()
    assert box.subjects() == ["News"]


@with_tables
def test_a04_what_came_between_the_synchronisation_and_idle_is_not_left_to_the_poll(box: Box) -> None:
    with watching() as watch:
        until(lambda: watch.holding == 1)
        assert stays_quiet(box.mailbox)
    box.deliver("In between")
    with watching():
        until(lambda: is_due(box.mailbox), 2)
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(\\Flagged)")
    with watching():
        until(lambda: is_due(box.mailbox), 2)


@with_tables
def test_a_new_mailbox_is_taken_up_a_moved_one_found_and_a_disconnected_one_let_go(box: Box) -> None:
    with scripted(WITH_IDLE) as server, watching() as watch:
        other = connect(box.world, box.dovecot)
        until(lambda: watch.holding == 2)
        change(other, imap_port=server.port)
        until(lambda: "IDLE" in server.commands())
        change(other, disconnected_at=timezone.now())
        until(lambda: server.heard[-2:] == [b"DONE\r\n", b"bye LOGOUT\r\n"])
        until(lambda: watch.holding == 1)


@with_tables
def test_without_sync_in_the_plan_and_with_a_login_that_workers_saw_refused_nobody_listens(box: Box) -> None:
    """News of a refused one would wake workers who may only lock the person out."""

    def turn_to(plan: str) -> None:
        with box.acting():
            change_plan(box.world.acme, plan, on=timezone.now().date(), by=None)

    with watching() as watch:
        until(lambda: watch.holding == 1)
        turn_to("free")
        until(lambda: watch.holding == 0)
        turn_to("professional")
        until(lambda: watch.holding == 1)
        change(box, state="refused")
        until(lambda: watch.holding == 0)
        change(box, state="ok")
        until(lambda: watch.holding == 1)


@with_tables
def test_l11_a_server_with_too_many_connections_is_left_to_the_workers_for_a_while(
    box: Box, monkeypatch
) -> None:
    monkeypatch.setattr(watcher, "MOST_BACK_OFF", 1.0)
    with watching() as watch:
        until(lambda: watch.holding == 1)
        change(box, state="busy")
        until(lambda: watch.holding == 0)
        change(box, state="ok")
        until(lambda: watch.holding == 1)


@with_tables
def test_two_processes_share_the_mailboxes(box: Box) -> None:
    other = connect(box.world, box.dovecot)
    boxes = {each.mailbox.pk % 2: each for each in (box, other)}
    other.sync()
    with watching(Shard.parse("1/2")) as watch:
        until(lambda: watch.holding == 1)
        for each in boxes.values():
            each.deliver("For both")
        until(lambda: is_due(boxes[0].mailbox))
        assert stays_quiet(boxes[1].mailbox, 0.3)


@pytest.mark.parametrize("text", ["0/2", "3/2", "2", "a/b", "1/0"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Shard.parse(text)


# What servers do.


@with_tables
def test_a_connection_that_the_server_drops_is_made_again_and_nothing_is_missed(box: Box) -> None:
    with watching() as watch:
        until(lambda: watch.holding == 1)
        box.dovecot.doveadm("kick", box.login)
        until(lambda: watch.holding == 0)
        box.deliver("While nobody listened")
        until(lambda: is_due(box.mailbox))
        until(lambda: watch.holding == 1)


@with_tables
def test_after_every_trouble_in_idle_the_next_connection_hears(box: Box, monkeypatch) -> None:
    """L10: the half-open one is noticed by the renewal."""
    monkeypatch.setattr(watcher, "RENEW_SECONDS", 0.3)
    troubles = [
        news(b"", then="cut"),
        news(b"* BYE Autologout\r\n", then="hang"),
        news(b"* OK " + b"x" * 1_000_000, then="hang"),
        news(b"w5 OK done\r\n", then="hang"),
        news(b"", then="hang"),
    ]
    left = list(troubles)

    def reply(talk: Conversation, words: list[bytes]) -> None:
        (left.pop(0) if left else news(b"* 4 EXISTS\r\n"))(talk, words)

    with scripted({**WITH_IDLE, "IDLE": reply}) as server, watching() as watch:
        other = beside(box, server)
        until(lambda: server.commands().count("EXAMINE") == len(troubles) + 1, 10)
        until(lambda: watch.holding == 2)
        Schedule.objects.filter(mailbox=other.mailbox).update(due_at=None)
        until(lambda: is_due(other.mailbox))
        assert server.commands().count("EXAMINE") == len(troubles) + 1


@with_tables
def test_idle_is_renewed_on_the_same_connection(box: Box, monkeypatch) -> None:
    monkeypatch.setattr(watcher, "RENEW_SECONDS", 0.2)
    with scripted(WITH_IDLE) as server, watching():
        beside(box, server)
        until(lambda: server.commands().count("IDLE") >= 4)
        assert server.commands().count("EXAMINE") == 1
        box.deliver("Between two renewals")
        until(lambda: is_due(box.mailbox), 2)


@with_tables
def test_a_burst_of_lines_is_one_wake(box: Box, monkeypatch) -> None:
    woken: list[int] = []

    def wake(ids):
        woken.extend(ids)
        return original(ids)

    original = watcher.wake
    monkeypatch.setattr(watcher, "wake", wake)
    burst = b"".join(b"* %d EXISTS\r\n* %d RECENT\r\n" % (n, n) for n in range(4, 400))
    with scripted({**WITH_IDLE, "IDLE": news(burst)}) as server, watching():
        other = beside(box, server)
        until(lambda: woken)
        time.sleep(0.8)
    assert woken.count(other.mailbox.pk) <= 2  # A04 and the burst


def test_a_server_that_never_stops_talking_is_read_more_and_more_seldom(monkeypatch) -> None:
    """Each reading is a synchronisation: two programs at odds about a flag would have a worker to themselves."""
    monkeypatch.setattr(watcher, "BREATH_SECONDS", 0.01)
    monkeypatch.setattr(watcher, "MOST_BREATH", 0.5)
    monkeypatch.setattr(watcher, "RENEW_SECONDS", 2.0)
    readings: list[float] = []

    class Talking:
        async def hear(self) -> bool:
            readings.append(time.monotonic())
            return True

    watchable = watcher.Watchable(1, 1, (), b"", None, busy=False)
    run_apart(_listened(watchable, Talking()))
    assert len(readings) < 15


async def _listened(watchable, idle) -> None:
    await Watcher()._listen(watchable, idle)


def endless_literals(talk: Conversation, words: list[bytes]) -> None:
    """One answer, no part of which is long."""
    talk.send(b"* 1 FETCH (")
    for _part in range(2000):
        talk.send(b"{60000}\r\n" + b"x" * 60_000)
    talk.hang()


LIES: dict[str, tuple[dict[str, Reply], Reply, type[Exception]]] = {
    "no IDLE": ({"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n"}, GREETING, NoIdle),
    "IDLE refused": ({"IDLE": b"{tag} BAD what\r\n"}, GREETING, NoIdle),
    "IDLE answered OK at once": ({"IDLE": b"{tag} OK done\r\n"}, GREETING, NoIdle),
    "IDLE refused for now": ({"IDLE": b"{tag} NO [UNAVAILABLE] later\r\n"}, GREETING, CommandRefused),
    "INBOX refused": ({"EXAMINE": b"{tag} NO [NONEXISTENT] no INBOX\r\n"}, GREETING, FolderGone),
    "login refused": (
        {"AUTHENTICATE": b"{tag} NO [AUTHENTICATIONFAILED] wrong\r\n"},
        GREETING,
        Refused,
    ),
    "login refused for now": ({"AUTHENTICATE": b"{tag} NO [UNAVAILABLE] later\r\n"}, GREETING, Busy),
    "LOGINDISABLED": (
        {"CAPABILITY": b"* CAPABILITY IMAP4rev1 LOGINDISABLED IDLE\r\n{tag} OK done\r\n"},
        GREETING,
        Refused,
    ),
    "BYE at once": ({}, b"* BYE too many connections\r\n", Busy),
    "BYE instead of EXAMINE": ({"EXAMINE": b"* BYE restarting\r\n"}, GREETING, Broken),
    "PREAUTH": ({}, b"* PREAUTH come in\r\n", Refused),
    "another protocol": ({}, b"SSH-2.0-OpenSSH_9.2\r\n", Broken),
    "bytes": ({}, bytes(range(256)) * 10 + b"\n", Broken),
    "silence": ({}, lambda talk, words: talk.hang(), Unreachable),
    "silence after the login": ({"EXAMINE": lambda talk, words: talk.hang()}, GREETING, Unreachable),
    "a line of a megabyte": ({}, b"* OK " + b"x" * 1_000_000, Broken),
    "a literal of a gigabyte": ({"EXAMINE": b"* 1 FETCH (BODY {1000000000}\r\n"}, GREETING, Broken),
    "literals without end": ({"EXAMINE": endless_literals}, GREETING, Broken),
    "the end": ({"CAPABILITY": lambda talk, words: talk.cut()}, GREETING, Broken),
}


def credentials(server: ScriptedServer, **more: object) -> Credentials:
    values: dict[str, object] = {
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "login": "ann",
        "password": PASSWORD,
        "allow_private": True,
    }
    return Credentials(**{**values, **more})  # type: ignore[arg-type]


def opened(given: Credentials) -> tuple[int | None, dict[str, int], bool]:
    """Enter IDLE and say goodbye; what was learned about INBOX."""

    async def work() -> tuple[int | None, dict[str, int], bool]:
        connection = await open_idle(given)
        await connection.close()
        return connection.exists, connection.cursors, connection.told

    return run_apart(work())


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_ends_soon_and_as_what_it_is(lie: str) -> None:
    replies, greeting, kind = LIES[lie]
    began = time.monotonic()
    with scripted({**WITH_IDLE, **replies}, greeting=greeting) as server, pytest.raises(kind) as caught:
        opened(credentials(server))
    assert PASSWORD not in str(caught.value)
    assert time.monotonic() - began < 10


def test_what_the_server_says_of_the_inbox_is_known_and_a_literal_cannot_pose_as_an_answer() -> None:
    posing = b"* 1 FETCH (BODY {24}\r\n* BYE\r\n* 99999 EXISTS\r\n)\r\n"
    with scripted({**WITH_IDLE, "EXAMINE": posing + EXAMINED}) as server:
        found = opened(credentials(server))
    assert found == (3, {"UIDVALIDITY": 1, "UIDNEXT": 10, "HIGHESTMODSEQ": 77}, False)


def test_what_comes_between_examine_and_idle_is_news() -> None:
    with scripted({**WITH_IDLE, "IDLE": b"* 4 EXISTS\r\n+ idling\r\n"}) as server:
        assert opened(credentials(server))[2]


def test_a_server_without_plain_gets_a_quoted_login() -> None:
    old = b"* CAPABILITY IMAP4rev1 IDLE\r\n{tag} OK done\r\n"
    with scripted({**WITH_IDLE, "CAPABILITY": old}) as server:
        opened(credentials(server, login='a"b\\c'))
    assert any(b'LOGIN "a\\"b\\\\c"' in line for line in server.heard)


@pytest.mark.parametrize("evil", ["ann\r\nw9 DELETE INBOX", "ann\0", "ann\nx"])
def test_no_line_break_gets_into_a_command(evil: str) -> None:
    with scripted(WITH_IDLE) as server:
        for field in ("login", "password"):
            with pytest.raises(ForbiddenText, match="CR, LF or NUL"):
                opened(credentials(server, **{field: evil}))
    assert server.heard == []


def test_a_private_address_is_refused_unless_the_operator_allows_it() -> None:
    with scripted(WITH_IDLE) as server, pytest.raises(Unreachable) as caught:
        opened(credentials(server, allow_private=False))
    assert caught.value.step == "name"
    assert server.heard == []


def test_a_port_where_nobody_is_and_a_name_that_nobody_has() -> None:
    with scripted(WITH_IDLE) as server:
        pass
    for more in ({}, {"host": "no-such-host.invalid"}):
        with pytest.raises(Unreachable):
            opened(credentials(server, **more))


# TLS.


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """These wait for a handshake that comes, on however busy a machine."""
    monkeypatch.setattr(idle, "OPEN_SECONDS", 20.0)
    monkeypatch.setattr(idle, "ANSWER_SECONDS", 20.0)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_tls_holds_only_with_an_authority_that_is_trusted(dovecot_tls: MailServer, security: str) -> None:
    login, password = dovecot_tls.new_user()
    port = dovecot_tls.tls_port if security == "tls" else dovecot_tls.port
    given = {"security": security, "login": login, "password": password, "host": "localhost"}
    with scripted() as server:
        trusting = credentials(server, **given, port=port, ca_file=str(dovecot_tls.ca_file))
        trusting_nobody = credentials(server, **given, port=port)
    assert opened(trusting)[0] == 0
    with pytest.raises(Unreachable, match="not trusted"):
        opened(trusting_nobody)


def test_l01_l02_starttls_is_never_skipped() -> None:
    offered = b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN IDLE\r\n{tag} OK done\r\n"
    for more in ({}, {"CAPABILITY": offered, "STARTTLS": b"{tag} NO not today\r\n"}):
        with scripted({**WITH_IDLE, **more}) as server, pytest.raises(Unreachable) as caught:
            opened(credentials(server, security="starttls"))
        assert caught.value.step == "tls"
        assert not any(b"AUTHENTICATE" in line for line in server.heard)


@pytest.mark.usefixtures("patient")
def test_l03_what_was_injected_before_tls_is_dropped(tmp_path: Path) -> None:
    certificate, ca_file = certificate_of(tmp_path, "127.0.0.1", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)

    def start_tls(talk: Conversation, words: list[bytes]) -> None:
        talk.start_tls(context, injected=b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nw3 OK done\r\n")

    offered = b"* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN IDLE\r\n{tag} OK done\r\n"
    with scripted({**WITH_IDLE, "CAPABILITY": offered, "STARTTLS": start_tls}) as server:
        found = opened(credentials(server, security="starttls", host="localhost", ca_file=str(ca_file)))
    assert found[0] == 3


# Refusals, budgets and our own servers.


@with_tables
def test_a_refused_login_is_tried_once_until_the_password_changes_or_workers_get_in_with_it(box: Box) -> None:
    refusing = b"{tag} NO [AUTHENTICATIONFAILED] no\r\n"
    with scripted({**WITH_IDLE, "AUTHENTICATE": refusing}) as server, watching():
        other = connect(box.world, box.dovecot, synced_at=timezone.now())
        change(other, imap_port=server.port)
        until(lambda: "AUTHENTICATE" in server.commands())
        time.sleep(1)
        assert server.commands().count("AUTHENTICATE") == 1
        change(other, secret=secrets.seal("another", account_id=box.world.acme.pk))
        until(lambda: server.commands().count("AUTHENTICATE") == 2)
        change(other, synced_at=timezone.now() + timedelta(minutes=90))
        until(lambda: server.commands().count("AUTHENTICATE") == 3)


def test_h09_tries_become_rare_and_a_full_server_is_left_to_the_poll() -> None:
    broken = Broken("x")
    waits = [pause_after(broken, tries) for tries in range(20)]
    assert waits[0] == watcher.FIRST_BACK_OFF
    assert waits == sorted(waits, key=lambda wait: wait or 0)
    assert waits[-1] == pause_after(Busy("x"), 0) == watcher.MOST_BACK_OFF == 900
    assert pause_after(Refused("x"), 0) is None


def test_the_watcher_waits_as_long_as_the_server_asks() -> None:
    throttled = b"{tag} NO Request is throttled. Suggested Backoff Time: 7200000 milliseconds\r\n"
    with scripted({**WITH_IDLE, "AUTHENTICATE": throttled}) as server, pytest.raises(Busy) as caught:
        opened(credentials(server))
    pause = pause_after(caught.value, 0)
    assert pause is not None
    assert pause >= 7200


def test_a_host_is_tried_twice_a_second_and_does_not_hold_up_another(monkeypatch) -> None:
    monkeypatch.setattr(watcher, "SERVER_SECONDS", 0.2)
    times: list[tuple[str, float]] = []

    async def one(gate: Gate, host: str) -> None:
        async with gate.opening(host):
            times.append((host, time.monotonic()))

    async def work() -> None:
        gate = Gate()
        await asyncio.gather(*(one(gate, host) for host in ["big", "big", "big", "small"]))

    began = time.monotonic()
    run_apart(work())
    assert [host for host, _ in times[:2]] == ["big", "small"]
    assert times[1][1] - began < 0.15
    assert times[-1][1] - began >= 0.4


def test_a_server_that_is_down_is_tried_seldom_for_all_its_mailboxes(monkeypatch, settings) -> None:
    """L14; and as often as before when somebody got through."""
    settings.MAIL_PROBE_SECONDS = 1
    monkeypatch.setattr(watcher, "SERVER_SECONDS", 0.0)
    times: list[float] = []

    async def one(gate: Gate, error: Exception | None) -> None:
        async with gate.opening("down"):
            times.append(time.monotonic())
            if error:
                raise error

    async def work() -> None:
        gate = Gate()
        for _try in range(outages.FEW):
            with pytest.raises(Unreachable):
                await one(gate, Unreachable("No.", step="connect"))
        for _try in range(3):
            await one(gate, None)

    run_apart(work())
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert [pause >= 0.9 for pause in pauses] == [False] * (outages.FEW - 1) + [True, False, False]


def test_a_host_that_hangs_leaves_room_for_another(monkeypatch) -> None:
    """Each connection to it takes until OPEN_SECONDS are over, and a company has many mailboxes there."""
    monkeypatch.setattr(watcher, "SERVER_SECONDS", 0.0)
    opened: list[str] = []

    async def one(gate: Gate, host: str, over: asyncio.Event) -> None:
        async with gate.opening(host):
            opened.append(host)
            await over.wait()

    async def work() -> None:
        gate, over = Gate(), asyncio.Event()
        hanging = [asyncio.create_task(one(gate, "hangs", over)) for _ in range(2 * watcher.MOST_OPENING)]
        await asyncio.sleep(0.1)
        other = asyncio.create_task(one(gate, "answers", over))
        await asyncio.sleep(0.1)
        over.set()
        await asyncio.gather(other, *hanging)

    run_apart(work())
    assert "answers" in opened[: watcher.MOST_OPENING]
    assert len(opened) == 2 * watcher.MOST_OPENING + 1


@with_tables
def test_a_mailbox_in_a_workers_hands_does_not_hold_up_the_news_of_another(box: Box) -> None:
    other = connect(box.world, box.dovecot)
    other.sync()
    left: list[set[int]] = []
    with transaction.atomic():
        schedule.lock([box.mailbox.pk])
        run_apart(_asked(watcher.wake, {box.mailbox.pk, other.mailbox.pk, 10**9}, left))
    assert left == [{box.mailbox.pk}]
    assert (is_due(box.mailbox), is_due(other.mailbox)) == (False, True)


async def _asked(question, argument, answers: list) -> None:
    database = watcher.Database()
    answers.append(await database.ask(question, argument))
    await database.close()


@with_tables
def test_a_database_that_drops_everybody_does_not_end_the_watcher(box: Box, postgres) -> None:
    with watching() as watch:
        until(lambda: watch.holding == 1)
        own = psycopg2.connect(postgres.owner_url)
        with own, own.cursor() as cursor:
            with transaction.atomic(), transaction.get_connection().cursor() as ours:
                ours.execute("SELECT pg_backend_pid()")
                (here,) = ours.fetchone()
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE usename = 'mailbound_app' AND pid <> %s",
                [here],
            )
        own.close()
        box.deliver("After the fall")
        until(lambda: is_due(box.mailbox))


@with_tables
def test_the_process_shows_no_password_whatever_servers_say_and_ends_when_asked(
    box: Box, tmp_path: Path
) -> None:
    """LOG_LEVEL=DEBUG, a server that repeats what it heard, and TERM while it listens."""
    password = box.dovecot.passwords[box.login]

    def tell_all(talk: Conversation, words: list[bytes]) -> None:
        talk.send(b"+ \r\n")
        talk.send(
            b"%s NO [AUTHENTICATIONFAILED] not %s, " % (words[0], talk.line()) + password.encode() + b"\r\n"
        )

    with scripted({**WITH_IDLE, "AUTHENTICATE": tell_all}) as server:
        beside(box, server)
        alive = tmp_path / "alive"
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "watch_mail", "--alive", alive],
                cwd=ROOT,
                env={**os.environ, "LOG_LEVEL": "DEBUG", "DJANGO_SETTINGS_MODULE": "config.settings"},
                stdout=log,
                stderr=log,
            )
        try:
            until(lambda: "AUTHENTICATE" in server.commands(), 15)
            until(alive.exists)
            box.deliver("News")
            until(lambda: is_due(box.mailbox))
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert "watch_ended" in said
    for secret in (password, "Traceback", bytes(box.mailbox.secret).decode()):
        assert secret not in said
