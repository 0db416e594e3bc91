"""Real servers for the tests, each started once, when the first test asks for it."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import connections
from django.test import TransactionTestCase
from playwright.sync_api import expect
from pytest_django import DjangoDbBlocker

from demo import services
from demo.supervisor import Supervisor
from tests.consistency import sound_accounts
from tests.outside import CORPUS
from tests.rigs import chromium, database
from tests.rigs.mailserver import MailServer, certificate_of
from tests.rigs.oauth import Provider
from tests.settings import HOME, RUN
from tests.world import world

__all__ = ["sound_accounts", "world"]  # fixtures

# Playwright's synchronous API runs an event loop in the test's thread, where Django refuses its ORM.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"


def pytest_collection_finish() -> None:
    """What was imported stays: the garbage collector need not look at it again and again (a fifth of the time)."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that began the run removes what all of its processes left."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(RUN, ignore_errors=True)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    expect.set_options(timeout=20_000)  # Playwright waits for 5 s, which a busy machine may take
    return browser_type_launch_args | chromium.launch_arguments()


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    with Supervisor(HOME) as running:
        yield running


@pytest.fixture(scope="session")
def redis_url(supervisor: Supervisor) -> str:
    """A Redis (Valkey) of this process, empty at the start of each test."""
    return services.start_redis(supervisor, HOME, keep=False)


@pytest.fixture(scope="session")
def postgres(supervisor: Supervisor) -> services.Postgres:
    """The database of this process: `app_url` is the product's, `owner_url` sees every tenant's rows."""
    database.prepare(HOME)
    # Plans that a test looks at must not hang on when rows were counted last.
    settings = {**services.BULK, **services.THROWAWAY, "autovacuum": "off"}
    return services.start_postgres(supervisor, HOME, database=database.NAME, settings=settings)


@pytest.fixture(scope="session")
def django_db_setup(
    postgres: services.Postgres,
    redis_url: str,
    django_test_environment: None,
    django_db_blocker: DjangoDbBlocker,
) -> Iterator[None]:
    """Every test runs as the product does, under row-level security, with the published plans.

    Only how a transactional test is taken back is not Django's way: its TRUNCATE needs a right that the product's
    role does not have, and took a sixth of the suite.
    """
    with django_db_blocker.unblock():
        call_command("load_plans", verbosity=0)
    untouched = database.Untouched(postgres.owner_url)
    # No hook of Django's own leads here, so its types know nothing of the method.
    TransactionTestCase._fixture_teardown = lambda _test: untouched.restore()  # type: ignore[attr-defined]
    yield
    untouched.close()
    with django_db_blocker.unblock():
        for each in connections.all(initialized_only=True):
            each.close()


@pytest.fixture(autouse=True)
def _empty_redis(request: pytest.FixtureRequest) -> None:
    """Rate limits and hints of one test do not reach the next."""
    if "django_db_setup" in request.fixturenames or "redis_url" in request.fixturenames:
        client = redis.Redis.from_url(request.getfixturevalue("redis_url"))
        client.flushall()
        client.close()


@pytest.fixture(scope="session")
def dovecot(supervisor: Supervisor) -> MailServer:
    """A mail server without TLS, shared by the tests of this process: make a login of your own on it."""
    return MailServer.start(supervisor, HOME / "dovecot", first_port=_ports())


@pytest.fixture(scope="session")
def dovecot_tls(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> MailServer:
    """The same with TLS on `tls_port` and STARTTLS on `port`; only who trusts `ca_file` accepts it."""
    certificate, ca_file = certificate_of(tmp_path_factory.mktemp("ca"), "localhost", services.LOOPBACK)
    return MailServer.start(
        supervisor, HOME / "dovecot-tls", first_port=_ports() + 200, certificate=certificate, ca_file=ca_file
    )


@pytest.fixture(scope="session")
def provider_process(supervisor: Supervisor) -> Provider:
    """An OAuth provider; see tests.rigs.consenting for how tests use it."""
    return Provider.start(supervisor, _ports() + 450)


@pytest.fixture(scope="session")
def dovecot_oauth(
    supervisor: Supervisor, provider_process: Provider, tmp_path_factory: pytest.TempPathFactory
) -> MailServer:
    """Takes passwords, and access tokens of the provider; TLS on `tls_port`, STARTTLS or nothing on `port`."""
    certificate, ca_file = certificate_of(tmp_path_factory.mktemp("ca"), "localhost", services.LOOPBACK)
    return MailServer.start(
        supervisor,
        HOME / "dovecot-oauth",
        first_port=_ports() + 500,
        certificate=certificate,
        ca_file=ca_file,
        introspection_url=f"{provider_process.url}/introspect",
    )


@pytest.fixture(scope="session")
def smtp_sink(supervisor: Supervisor, dovecot: MailServer) -> services.Sink:
    """An SMTP server that takes mail from the logins of `dovecot` and keeps it in the Maildir `kept`."""
    port = services.free_port(_ports() + 400)
    return services.start_sink(supervisor, HOME, port=port, users=dovecot.server.users)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Real mail of other projects, kept outside of the repository."""
    if not CORPUS.is_dir():
        pytest.skip("The corpus of real mail is not here; MAIL_CORPUS names its folder.")
    return CORPUS


def _ports() -> int:
    """Far apart for the processes of one run, so that two never try the same port at once."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")
    return 21000 + int(worker) * 600 + os.getpid() % 97
