"""The account of a request or a job: row-level security is switched here and nowhere else.

Every tenant table carries a policy `account_id = current_setting('app.account')`. The setting is
local to a transaction (`SET LOCAL`), so a pooled connection can never carry one tenant into the
next request: outside `acting_for` no tenant row exists at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

# Also the policy of the sign-in: one employee may be seen by whoever names the exact address.
_SWITCH = "SELECT current_setting('app.account', true), set_config('app.account', %s, true)"


@contextmanager
def acting_for(account_id: int | None) -> Iterator[None]:
    """Open one transaction in which exactly this account's rows exist (None: no tenant's).

    Nested calls are savepoints; the outer account is back afterwards. Raises whatever the block
    raises, after rolling back.
    """
    with transaction.atomic():
        before = _switch("" if account_id is None else str(account_id))
        yield
        _switch(before)


def enter(account_id: int) -> None:
    """Switch the running transaction to an account, until it ends. For the moment of signing in."""
    _switch(str(account_id))


def allow_sign_in(email: str) -> None:
    """Let the running transaction see the one employee with this address, before any account is set."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.sign_in', %s, true)", [email.lower()])


def _switch(account: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_SWITCH, [account])
        row = cursor.fetchone()
    return row[0] or "" if row else ""
