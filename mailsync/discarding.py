"""Removing our copies of what a person let go: a mailbox disconnected, a folder switched off.

Never reaches the mail server. Restartable at any point: each batch is one transaction and asks anew what
leaves.
"""

from django.db.models import Exists, OuterRef

from accounts import tenancy
from mailsync.models import Mailbox, Message, Placement

BATCH = 500


def discard_let_go(account_id: int, mailbox_id: int) -> int:
    """Discard in batches until nothing of it is left; returns how many rows went."""
    gone = 0
    while batch := _discard_batch(account_id, mailbox_id):
        gone += batch
    return gone


def _discard_batch(account_id: int, mailbox_id: int) -> int:
    with tenancy.acting_for(account_id):
        # The lock keeps a reconnecting from beginning between the question and the deletion.
        mailbox = Mailbox.objects.select_for_update(no_key=True).filter(pk=mailbox_id).first()
        if mailbox is None:
            return 0
        return _discard_messages(mailbox) if mailbox.disconnected_at else _discard_placements(mailbox)


def _discard_messages(mailbox: Mailbox) -> int:
    batch = list(mailbox.messages.values_list("pk", flat=True)[:BATCH])
    Message.objects.filter(pk__in=batch).delete()
    return len(batch)


def _discard_placements(mailbox: Mailbox) -> int:
    """Of folders that are switched off; a message stays while another folder shows it."""
    off = Placement.objects.filter(folder__mailbox=mailbox, folder__syncing=False)
    batch = list(off.values_list("pk", "message_id")[:BATCH])
    Placement.objects.filter(pk__in=[placement for placement, _ in batch]).delete()
    elsewhere = Placement.objects.filter(message=OuterRef("pk"))
    Message.objects.filter(~Exists(elsewhere), pk__in={message for _, message in batch}).delete()
    return len(batch)
