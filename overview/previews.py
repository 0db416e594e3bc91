"""What would go and what would stay, before mailboxes are disconnected: in numbers, asked of the rows themselves."""

from collections.abc import Collection
from dataclasses import dataclass

from mailsync.models import Mailbox, MailboxGrant
from overview.finding import OPEN_CHANGES, WAITING
from retention.preview import Amount, total
from retention.usage import stored


@dataclass(frozen=True, slots=True)
class Leaving:
    """Copies by what becomes of them; people who lose access; what the servers would never hear of."""

    loose: Amount
    clients: Amount
    tasks: Amount
    people: int
    changes: int
    letters: int


def disconnecting(boxes: Collection[Mailbox]) -> Leaving:
    """Looks at every message of these mailboxes."""
    held = stored(boxes)
    ids = [box.pk for box in boxes]
    return Leaving(
        loose=total(each.unbound for each in held),
        clients=total(each.crm for each in held),
        tasks=total(each.task for each in held),
        people=MailboxGrant.objects.filter(mailbox__in=ids).count(),
        changes=OPEN_CHANGES.filter(mailbox__in=ids).count(),
        letters=WAITING.filter(mailbox__in=ids).count(),
    )
