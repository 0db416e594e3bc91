"""PURE: the field by which we know our own draft on the server, and how old it is, from what others made of it.

Some programs keep fields that they do not know when they edit a draft. So the field says what it was written for.
"""

import hashlib
import re

FIELD = "X-Mailbound-Revision"
# Drafts that lie on servers from before there was a digest say their revision alone.
_LINE = re.compile(rb"^" + FIELD.encode() + rb": (\d{1,9})(?: ([0-9a-f]{32}))?\r\n", re.MULTILINE)


def mark(raw: bytes, revision: int) -> bytes:
    """The draft with the field."""
    return f"{FIELD}: {revision} {_digest(raw)}\r\n".encode() + raw


def revision(header: bytes) -> int | None:
    """As the field says it, whoever has written the rest."""
    line = _LINE.search(header)
    return int(line[1]) if line else None


def is_ours(raw: bytes) -> bool:
    """Whether it is, byte for byte, what was marked. Of a draft without a digest that cannot be told: it is."""
    line = _LINE.search(raw)
    if line is None:
        return False
    return line[2] is None or line[2].decode() == _digest(raw[: line.start()] + raw[line.end() :])


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()[:32]
