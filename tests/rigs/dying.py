"""A worker that dies of a mail: `python -m tests.rigs.dying MAILBOX ACCOUNT HOW`, for a mail with POISON in its header.

It is killed as it takes the mail apart, never comes back from that, or has no memory for it.
"""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import django
from django.utils import timezone

from mailsync.mime import parse, process

ROOT = Path(__file__).resolve().parents[2]
POISON = "Poison"
ROOM = 48 * 1024 * 1024  # what a worker that is short of memory may still take


def die_of(mailbox_id: int, how: str) -> int:
    """One run of a worker's process; how it ended (below 0: by which signal)."""
    command = [sys.executable, "-m", "tests.rigs.dying", str(mailbox_id), how]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=60).returncode


def kill(_header: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_header: bytes) -> None:
    re.match(r"(a+)+$", "a" * 50 + "b")


DEATHS: dict[str, Callable[[bytes], None]] = {"killed": kill, "hangs": hang}


def main(mailbox_id: int, how: str) -> None:
    django.setup()
    from mailsync import engine, schedule  # noqa: PLC0415 (after django.setup)

    def summarize(header: bytes, body: bytes) -> parse.Summary:
        if POISON.encode() in header and how in DEATHS:
            DEATHS[how](header)
        return parse.summarize(header, body)

    lease = schedule.claim(mailbox_id, timezone.now(), even_if_not_due=True)
    assert lease
    if how == "out of memory":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, taken + ROOM))
    with patch.object(process, "summarize", summarize):
        engine.synchronise(lease, seconds=60)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
