"""What PostgreSQL believes of a mailbox that came since it has counted the rows: that it has none.

Then every index that begins with the mailbox looks as good as the right one, and each look-up reads all of it.
"""

from collections.abc import Callable, Iterator

import pytest
from django.db import connection

from demo.services import Postgres
from mailsync import actions
from tests.engine.conftest import connect
from tests.rigs.database import as_owner
from tests.rigs.filling import fill
from tests.rigs.mailserver import MailServer
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
MESSAGES = 1_000  # in each of two folders
TABLES = ("mailsync_message", "mailsync_placement", "mailsync_blob")


@pytest.fixture(autouse=True)
def _forgotten(postgres: Postgres) -> Iterator[None]:
    """No other test meets what PostgreSQL has counted here."""
    yield
    tables = f"'{{{','.join(TABLES)}}}'::regclass[]"
    as_owner(postgres.owner_url, f"DELETE FROM pg_statistic WHERE starelid = ANY({tables})")
    as_owner(
        postgres.owner_url, f"UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = ANY({tables})"
    )


def test_a_mailbox_that_came_since_the_rows_were_counted_is_read_a_few_times_and_not_once_for_each_message(
    world: World, dovecot: MailServer, postgres: Postgres
) -> None:
    counted, new = connect(world, dovecot), connect(world, dovecot)
    for box in (counted, new):
        fill(dovecot, box.login, MESSAGES, days=50)
        fill(dovecot, box.login, MESSAGES, days=40, path="Archive")
    counted.sync()
    as_owner(postgres.owner_url, f"ANALYZE {', '.join(TABLES)}")

    def rows_of(what: Callable[[], object]) -> int:
        before = rows_read(postgres)
        what()
        new.sync(thorough=False)
        return rows_read(postgres) - before

    def ann_archives() -> None:
        with new.acting():
            actions.archive(new.chosen().filter(uid__gt=700), by=world.ann)

    read = {
        "first": rows_of(lambda: None),
        "moved there": rows_of(lambda: new.on_server("MOVE", "1:300", "Archive")),
        "flagged there": rows_of(lambda: new.on_server("STORE", "301:600", "+FLAGS", "(\\Flagged)")),
        "archived here": rows_of(ann_archives),
        "rebuilt": rows_of(
            lambda: dovecot.doveadm(
                "mailbox", "update", "-u", new.login, "--uid-validity", "1999999999", "Archive"
            )
        ),
    }
    assert max(read.values()) < 30 * 2 * MESSAGES, read  # each row some times, not once for each of 300


def rows_read(postgres: Postgres) -> int:
    """Of messages and of their places, since the cluster began."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
    return as_owner(
        postgres.owner_url,
        """SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables
           WHERE relname IN ('mailsync_message', 'mailsync_placement')""",
    )
