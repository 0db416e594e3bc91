"""One connection that sits in IDLE on INBOX (RFC 2177): it hears that something happened, never what.

On asyncio and without imaplib, because one process holds thousands of them; the work itself is `session.py`'s,
whose rules hold here, too: a checked address, TLS as asked, no line break into a command. Nothing is fetched.
"""

import asyncio
import base64
import re
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from mailsync import netguard
from mailsync.imap.errors import (
    Broken,
    Busy,
    CommandRefused,
    FolderGone,
    Refused,
    ServerError,
    Unreachable,
    login_refused,
)
from mailsync.imap.session import (
    CONNECT_TIMEOUT,
    Credentials,
    mechanism_for,
    quoted,
    refusal,
    refuse_line_breaks,
    tls_context,
)
from mailsync.sasl import Mechanism

OPEN_SECONDS = 40.0  # from the name to IDLE, all steps together: a server that trickles ends here
ANSWER_SECONDS = 30.0
GOODBYE_SECONDS = 1.0
ATTEMPT_SECONDS = 10.0
LINE_BYTES = 64 * 1024

_ABOUT_MESSAGES = re.compile(rb"\* \d{1,10} (?:EXISTS|EXPUNGE|FETCH)\b", re.IGNORECASE)
_EXISTS = re.compile(rb"\* (\d{1,10}) EXISTS\b", re.IGNORECASE)
_CURSOR = re.compile(rb"\* OK \[(UIDVALIDITY|UIDNEXT|HIGHESTMODSEQ) (\d{1,20})\]", re.IGNORECASE)
_CAPABILITY = re.compile(rb"\* CAPABILITY (.*)", re.IGNORECASE)
_BYE = re.compile(rb"\* BYE\b", re.IGNORECASE)
_LITERAL = re.compile(rb"\{(\d{1,20})\+?\}$")


class NoIdle(ServerError):
    """The server has no IDLE, or does not obey it: only the poll learns of news there."""


async def open_idle(credentials: Credentials) -> "IdleConnection":
    """Connect, protect, sign in, EXAMINE INBOX and enter IDLE.

    Raises what session.connect raises, FolderGone where INBOX does not open, and NoIdle.
    """
    refuse_line_breaks(credentials.login.encode(), credentials.password.encode())
    async with _within(OPEN_SECONDS, "connect"):
        lines = await _reach(credentials)
        connection = IdleConnection(lines)
        try:
            await connection.begin(credentials)
        except BaseException:
            lines.abort()
            raise
    return connection


class IdleConnection:
    """A signed-in connection in IDLE. `exists` and `cursors` are INBOX as EXAMINE told it.

    `cursors` holds UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ, as far as the server said them. `told` is whether
    it said something about messages since EXAMINE and before IDLE: news that no IDLE will repeat (A04).
    """

    __slots__ = ("_lines", "_signed_in", "_tag", "capabilities", "cursors", "exists", "told")

    def __init__(self, lines: "Lines") -> None:
        self._lines = lines
        self._tag = 0
        self._signed_in = False
        self.capabilities: frozenset[bytes] = frozenset()
        self.exists: int | None = None
        self.cursors: dict[str, int] = {}
        self.told = False

    async def begin(self, credentials: Credentials) -> None:
        """From the greeting to IDLE."""
        await self._greeting()
        await self._command(b"CAPABILITY")
        if credentials.security == "starttls":
            await self._start_tls(credentials)
        await self._sign_in(credentials)
        await self._command(b"CAPABILITY")  # the list changes with the login (G15)
        if b"IDLE" not in self.capabilities:
            raise NoIdle("The server has no IDLE.")
        self.capabilities = frozenset()  # two thousand connections need not keep it
        await self._examine()
        await self._enter()

    async def hear(self) -> bool:
        """Wait until the server speaks, then take in all it has said; whether that was about messages.

        Raises Broken where the connection or the IDLE has ended.
        """
        self.told = False
        self._take_idling(await self._lines.line())
        while self._lines.has_line():
            self._take_idling(await self._lines.line())
        return self.told

    async def renew(self) -> bool:
        """Leave IDLE and enter it again, which also shows whether anybody is there; what `hear` returns."""
        self.told = False
        async with _within(ANSWER_SECONDS):
            self._lines.write(b"DONE\r\n")
            await self._until(b"w%d" % self._tag)
            await self._enter()
        return self.told

    async def close(self) -> None:
        """Say goodbye; takes GOODBYE_SECONDS at most and never raises."""
        await self._lines.end(b"DONE\r\nbye LOGOUT\r\n")

    async def _greeting(self) -> None:
        line = (await self._lines.line()).upper()
        if line.startswith(b"* PREAUTH"):
            raise Refused("The server lets everybody in without a login (PREAUTH).", step="login")
        if line.startswith(b"* BYE"):
            raise Busy("The server turns us away.", step="connect")
        if not line.startswith(b"* OK"):
            raise Broken("This is no IMAP server.", step="connect")

    async def _start_tls(self, credentials: Credentials) -> None:
        """Refuse to go on in clear text when STARTTLS is not offered or not obeyed (L01, L02)."""
        if b"STARTTLS" not in self.capabilities:
            raise Unreachable("The server does not offer STARTTLS; nothing was sent.", step="tls")
        try:
            await self._command(b"STARTTLS")
        except CommandRefused:
            raise Unreachable("The server refuses STARTTLS; nothing was sent.", step="tls") from None
        with _tls_trouble():
            await self._lines.protect(tls_context(credentials.ca_file), credentials.host)
        self.capabilities = frozenset()
        await self._command(b"CAPABILITY")

    async def _sign_in(self, credentials: Credentials) -> None:
        """As session.sign_in. An access token is used as it is: workers renew it, with every poll if need be."""
        offered = {name.decode("ascii", "replace") for name in self.capabilities}
        mechanism = mechanism_for(credentials, offered)
        typed = (
            [] if mechanism else [_quoted_ascii(each) for each in (credentials.login, credentials.password)]
        )
        try:
            if mechanism:
                await self._authenticate(mechanism)
            else:
                await self._command(b"LOGIN", *typed)
        except CommandRefused as error:
            raise login_refused(error.sentence.strip("“”"), bearer=credentials.bearer) from None
        self._signed_in = True

    async def _authenticate(self, mechanism: Mechanism) -> None:
        async with _within(ANSWER_SECONDS):
            tag = self._send(b"AUTHENTICATE", mechanism.name.encode())
            for answer in (mechanism.first, mechanism.after_error):
                if not await self._until(tag, continuation=True):
                    return
                self._lines.write(base64.b64encode(answer) + b"\r\n")
            await self._until(tag)

    async def _examine(self) -> None:
        """Read-only, so that nothing of ours takes \\Recent away from other programs."""
        try:
            await self._command(b"EXAMINE", quoted(b"INBOX"))
        except CommandRefused as error:
            raise FolderGone(f"The server does not open INBOX: {error.sentence}") from None
        self.told = False

    async def _enter(self) -> None:
        try:
            entered = await self._until(self._send(b"IDLE"), continuation=True)
        except CommandRefused as error:
            if not error.final:
                raise
            entered = False
        if not entered:
            raise NoIdle("The server refuses IDLE.")

    async def _command(self, name: bytes, *arguments: bytes) -> None:
        """Raises CommandRefused for NO and BAD; untagged answers go where `_take` puts them."""
        async with _within(ANSWER_SECONDS):
            await self._until(self._send(name, *arguments))

    def _send(self, *words: bytes) -> bytes:
        refuse_line_breaks(*words)
        self._tag += 1
        tag = b"w%d" % self._tag
        self._lines.write(b" ".join((tag, *words)) + b"\r\n")
        return tag

    async def _until(self, tag: bytes, *, continuation: bool = False) -> bool:
        """Read to the tagged end, or to "+" where one is expected (then True). Raises CommandRefused."""
        while True:
            line = await self._lines.line()
            if continuation and line.startswith(b"+"):
                return True
            if line.startswith(tag + b" "):
                kind, _, text = line[len(tag) + 1 :].partition(b" ")
                if kind.upper() != b"OK":
                    raise refusal("BAD" if kind.upper() == b"BAD" else "NO", [text])
                return False
            self._take(line)

    def _take_idling(self, line: bytes) -> None:
        if line.startswith(b"w%d " % self._tag):
            raise Broken("The server ended IDLE.")
        self._take(line)

    def _take(self, line: bytes) -> None:
        """One untagged answer. What we do not know is passed over: only the poll must understand everything."""
        if _BYE.match(line):
            if self._signed_in:
                raise Broken("The server said goodbye.")
            raise Busy("The server turns us away.", step="login")
        if _ABOUT_MESSAGES.match(line):
            self.told = True
        if exists := _EXISTS.match(line):
            self.exists = int(exists[1])
        elif cursor := _CURSOR.match(line):
            self.cursors[cursor[1].decode().upper()] = int(cursor[2])
        elif listed := _CAPABILITY.match(line):
            self.capabilities = frozenset(listed[1].upper().split())


class Lines(asyncio.Protocol):
    """The server's lines, one at a time. Never holds more than two of the longest allowed."""

    __slots__ = ("_buffer", "_gone", "_paused", "_transport", "_waiter")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > LINE_BYTES and self._transport:
            self._transport.pause_reading()
            self._paused = True
        self._announce()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        if not self._gone.done():
            self._gone.set_result(None)
        self._announce()

    def write(self, data: bytes) -> None:
        if self._transport and not self._gone.done():
            self._transport.write(data)

    def has_line(self) -> bool:
        return b"\n" in self._buffer

    async def line(self) -> bytes:
        """The next line without its end; literals in it are passed over. Raises Broken."""
        line, left = await self._piece(), LINE_BYTES
        while literal := _LITERAL.search(line):
            left -= int(literal[1])
            if left < 0:
                raise Broken("The literals of an answer are longer than 64 kB.")
            await self._skip(int(literal[1]))
            line = line[: literal.start()] + await self._piece()
            if len(line) > LINE_BYTES:
                raise Broken("An answer is longer than 64 kB.")
        return line

    async def protect(self, context: ssl.SSLContext, host: str) -> None:
        """From here on in TLS. What came in clear after the OK is dropped: somebody added it (L03)."""
        assert self._transport
        self._buffer.clear()
        loop = asyncio.get_running_loop()
        self._transport = await loop.start_tls(
            self._transport, self, context, server_hostname=host, ssl_handshake_timeout=CONNECT_TIMEOUT
        )
        self._paused = False

    async def end(self, last_words: bytes) -> None:
        """Say what is left to say, give the server GOODBYE_SECONDS to close, and close.

        Who closes first resets the connection, and the server may never read the last words.
        """
        try:
            if self._transport and not self._gone.done():
                self._transport.write(last_words)
                self._drop(len(self._buffer))
                await asyncio.wait([self._gone], timeout=GOODBYE_SECONDS)
        finally:
            self.abort()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    async def _piece(self) -> bytes:
        while True:
            end = self._buffer.find(b"\n", 0, LINE_BYTES)
            if end >= 0:
                line = bytes(self._buffer[:end]).rstrip(b"\r")
                self._drop(end + 1)
                return line
            if len(self._buffer) >= LINE_BYTES:
                raise Broken("A line is longer than 64 kB.")
            await self._more()

    async def _skip(self, size: int) -> None:
        while size:
            taken = min(size, len(self._buffer))
            self._drop(taken)
            size -= taken
            if size:
                await self._more()

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        if self._paused and len(self._buffer) <= LINE_BYTES and self._transport:
            self._paused = False
            self._transport.resume_reading()

    async def _more(self) -> None:
        if self._gone.done():
            raise Broken("The connection ended.")
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def _announce(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


async def _reach(credentials: Credentials) -> Lines:
    """A connection to a checked address, in TLS where that comes first."""
    try:
        sock = await _dial(await _resolved(credentials))
    except (netguard.UnknownHost, netguard.ForbiddenAddress):
        raise Unreachable("The server's name leads nowhere we may go.", step="name") from None
    except OSError:
        raise Unreachable("The server does not take connections.", step="connect") from None
    loop = asyncio.get_running_loop()
    if credentials.security != "tls":
        _, lines = await loop.create_connection(Lines, sock=sock)
        return lines
    with _tls_trouble():
        _, lines = await loop.create_connection(
            Lines,
            sock=sock,
            ssl=tls_context(credentials.ca_file),
            server_hostname=credentials.host,
            ssl_handshake_timeout=CONNECT_TIMEOUT,
        )
    return lines


async def _resolved(credentials: Credentials) -> list[netguard.Target]:
    """netguard's answer. In a daemon thread: a dead name server must not hold the process at its end."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[netguard.Target] | OSError] = loop.create_future()

    def settle(found: list[netguard.Target] | OSError) -> None:
        if not answer.done():
            answer.set_result(found)

    def look_up() -> None:
        try:
            found: list[netguard.Target] | OSError = netguard.resolve(
                credentials.host, credentials.port, allow_private=credentials.allow_private
            )
        except OSError as error:
            found = error
        try:
            loop.call_soon_threadsafe(settle, found)
        except RuntimeError:
            return  # the loop has ended meanwhile

    threading.Thread(target=look_up, daemon=True).start()
    found = await answer
    if isinstance(found, OSError):
        raise found
    return found


async def _dial(targets: list[netguard.Target]) -> socket.socket:
    """The first address that answers. Raises the OSError of the last that does not."""
    failure: OSError = TimeoutError("no address")
    for family, address in targets:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            _watch_the_peer(sock)
            async with asyncio.timeout(ATTEMPT_SECONDS):
                await asyncio.get_running_loop().sock_connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _watch_the_peer(sock: socket.socket) -> None:
    """The kernel asks a silent peer after two minutes, and gives it up after three (L10)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 120)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _quoted_ascii(text: str) -> bytes:
    try:
        return quoted(text.encode("ascii"))
    except UnicodeEncodeError:
        raise Refused(
            "This server cannot take a login or password with such letters.", step="login"
        ) from None


@contextmanager
def _tls_trouble() -> Iterator[None]:
    """Turn what a handshake raises into Unreachable."""
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise Unreachable("The server's certificate is not trusted.", step="tls") from None
    except OSError:
        raise Unreachable("The server does not speak TLS on this port.", step="tls") from None


@asynccontextmanager
async def _within(seconds: float, step: str = "session") -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise Unreachable("The server stopped answering.", step=step) from None
