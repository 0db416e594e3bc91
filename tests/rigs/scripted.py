"""A mail server that says what a script tells it to: for everything that no honest server does (rig F)."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Reply = bytes | Callable[["Conversation", list[bytes]], None]

GREETING = b"* OK ready\r\n"
USUAL: dict[str, Reply] = {
    "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n",
    "AUTHENTICATE": lambda talk, words: talk.authenticate(words),
    "LOGIN": b"{tag} OK welcome\r\n",
    "LOGOUT": b"* BYE goodbye\r\n{tag} OK done\r\n",
    "SELECT": b"* 3 EXISTS\r\n* OK [UIDVALIDITY 1] ok\r\n* OK [UIDNEXT 10] ok\r\n{tag} OK [READ-WRITE] done\r\n",
}


@dataclass
class Conversation:
    """One connection; a reply that is a function may do with it what it likes."""

    socket: socket.socket
    server: "ScriptedServer"

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.socket.sendall(data)

    def line(self) -> bytes:
        """One line without its end; b"" when the other side has gone."""
        data = b""
        with suppress(OSError):
            while not data.endswith(b"\n"):
                byte = self.socket.recv(1)
                if not byte:
                    return b""
                data += byte
        self.server.heard.append(data)
        return data.rstrip(b"\r\n")

    def authenticate(self, words: list[bytes]) -> None:
        self.send(b"+ \r\n")
        self.line()
        self.send(words[0] + b" OK welcome\r\n")

    def hang(self) -> None:
        """Say nothing more until the other side gives up."""
        while self.line():
            pass

    def cut(self) -> None:
        self.socket.close()

    def start_tls(self, context: ssl.SSLContext, injected: bytes = b"") -> None:
        """`injected` goes out in clear together with the OK, as an attacker on the wire would add it (L03)."""
        self.send(b"%s OK begin\r\n" % self.server.tag + injected)
        self.socket = context.wrap_socket(self.socket, server_side=True)


@dataclass
class ScriptedServer:
    """`heard` is every line that was received, exactly."""

    port: int
    replies: Mapping[str, Reply]
    greeting: Reply
    heard: list[bytes] = field(default_factory=list)
    tag: bytes = b""

    def commands(self) -> list[str]:
        """The names of the commands that were received, in order."""
        return [line.split()[1].decode().upper() for line in self.heard if len(line.split()) > 1]

    def talk(self, connection: socket.socket) -> None:
        conversation = Conversation(connection, self)
        try:
            self._converse(conversation)
        finally:
            conversation.cut()

    def _converse(self, conversation: Conversation) -> None:
        self._reply(conversation, self.greeting, [])
        while words := conversation.line().split(b" "):
            if len(words) < 2:
                break
            self.tag = words[0]
            name = words[1].decode("ascii", "replace").upper()
            if name == "UID":
                name = f"UID {words[2].decode('ascii', 'replace').upper()}"
            self._reply(conversation, self.replies.get(name, b"{tag} BAD what is that\r\n"), words)

    def _reply(self, conversation: Conversation, reply: Reply, words: list[bytes]) -> None:
        if callable(reply):
            reply(conversation, words)
        else:
            conversation.send(reply.replace(b"{tag}", words[0] if words else b"*"))


@contextmanager
def scripted(
    replies: Mapping[str, Reply] | None = None,
    *,
    greeting: Reply = GREETING,
    tls: ssl.SSLContext | None = None,
) -> Iterator[ScriptedServer]:
    """Serve one connection after the other on loopback; `replies` by command ("UID FETCH") over the usual ones."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = ScriptedServer(listener.getsockname()[1], {**USUAL, **(replies or {})}, greeting)
    open_now: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_now.append(connection)
                with suppress(OSError, ValueError), connection:
                    if tls:
                        connection = tls.wrap_socket(connection, server_side=True)
                        open_now.append(connection)
                    server.talk(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        thread.join(5)
