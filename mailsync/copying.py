"""Rows into PostgreSQL by binary COPY.

Row-level security forbids COPY into the tenant's tables themselves, so rows land in a temporary table and an
INSERT … SELECT carries them over, under the policy; bodies go through a view instead, which writes them once.
Either beats parameters, which psycopg2 would send as hexadecimal text, twice the size.
"""

import io
import json
import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts time from here
_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
_END = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)


def stage(table: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> None:
    """Put rows into the temporary table (made on the connection's first use, emptied before).

    `columns` = (name, type) with the types int8, int4, bytea, text, timestamptz, jsonb, bool, text[]. Text must
    be free of NUL. Neither names nor types may come from outside.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [f"pg_temp.{table}"])
        if cursor.fetchone() == (None,):
            cursor.execute(_creation(table, columns))
        # Not TRUNCATE, which writes to the catalogue each time.
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 (the name is ours)
    copy(table, columns, rows)


def copy(table: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]]) -> None:
    """Binary COPY into a temporary table, or into a view whose trigger inserts under the policy."""
    names = ", ".join(name for name, _kind in columns)
    data = _encode([kind for _name, kind in columns], rows)
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN (FORMAT binary)", data, 1 << 20)


def _creation(table: str, columns: Sequence[tuple[str, str]]) -> str:
    """Emptied by the commit: the wall has no policy for it, and the connection goes on to another tenant.

    Bytes are not compressed on their way through (ALTER, because CREATE takes STORAGE from PostgreSQL 16 on).
    """
    declared = ", ".join(f"{name} {kind}" for name, kind in columns)
    plain = [
        f"ALTER TABLE {table} ALTER {name} SET STORAGE EXTERNAL" for name, kind in columns if kind == "bytea"
    ]
    return "; ".join([f"CREATE TEMPORARY TABLE {table} ({declared}) ON COMMIT DELETE ROWS", *plain])


def _encode(kinds: Sequence[str], rows: Iterable[Sequence[Any]]) -> io.BytesIO:
    packers = [_PACKERS[kind] for kind in kinds]
    head = struct.pack("!h", len(kinds))
    parts = [_SIGNATURE]
    for row in rows:
        parts.append(head)
        for pack, value in zip(packers, row, strict=True):
            if value is None:
                parts.append(_NULL)
            else:
                data = pack(value)
                parts.append(struct.pack("!i", len(data)))
                parts.append(data)
    parts.append(_END)
    return io.BytesIO(b"".join(parts))


def _moment(value: datetime) -> bytes:
    delta = value - _EPOCH
    return struct.pack("!q", (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds)


def _texts(values: Sequence[str]) -> bytes:
    """A one-dimensional text[] without NULLs; 25 is the OID of text."""
    if not values:
        return struct.pack("!iii", 0, 0, 25)
    parts = [struct.pack("!iiiii", 1, 0, 25, len(values), 1)]
    for value in values:
        data = value.encode()
        parts += [struct.pack("!i", len(data)), data]
    return b"".join(parts)


_PACKERS: dict[str, Callable[[Any], bytes]] = {
    "int8": struct.Struct("!q").pack,
    "int4": struct.Struct("!i").pack,
    "bool": lambda value: b"\1" if value else b"\0",
    "bytea": lambda value: value,
    "text": lambda value: value.encode(),
    "timestamptz": _moment,
    "jsonb": lambda value: b"\1" + json.dumps(value, ensure_ascii=False).encode(),
    "text[]": _texts,
}
