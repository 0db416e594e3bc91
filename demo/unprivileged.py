"""PostgreSQL refuses to run as root, and Dovecot should not: how root runs them as nobody."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

NOBODY = 65534
_NAMESPACE = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
_DROP = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--")


@functools.cache
def prefix() -> tuple[str, ...]:
    """What to put before a command; empty where we are not root.

    In a user namespace the process is nobody inside while files stay ours outside. Where namespaces are
    forbidden (many containers) it becomes nobody for real, and `give` hands it its files.
    """
    if os.geteuid() != 0:
        return ()
    allowed = subprocess.run([*_NAMESPACE, "true"], check=False, capture_output=True).returncode == 0
    return _NAMESPACE if allowed else _DROP


def uid() -> int:
    """The user the servers see themselves as."""
    return os.geteuid() or NOBODY


def gid() -> int:
    return os.getegid() if os.geteuid() else NOBODY


def give(*folders: Path) -> None:
    """Make folders that the unprivileged process may write to."""
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if prefix() == _DROP:
            os.chown(folder, NOBODY, NOBODY)


def own(file: Path) -> None:
    """Let the unprivileged process read a file that we wrote."""
    if prefix() == _DROP:
        os.chown(file, NOBODY, NOBODY)


def readable(program_folder: Path, copies: Path) -> Path:
    """The folder of programs as the unprivileged process can reach it: itself, or a copy below `copies`."""
    if prefix() != _DROP:
        return program_folder
    target = copies / program_folder.name
    if not target.exists():
        shutil.copytree(program_folder, target, symlinks=True)
    return target


def home(preferred: Path) -> Path:
    """Where servers keep their data: `preferred`, unless nobody-for-real cannot walk there."""
    if prefix() != _DROP:
        return preferred
    walkable = all(parent.stat().st_mode & 0o001 for parent in preferred.resolve().parents if parent.exists())
    return preferred if walkable else Path("/var/tmp/mailbound") / preferred.name  # noqa: S108 (checked below)
