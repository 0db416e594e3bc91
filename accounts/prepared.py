"""Statements that PostgreSQL plans a few times for each connection and not each time they are asked.

For those of every page, which find little by key: planning took longer than finding (benchmarks/README.md). After five
times PostgreSQL keeps a plan that fits any values, and makes it anew when the tables are analysed (PREPARE).
"""

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import connection

_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?s|%%")
# What each connection has prepared; that does not end with a transaction, be it rolled back.
_known: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()


def ready(sql: str) -> str:
    """What to execute instead of a statement, with the same parameters; prepared on this connection if it was not.

    The text is a constant of the program: each is kept for as long as the connection. Where the type of a parameter
    does not follow from its first use there is a cast (`%(names)s::text[]`). Without DATABASE_PREPARES, as it is.
    """
    if not settings.DATABASE_PREPARES:
        return sql
    connection.ensure_connection()
    known = _known.setdefault(connection.connection, set())
    name, prepare, execute = _forms(sql)
    if name not in known:
        with connection.cursor() as cursor:
            cursor.execute(prepare)
        known.add(name)
    return execute


@lru_cache(maxsize=500)
def _forms(sql: str) -> tuple[str, str, str]:
    """The name, what prepares it, and what executes it."""
    places: list[str] = []  # as they are written: "%(ids)s" once, "%s" each time

    def numbered(found: re.Match[str]) -> str:
        place = found[0]
        if place == "%%":
            return "%"
        if not found[1] or place not in places:
            places.append(place)
        return f"${len(places) if not found[1] else places.index(place) + 1}"

    name = "p" + blake2b(sql.encode(), digest_size=8).hexdigest()
    text = _PLACEHOLDER.sub(numbered, sql)
    given = f"({', '.join(places)})" if places else ""
    return name, f"PREPARE {name} AS {text}", f"EXECUTE {name}{given}"
