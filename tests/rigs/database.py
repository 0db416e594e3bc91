"""A cluster with all tables in it: migrated once for each state of the migrations, then copied."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from demo import services
from demo.supervisor import Supervisor

NAME = "test_mailbound"
KEPT = Path(settings.BASE_DIR) / "var" / "tests"
# What decides how the tables look; the lock file names the versions of PostgreSQL, Django and allauth.
DECIDING = ("*/migrations/*.py", "accounts/rls.py", "plans/catalogue.py", "deploy/roles.sql", "demo/services.py",
            "requirements.lock")  # fmt: skip


def prepare(home: Path) -> None:
    """Put the folder of a migrated cluster below `home`, where `services.start_postgres` finds it."""
    KEPT.mkdir(parents=True, exist_ok=True)
    migrated = KEPT / _fingerprint()
    with (KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not migrated.exists():
            _remove(KEPT.glob("database-*"))
            _migrate(home, migrated)
    home.mkdir(parents=True, exist_ok=True)
    _copy(migrated, home / "postgresql")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for pattern in DECIDING:
        for file in sorted(Path(settings.BASE_DIR).glob(pattern)):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return f"database-{digest.hexdigest()[:16]}"


def _migrate(home: Path, migrated: Path) -> None:
    """By a process of its own: this one may not touch a database before pytest-django allows it."""
    with Supervisor(home) as passing:
        services.start_postgres(passing, home, database=NAME, settings=services.THROWAWAY)
        command = [sys.executable, "manage.py", "migrate", "--database=owner", "--verbosity=0"]
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        subprocess.run(command, cwd=settings.BASE_DIR, env=environment, check=True)
    half = migrated.with_name(f"database-half-{os.getpid()}")
    _copy(home / "postgresql", half)
    half.rename(migrated)
    _remove([home / "postgresql"])


def _copy(cluster: Path, to: Path) -> None:
    """With its owner, which need not be who copies."""
    subprocess.run(["cp", "-a", cluster, to], check=True)


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)
