"""PURE: values as PostgreSQL's binary COPY has them: each its length and its bytes."""

import json
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

Buffer = bytes | memoryview
# (name, type) with the types int8, int4, bytea, text, timestamptz, jsonb, bool, text[], int8[]. Text is free of NUL.
Columns = Sequence[tuple[str, str]]
ENCODED = "encoded"  # what went through this already: of one column or more

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts time from here
_NULL = struct.pack("!i", -1)
_length = struct.Struct("!i").pack
_int8 = struct.Struct("!iq").pack
_int4 = struct.Struct("!ii").pack
_json_text = json.JSONEncoder(ensure_ascii=False).encode


def encoder(kinds: Sequence[str]) -> Callable[[Sequence[Any]], list[Buffer]]:
    """What makes pieces of rows whose columns have these types."""
    packers = [_PACKERS[kind] for kind in kinds]

    def encode(row: Sequence[Any]) -> list[Buffer]:
        pieces: list[Buffer] = []
        for pack, value in zip(packers, row, strict=True):
            if value is None:
                pieces.append(_NULL)
            else:
                pieces += pack(value)
        return pieces

    return encode


def _bytes(value: Buffer) -> tuple[Buffer, ...]:
    return _length(len(value)), value


def _text(value: str) -> tuple[bytes, ...]:
    data = value.encode()
    return _length(len(data)), data


def _json(value: object) -> tuple[bytes, ...]:
    data = _json_text(value).encode()
    return _length(len(data) + 1), b"\1", data


def _moment(value: datetime) -> tuple[bytes]:
    delta = value - _EPOCH
    return (_int8(8, (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds),)


def _array(oid: int, values: Sequence[tuple[bytes, ...]]) -> tuple[Buffer, ...]:
    """One-dimensional, without NULLs; `oid` is that of the type of its values."""
    if not values:
        return _bytes(struct.pack("!iii", 0, 0, oid))
    head = struct.pack("!iiiii", 1, 0, oid, len(values), 1)
    return _bytes(b"".join([head, *(part for value in values for part in value)]))


_PACKERS: dict[str, Callable[[Any], tuple[Buffer, ...]]] = {
    "int8": lambda value: (_int8(8, value),),
    "int4": lambda value: (_int4(4, value),),
    "bool": lambda value: (b"\0\0\0\1\1" if value else b"\0\0\0\1\0",),
    "bytea": _bytes,
    "text": _text,
    "timestamptz": _moment,
    "jsonb": _json,
    ENCODED: lambda value: (value,),
    "text[]": lambda values: _array(25, [_text(value) for value in values]),
    "int8[]": lambda values: _array(20, [(_int8(8, value),) for value in values]),
}
