"""The product as a benchmark sees it: servers of its own in a temporary folder, one account, manage.py.

The rig (a mail server with generated mail, and other programs to compare with) is the folder MAIL_BENCH, by
default ../shared/bench beside the checkout. Results are kept in BENCH_RESULTS, by default var/bench.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from demo import services, trial  # noqa: E402 (the checkout must be on the path first)
from demo.supervisor import Supervisor  # noqa: E402

RIG = Path(os.environ.get("MAIL_BENCH", ROOT.parent / "shared" / "bench"))
RESULTS = Path(os.environ.get("BENCH_RESULTS", ROOT / "var" / "bench"))
# The rig is run by the system's Python, for which it installs what it needs.
RIG_PYTHON = "/usr/bin/python3"

ACCOUNT = "Bench"
EMPLOYEE = "ann@bench.example"
# The sign-in, and the passwords of all logins at the rig's mail server.
PASSWORD = "bench-bench-bench"
MAIL_PASSWORD = "pass"
# The rig's mail is of a fixed half year; no plan reaches back to it, so an operator widens the window.
DAYS = 36_500


def load_rig() -> tuple[Any, Any]:
    """The rig's modules `rig` and `dovecot`, for scripts that start its mail server themselves."""
    if not (RIG / "rig.py").exists():
        raise SystemExit(f"There is no measuring rig in {RIG}; set MAIL_BENCH.")
    os.environ.setdefault("BENCH_RESULTS", str(RESULTS))
    sys.path.insert(0, str(RIG))
    import dovecot  # noqa: PLC0415 (not ours: found only through the path that was just set)
    import rig  # noqa: PLC0415

    return rig, dovecot


@dataclass(frozen=True, slots=True)
class Product:
    """Our servers, migrated, with one account and one employee."""

    home: Path
    supervisor: Supervisor
    postgres: services.Postgres
    environment: dict[str, str]
    pids: list[int] = field(default_factory=list)

    def command(self, *arguments: object) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *map(str, arguments)]

    def manage(self, *arguments: object) -> str:
        """Run a command to its end; returns what it printed."""
        done = subprocess.run(self.command(*arguments), env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"manage.py {arguments[0]} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def connecting(self, address: str, login: str, port: object) -> list[object]:
        """Arguments of the command that connects a mailbox at the rig's mail server."""
        who = ["--account", ACCOUNT, "--employee", EMPLOYEE, "--address", address, "--login", login]
        where = ["--imap", f"127.0.0.1:{port}", "--no-tls", "--password-env", "BENCH_MAIL_PASSWORD"]
        return ["connect_mailbox", *who, *where, "--days", DAYS]

    def sync(self, address: str) -> dict[str, float]:
        """One whole synchronisation; what the command says of itself."""
        said: dict[str, float] = json.loads(self.manage("sync_mailbox", address).splitlines()[-1])
        return said

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database as its owner, past the wall between tenants."""
        return rows(self.postgres.owner_url, sql, *values)


def rows(url: str, sql: str, *values: object) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


@contextmanager
def product(**settings: str) -> Iterator[Product]:
    """Start everything and stop it when the block ends; the folder goes with it (BENCH_KEEP=1: it stays).

    `settings` are PostgreSQL's, on top of those of ./run. BENCH_HOME names a folder that stays, and whose data is
    found again: for rows that take long to make.
    """
    kept = os.environ.get("BENCH_HOME")
    home = Path(kept or tempfile.mkdtemp(prefix="mailbound-bench-"))
    home.mkdir(exist_ok=True)
    home.chmod(0o755)
    try:
        with _alone(), Supervisor(home) as supervisor:
            yield _started(supervisor, home, settings)
    finally:
        if not kept and os.environ.get("BENCH_KEEP") != "1":
            shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for another benchmark on this machine: it would spoil the numbers, and the rig's folders are the same."""
    with (Path(tempfile.gettempdir()) / "mailbound-bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _started(supervisor: Supervisor, home: Path, settings: dict[str, str]) -> Product:
    postgres = services.start_postgres(
        supervisor, home, database="mailbound", settings={**services.BULK, **settings}
    )
    redis = services.start_redis(supervisor, home)
    made = Product(home, supervisor, postgres, _environment(home, postgres, redis))
    made.pids.extend(child.process.pid for child in supervisor.children)
    made.manage("migrate", "--database", "owner", "--noinput", "--verbosity", "0")
    if not made.rows("SELECT id FROM accounts_account WHERE name = %s", ACCOUNT):
        person = ["--admin", EMPLOYEE, "--name", "Ann", "--password-env", "BENCH_PASSWORD"]
        made.manage("create_account", ACCOUNT, "--plan", "professional", *person)
    return made


def _environment(home: Path, postgres: services.Postgres, redis: str) -> dict[str, str]:
    keys = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "make_env.py"), "--trial"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        **os.environ,
        **dict(line.split("=", 1) for line in keys.stdout.splitlines()),
        "DATABASE_URL": postgres.app_url,
        "DATABASE_OWNER_URL": postgres.owner_url,
        "REDIS_URL": redis,
        "MAIL_FILES": str(home / "bodies"),
        "MAIL_ALLOW_PRIVATE_HOSTS": "1",
        "LOG_LEVEL": "WARNING",
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "HTTPS": "0",
        "DEBUG": "0",
        "BENCH_PASSWORD": PASSWORD,
        "BENCH_MAIL_PASSWORD": MAIL_PASSWORD,
        "BENCH_RESULTS": str(RESULTS),
    }


@contextmanager
def mail_server(messages: int, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rig's Dovecot with user u1, whose INBOX has that many messages; yields its port and the manifest."""
    rig, dovecot = load_rig()
    rig.setup("sync")
    profile = "office" if messages <= 20_000 else "light"
    source, manifest = rig.golden(messages, 1, profile, inbox_only=True)
    folder = rig.workdir(name)
    rig.clone_mailbox(source, f"{folder}/home/u1/Maildir")
    _pid, port = dovecot.start(folder, users=1)
    try:
        yield port, manifest
    finally:
        dovecot.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def spawn_web(made: Product, application: str, *, port: int) -> int:
    """gunicorn with the flags of ./run; returns its pid once it answers."""
    made.manage("collectstatic", "--noinput", "--verbosity", "0")
    address = f"http://{services.LOOPBACK}:{port}"
    flags = ["--threads", "40", "--no-control-socket", "--log-level", "warning"]
    process = made.supervisor.spawn(
        "web",
        [sys.executable, "-m", "gunicorn", "-b", f"{services.LOOPBACK}:{port}", *flags, application],
        ready=lambda: trial._healthy(address),
        env=made.environment,
        cwd=ROOT,
    )
    return process.pid


def table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    cells = [list(head), *[[str(cell) for cell in line] for line in lines]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    shown = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    return "\n".join([shown[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *shown[1:]])
