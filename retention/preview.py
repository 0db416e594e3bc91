"""What a purge would do under any limits at any moment, in numbers; nothing is changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Aggregate, Count, Q, Sum

from accounts.models import Account
from mailsync import holding
from mailsync.models import Mailbox, Message
from mailsync.models.message import MessageQuerySet
from plans.limits import Limits
from retention.policy import LEAVES, Bond, Fate, Rule, of_bond


@dataclass(frozen=True, slots=True)
class Amount:
    """Messages, and the bytes of mail that they are (a body in several mailboxes counts in each)."""

    messages: int = 0
    bytes: int = 0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.messages + other.messages, self.bytes + other.bytes)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(max(0, self.messages - other.messages), max(0, self.bytes - other.bytes))


NOTHING = Amount()
# How much of a mailbox is older than each of some moments, by what binds it.
ByBond = dict[Bond, dict[datetime, Amount]]


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
    [found] = removals(account, [limits], at)
    return found


def removals(account: Account, choices: Sequence[Limits], at: datetime) -> list[list[OfMailbox]]:
    """The same for several limits, in the time that it takes for one."""
    boxes = {box.pk: box for box in Mailbox.objects.filter(account=account).select_related("owner")}
    rules = [Rule.of(limits, at) for limits in choices]
    counted = _counted(list(boxes), sorted({rule.cutoff for rule in rules}))
    waits = {pk for pk in counted if holding.purge_waits(pk)}
    return [
        [
            OfMailbox(boxes[pk], amounts, pk in waits)
            for pk, by_bond in sorted(counted.items())
            if (amounts := _by_fate(rule, by_bond))
        ]
        for rule in rules
    ]


def _by_fate(rule: Rule, by_bond: ByBond) -> dict[Fate, Amount]:
    amounts: dict[Fate, Amount] = {}
    for bond, aged in by_bond.items():
        if aged[rule.cutoff].messages:
            amounts[rule.fate(bond)] = amounts.get(rule.fate(bond), NOTHING) + aged[rule.cutoff]
    return amounts


def _counted(boxes: list[int], cutoffs: list[datetime]) -> dict[int, ByBond]:
    """By mailbox and bond, how much ages from before each of the moments.

    What nothing binds is the rest: the other two are few, and to ask each message what binds it would take as long
    as all else together.
    """
    # By mailbox, not by account: the index of age begins with the mailbox.
    aged = Message.objects.filter(mailbox__in=boxes, ages_from__lt=cutoffs[-1])
    every = _sums(aged, cutoffs)
    bound = {bond: _sums(of_bond(aged, bond), cutoffs) for bond in (Bond.TASK, Bond.CRM)}
    none = dict.fromkeys(cutoffs, NOTHING)
    found: dict[int, ByBond] = {}
    for pk, sums in every.items():
        by_bond: ByBond = {bond: of_boxes.get(pk, none) for bond, of_boxes in bound.items()}
        rest = {at: sums[at] - by_bond[Bond.TASK][at] - by_bond[Bond.CRM][at] for at in cutoffs}
        found[pk] = by_bond | {Bond.NONE: rest}
    return found


def _sums(messages: MessageQuerySet, cutoffs: list[datetime]) -> dict[int, dict[datetime, Amount]]:
    columns: dict[str, Aggregate] = {}
    for number, cutoff in enumerate(cutoffs):
        old = Q(ages_from__lt=cutoff)
        columns |= {
            f"n{number}": Count("pk", filter=old),
            f"size{number}": Sum("size", filter=old, default=0),
        }
    rows = messages.order_by().values("mailbox_id").annotate(**columns).values_list("mailbox_id", *columns)
    return {
        pk: {cutoff: Amount(*sums[2 * n : 2 * n + 2]) for n, cutoff in enumerate(cutoffs)}
        for pk, *sums in rows
    }


def total(amounts: Iterable[Amount]) -> Amount:
    return sum(amounts, NOTHING)


def leaving(boxes: Iterable[OfMailbox]) -> Amount:
    return total(box.leaving for box in boxes)
