"""Message-IDs of mail written from a record: a reply quotes them, and so comes back to the record.

<crm.deal.7.f3Qk2….signature@host>: signed, so that a stranger who knows the form cannot put mail into a deal.
"""

import secrets
from collections.abc import Iterable

from django.core import signing
from django.utils.crypto import constant_time_compare

from crm.matching import Ref

_SALT = "crm.message-id"
_KINDS = {"contact", "company", "lead", "deal"}


def message_id(record: Ref, *, account_id: int, host: str) -> str:
    """A Message-ID, without its angle brackets, never given before."""
    told = f"crm.{record.kind}.{record.id}.{secrets.token_hex(6)}"
    return f"{told}.{_signature(told, account_id)}@{host}"


def record_of(ids: Iterable[str], *, account_id: int) -> Ref | None:
    """The record of the first of these Message-IDs that this account signed."""
    for each in ids:
        if not each.startswith("crm."):  # nearly every one
            continue
        told, _dot, signature = each.partition("@")[0].rpartition(".")
        parts = told.split(".")
        formed = len(parts) == 4 and parts[1] in _KINDS and parts[2].isdecimal()
        if formed and constant_time_compare(signature, _signature(told, account_id)):
            return Ref(parts[1], int(parts[2]))
    return None


def _signature(told: str, account_id: int) -> str:
    """Case must not matter: some servers change it."""
    return signing.Signer(salt=f"{_SALT}:{account_id}").signature(told.lower()).lower()[:22].replace("_", "-")
