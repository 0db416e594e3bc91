"""Whoever starts servers must end them, however it ends itself."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.supervisor import NotStartedError, Supervisor

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
PARENT = """
import pathlib, sys, time
from demo.supervisor import Supervisor
home = pathlib.Path(sys.argv[1])
says_up = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
# Before it says so the kernel may not know yet that it is to end with us.
Supervisor(home).spawn("sleeper", says_up, ready=lambda: (home / "sleeper.log").stat().st_size > 0)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_child_that_does_not_get_ready_is_named_with_its_last_words(tmp_path):
    command = [sys.executable, "-c", "raise SystemExit('no room on the disk')"]
    with Supervisor(tmp_path) as supervisor, pytest.raises(NotStartedError, match="no room on the disk"):
        supervisor.spawn("broken", command, ready=lambda: False)


def test_children_end_in_reverse_order_and_leave_no_note(tmp_path):
    with Supervisor(tmp_path) as supervisor:
        first = supervisor.spawn("first", SLEEPER, ready=lambda: (tmp_path / "first.log").stat().st_size > 0)
        second = supervisor.spawn("second", SLEEPER, ready=lambda: True)
        assert supervisor.ended() is None
    assert first.returncode == second.returncode == -signal.SIGTERM
    assert list(tmp_path.glob("*.pid")) == []


def test_a_killed_parent_leaves_nothing_running(tmp_path):
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path], stdout=subprocess.PIPE, cwd=root
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"ready\n"
        child = Path("/proc") / (tmp_path / "sleeper.pid").read_text()
        assert runs(child)
        parent.kill()
    deadline = time.monotonic() + 10
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(child)


def runs(process: Path) -> bool:
    """Not when it only waits for the machine's first process to take notice of its end."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
