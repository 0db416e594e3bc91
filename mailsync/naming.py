"""Message-IDs that tell what a letter was written from: a reply quotes them, and so comes back there.

<crm.deal.7.f3Qk2….signature@host>: signed, so that a stranger who knows the form cannot put mail into a deal. The first
word is that of who asks (crm, task); what follows up to the signature means something to them alone.
"""

import secrets
from collections.abc import Iterable, Iterator

from django.core import signing
from django.utils.crypto import constant_time_compare


def message_id(told: str, *, account_id: int, host: str) -> str:
    """For `told`, as "crm.deal.7": a Message-ID, without its angle brackets, never given before."""
    named = f"{told}.{secrets.token_hex(6)}"
    return f"{named}.{_signature(named, account_id)}@{host}"


def told(ids: Iterable[str], whose: str, *, account_id: int) -> Iterator[tuple[str, list[str]]]:
    """(Message-ID, what it tells after the first word) of those that this account signed for `whose`."""
    for each in ids:
        if not each.startswith(f"{whose}."):  # nearly every one
            continue
        named, _dot, signature = each.partition("@")[0].rpartition(".")
        if constant_time_compare(signature, _signature(named, account_id)):
            yield each, named.split(".")[1:-1]


def renewed(given: str, *, account_id: int, host: str) -> str:
    """Another Message-ID that tells the same; "" where this one tells nothing."""
    whose = given.partition(".")[0]
    for _id, parts in told([given], whose, account_id=account_id):
        return message_id(".".join([whose, *parts]), account_id=account_id, host=host)
    return ""


def _signature(named: str, account_id: int) -> str:
    """Case must not matter: some servers change it."""
    salt = f"{named.partition('.')[0]}.message-id:{account_id}"
    return signing.Signer(salt=salt).signature(named.lower()).lower()[:22].replace("_", "-")
