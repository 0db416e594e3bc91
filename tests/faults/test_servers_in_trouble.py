"""X12, X14 to X16, X20, X22: Redis gone, frozen or full, the database out of connections or with its tables locked.

A real web server with as many threads as in deployment, and real servers in trouble; with -m slow.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
import redis
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from demo import services
from demo.supervisor import Supervisor
from mailsync.models import Operation, Schedule
from tests.engine.conftest import Box
from tests.engine.test_interruption import wait_for_messages
from tests.rigs.dying import ROOT
from tests.settings import HOME
from tests.test_processes import GUNICORN, WORKER, Page
from tests.world import World

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@dataclass(frozen=True)
class Answer:
    status: int
    seconds: float
    retry_after: str | None


class Visitor(Page):
    """Somebody at the web server, whatever it answers."""

    def ask(self, url: str, data: bytes | None = None) -> Answer:
        started = time.monotonic()
        try:
            with self.opener.open(self.address + url, data=data, timeout=60) as answer:
                answer.read()
                return Answer(answer.status, time.monotonic() - started, None)
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, time.monotonic() - started, refused.headers["Retry-After"])

    def together(self, url: str, count: int) -> list[Answer]:
        """So many at once, as a whole office would."""
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(lambda _number: self.ask(url), range(count)))

    def click(self, url: str, **form: str) -> Answer:
        [token] = [cookie.value for cookie in self.jar if cookie.name == "csrftoken"]
        return self.ask(url, urllib.parse.urlencode({**form, "csrfmiddlewaretoken": token}).encode())


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    """A web server as it is deployed."""
    where = f"{services.LOOPBACK}:{services.free_port(32000)}"
    web = ["-c", GUNICORN, "-b", where, "--threads", "40", "--no-control-socket", "config.wsgi"]
    with Supervisor(tmp_path_factory.mktemp("web")) as supervisor:
        supervisor.spawn(
            "web",
            [sys.executable, *web],
            ready=lambda: urllib.request.urlopen(f"http://{where}/healthz", timeout=5).status == 200,
            env={"DJANGO_SETTINGS_MODULE": "tests.settings", "ALLOWED_HOSTS": services.LOOPBACK},
            cwd=ROOT,
            wait=90,
        )
        yield f"http://{where}"


@pytest.fixture
def ann(world: World, address: str) -> Visitor:
    visitor = Visitor(address, world.ann.email)
    assert visitor.ask("/").status == 200
    return visitor


@contextmanager
def frozen(name: str) -> Iterator[None]:
    pid = int((HOME / f"{name}.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def full_redis(url: str) -> Iterator[None]:
    with closing(redis.Redis.from_url(url)) as client:
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            client.config_set("maxmemory", 0)


def take_all(held: ExitStack, postgres: services.Postgres) -> None:
    """Every connection that the database has for the product."""
    while True:
        held.enter_context(closing(psycopg2.connect(postgres.app_url)))


def archive(world: World, visitor: Visitor) -> Answer:
    placement = world.message(world.folder(world.ann_box))
    return visitor.click(reverse("mail:act"), verb="archive", ids=str(placement.pk), next="/")


def operations(world: World) -> int:
    with world.acting():
        return Operation.objects.count()


def test_x15_a_frozen_redis_holds_up_no_page_and_no_click(world: World, ann: Visitor) -> None:
    with frozen("valkey"):
        answers = ann.together("/", 20)
        assert {answer.status for answer in answers} == {200}
        assert max(answer.seconds for answer in answers) < 4, "20 at once on two cores"
        assert ann.ask("/").seconds < 2
        clicked = archive(world, ann)
        assert clicked.status == 200
        assert clicked.seconds < 2
        assert ann.ask("/healthz").status == 503
    assert operations(world) == 1
    assert ann.ask("/healthz").status == 200


def test_x14_nobody_is_signed_out_when_redis_is_emptied(ann: Visitor, redis_url: str) -> None:
    with closing(redis.Redis.from_url(redis_url)) as client:
        client.flushall()
    assert ann.ask(reverse("mail:mailboxes")).status == 200


def test_x16_a_full_redis_lets_people_read_and_lets_nobody_in(
    world: World, ann: Visitor, redis_url: str
) -> None:
    stranger = Visitor.__new__(Visitor)
    with full_redis(redis_url):
        assert ann.ask("/").status == 200
        assert archive(world, ann).status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            stranger.__init__(ann.address, world.bob.email)  # type: ignore[misc]
        assert refused.value.code == 503
        assert refused.value.headers["Retry-After"] == "5"
        refused.value.close()
        assert ann.ask("/healthz").status == 503, "the alarm"
    assert operations(world) == 1
    assert Visitor(ann.address, world.bob.email).ask("/").status == 200


def test_x20_without_a_connection_to_spare_a_page_says_so_soon_and_when_to_come_again(
    ann: Visitor, postgres: services.Postgres
) -> None:
    with (
        ExitStack() as held,
        closing(psycopg2.connect(postgres.owner_url)) as owner,
        owner.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [services.APP]
        )
        with pytest.raises(psycopg2.OperationalError):
            take_all(held, postgres)
        answers = ann.together("/", 20)
        assert {(answer.status, answer.retry_after) for answer in answers} == {(503, "5")}
        assert max(answer.seconds for answer in answers) < 5
        assert ann.ask("/healthz").status == 503
    connection.close()  # ours was ended with the others
    assert ann.ask("/").status == 200


def test_x22_while_a_migration_has_the_mail_pages_give_up_in_time_and_everything_else_goes_on(
    box: Box, address: str, postgres: services.Postgres
) -> None:
    box.deliver("Hello")
    visitor = Visitor(address, box.world.ann.email)
    assert visitor.ask("/").status == 200
    with closing(psycopg2.connect(postgres.owner_url)) as migration, migration.cursor() as cursor:
        cursor.execute("LOCK TABLE mailsync_message, mailsync_placement IN ACCESS EXCLUSIVE MODE")
        url = reverse("mail:folder", args=[box.world.folder(box.world.ann_box).pk])
        with ThreadPoolExecutor(1) as pool:
            office = pool.submit(visitor.together, url, 30)
            time.sleep(1)
            assert visitor.ask("/tasks/").status == 200
            assert visitor.ask("/healthz").status == 200
            answers = office.result()
        assert {(answer.status, answer.retry_after) for answer in answers} == {(503, "5")}
        assert max(answer.seconds for answer in answers) < 7, "30 at once on two cores"
        worker = subprocess.run(
            [sys.executable, "manage.py", "sync_mailbox", box.login],
            cwd=ROOT,
            env={**os.environ, "DATABASE_LOCK_SECONDS": "2"},
            check=False,
            capture_output=True,
            timeout=60,
        )
        assert worker.returncode
    assert visitor.ask(url).status == 200
    box.sync()
    assert box.subjects() == ["Hello"]
    box.assert_equal()


def test_x12_x14_after_redis_and_the_clock_were_killed_and_came_back_empty_work_goes_on(
    box: Box, tmp_path: Path
) -> None:
    """Workers and clock are one process here. Nothing tells them of the mail but the poll."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "MAIL_TICK_SECONDS": "1",
        "MAIL_POLL_SECONDS": "1",
        "MAIL_LEASE_SECONDS": "20",
    }
    with Supervisor(tmp_path) as supervisor:
        environment["REDIS_URL"] = services.start_redis(supervisor, tmp_path, keep=False)
        clock = [*WORKER, "-B", "--schedule", str(tmp_path / "beat")]
        worker = supervisor.spawn("worker", [sys.executable, *clock], ready=None, env=environment, cwd=ROOT)
        box.deliver("Before")
        wait_for_messages(box, 1)
        for child in supervisor.children:
            child.process.kill()
            child.process.wait()
        supervisor.children.clear()
        assert worker.returncode
        box.deliver("Meanwhile")
        Schedule.objects.filter(mailbox=box.mailbox).update(due_at=timezone.now() - timedelta(minutes=30))
        services.start_redis(supervisor, tmp_path, keep=False)
        supervisor.spawn("worker", [sys.executable, *clock], ready=None, env=environment, cwd=ROOT)
        wait_for_messages(box, 2)
    assert box.subjects() == ["Before", "Meanwhile"]
