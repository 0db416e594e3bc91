"""X23: the disk of the database is full. What is here can be read, nothing is corrupt, and with room it goes on."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from demo import services
from demo.supervisor import Supervisor
from tests.faults.test_servers_in_trouble import Visitor
from tests.rigs import database
from tests.rigs.dying import ROOT
from tests.rigs.filling import fill
from tests.rigs.mailserver import MailServer
from tests.test_processes import GUNICORN
from tests.world import PASSWORD

pytestmark = pytest.mark.slow
ADDRESS = "ann@full.example"
# So small that a few megabytes of mail need more.
SETTINGS = {**services.THROWAWAY, "max_wal_size": "64MB", "min_wal_size": "64MB", "shared_buffers": "16MB"}


@dataclass(frozen=True)
class Installation:
    """A product of its own, whose database lies on a small disk."""

    disk: Path
    postgres: services.Postgres
    supervisor: Supervisor
    environment: dict[str, str]

    def manage(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, check=False, capture_output=True, text=True, timeout=120
        )

    def web(self) -> str:
        where = f"{services.LOOPBACK}:{services.free_port(33000)}"
        self.supervisor.spawn(
            "web",
            [
                sys.executable,
                "-c",
                GUNICORN,
                "-b",
                where,
                "--threads",
                "4",
                "--no-control-socket",
                "config.wsgi",
            ],
            ready=lambda: urllib.request.urlopen(f"http://{where}/healthz", timeout=5).status == 200,
            env=self.environment,
            cwd=ROOT,
            wait=90,
        )
        return f"http://{where}"

    def count(self, table: str) -> int:
        connection = psycopg2.connect(self.postgres.owner_url)
        with connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table}")
            [(number,)] = cursor.fetchall()
        connection.close()
        return int(number)

    @contextmanager
    def full(self) -> Iterator[None]:
        filler = self.disk / "filler"
        with filler.open("wb") as file:
            while True:
                try:
                    os.write(file.fileno(), bytes(1 << 12))
                except OSError:
                    break
        try:
            yield
        finally:
            filler.unlink()


@pytest.fixture
def installation(tmp_path: Path, redis_url: str, django_db_setup: None) -> Iterator[Installation]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=220m", "tmpfs", disk], check=False).returncode:
        pytest.skip("Mounting a small disk takes root.")
    try:
        with Supervisor(tmp_path) as supervisor:
            database.prepare(disk)
            postgres = services.start_postgres(supervisor, disk, database=database.NAME, settings=SETTINGS)
            environment = {
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "DATABASE_URL": postgres.app_url,
                "DATABASE_OWNER_URL": postgres.owner_url,
                "REDIS_URL": redis_url,
                "MAIL_FILES": str(tmp_path / "bodies"),
                "ALLOWED_HOSTS": services.LOOPBACK,
                "OUR_PASSWORD": PASSWORD,
            }
            yield Installation(disk, postgres, supervisor, environment)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_x23_with_a_full_disk_people_read_and_with_room_the_sync_goes_on(
    installation: Installation, dovecot: MailServer
) -> None:
    login, password = dovecot.new_user()
    installation.environment["MAIL_PASSWORD"] = password
    person = ["--admin", ADDRESS, "--name", "Ann", "--password-env", "OUR_PASSWORD"]
    assert not installation.manage("create_account", "Full", "--plan", "professional", *person).returncode
    where = ["--imap", f"{dovecot.host}:{dovecot.port}", "--no-tls", "--password-env", "MAIL_PASSWORD"]
    whose = ["--account", "Full", "--employee", ADDRESS, "--address", ADDRESS, "--login", login]
    connected = installation.manage("connect_mailbox", *whose, *where)
    assert not connected.returncode, connected.stderr
    fill(dovecot, login, 20)
    assert not installation.manage("sync_mailbox", ADDRESS).returncode
    ann = Visitor(installation.web(), ADDRESS)
    fill(dovecot, login, 600, size=30_000)
    with installation.full():
        refused = installation.manage("sync_mailbox", ADDRESS)
        assert refused.returncode
        assert "No space left on device" in refused.stderr
        assert ann.ask("/").status == 200
        assert installation.count("mailsync_message") < 600
    assert ann.ask("/").status == 200
    done = installation.manage("sync_mailbox", ADDRESS)
    assert not done.returncode, done.stderr
    assert installation.count("mailsync_placement") == len(dovecot.uids(login)) == 620
    sound = installation.manage("check_account", "Full")
    assert not sound.returncode, sound.stdout
