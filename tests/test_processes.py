"""What neighbours of the product's processes see: their arguments, their environment, the database's statements.

Real workers and a real web server connect a mailbox and renew a consent. The keys of the installation, and the password
of the database where it has one, are in the environment on purpose; what people typed and providers gave must not be.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Self

import psycopg2
import pytest
from django.conf import settings as config
from django.urls import reverse

from demo import services
from demo.supervisor import Supervisor
from mailsync import schedule, secrets
from mailsync.models import ConnectionTest, Mailbox
from tests.rigs.consenting import ConsentedBox, consented, offered, provider
from tests.rigs.mailserver import MailServer
from tests.settings import HOME
from tests.test_canaries import MAILBOX, WRONG, fields_of, shapes
from tests.world import PASSWORD, World

__all__ = ["consented", "offered", "provider"]  # fixtures

ROOT = Path(__file__).resolve().parents[1]
WORKER = ["-m", "celery", "-A", "config", "worker", "-Q", "interactive,sync,bulk", "-c", "2", "--without-gossip",
          "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]  # fmt: skip

# That pytest is loaded lets the static files be found where they lie.
GUNICORN = "import pytest; from gunicorn.app.wsgiapp import run; run()"


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(180)
def test_no_secret_is_seen_from_outside_of_the_processes_that_know_it(
    world: World, dovecot: MailServer, consented: ConsentedBox, postgres: services.Postgres, tmp_path: Path
) -> None:
    typed = fields_of(dovecot)
    before = tokens_of(consented)
    with (
        statements_of(postgres) as statements,
        Neighbour() as neighbour,
        running(tmp_path, consented) as product,
    ):
        page = Page(product.address, world.ann.email)
        for password in (WRONG, MAILBOX):
            page.post(reverse("mail:connect"), **typed, password=password)
        test = soon(world, lambda: ConnectionTest.objects.filter(state="passed").first())
        choose = reverse("mail:connect-choose", args=[test.pk])
        folders = re.findall(r'value="(\d+)" checked>\s*<span class="folder-name">', page.get(choose))
        page.post(choose, folders=folders, fetch_days="7", sender_name="A")
        soon(world, lambda: Mailbox.objects.filter(address=typed["address"]).exclude(synced_at=None).first())
        consented.run_out()
        with world.acting():
            schedule.wake(consented.box.mailbox.pk)
        soon(world, lambda: tokens_of(consented)["access"] != before["access"])
        product_pids = product.pids()
    said = {**neighbour.seen, "statements": statements()}
    assert len(product_pids) > 4
    assert product_pids <= neighbour.looked_at, "the neighbour saw each of our processes"
    assert "mailsync_connectiontest" in said["statements"]
    planted = [MAILBOX, WRONG, PASSWORD, *before.values(), *tokens_of(consented).values()]
    leaks = [
        (secret, where) for secret in planted for where, text in said.items()
        if any(shape in text for shape in shapes(secret, typed["login"]))
    ]  # fmt: skip
    assert leaks == []


def test_the_neighbour_sees_what_is_there_to_be_seen() -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(20)"]
    with Neighbour() as neighbour:
        given = subprocess.Popen([*sleep, MAILBOX])
        inherited = subprocess.Popen(sleep, env={**os.environ, "PASSWORD": WRONG})
        time.sleep(1)
        for each in (given, inherited):
            each.kill()
            each.wait()
    assert MAILBOX in neighbour.seen["arguments"]
    assert WRONG in neighbour.seen["environments"]


class Neighbour:
    """Looks at the arguments and the environment of every process of this machine that it may, again and again."""

    def __init__(self) -> None:
        self.found: dict[str, set[bytes]] = {"arguments": set(), "environments": set()}
        self.looked_at: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def seen(self) -> dict[str, str]:
        return {
            name: "\n".join(each.decode("latin-1") for each in texts) for name, texts in self.found.items()
        }

    def _look(self) -> None:
        while not self._over.wait(0.1):
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):
                    self.found["arguments"].add((process / "cmdline").read_bytes())
                    self.found["environments"].add((process / "environ").read_bytes())
                    self.looked_at.add(int(process.name))


@contextmanager
def statements_of(postgres: services.Postgres) -> Iterator[Callable[[], str]]:
    """Every statement that the product's role has run meanwhile, as pg_stat_activity would have shown it."""
    log = HOME / "postgresql.log"
    tell(postgres, f"ALTER ROLE {services.APP} SET log_statement = 'all'")
    start = log.stat().st_size
    try:
        yield lambda: log.read_bytes()[start:].decode("latin-1")
    finally:
        tell(postgres, f"ALTER ROLE {services.APP} RESET log_statement")


def tell(postgres: services.Postgres, statement: str) -> None:
    """What is said of a role holds for connections that come later."""
    with closing(psycopg2.connect(postgres.owner_url)) as owner, owner, owner.cursor() as cursor:
        cursor.execute(statement)


@dataclass(frozen=True)
class Product:
    """A web server and workers, as ./run starts them."""

    address: str
    supervisor: Supervisor

    def pids(self) -> set[int]:
        """Theirs, and those of the processes that they started."""
        found = {child.process.pid for child in self.supervisor.children}
        for status in Path("/proc").glob("[0-9]*/status"):
            with suppress(OSError):
                fields = dict(
                    line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line
                )
                if int(fields["PPid"]) in found:
                    found.add(int(fields["Pid"]))
        return found


@contextmanager
def running(home: Path, consented: ConsentedBox) -> Iterator[Product]:
    """With the environment of the tests, which names their servers, and the provider's registration."""
    company = config.OAUTH["company"]
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "MAIL_CA_FILE": config.MAIL_CA_FILE,
        "ALLOWED_HOSTS": services.LOOPBACK,
        "OAUTH_COMPANY_CLIENT_ID": company["client_id"],
        "OAUTH_COMPANY_CLIENT_SECRET": company["client_secret"],
        "OAUTH_COMPANY_ENDPOINTS": ",".join(f"{name}={url}" for name, url in company["endpoints"].items()),
        "OAUTH_COMPANY_SERVERS": ",".join(f"{name}={where}" for name, where in company["servers"].items()),
    }
    address = f"{services.LOOPBACK}:{services.free_port(31000)}"
    web = ["-c", GUNICORN, "-b", address, "--threads", "4", "--no-control-socket", "config.wsgi"]
    with Supervisor(home) as supervisor:
        supervisor.spawn("worker", [sys.executable, *WORKER], ready=None, env=environment, cwd=ROOT)
        supervisor.spawn(
            "web",
            [sys.executable, *web],
            ready=lambda: urllib.request.urlopen(f"http://{address}/healthz", timeout=5).status == 200,
            env=environment,
            cwd=ROOT,
            wait=90,
        )
        yield Product(f"http://{address}", supervisor)


class Page:
    """A browser at the real web server, in which somebody signs in first."""

    def __init__(self, address: str, email: str) -> None:
        self.address = address
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.post(reverse("account_login"), login=email, password=PASSWORD)

    def get(self, url: str) -> str:
        with self.opener.open(self.address + url, timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, url: str, **form: object) -> None:
        """The form of a page, with its token. Raises HTTPError where the server refuses it."""
        self.get(url)
        [token] = [cookie.value for cookie in self.jar if cookie.name == "csrftoken"]
        data = urllib.parse.urlencode({**form, "csrfmiddlewaretoken": token}, doseq=True).encode()
        with self.opener.open(self.address + url, data=data, timeout=30) as answer:
            assert answer.url != self.address + url, "it was sent on from the form"


def tokens_of(consented: ConsentedBox) -> dict[str, str]:
    consent = consented.consent()
    opened: dict[str, str] = json.loads(
        secrets.unseal(bytes(consent.secret), account_id=consent.account_id).reveal()
    )
    return {name: opened[name] for name in ("access", "refresh")}


def soon(world: World, look: Callable[[], Any]) -> Any:
    """What somebody else makes true within a minute."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with world.acting():
            found = look()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError("It did not happen within a minute.")
