"""After every test that used the database, each account must be sound: a test that leaves nonsense fails."""

from collections.abc import Iterator

import pytest
from django.db import connection

from accounts.models import Account
from mailsync.consistency import violations


def assert_consistent(account: Account) -> None:
    found = violations(account)
    assert not found, "\n".join([f"{account} is not sound:", *found])


@pytest.fixture(autouse=True)
def sound_accounts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Looks before the database is rolled back. A test that plants nonsense rolls it back itself."""
    if not uses_database(request):
        yield
        return
    request.getfixturevalue("_django_db_helper")
    yield
    if not connection.needs_rollback:
        for account in Account.objects.all():
            assert_consistent(account)


def uses_database(request: pytest.FixtureRequest) -> bool:
    fixtures = {"db", "transactional_db", "live_server"}
    return request.node.get_closest_marker("django_db") is not None or bool(
        fixtures & {*request.fixturenames}
    )
