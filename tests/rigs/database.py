"""A cluster with all tables in it, migrated once and then copied; and how a test that commits is taken back."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import psycopg2
from django.conf import settings

from demo import services
from demo.supervisor import Supervisor

NAME = "test_mailbound"
KEPT = Path(settings.BASE_DIR) / "var" / "tests"
# What decides how the tables look; the lock file names the versions of PostgreSQL, Django and allauth.
DECIDING = ("*/migrations/*.py", "accounts/rls.py", "plans/catalogue.py", "deploy/roles.sql", "demo/services.py",
            "requirements.lock")  # fmt: skip


def as_owner(owner_url: str, sql: str) -> int:
    """One statement outside of the test's transaction; the first number of its answer, if it has any."""
    link = psycopg2.connect(owner_url)
    link.autocommit = True
    with link.cursor() as cursor:
        cursor.execute(sql)
        found = cursor.fetchone() if cursor.description else None
    link.close()
    return int(found[0]) if found else 0


class Untouched:
    """What all tables hold now. `restore` brings that back in a tenth of the time of Django's flush.

    Few of the tables have rows after a test, and TRUNCATE takes as long for those that are empty.
    """

    def __init__(self, owner_url: str) -> None:
        self.connection = psycopg2.connect(owner_url)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        # Neither foreign keys nor triggers: the audit log lets nobody delete.
        self.cursor.execute("SET session_replication_role = replica")
        self.cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        self.tables = [name for (name,) in self.cursor.fetchall()]
        self.rows = {table: self._rows_of(table) for table in self._filled()}

    def restore(self) -> None:
        """Whatever was committed since is gone, by whomever."""
        filled = self._filled()
        same = {table for table in self.rows.keys() & filled if self._rows_of(table) == self.rows[table]}
        for table in filled - same:
            self.cursor.execute(f"DELETE FROM {table}")
        for table in self.rows.keys() - same:
            into = f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, %s)"
            self.cursor.execute(into, [self.rows[table]])
        if filled - same:
            self.cursor.execute(f"VACUUM {', '.join(filled - same)}")  # or tests would read past dead rows

    def close(self) -> None:
        self.connection.close()

    def _filled(self) -> set[str]:
        each = (f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table})" for table in self.tables)
        self.cursor.execute(" UNION ALL ".join(each))
        return {name for (name,) in self.cursor.fetchall()}

    def _rows_of(self, table: str) -> str:
        self.cursor.execute(f"SELECT json_agg(t ORDER BY t::text)::text FROM {table} t")
        [(rows,)] = self.cursor.fetchall()
        return str(rows)


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
