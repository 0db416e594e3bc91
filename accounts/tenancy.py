"""The account of a request or a job: row-level security is switched here and nowhere else.

Every tenant table carries a policy `account_id = current_setting('app.account')`. The setting is
local to a transaction (`SET LOCAL`), so a pooled connection can never carry one tenant into the
next request: outside `acting_for` no tenant row exists at all.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_ENTER = "SELECT set_config('app.account', %s, true)"
# Which account it was before and which it is now, in one question; MATERIALIZED: in this order.
_SWITCH = """WITH before AS MATERIALIZED (SELECT current_setting('app.account', true) AS account)
SELECT account, set_config('app.account', %s, true) FROM before"""
_NOBODY = ""


@contextmanager
def acting_for(account_id: int | None) -> Iterator[None]:
    """Open one transaction in which exactly this account's rows exist (None: no tenant's).

    Nested calls are savepoints; the outer account is back afterwards. Raises whatever the block
    raises, after rolling back. A generator that is read after the block (a streamed response) is
    outside: it must open its own.
    """
    nested = connection.in_atomic_block
    with transaction.atomic():
        account = _NOBODY if account_id is None else str(account_id)
        before = _NOBODY
        if nested:
            before = _switch(account)
        else:
            _enter(account)
        yield
        # The end of a transaction takes the setting back by itself, and so does a rollback; a broken one obeys no
        # further statement.
        if nested and not connection.needs_rollback:
            _enter(before)


def enter(account_id: int) -> None:
    """Switch the running transaction to an account, until it ends. For the moment of signing in."""
    _enter(str(account_id))


def leave() -> None:
    """Let the running transaction act for nobody: sign-in failed, or the session's person may not work."""
    _enter(_NOBODY)


def account_of_address(email: str) -> int | None:
    """The account of the employee who signs in with this exact address; the only look across the wall.

    Its policy (accounts.0002) shows the one row whose address was named, and only until this returns.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.sign_in', %s, true)", [email])
        cursor.execute("SELECT account_id FROM accounts_employee WHERE email = %s", [email])
        row = cursor.fetchone()
        cursor.execute("SELECT set_config('app.sign_in', '', true)")
    return row[0] if row else None


def current() -> str:
    """The id of the account in which the running transaction acts, as text; empty for nobody."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.account', true)")
        row = cursor.fetchone()
    return row[0] or _NOBODY if row else _NOBODY


def _enter(account: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ENTER, [account])


def _switch(account: str) -> str:
    """Returns for whom the transaction acted before."""
    with connection.cursor() as cursor:
        cursor.execute(_SWITCH, [account])
        row = cursor.fetchone()
    return row[0] or _NOBODY if row else _NOBODY
