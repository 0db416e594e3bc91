"""A line between us and PostgreSQL, cut at a COMMIT: before the database hears it, or before we hear its answer."""

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from django.db import connection

_SOCKET = ".s.PGSQL.5432"
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # a simple query (PostgreSQL, 55.7), as psycopg2 sends it
_READY = b"Z\x00\x00\x00\x05"


@dataclass
class Commits:
    """`cut_at` is the how manieth COMMIT from now on; `done`: the database has carried it out by then."""

    folder: Path
    cut_at: int = 0
    done: bool = False
    seen: int = 0

    @property
    def was_cut(self) -> bool:
        return 0 < self.cut_at <= self.seen

    def cut(self, number: int, *, done: bool) -> None:
        self.cut_at, self.done, self.seen = number, done, 0

    def serve(self, listener: socket.socket, server: str) -> None:
        while True:
            try:
                ours, _ = listener.accept()
            except OSError:
                return
            theirs = socket.socket(socket.AF_UNIX)
            theirs.connect(server)
            mute = threading.Event()
            for carry in (self._to_server, self._to_us):
                threading.Thread(target=carry, args=(ours, theirs, mute), daemon=True).start()

    def _to_server(self, ours: socket.socket, theirs: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError), ours, theirs:
            while data := ours.recv(65536):
                self.seen += data == _COMMIT
                if data == _COMMIT and self.seen == self.cut_at:
                    if not self.done:
                        break
                    mute.set()
                theirs.sendall(data)
            _hang_up(ours, theirs)

    def _to_us(self, ours: socket.socket, theirs: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while data := theirs.recv(65536):
                if mute.is_set() and _READY in data:
                    break
                ours.sendall(data)
        _hang_up(ours, theirs)


def _hang_up(*sides: socket.socket) -> None:
    for side in sides:
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to_database() -> Iterator[Commits]:
    """For the length of the block our connection goes through it; not inside a transaction."""
    server, host = connection.get_connection_params()["host"], connection.settings_dict["HOST"]
    with tempfile.TemporaryDirectory(prefix="line-") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/{_SOCKET}")
        listener.listen()
        line = Commits(Path(folder))
        serving = threading.Thread(target=line.serve, args=(listener, f"{server}/{_SOCKET}"), daemon=True)
        serving.start()
        connection.close()
        connection.settings_dict["HOST"] = folder
        try:
            yield line
        finally:
            connection.close()
            connection.settings_dict["HOST"] = host
            listener.shutdown(socket.SHUT_RDWR)
            serving.join(5)
