"""The watcher: one process that holds an IDLE on the INBOX of every synchronised mailbox, and wakes those with news.

It reads no mail and decides nothing. A poll stands behind it, so whatever goes wrong here costs seconds and no
mail. The database is asked in one thread and the event loop never waits for it.
"""

import asyncio
import hashlib
import logging
import math
import random
import traceback
from asyncio import sslproto
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import structlog
from django.conf import settings
from django.db import Error as DatabaseTrouble
from django.db import close_old_connections, connections, transaction

from accounts import tenancy
from accounts.models import Account
from mailsync import outages, schedule, secrets, signing_in
from mailsync.imap.errors import Busy, FolderGone, ForbiddenText, Refused, ServerError, no_connection
from mailsync.imap.idle import IdleConnection, NoIdle, open_idle
from mailsync.imap.session import Credentials
from mailsync.models import Folder, Mailbox, MailboxState, Schedule, SpecialUse
from mailsync.parking import parked
from plans.subscriptions import limits_for

# What does happen to connections; anything else is a mistake of ours.
_EXPECTED = (ServerError, secrets.WrongKeyError, ForbiddenText, DatabaseTrouble, Mailbox.DoesNotExist)

log = structlog.get_logger(__name__)
Answer = TypeVar("Answer")

LOOK_SECONDS = 10.0  # how often the list of mailboxes is compared with the tables
RENEW_SECONDS = 9 * 60.0  # servers may end an IDLE after 30 minutes (RFC 2177 3), routers forget it after ten
GATHER_SECONDS = 0.05  # lines that come in one breath are one wake
BREATH_SECONDS = 0.2  # between two wakes, and between two readings of one server, however much it says
MOST_BREATH = 5.0  # of a server that never stops talking: its mailbox would keep a worker to itself
FIRST_BACK_OFF, MOST_BACK_OFF = 5.0, 15 * 60.0
STEADY_SECONDS = 60.0  # who held so long begins again with the shortest wait
NO_IDLE_SECONDS = 6 * 3600.0
# A refusal was a slip of the server's where workers have gone on signing in for so long.
REFUSED_AGAIN = timedelta(hours=1)
MOST_OPENING, MOST_OPENING_AT_SERVER = 20, 5
SERVER_SECONDS = 0.5  # between two tries at one server
STOP_SECONDS = 2.0
DATABASE_SECONDS = 2.0  # until a database that was down is asked again for a wake
ACCOUNTS_AT_ONCE = 10  # asked for in one go, so that a wake never waits long for the one database thread
SHARES = 6  # of the accounts, one a look: each is asked for its mailboxes once a minute, if not sooner
TLS_BUFFER = 512  # asyncio zeroes 256 kB for each connection; an idle one needs a line

_PLACE = ("imap_host", "imap_port", "imap_security", "login", "private_host_allowed")
_ONLY_A_PERSON = (MailboxState.REFUSED, MailboxState.WITHDRAWN)
_COLUMNS = ("pk", "state", "secret", "consent__secret", "synced_at", *_PLACE)


@dataclass(frozen=True, slots=True)
class Shard:
    """Which mailboxes are ours: those whose id leaves `index` when divided by `count`."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """From "1/2", the first of two. Raises ValueError."""
        number, _, count = text.partition("/")
        shard = cls(int(number) - 1, int(count))
        if not 0 <= shard.index < shard.count:
            raise ValueError(f"{text} is not one of so many")
        return shard

    def has(self, mailbox_id: int) -> bool:
        return mailbox_id % self.count == self.index


@dataclass(frozen=True, slots=True)
class Watchable:
    """A mailbox to watch. Another `place` means another connection; another `key` is worth a new try of a
    login that was refused. The key is a digest: nothing secret is kept. `busy`: the server has asked workers for
    patience, and may have too many connections of this login."""

    mailbox_id: int
    account_id: int
    place: tuple[Any, ...]  # _PLACE, in this order
    key: bytes
    synced_at: datetime | None
    busy: bool

    @property
    def server(self) -> str:
        """Host and port."""
        return f"{str(self.place[0]).strip().lower()}:{self.place[1]}"


class Database:
    """One thread with a connection of its own; a broken one is replaced before the next question."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "watcher-database")

    async def ask(self, question: Callable[..., Answer], *arguments: object) -> Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._thread, partial(_with_a_sound_connection, question, *arguments)
        )

    async def close(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.ask(connections.close_all)
        self._thread.shutdown(wait=False, cancel_futures=True)


class Waker:
    """Collects mailboxes with news and wakes them together: at once after a quiet moment, else each BREATH_SECONDS."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[int] = set()
        self._news = asyncio.Event()

    def add(self, mailbox_id: int) -> None:
        self._waiting.add(mailbox_id)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled. What could not be woken now (a worker writes, the database is down) stays waiting."""
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            waiting, self._waiting = self._waiting, set()
            try:
                left = await self._database.ask(wake, waiting)
            except Exception as error:
                log.warning("watcher_could_not_wake", error=type(error).__name__, mailboxes=len(waiting))
                left = waiting
                await asyncio.sleep(DATABASE_SECONDS)
            for mailbox_id in left:
                self.add(mailbox_id)
            await asyncio.sleep(BREATH_SECONDS)


class Gate:
    """At most MOST_OPENING connections are being opened at once, MOST_OPENING_AT_SERVER of them to one server, for it
    may hang; and one in SERVER_SECONDS to each server, or one in MAIL_PROBE_SECONDS to one that is down."""

    def __init__(self) -> None:
        self._rooms = asyncio.Semaphore(MOST_OPENING)
        self._shares = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(MOST_OPENING_AT_SERVER))
        self._queues: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._last: defaultdict[str, float] = defaultdict(lambda: -math.inf)
        self._failures: defaultdict[str, int] = defaultdict(int)  # since somebody got through

    @asynccontextmanager
    async def opening(self, server: str) -> AsyncIterator[None]:
        """Raises what the block raises, which says whether the server was reached."""
        clock = asyncio.get_running_loop().time
        async with self._shares[server]:
            async with self._queues[server]:
                await asyncio.sleep(max(0.0, self._last[server] + self._pause(server) - clock()))
                await self._rooms.acquire()
                self._last[server] = clock()
            try:
                yield
                self._failures[server] = 0
            except ServerError as error:
                self._failures[server] = self._failures[server] + 1 if no_connection(error) else 0
                raise
            finally:
                self._rooms.release()

    def _pause(self, server: str) -> float:
        is_down = self._failures[server] >= outages.FEW
        return float(settings.MAIL_PROBE_SECONDS) if is_down else SERVER_SECONDS


class Roster:
    """Who is to be watched. A look asks for one of SHARES of the accounts, and at once for those whose schedule
    shows a mailbox that is new, or that nobody is going to synchronise: disconnected, or refused for good."""

    def __init__(self, database: Database, shard: Shard) -> None:
        self._database = database
        self._shard = shard
        self._turn = 0
        self._mailboxes: set[int] = set()
        self._accounts: dict[int, list[Watchable]] = {}

    async def look(self) -> dict[int, Watchable]:
        rows = [row for row in await self._database.ask(scheduled) if self._shard.has(row[0])]
        self._turn += 1
        asked = sorted(self._to_ask(rows))
        for start in range(0, len(asked), ACCOUNTS_AT_ONCE):
            some = asked[start : start + ACCOUNTS_AT_ONCE]
            self._accounts |= await self._database.ask(watchables, some)
        self._mailboxes = {mailbox_id for mailbox_id, _, _ in rows}
        return {
            watchable.mailbox_id: watchable
            for of_account in self._accounts.values()
            for watchable in of_account
            if watchable.mailbox_id in self._mailboxes
        }

    def _to_ask(self, rows: list[tuple[int, int, bool]]) -> set[int]:
        watched = {watchable.mailbox_id for of_account in self._accounts.values() for watchable in of_account}
        return {
            account_id
            for mailbox_id, account_id, rests in rows
            if (account_id + self._turn) % SHARES == 0
            or mailbox_id not in self._mailboxes
            or (rests and mailbox_id in watched)
        }


class Watcher:
    """`alive` is a file that is touched with every look: what a health check may ask for."""

    def __init__(self, shard: Shard = Shard(), alive: Path | None = None) -> None:
        self._alive = alive
        self._database = Database()
        self._roster = Roster(self._database, shard)
        self._waker = Waker(self._database)
        self._gate = Gate()
        self._watches: dict[int, tuple[Watchable, asyncio.Task[None]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._said = (0, 0)
        self.holding = 0  # connections in IDLE

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until `stop` is set, then say goodbye to every server within STOP_SECONDS."""
        sslproto.SSLProtocol.max_size = TLS_BUFFER
        tasks = {asyncio.create_task(self._waker.run()), asyncio.create_task(self._keep_looking())}
        await stop.wait()
        tasks |= self._ending | {task for _, task in self._watches.values()}
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_SECONDS)
        await self._database.close()

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self._look()
            except DatabaseTrouble as error:
                log.warning("watcher_without_database", error=type(error).__name__)
            except Exception:
                log.exception("watcher_look_failed")
            if self._alive:
                self._alive.touch()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        """Begin with what is new, end what is gone or is somewhere else now."""
        wanted = await self._roster.look()
        for mailbox_id, (watched, task) in list(self._watches.items()):
            if _is_over(watched, wanted.get(mailbox_id), refused=task.done()):
                del self._watches[mailbox_id]
                self._end(task)
        for mailbox_id, watchable in wanted.items():
            if mailbox_id not in self._watches:
                self._watches[mailbox_id] = watchable, asyncio.create_task(self._watch(watchable))
        counts = (len(self._watches), self.holding)
        if counts != self._said:
            log.info("watching", mailboxes=counts[0], connections=counts[1])
            self._said = counts

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.done():
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)
            task.cancel()

    async def _watch(self, watchable: Watchable) -> None:
        """Hold, and hold again, until cancelled or until only a change of the mailbox can help."""
        if watchable.busy:
            await asyncio.sleep(_spread(MOST_BACK_OFF))
        clock = asyncio.get_running_loop().time
        tries = 0
        while True:
            steady_at = math.inf
            try:
                idle = await self._open(watchable)
                steady_at = clock() + STEADY_SECONDS
                await self._stay(watchable, idle)
            except Exception as error:
                tries = 0 if clock() > steady_at else tries
                pause = pause_after(error, tries)
                _tell(watchable, error, pause)
            if pause is None:
                return
            await asyncio.sleep(_spread(pause))
            tries += 1

    async def _open(self, watchable: Watchable) -> IdleConnection:
        async with self._gate.opening(watchable.server):
            credentials = await self._database.ask(credentials_for, watchable)
            return await open_idle(credentials)

    async def _stay(self, watchable: Watchable, idle: IdleConnection) -> NoReturn:
        """Ends only by an exception; the connection is closed then."""
        self.holding += 1
        try:
            if idle.told or await self._has_news(watchable, idle):
                self._waker.add(watchable.mailbox_id)
            while True:
                await self._listen(watchable, idle)
                if await idle.renew():
                    self._waker.add(watchable.mailbox_id)
        finally:
            self.holding -= 1
            await idle.close()

    async def _listen(self, watchable: Watchable, idle: IdleConnection) -> None:
        """Until the IDLE has to be renewed."""
        seconds = RENEW_SECONDS * random.uniform(0.9, 1.0)  # noqa: S311 (spread, not secrecy)
        clock = asyncio.get_running_loop().time
        breath = BREATH_SECONDS
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    since = clock()
                    if await idle.hear():
                        self._waker.add(watchable.mailbox_id)
                    was_quiet = clock() - since >= breath
                    breath = BREATH_SECONDS if was_quiet else min(2 * breath, MOST_BREATH)
                    await asyncio.sleep(breath)

    async def _has_news(self, watchable: Watchable, idle: IdleConnection) -> bool:
        """A04: what came between the last synchronisation and IDLE is told by nobody; so it is compared."""
        try:
            return await self._database.ask(differs, watchable, idle.exists, idle.cursors)
        except DatabaseTrouble:
            return True


def pause_after(error: Exception, tries: int) -> float | None:
    """Seconds until the next try; None where a new try needs a change of the mailbox first."""
    if isinstance(error, Refused | secrets.WrongKeyError | ForbiddenText | Mailbox.DoesNotExist):
        return None
    if isinstance(error, NoIdle):
        return NO_IDLE_SECONDS
    if isinstance(error, Busy | FolderGone):
        # Where connections are scarce, the poll and a person's click need them more.
        return max(MOST_BACK_OFF, error.seconds if isinstance(error, Busy) else 0.0)
    return min(FIRST_BACK_OFF * 2.0 ** min(tries, 20), MOST_BACK_OFF)


def scheduled() -> list[tuple[int, int, bool]]:
    """Every mailbox, its account, and whether it rests: neither due nor in a worker's hands."""
    rows = Schedule.objects.values_list("mailbox_id", "account_id", "due_at", "leased_until")
    return [(mailbox, account, due is None and leased is None) for mailbox, account, due, leased in rows]


def watchables(account_ids: Iterable[int]) -> dict[int, list[Watchable]]:
    """The mailboxes of these accounts that are synchronised. One whose login a worker saw refused is left alone."""
    found: dict[int, list[Watchable]] = {}
    for account_id, account in Account.objects.in_bulk(account_ids).items():
        with tenancy.acting_for(account_id):
            open_ones = Mailbox.objects.filter(account=account, disconnected_at=None, paused_at=None)
            rows = open_ones.exclude(state__in=_ONLY_A_PERSON).values_list(*_COLUMNS)
            limits = limits_for(account, account.today())
            resting = parked(limits, account_id=account_id)
            found[account_id] = [
                _watchable(account_id, *row) for row in rows if limits.sync_enabled and row[0] not in resting
            ]
    return found


def _watchable(
    account_id: int,
    mailbox_id: int,
    state: str,
    secret: bytes,
    tokens: bytes | None,
    synced_at: datetime | None,
    *place: Any,
) -> Watchable:
    key = hashlib.sha256(bytes(secret) + bytes(tokens or b"") + state.encode()).digest()
    return Watchable(mailbox_id, account_id, place, key, synced_at, state == MailboxState.BUSY)


def credentials_for(watchable: Watchable) -> Credentials:
    """Raises Mailbox.DoesNotExist, secrets.WrongKeyError, Unreachable where an access token has run out.

    No provider is asked here: everybody's news would wait. Workers renew tokens five minutes before their end, and
    every mailbox has one at least once a minute.
    """
    with tenancy.acting_for(watchable.account_id):
        found = Mailbox.objects.select_related("consent")
        return signing_in.credentials_at_hand(found.get(pk=watchable.mailbox_id))


def differs(watchable: Watchable, exists: int | None, cursors: dict[str, int]) -> bool:
    """Whether INBOX is not what its row knows; what either side does not know differs from nothing."""
    with tenancy.acting_for(watchable.account_id):
        inbox = Folder.objects.filter(mailbox=watchable.mailbox_id, special_use=SpecialUse.INBOX)
        row = inbox.values_list("server_messages", "uidvalidity", "server_uidnext", "modseq").first()
    if row is None:
        return True
    theirs = (exists, cursors.get("UIDVALIDITY"), cursors.get("UIDNEXT"), cursors.get("HIGHESTMODSEQ"))
    return any(None not in pair and pair[0] != pair[1] for pair in zip(row, theirs, strict=True))


def wake(mailbox_ids: Iterable[int]) -> set[int]:
    """Wake those that no worker is writing at this moment; returns the others, to be tried again.

    Waiting for one mailbox's transaction would hold up everybody's news.
    """
    with transaction.atomic():
        wanted = Schedule.objects.filter(pk__in=list(mailbox_ids)).order_by("pk").values_list("pk", flat=True)
        there = set(wanted)
        free = list(wanted.select_for_update(skip_locked=True, no_key=True))
        schedule.wake(*free)
    return there.difference(free)


def _spread(seconds: float) -> float:
    """Never earlier than the server asked."""
    return seconds * random.uniform(1.0, 1.4)  # noqa: S311 (spread, not secrecy)


def _is_over(watched: Watchable, now: Watchable | None, *, refused: bool) -> bool:
    """Also where the server is busy: one that allows a single connection had ours, and no worker ever got in (L11)."""
    if now is None or now.place != watched.place:
        return True
    return _is_worth_a_try(watched, now) if refused else now.busy


def _is_worth_a_try(refused: Watchable, now: Watchable) -> bool:
    """The login changed, or workers go on signing in with it."""
    if now.key != refused.key:
        return True
    return bool(now.synced_at and refused.synced_at and now.synced_at > refused.synced_at + REFUSED_AGAIN)


def _with_a_sound_connection(question: Callable[..., Answer], *arguments: object) -> Answer:
    close_old_connections()
    return question(*arguments)


def _tell(watchable: Watchable, error: Exception, pause: float | None) -> None:
    """By name, step and line: the words may be the server's, and those may be anything."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.log(
        logging.INFO if isinstance(error, _EXPECTED) else logging.ERROR,
        "watch_ended",
        mailbox=watchable.mailbox_id,
        error=type(error).__name__,
        step=getattr(error, "step", ""),
        at=f"{Path(place.filename).name}:{place.lineno}",
        again_in=pause and round(pause),
    )
