"""The whole system on this machine, for trying it: servers, tables, the demo company, workers, web.

Runs outside of Django: what needs Django are children with their environment, exactly as on a server.
"""

import fcntl
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo import company, services, unprivileged
from demo.company import PEOPLE
from demo.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
APT = ("apt-get", "install", "-y", "-q", "--no-install-recommends", "dovecot-imapd")


class CannotStartError(RuntimeError):
    """The trial cannot begin; the text says what a person has to do."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """Where the demo's mailboxes are."""

    host: str
    imap_port: int
    smtp_port: int


@dataclass(frozen=True, slots=True)
class Running:
    """A trial that answers: the page's address, and what a person types to get in."""

    address: str
    mail: MailHost
    password: str
    database: str

    def __str__(self) -> str:
        people = "\n".join(
            f"    {employee.person.address:<24} {self.password}   {employee.role}"
            for employee in company.EMPLOYEES
        )
        return (
            f"\n  Mailbound runs at {self.address}\n\n  Sign in with one of these:\n{people}\n\n"
            f"  {note(self.mail, self.password)}\n\n  Ctrl-C stops everything; the next ./run finds the data.\n"
        )


def note(mail: MailHost, password: str) -> str:
    """What the page says, so that a person can watch both sides move."""
    return (
        f"Open the same mail in another program: IMAP {mail.host}, port {mail.imap_port}, no encryption, "
        f"login {PEOPLE['ben'].address}, password {password}."
    )


@contextmanager
def running(home: Path, password: str) -> Iterator[tuple[Supervisor, Running]]:
    """Start everything, in order, and stop it when the block ends. Raises CannotStartError, NotStartedError."""
    with _alone(home), Supervisor(home) as supervisor:
        statics = _begin_manage(home, "collectstatic", "--noinput", "--verbosity", "0")
        servers = _servers(supervisor, home)
        tables = _begin_manage(
            home, "migrate", "--database", "owner", "--noinput", "--verbosity", "0", env=servers
        )
        mail = _mail_host(supervisor, home, password)
        environment = {**servers, "MAIL_DEMO_NOTE": note(mail, password), "DEMO_PASSWORD": password}
        _finish_manage(tables, home)
        imap, smtp = f"{mail.host}:{mail.imap_port}", str(mail.smtp_port)
        letters = _begin_manage(home, "seed_demo", "--imap", imap, "--smtp-port", smtp, env=environment)
        _workers(supervisor, home, environment)
        _finish_manage(statics, home)
        address = _web(supervisor, environment)
        _finish_manage(letters, home)
        (home / "address").write_text(address)
        with _meanwhile(home, "seed_demo_tasks", env=environment):
            yield supervisor, Running(address, mail, password, servers["DATABASE_OWNER_URL"])


@contextmanager
def _meanwhile(home: Path, *arguments: str, env: Mapping[str, str]) -> Iterator[None]:
    """A command that goes on beside the block, and is stopped with it if it is not done by then."""
    process = _begin_manage(home, *arguments, env=env)
    try:
        yield
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """One trial per folder. The kernel frees the lock when we end, however we end."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            address = home / "address"
            where = f" at {address.read_text()}" if address.exists() else ""
            raise CannotStartError(f"Mailbound runs here already{where}.") from error
        yield


def _servers(supervisor: Supervisor, home: Path) -> dict[str, str]:
    """Ours, or those that the environment names. The settings are the trial's, whatever a .env here says."""
    database, owner = os.environ.get("DATABASE_URL"), os.environ.get("DATABASE_OWNER_URL")
    if not database:
        postgres = services.start_postgres(supervisor, home, database="mailbound")
        database, owner = postgres.app_url, postgres.owner_url
    return {
        "DATABASE_URL": database,
        "DATABASE_OWNER_URL": owner or database,
        "REDIS_URL": os.environ.get("REDIS_URL") or services.start_redis(supervisor, home),
        "MAIL_ALLOW_PRIVATE_HOSTS": "1",
        "MAIL_FILES": os.environ.get("MAIL_FILES", str(home / "bodies")),
        "MAIL_POLL_SECONDS": os.environ.get("MAIL_POLL_SECONDS", "10"),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
        "ALLOWED_HOSTS": "localhost,127.0.0.1",
        "HTTPS": "0",
        "DEBUG": "0",
    }


def _mail_host(supervisor: Supervisor, home: Path, password: str) -> MailHost:
    ports = _Ports(home / "ports.json")
    given = os.environ.get("DEMO_IMAP_HOST")
    users = home / "dovecot" / "users"
    unprivileged.give(home, home / "dovecot", users)
    sink = services.start_sink(supervisor, home, port=ports.get("smtp", 10025), users=users)
    if given:
        host, _, port = given.partition(":")
        return MailHost(host, int(port or 143), sink.port)
    install_dovecot(home)
    dovecot = services.start_dovecot(supervisor, home / "dovecot", port=ports.get("imap", 10143))
    for key in company.mailbox_keys():
        dovecot.set_password(PEOPLE[key].address, password)
    return MailHost(dovecot.host, dovecot.port, sink.port)


def install_dovecot(home: Path) -> None:
    """Where Dovecot is missing: install it if we may, else say what to type."""
    if services.dovecot_program():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        line = "apt-get install --no-install-recommends dovecot-imapd"
        raise CannotStartError(
            f"The demo needs the mail server Dovecot: {line}\nOr name another one: DEMO_IMAP_HOST=host:port ./run"
        )
    print("Installing the mail server Dovecot ...", file=sys.stderr, flush=True)
    # RUNLEVEL=1: the package must not start a mail server of its own on this machine.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with (home / "apt.log").open("wb") as log:
        for command in (("apt-get", "update", "-q"), APT):
            done = subprocess.run(command, check=False, env=quiet, stdout=log, stderr=log)
    if done.returncode:
        raise CannotStartError(f"Installing Dovecot failed, see {log.name}; try: {' '.join(APT)}")


class _Ports:
    """Ports stay the same from one start to the next where they can: another mail program has them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def get(self, name: str, first: int) -> int:
        self.known[name] = services.free_port(self.known.get(name, first))
        self.file.write_text(json.dumps(self.known))
        return self.known[name]


def _workers(supervisor: Supervisor, home: Path, environment: Mapping[str, str]) -> None:
    """A worker for what people wait for, one for the long work, who hears of new mail, and the clock."""
    celery = [sys.executable, "-m", "celery", "-A", "config"]
    lean = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    kinds = (
        ("worker", "interactive,sync", "2", ()),
        ("bulk-worker", "bulk,purge", "1", ("nice", "-n", "10")),
    )
    for name, queues, processes, yielding in kinds:
        command = [*yielding, *celery, "worker", "-n", f"{name}@demo", "-Q", queues, "-c", processes, *lean]
        # QUIT: at once. What was begun is begun again, because the queue is in the database.
        supervisor.spawn(name, command, ready=None, env=environment, cwd=ROOT, stop_signal=signal.SIGQUIT)
    watcher = [sys.executable, "manage.py", "watch_mail"]
    supervisor.spawn("watcher", watcher, ready=None, env=environment, cwd=ROOT)
    clock = ["--schedule", str(home / "beat"), "--pidfile", "", "--loglevel", "WARNING"]
    supervisor.spawn("beat", [*celery, "beat", *clock], ready=None, env=environment, cwd=ROOT)


def _web(supervisor: Supervisor, environment: Mapping[str, str]) -> str:
    port = services.free_port(int(os.environ.get("PORT", "8000")))
    address = f"http://{services.LOOPBACK}:{port}"
    flags = ["--threads", "40", "--graceful-timeout", "3", "--no-control-socket", "--log-level", "warning"]
    supervisor.spawn(
        "web",
        [sys.executable, "-m", "gunicorn", "-b", f"{services.LOOPBACK}:{port}", *flags, "config.wsgi"],
        ready=functools.partial(_healthy, address),
        env=environment,
        cwd=ROOT,
    )
    return address


def _healthy(address: str) -> bool:
    with urllib.request.urlopen(f"{address}/healthz", timeout=5) as answer:  # noqa: S310 (our own address)
        return bool(answer.status == 200)


def _begin_manage(
    home: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> "subprocess.Popen[str]":
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish_manage(process: "subprocess.Popen[str]", home: Path) -> None:
    said, _ = process.communicate()
    with (home / "manage.log").open("a") as log:
        log.write(said)
    if process.returncode:
        last = "\n".join(said.strip().splitlines()[-6:])
        raise CannotStartError(f"manage.py failed, see {home / 'manage.log'}:\n{last}")


def watch(supervisor: Supervisor) -> None:
    """Return when somebody stops us (KeyboardInterrupt) or raise when a child ended by itself."""
    while (child := supervisor.ended()) is None:
        time.sleep(0.5)
    raise CannotStartError(f"{child.name} ended by itself; see {child.log}")
