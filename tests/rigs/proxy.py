"""A line between us and a mail server on which things go wrong (rig P): bytes lost, late or doubled, commands refused,
abilities hidden. What the server would still do although it does not offer it is refused here, and the codes it would
still send are taken out: hiding capabilities in Dovecot is not enough (SYNC_CASES, finding 2).
"""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

_LITERAL = re.compile(rb"\{(\d+)(\+?)\}\r\n$")
_CAPABILITIES = re.compile(rb"(?<=\* CAPABILITY )[^\r\n]*|(?<=\[CAPABILITY )[^\]\r\n]*", re.IGNORECASE)
_CHUNK = 65536
_ESTABLISHED = 1  # the state in Linux's tcp_info
Rewrite = tuple[re.Pattern[bytes], bytes | Callable[[re.Match[bytes]], bytes]]


class Way(StrEnum):
    TO_SERVER = "to the server"
    TO_US = "to us"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a kind of server has not. `only`: all that its CAPABILITY may name, instead of `hidden`."""

    name: str
    hidden: frozenset[bytes] = frozenset()
    only: frozenset[bytes] = frozenset()
    refused: re.Pattern[bytes] | None = None
    rewritten: tuple[Rewrite, ...] = ()
    connections: int | None = None


def _rewrite(pattern: bytes, text: bytes) -> Rewrite:
    return re.compile(pattern, re.IGNORECASE), text


def _refused(*patterns: bytes) -> re.Pattern[bytes]:
    return re.compile(b"|".join(patterns), re.IGNORECASE)


_NO_MODSEQ = (
    rb"\(CONDSTORE", rb"\(QRESYNC", rb"CHANGEDSINCE", rb"STATUS .*HIGHESTMODSEQ", rb"^ENABLE", rb"SEARCH RETURN",
)  # fmt: skip
_NO_PLUS = (*_NO_MODSEQ, rb"^(UID )?MOVE ", rb"^UID EXPUNGE", rb"SPECIAL-USE")
_BARE = (
    *_NO_PLUS,
    rb"^(IDLE|NAMESPACE|ID|UNSELECT|COMPRESS|NOTIFY)\b",
    rb" RETURN \(",
    rb"^AUTHENTICATE \S+ \S",
)
_CODES = (
    _rewrite(rb"\[(?:HIGHESTMODSEQ \d+|NOMODSEQ|MODIFIED [^\]]*)\] ?", b""),
    _rewrite(rb" ?MODSEQ \(\d+\)", b""),
)
_PLUS_CODES = (
    *_CODES,
    _rewrite(rb"\[(?:COPYUID|APPENDUID) [^\]]*\] ?", b""),
    _rewrite(rb" ?\\(?:All|Archive|Drafts|Flagged|Junk|Sent|Trash)(?=[ )])(?=[^()\r\n]*\) (?:\"|NIL))", b""),
)
_MODSEQ_WORDS = frozenset({b"CONDSTORE", b"QRESYNC", b"ESEARCH", b"ENABLE", b"SEARCHRES", b"ESORT"})
FULL = Profile("full")
NOCOND = Profile("nocond", hidden=_MODSEQ_WORDS, refused=_refused(*_NO_MODSEQ), rewritten=_CODES)
NOPLUS = Profile(
    "noplus",
    hidden=_MODSEQ_WORDS | {b"UIDPLUS", b"MOVE", b"SPECIAL-USE"},
    refused=_refused(*_NO_PLUS),
    rewritten=_PLUS_CODES,
)
BARE = Profile(
    "bare",
    only=frozenset({b"IMAP4REV1", b"AUTH=PLAIN"}),
    refused=_refused(*_BARE),
    rewritten=_PLUS_CODES,
    connections=1,
)
PROFILES = (FULL, NOCOND, NOPLUS, BARE)


def without(*capabilities: str) -> Profile:
    """A server that is silent about these, and would obey them."""
    return Profile("without " + ", ".join(capabilities), hidden=frozenset(map(str.encode, capabilities)))


@dataclass(slots=True)
class Proxy:
    """Carries bytes to the server and back; the fields below the line may be changed while it runs.

    `cut` and `stall` count all bytes that went one way since `forget()`: the connection ends, or falls silent, when
    so many have passed. `answers`: what the proxy itself answers to commands that match. `lost`: commands which the
    server does, whereupon the connection ends before its answer. `twice`: answers that come two times. `hollow`:
    answers in which each literal comes as NIL.
    """

    server: tuple[str, int]
    profile: Profile = FULL
    port: int = 0
    # ---
    cut: dict[Way, int] = field(default_factory=dict)
    stall: dict[Way, int] = field(default_factory=dict)
    answers: dict[bytes, bytes] = field(default_factory=dict)
    lost: re.Pattern[bytes] | None = None
    twice: re.Pattern[bytes] | None = None
    hollow: re.Pattern[bytes] | None = None
    rewritten: list[Rewrite] = field(default_factory=list)
    refusing: bool = False  # every new connection ends at once
    trickle: float = 0.0  # seconds between two bytes to us
    pace: int = 0  # bytes a second to us, where it is a thin line
    late: float = 0.0  # seconds which each answer takes longer
    plans: list[tuple[re.Pattern[bytes], Callable[[], object]]] = field(default_factory=list)
    watch: Callable[[bytes], object] | None = None  # told of each command before it goes on
    # What it saw.
    carried: dict[Way, int] = field(default_factory=lambda: dict.fromkeys(Way, 0))
    commands: list[bytes] = field(default_factory=list)  # first lines of commands, without the tag
    heard: list[bytes] = field(default_factory=list)  # those of them that reached the server whole
    connections: int = 0
    failures: list[Exception] = field(default_factory=list)
    _open: list["_Connection"] = field(default_factory=list)

    def forget(self) -> None:
        """Count from here."""
        self.carried = dict.fromkeys(Way, 0)
        self.commands, self.heard = [], []
        self.connections = 0

    def rewrite(self, pattern: bytes, text: bytes | Callable[[re.Match[bytes]], bytes]) -> None:
        """Change what the server says, line by line, never inside a literal."""
        self.rewritten.append((re.compile(pattern, re.IGNORECASE), text))

    def heal(self) -> None:
        """From now on everything passes, as the profile lets it."""
        self.cut, self.stall, self.answers, self.rewritten = {}, {}, {}, []
        self.lost = self.twice = self.hollow = self.watch = None
        self.refusing, self.trickle, self.pace, self.late, self.plans = False, 0.0, 0, 0.0, []

    def settle(self) -> None:
        """Wait until the server has done what it heard on connections that are over for us."""
        for connection in self._open:
            if connection.left or connection.is_hung_up():
                connection.join()

    def once(self, command: str, what: Callable[[], object]) -> None:
        """Do something just before a command that matches goes to the server, the first time only.

        It runs in a thread of the proxy: it may talk to mail servers and not to the database.
        """
        self.plans.append((re.compile(command.encode()), what))

    def meet(self, command: bytes) -> None:
        if self.watch:
            self.watch(command.rstrip(b"\r\n"))
        for plan in [plan for plan in self.plans if plan[0].search(command)]:
            self.plans.remove(plan)
            try:
                plan[1]()
            except Exception as error:  # told at the end of the test
                self.failures.append(error)

    @property
    def lies(self) -> bool:
        """Whether it changes what the server says."""
        return bool(self.rewritten or self.hollow or self.answers)

    def asked(self, *words: str) -> list[bytes]:
        """The commands since `forget()` that contain all the words."""
        return [line for line in self.commands if all(word.encode() in line for word in words)]

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                ours, _ = listener.accept()
                if self.refusing or self._is_full():
                    with suppress(OSError):
                        ours.sendall(b"" if self.refusing else b"* BYE Too many connections\r\n")
                    ours.close()
                    continue
                self.connections += 1
                theirs = socket.create_connection(self.server)
                for side in (ours, theirs):
                    side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection = _Connection(self, ours, theirs)
                self._open.append(connection)
                connection.start()

    def _is_full(self) -> bool:
        """A connection that we have left is gone as soon as the server has done what it heard."""
        most = self.profile.connections
        if most is not None and len(self._open) >= most:
            self.settle()
        self._open = [each for each in self._open if not each.over]
        return most is not None and len(self._open) >= most

    def end(self) -> None:
        for connection in self._open:
            connection.end()
            connection.join()


@contextmanager
def line_to(host: str, port: int, profile: Profile = FULL) -> Iterator[Proxy]:
    """A proxy on loopback to host:port, for the length of the block."""
    proxy = Proxy((host, port), profile)
    listener = socket.create_server(("127.0.0.1", 0))
    proxy.port = listener.getsockname()[1]
    thread = threading.Thread(target=proxy.serve, args=(listener,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        proxy.end()
    if proxy.failures:
        raise proxy.failures[0]


class _Over(Exception):
    """This connection carries nothing more."""


class _Connection:
    """Two threads, one each way. An answer goes out whole before another thread may speak to us.

    When it is over for us, by whose fault ever, the server still does what it has heard, as at the end of a real line.
    """

    def __init__(self, proxy: Proxy, ours: socket.socket, theirs: socket.socket) -> None:
        self.proxy, self.ours, self.theirs = proxy, ours, theirs
        self.left = self.over = False
        self._speaking = threading.RLock()
        self._silent = threading.Event()
        self._threads = [
            threading.Thread(target=each, daemon=True) for each in (self._to_server, self._to_us)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_hung_up(self) -> bool:
        """Whether we have closed it, be it that its threads have not read so far yet."""
        try:
            return self.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED
        except OSError:
            return True

    def join(self) -> None:
        for thread in self._threads:
            thread.join(5)

    def end(self) -> None:
        self.over = True
        self._silent.set()
        for side in (self.ours, self.theirs):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()

    def _leave(self) -> None:
        """Nothing more for us, and nothing more from us."""
        self.left = True
        self._silent.set()
        for side, how in ((self.ours, socket.SHUT_RDWR), (self.theirs, socket.SHUT_WR)):
            with suppress(OSError):
                side.shutdown(how)

    def _to_server(self) -> None:
        with suppress(OSError, ValueError, _Over):
            self._commands()
        self._leave()

    def _to_us(self) -> None:
        with suppress(OSError, ValueError, _Over):
            self._answers()
        self._leave()
        with suppress(OSError):
            while self.theirs.recv(_CHUNK):
                pass
        self.end()

    def _commands(self) -> None:
        with self.ours.makefile("rb") as file:
            while line := file.readline():
                tag, _, text = line.partition(b" ")
                self.proxy.commands.append(text.rstrip(b"\r\n"))
                self.proxy.meet(text)
                if reply := self._own_reply(text):
                    self._say(b"%s %s\r\n" % (tag, reply))
                    self._swallow(file, line)
                    continue
                if self.proxy.lost and self.proxy.lost.search(text):
                    self._silent.set()
                self._pass_on(file, line)

    def _own_reply(self, text: bytes) -> bytes:
        refused = self.proxy.profile.refused
        if refused and refused.search(text):
            return b"BAD Unknown command"
        return next((reply for asked, reply in self.proxy.answers.items() if re.search(asked, text)), b"")

    def _swallow(self, file, line: bytes) -> None:
        """What follows a refused line without waiting for our leave (LITERAL+)."""
        while (found := _LITERAL.search(line)) and found[2]:
            file.read(int(found[1]))
            line = file.readline()

    def _pass_on(self, file, line: bytes) -> None:
        text = line.partition(b" ")[2].rstrip(b"\r\n")
        self._carry(Way.TO_SERVER, line)
        while found := _LITERAL.search(line):
            self._carry(Way.TO_SERVER, file.read(int(found[1])))
            line = file.readline()
            self._carry(Way.TO_SERVER, line)
        if line.endswith(b"\n"):
            self.proxy.heard.append(text)

    def _answers(self) -> None:
        with self.theirs.makefile("rb") as file:
            while line := file.readline():
                if self._silent.is_set():
                    return
                if self.proxy.late:
                    time.sleep(self.proxy.late)
                with self._speaking:
                    self._answer(file, line)

    def _answer(self, file, line: bytes) -> None:
        """One answer, with its literals."""
        if self.proxy.hollow and self.proxy.hollow.search(line):
            line = self._emptied(file, line)
        whole = [self._spoken(line)]
        again = bool(self.proxy.twice and self.proxy.twice.search(line))
        while True:
            self._carry(Way.TO_US, whole[-1])
            found = _LITERAL.search(line)
            if not found:
                break
            left = int(found[1])
            while left and (chunk := file.read1(min(left, _CHUNK))):
                self._carry(Way.TO_US, chunk)
                whole += [chunk] if again else []
                left -= len(chunk)
            line = file.readline()
            whole.append(self._spoken(line))
        if again:
            self._carry(Way.TO_US, b"".join(whole))

    def _emptied(self, file, line: bytes) -> bytes:
        while found := _LITERAL.search(line):
            file.read(int(found[1]))
            line = _LITERAL.sub(b"NIL", line) + file.readline()
        return line

    def _spoken(self, line: bytes) -> bytes:
        """As this kind of server would say it."""
        profile = self.proxy.profile
        line = _CAPABILITIES.sub(lambda found: self._offered(found[0]), line)
        for pattern, text in (*profile.rewritten, *self.proxy.rewritten):
            line = pattern.sub(text, line)
        return line

    def _offered(self, words: bytes) -> bytes:
        profile = self.proxy.profile
        kept = [
            word
            for word in words.split()
            if word.upper() not in profile.hidden and (not profile.only or word.upper() in profile.only)
        ]
        return b" ".join(kept)

    def _say(self, answer: bytes) -> None:
        with self._speaking:
            self._carry(Way.TO_US, answer)

    def _carry(self, way: Way, data: bytes) -> None:
        target = self.ours if way is Way.TO_US else self.theirs
        proxy = self.proxy
        room = min(proxy.cut.get(way, _NO_END), proxy.stall.get(way, _NO_END)) - proxy.carried[way]
        part = data[: max(0, room)]
        proxy.carried[way] += len(part)
        if proxy.trickle and way is Way.TO_US:
            for number in range(len(part)):
                time.sleep(proxy.trickle)
                target.sendall(part[number : number + 1])
        elif proxy.pace and way is Way.TO_US:
            size = max(1, proxy.pace // 20)
            for start in range(0, len(part), size):
                target.sendall(part[start : start + size])
                time.sleep(len(part[start : start + size]) / proxy.pace)
        elif part:
            target.sendall(part)
        if len(part) < len(data):
            if way not in proxy.cut:
                self._silent.wait()
            raise _Over


_NO_END = 1 << 60
