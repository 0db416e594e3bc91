"""A browser with three walls to try, and a server that remembers who asked it for anything."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Server:
    """Serves what is in `pages` (path to body and headers) and keeps the path of every request."""

    pages: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""


class Patient(ThreadingHTTPServer):
    request_queue_size = 256  # a page with a hundred frames connects all at once
    daemon_threads = True


@pytest.fixture(scope="session")
def serve() -> Iterator[Any]:
    """A maker of servers on ports of their own; every one ends with the session."""
    running: list[ThreadingHTTPServer] = []

    def start() -> Server:
        server = Server()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append(self.path)
                body, headers = server.pages.get(self.path.partition("?")[0], ("", {}))
                self.send_response(200 if self.path.partition("?")[0] in server.pages else 404)
                data = body.encode("utf-8", "replace")
                length = {"Content-Length": str(len(data))}
                for name, value in {"Content-Type": "text/html; charset=utf-8", **length, **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                pass

        http = Patient(("127.0.0.1", 0), Handler)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        running.append(http)
        server.address = f"127.0.0.1:{http.server_address[1]}"
        return server

    yield start
    for http in running:
        http.shutdown()
        http.server_close()
