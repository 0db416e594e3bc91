"""What a purge would do under any limits at any moment, in numbers; nothing is changed."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Sum

from accounts.models import Account
from mailsync import holding
from mailsync.models import Mailbox, Message
from plans.limits import Limits
from retention.policy import LEAVES, Fate, Rule, with_bond


@dataclass(frozen=True, slots=True)
class Amount:
    """Messages, and the bytes of mail that they are (a body in several mailboxes counts in each)."""

    messages: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.messages + other.messages, self.bytes + other.bytes)


NOTHING = Amount()


@dataclass(frozen=True, slots=True)
class OfMailbox:
    """What is too old in one mailbox, by fate. `waits`: nothing leaves it until a person has answered."""

    mailbox: Mailbox
    amounts: dict[Fate, Amount] = field(default_factory=dict)
    waits: bool = False

    def of(self, fate: Fate) -> Amount:
        return self.amounts.get(fate, NOTHING)

    @property
    def leaving(self) -> Amount:
        return NOTHING if self.waits else total(self.of(fate) for fate in LEAVES)

    @property
    def aged(self) -> Amount:
        return total(self.amounts.values())


def removal(account: Account, limits: Limits, at: datetime) -> list[OfMailbox]:
    """By mailbox, what a purge at that moment finds too old; a mailbox where that is nothing is left out.

    The running transaction must act for the account. The mailboxes come with their owners.
    """
    rule = Rule.of(limits, at)
    found: dict[int, dict[Fate, Amount]] = defaultdict(dict)
    boxes = {box.pk: box for box in Mailbox.objects.filter(account=account).select_related("owner")}
    # By mailbox, not by account: the index of age begins with the mailbox.
    aged = with_bond(rule.aged(Message.objects.filter(mailbox__in=list(boxes))))
    rows = aged.order_by().values_list("mailbox_id", "bond").annotate(n=Count("pk"), size=Sum("size"))
    for mailbox_id, bond, messages, size in rows:
        found[mailbox_id][rule.fate(bond)] = Amount(messages, size)
    return [OfMailbox(boxes[pk], amounts, holding.purge_waits(pk)) for pk, amounts in sorted(found.items())]


def total(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, NOTHING)


def leaving(boxes: Iterable[OfMailbox]) -> Amount:
    return total(box.leaving for box in boxes)
