"""Long work gives way to people: it goes on in bursts of some milliseconds, and between two of them waits while a page
is being made.

Who makes a page is in a transaction from before its first row to the end of its template (TenancyMiddleware), and
the database knows those processes by name (config.wsgi): so it is seen wherever they run.
"""

import time

from django.db import connection

PAGES = "mailbound-pages"
BURST = 0.006  # seconds of work until people are looked for again
# Seconds that they are given at a time: where somebody always asks, a burst follows each.
PATIENCE = 0.1
LOOK_EVERY = 0.005
# Who waits for a lock may wait for ours. Without the first statement a transaction would see again what its first look
# saw (PostgreSQL, 27.2.2). The function is what pg_stat_activity is made of, and costs less.
_LOOK = """SELECT pg_stat_clear_snapshot();
SELECT count(*) FILTER (WHERE application_name = %s) > 0 AND count(*) FILTER (WHERE wait_event_type = 'Lock') = 0
FROM pg_stat_get_activity(NULL) WHERE state IN ('active', 'idle in transaction') AND pid <> pg_backend_pid()"""


class _Giving:
    """Called between two steps, inside a transaction or outside: waits until no page is being made, but not for ever,
    and not while somebody waits for a lock."""

    def __init__(self) -> None:
        self._since = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._since + BURST:
            return
        until = now + PATIENCE
        while _somebody_asks() and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
        self._since = time.monotonic()


def _somebody_asks() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [PAGES])
        row = cursor.fetchone()
    return bool(row and row[0])


give_way = _Giving()
