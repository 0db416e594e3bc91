"""An outgoing server on which things go wrong where a test says so, and which writes down all that it was told."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

_THIN = 1 << 15
_ENDLESS = 1000  # pieces of 23 kB


class Fault(StrEnum):
    """Where a connection goes wrong. Those of TAKEN leave the letter with the receiver."""

    NONE = "no fault"
    CONNECT = "closes at once"
    BUSY = "421 at once"
    EHLO = "closes at EHLO"
    LOGIN = "535 to the login"
    LOGIN_LATER = "454 to the login"
    LOGIN_REPEATED = "535 with what it was told"
    MAIL_LATER = "451 to MAIL"
    MAIL_REFUSED = "550 to MAIL"
    RCPT_LATER = "450 to every RCPT"
    RCPT_REFUSED = "550 to every RCPT"
    RCPT_CLOSED = "closes at RCPT"
    DATA_CLOSED = "closes at DATA"
    DATA_LATER = "451 to DATA"
    DATA_REFUSED = "554 to DATA"
    DATA_NONSENSE = "250 to DATA"
    IN_TEXT = "closes in the text"
    DOT_LOST = "closes after the dot, and drops the letter"
    DOT_LATER = "451 after the dot"
    DOT_REFUSED = "554 after the dot"
    DOT_TAKEN = "takes the letter and closes"
    DOT_NONSENSE = "takes the letter and answers nonsense"
    QUIT = "takes the letter, says so, and closes"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a receiver got."""

    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @property
    def message_id(self) -> str:
        found = re.search(rb"^Message-ID:\s*<([^>]+)>", self.raw, re.MULTILINE | re.IGNORECASE)
        assert found
        return found[1].decode()


@dataclass
class Outgoing:
    """One server; the fields below the line may be changed while it runs. `faults` are used up connection by
    connection; `answers` are what it says to RCPT about an address, before the rest; `pause` is how many seconds it
    rests after each 32 kB of a text; to the command `endless` it says more than anybody may listen to, then the rest.
    """

    port: int
    extensions: list[str] = field(default_factory=lambda: ["SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN"])
    # ---
    auth: str = "PLAIN LOGIN"
    faults: list[Fault] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    pause: float = 0
    endless: str = ""
    delivered: list[Delivery] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    def talk(self, connection: socket.socket) -> None:
        fault = self.faults.pop(0) if self.faults else Fault.NONE
        with suppress(OSError, EOFError):
            _Talk(self, connection, fault).run()


class _Closed(EOFError):
    """The connection is over."""


class _Talk:
    def __init__(self, server: Outgoing, connection: socket.socket, fault: Fault) -> None:
        self.server, self.fault = server, fault
        self.connection, self.file = connection, connection.makefile("rb")
        self.sender, self.recipients = "", list[str]()

    def run(self) -> None:
        if self.at(Fault.CONNECT, BUSY="421 too many"):
            return
        self.say("220 ready")
        while line := self.file.readline():
            self.server.heard.append(line)
            verb = line.split(b" ")[0].strip().decode().upper()
            for _ in range(_ENDLESS if verb == self.server.endless else 0):
                self.connection.sendall(b"250-and another thing\r\n" * 1000)
            getattr(self, f"on_{verb.lower()}", self.unknown)(line.decode().strip())

    def say(self, *lines: str) -> None:
        text = "".join(
            f"{line[:3]}{'-' if n < len(lines) - 1 else ' '}{line[4:]}\r\n" for n, line in enumerate(lines)
        )
        self.connection.sendall(text.encode())

    def at(self, closing: Fault | None = None, **answers: str) -> bool:
        """Whether the fault of this connection was acted upon."""
        if closing is not None and self.fault is closing:
            raise _Closed
        words = answers.get(self.fault.name)
        if words:
            self.say(words)
        return bool(words)

    def unknown(self, _line: str) -> None:
        self.say("500 what is that")

    def on_ehlo(self, _line: str) -> None:
        if not self.at(Fault.EHLO):
            self.say(
                "250-here", *(f"250 {each}" for each in [*self.server.extensions, f"AUTH {self.server.auth}"])
            )

    def on_auth(self, line: str) -> None:
        if not self.at(LOGIN_REPEATED=f"535 repeated: {line} secret") and not self.at(
            LOGIN="535 wrong password", LOGIN_LATER="454 not now"
        ):
            self.say("235 welcome")

    def on_mail(self, line: str) -> None:
        if not self.at(MAIL_LATER="451 not now", MAIL_REFUSED="550 not you"):
            self.sender = line.partition("<")[2].partition(">")[0]
            self.say("250 ok")

    def on_rcpt(self, line: str) -> None:
        address = line.partition("<")[2].partition(">")[0]
        if self.at(Fault.RCPT_CLOSED, RCPT_LATER="450 greylisted", RCPT_REFUSED="550 5.1.1 no such user"):
            return
        if self.server.answers.get(address):
            self.say(self.server.answers[address].pop(0))
            return
        self.recipients.append(address)
        self.say("250 ok")

    def on_data(self, _line: str) -> None:
        if self.at(Fault.DATA_CLOSED, DATA_LATER="451 no", DATA_REFUSED="554 no", DATA_NONSENSE="250 what?"):
            return
        self.say("354 go on")
        raw = self.text()
        if self.at(Fault.DOT_LOST, DOT_LATER="451 disk full", DOT_REFUSED="554 5.7.1 looks like spam"):
            return
        self.server.delivered.append(Delivery(self.sender, tuple(self.recipients), raw))
        if not self.at(Fault.DOT_TAKEN, DOT_NONSENSE="ok, thank you"):
            self.say("250 queued")
            self.at(Fault.QUIT)

    def text(self) -> bytes:
        lines: list[bytes] = []
        if self.server.pause:  # what it does not read must not pile up here
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _THIN)
        until_rest = _THIN
        while (line := self.file.readline()) != b".\r\n":
            if not line or (self.fault is Fault.IN_TEXT and len(lines) > 3):
                raise _Closed
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            until_rest -= len(line)
            if until_rest < 0:
                time.sleep(self.server.pause)
                until_rest = _THIN
        return b"".join(lines)

    def on_rset(self, _line: str) -> None:
        self.sender, self.recipients = "", []
        self.say("250 ok")

    def on_quit(self, _line: str) -> None:
        self.say("221 goodbye")
        raise _Closed


@contextmanager
def outgoing_server() -> Iterator[Outgoing]:
    """Serve on loopback, each connection in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Outgoing(listener.getsockname()[1])

    def one(connection: socket.socket) -> None:
        with connection:
            server.talk(connection)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=[connection], daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
