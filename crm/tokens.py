"""Message-IDs of mail written from a record: a reply quotes them, and so comes back to the record (mailsync.naming)."""

from collections.abc import Iterable

from crm.matching import Ref
from mailsync import naming

_KINDS = {"contact", "company", "lead", "deal"}


def message_id(record: Ref, *, account_id: int, host: str) -> str:
    """A Message-ID, without its angle brackets, never given before."""
    return naming.message_id(f"crm.{record.kind}.{record.id}", account_id=account_id, host=host)


def record_of(ids: Iterable[str], *, account_id: int) -> Ref | None:
    """The record of the first of these Message-IDs that this account signed."""
    for _id, parts in naming.told(ids, "crm", account_id=account_id):
        if len(parts) == 2 and parts[0] in _KINDS and parts[1].isdecimal():
            return Ref(parts[0], int(parts[1]))
    return None
