"""Rows into PostgreSQL by binary COPY.

Row-level security forbids COPY into the tenant's tables themselves, so rows land in a temporary table and an
INSERT … SELECT carries them over, under the policy; bodies go through a view instead, a batch as one row of it, which
writes them once.
Either beats parameters, which psycopg2 would send as hexadecimal text, twice the size.
"""

import io
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from mailsync.binary import ENCODED, Buffer, Columns, encoder

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)


def stage(table: str, columns: Columns, rows: Iterable[Sequence[Any]], *, encoded: Columns = ()) -> None:
    """Put rows into the temporary table (made on the connection's first use, emptied before).

    Neither names nor types may come from outside. `encoded` are columns behind the others that came to us encoded:
    the bytes of all of them are the last value of each row.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"pg_temp.{table}"])
        if cursor.fetchone() == (None,):
            cursor.execute(_creation(table, [*columns, *encoded]))
        # Not TRUNCATE, which writes to the catalogue each time.
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 (the name is ours)
    copy(table, columns, rows, encoded=encoded)


def copy(table: str, columns: Columns, rows: Iterable[Sequence[Any]], *, encoded: Columns = ()) -> None:
    """Binary COPY into a temporary table, or into a view whose trigger inserts under the policy."""
    names = ", ".join(name for name, _kind in [*columns, *encoded])
    data = _encode([kind for _name, kind in columns], rows, len(encoded))
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", data, 1 << 20)


def _creation(table: str, columns: Columns) -> str:
    """Emptied by the commit: the wall has no policy for it, and the connection goes on to another tenant.

    Bytes are not compressed on their way through (ALTER, because CREATE takes STORAGE from PostgreSQL 16 on).
    """
    declared = ", ".join(f"{name} {kind}" for name, kind in columns)
    plain = [
        f"ALTER TABLE {table} ALTER {name} SET STORAGE EXTERNAL" for name, kind in columns if kind == "bytea"
    ]
    return "; ".join([f"CREATE TEMPORARY TABLE {table} ({declared}) ON COMMIT DELETE ROWS", *plain])


def _encode(kinds: Sequence[str], rows: Iterable[Sequence[Any]], more: int) -> io.BytesIO:
    head = struct.pack("!h", len(kinds) + more)
    encode = encoder([*kinds, *([ENCODED] if more else [])])
    parts: list[Buffer] = [_SIGNATURE]
    for row in rows:
        parts.append(head)
        parts += encode(row)
    parts.append(_END)
    return io.BytesIO(b"".join(parts))
