#!/usr/bin/env python3
"""Asked by containers: `healthcheck.py web|worker|watcher|beat|mail`; exits 0 when that part of the system works."""

import os
import socket
import sys
import time
import urllib.request
from pathlib import Path

from celery import Celery


def web() -> bool:
    """The name that people use goes with it: Django refuses any other."""
    host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].lstrip(".").replace("*", "localhost")
    request = urllib.request.Request("http://127.0.0.1:8000/healthz", headers={"Host": host})
    with urllib.request.urlopen(request, timeout=6) as answer:  # noqa: S310 (our own address)
        return bool(answer.status == 200)


def worker() -> bool:
    """Without Django: a ping should not cost more than the work."""
    broker = os.environ["REDIS_URL"].replace("unix://", "redis+socket://")
    return bool(Celery(broker=broker).control.ping([f"worker@{socket.gethostname()}"], timeout=5))


def beat() -> bool:
    """The clock writes its schedule down every three minutes."""
    return any(time.time() - file.stat().st_mtime < 600 for file in Path("/tmp").glob("beat*"))  # noqa: S108


def watcher() -> bool:
    """It touches this file with every look at the list of mailboxes."""
    return time.time() - Path("/tmp/watcher").stat().st_mtime < 120  # noqa: S108


def mail() -> bool:
    with socket.create_connection(("127.0.0.1", 10143), timeout=3) as connection:
        return connection.recv(64).startswith(b"* OK")


if __name__ == "__main__":
    parts = {"web": web, "worker": worker, "watcher": watcher, "beat": beat, "mail": mail}
    sys.exit(not parts[sys.argv[1]]())
