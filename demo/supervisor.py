"""Starts child processes, knows when each is ready, and ends them all: also when killed itself."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

STOP_SECONDS = 8.0


class NotStartedError(RuntimeError):
    """A child ended or stayed silent; the text names it and ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    name: str
    process: subprocess.Popen[bytes]
    stop_signal: signal.Signals
    log: Path
    is_server: bool


class Supervisor:
    """Children by name, in order of starting. Use as a context: leaving it stops them in reverse order."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.children: list[Child] = []
        home.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def spawn(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        ready: Callable[[], bool] | None,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        wait: float = 30,
    ) -> subprocess.Popen[bytes]:
        """Start a child and return once `ready` is true of it (None: at once); raise NotStartedError otherwise.

        Must be called from a thread that lives as long as the child should: the kernel sends `stop_signal`
        to the child when that thread is gone, which is what ends it after a `kill -9` of ours.
        """
        self._outlive_previous(name)
        log = self.home / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*prefix, *_tied(stop_signal), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )
        child = Child(name, process, stop_signal, log, is_server=ready is not None)
        self.children.append(child)
        (self.home / f"{name}.pid").write_text(str(process.pid))
        if ready:
            _wait_until_ready(child, ready, wait)
        return process

    def ended(self) -> Child | None:
        """The first child that is no longer running, if any."""
        return next((child for child in self.children if child.process.poll() is not None), None)

    def stop(self) -> None:
        """End all children, the last started first; each gets its own signal, time, then SIGKILL.

        Those without a readiness probe are nobody's server: they are asked all at once.
        """
        for child in self.children:
            if not child.is_server:
                _ask_to_end(child)
        while self.children:
            child = self.children.pop()
            _end(child)
            (self.home / f"{child.name}.pid").unlink(missing_ok=True)

    def _outlive_previous(self, name: str) -> None:
        """Wait for the child of a supervisor that was killed: it needs a moment to end by itself."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / f"{name}.pid").read_text())
            deadline = time.monotonic() + STOP_SECONDS
            while _runs_from(pid, self.home) and time.monotonic() < deadline:
                time.sleep(0.05)


def _tied(stop_signal: signal.Signals) -> list[str]:
    """Prefix that ends a child together with us; without util-linux a killed supervisor leaves orphans."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop_signal.name.removeprefix("SIG"), "--"] if setpriv else []


def _runs_from(pid: int, home: Path) -> bool:
    """Whether the process is (still) one that writes to a log in `home`, not a later one with the same id."""
    try:
        return Path(f"/proc/{pid}/fd/1").readlink().is_relative_to(home)
    except OSError:
        return False


def _wait_until_ready(child: Child, ready: Callable[[], bool], wait: float) -> None:
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline and child.process.poll() is None:
        with contextlib.suppress(Exception):
            if ready():
                return
        time.sleep(0.03)
    lines = child.log.read_text(errors="replace").splitlines()[-12:]
    raise NotStartedError(f"{child.name} did not start; its log ends with:\n" + "\n".join(lines))


def _ask_to_end(child: Child) -> None:
    if child.process.poll() is None:
        child.process.send_signal(child.stop_signal)


def _end(child: Child) -> None:
    if child.is_server:
        _ask_to_end(child)
    if child.process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)  # whoever is left of its session
    child.process.wait()
