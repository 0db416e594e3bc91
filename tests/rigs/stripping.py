"""A line between us and a mail server on which a capability is lost: the server has it, we never hear of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def without(capability: str, host: str, port: int) -> Iterator[int]:
    """The port of a relay to host:port that spells the capability wrong in everything the server says."""
    real, spoilt = capability.encode(), b"X" * len(capability)
    listener = socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = [listener]

    def copy(source: socket.socket, target: socket.socket, spoil: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data.replace(real, spoilt) if spoil else data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                ours, _ = listener.accept()
                theirs = socket.create_connection((host, port))
                ends.extend((ours, theirs))
                threading.Thread(target=copy, args=(ours, theirs, False), daemon=True).start()
                threading.Thread(target=copy, args=(theirs, ours, True), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
