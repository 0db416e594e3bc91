"""The sums of what each mailbox holds, kept as rows: a list of two thousand mailboxes cannot count their messages."""

from datetime import datetime

from accounts import tenancy
from mailsync.models import Mailbox
from retention.models import Storage
from retention.usage import stored


def count(account_id: int, at: datetime) -> int:
    """Count every mailbox of an account anew, each in a transaction of its own; returns how many there are.

    Restartable: what was counted stays, and a second one at the same time writes the same.
    """
    with tenancy.acting_for(account_id):
        ids = list(Mailbox.objects.filter(account=account_id).order_by("pk").values_list("pk", flat=True))
    for mailbox_id in ids:
        with tenancy.acting_for(account_id):
            _count(mailbox_id, at)
    return len(ids)


def _count(mailbox_id: int, at: datetime) -> None:
    for held in stored(Mailbox.objects.filter(pk=mailbox_id)):
        sums = {
            f"{bond}_{what}": getattr(getattr(held, bond), what)
            for bond in ("task", "crm", "unbound")
            for what in ("messages", "bytes")
        }
        Storage.objects.update_or_create(
            mailbox=held.mailbox, defaults={"account_id": held.mailbox.account_id, "counted_at": at, **sums}
        )
