"""A line between us and a mail server on which one command goes wrong: refused, or its answer lost."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

REFUSAL = b"NO [NOPERM] Permission denied"


@dataclass
class Meddler:
    """`refuse` answers the command itself; else the server does it and the connection ends before its answer.

    One connection after the other: a run has only one.
    """

    command: bytes
    refuse: bool
    port: int = 0
    met: list[bytes] = field(default_factory=list)

    def relay(self, ours: socket.socket, theirs: socket.socket) -> None:
        lost = threading.Event()
        answers = threading.Thread(target=self._answers, args=(theirs, ours, lost), daemon=True)
        answers.start()
        with suppress(OSError), ours.makefile("rb") as lines:
            for line in lines:
                words = line.split()
                meant = len(words) > 1 and words[1].upper() == self.command
                if meant:
                    self.met.append(line)
                    if self.refuse:
                        ours.sendall(words[0] + b" " + REFUSAL + b"\r\n")
                        continue
                    lost.set()
                theirs.sendall(line)
        _end(theirs)
        answers.join(5)
        ours.close()
        theirs.close()

    def _answers(self, theirs: socket.socket, ours: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while (data := theirs.recv(65536)) and not lost.is_set():
                ours.sendall(data)
        _end(ours)
        _end(theirs)


@contextmanager
def meddled(command: str, host: str, port: int, *, refuse: bool) -> Iterator[Meddler]:
    meddler = Meddler(command.encode(), refuse)
    listener = socket.create_server(("127.0.0.1", 0))
    meddler.port = listener.getsockname()[1]

    def serve() -> None:
        with suppress(OSError):
            while True:
                ours, _ = listener.accept()
                meddler.relay(ours, socket.create_connection((host, port)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield meddler
    finally:
        _end(listener)
        listener.close()
        thread.join(5)


def _end(side: socket.socket) -> None:
    with suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
