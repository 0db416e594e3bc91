"""What an account uses of its plan, in numbers for the plan page."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Q, Sum

from accounts.models import Account, Employee
from mailsync import connecting, parking, quota
from mailsync.models import Folder, Mailbox, Message
from plans.limits import Limits
from retention.models import LineKind, RetentionRun, RunState, Storage
from retention.policy import Bond, with_bond
from retention.preview import NOTHING, Amount, leaving, removals, total

NIGHTS = 30
COUNTED_LIVE = 20_000  # places: a tenth of a second


@dataclass(frozen=True, slots=True)
class Meter:
    """A limit beside its use; `limit` None is unlimited, 0 not offered."""

    used: int
    limit: int | None

    @property
    def percent(self) -> int:
        return min(100, self.used * 100 // self.limit) if self.limit else 0

    @property
    def is_over(self) -> bool:
        return self.limit is not None and self.used > self.limit

    @property
    def is_full(self) -> bool:
        return self.limit is not None and self.used >= self.limit


@dataclass(frozen=True, slots=True)
class Person:
    """How many of the plan's mailboxes an employee has."""

    employee: Employee
    mailboxes: Meter


@dataclass(frozen=True, slots=True)
class Stored:
    """What a mailbox holds, by what keeps it."""

    mailbox: Mailbox
    amounts: dict[str, Amount]
    # By the night (models.Storage); None: just now.
    counted_at: datetime | None = None

    @property
    def task(self) -> Amount:
        return self.amounts.get(Bond.TASK, NOTHING)

    @property
    def crm(self) -> Amount:
        return self.amounts.get(Bond.CRM, NOTHING)

    @property
    def unbound(self) -> Amount:
        return self.amounts.get(Bond.NONE, NOTHING)

    @property
    def all(self) -> Amount:
        return total(self.amounts.values())


@dataclass(frozen=True, slots=True)
class Offer:
    """Another plan and what it would mean tonight: copies that would leave more than now, mailboxes that would rest."""

    limits: Limits
    leaving: Amount
    parked: int


@dataclass(frozen=True, slots=True)
class Night:
    """One purge: messages that were removed, and those that left Webmail while their activity stays."""

    at: datetime
    removed: Amount
    hidden: Amount
    state: str

    @property
    def messages(self) -> int:
        return self.removed.messages + self.hidden.messages


def people(account: Account, limits: Limits) -> list[Person]:
    """Employees with mailboxes, the fullest first."""
    mine = Count("mailboxes", filter=Q(mailboxes__disconnected_at=None))
    rows = Employee.objects.filter(account=account, is_active=True).annotate(n=mine).filter(n__gt=0)
    return [Person(row, Meter(row.n, limits.mailboxes_per_employee)) for row in rows.order_by("-n", "name")]


def shared(account: Account, limits: Limits) -> Meter:
    return Meter(connecting.shared_mailboxes(account), limits.shared_mailboxes)


def outgoing(account: Account, at: datetime) -> quota.Usage:
    return quota.usage(account, at)


def stored(mailboxes: Iterable[Mailbox]) -> list[Stored]:
    """The largest first. Looks at every message: seconds where there are millions."""
    boxes = {box.pk: box for box in mailboxes}
    amounts: dict[int, dict[str, Amount]] = defaultdict(dict)
    held = with_bond(Message.objects.filter(mailbox__in=list(boxes)))
    for mailbox_id, bond, n, size in (
        held.order_by().values_list("mailbox_id", "bond").annotate(n=Count("pk"), size=Sum("size"))
    ):
        amounts[mailbox_id][bond] = Amount(n, size)
    found = [Stored(box, amounts[pk]) for pk, box in boxes.items()]
    return sorted(found, key=lambda each: (-each.all.bytes, each.mailbox.address))


def held(mailboxes: Iterable[Mailbox]) -> tuple[list[Stored], list[Mailbox]]:
    """What the night has counted, the largest first; and the mailboxes that it has not yet.

    Those are counted now where that takes no time, and then none is left.
    """
    boxes = {box.pk: box for box in mailboxes}
    found = [_kept(boxes[row.mailbox_id], row) for row in Storage.objects.filter(mailbox__in=list(boxes))]
    known = {each.mailbox.pk for each in found}
    new = [box for pk, box in boxes.items() if pk not in known]
    places = Folder.objects.filter(mailbox__in=new).aggregate(n=Sum("total", default=0))["n"]
    if places <= COUNTED_LIVE:
        found += stored(new)
        new = []
    return sorted(found, key=lambda each: (-each.all.bytes, each.mailbox.address)), new


def _kept(mailbox: Mailbox, row: Storage) -> Stored:
    amounts = {
        Bond.TASK.value: Amount(row.task_messages, row.task_bytes),
        Bond.CRM.value: Amount(row.crm_messages, row.crm_bytes),
        Bond.NONE.value: Amount(row.unbound_messages, row.unbound_bytes),
    }
    return Stored(mailbox, amounts, row.counted_at)


def offers(account: Account, current: Limits, others: Iterable[Limits], at: datetime) -> list[Offer]:
    """What each of the plans would mean, asked of the same preview as the purge's."""
    others = list(others)
    now, *supposed = map(leaving, removals(account, [current, *others], at))
    rests = parking.parked(current, account_id=account.pk)
    found = []
    for limits, there in zip(others, supposed, strict=True):
        more = Amount(max(0, there.messages - now.messages), max(0, there.bytes - now.bytes))
        found.append(Offer(limits, more, len(parking.parked(limits, account_id=account.pk) - rests)))
    return found


def nights(account: Account) -> list[Night]:
    """The last purges that did something, the newest first."""
    runs = RetentionRun.objects.filter(account=account).exclude(state=RunState.REPLACED)
    runs = runs.prefetch_related("lines").order_by("-at")[:NIGHTS]
    return [
        Night(
            run.at,
            total(
                Amount(line.messages, line.bytes) for line in run.lines.all() if line.kind == LineKind.REMOVED
            ),
            total(
                Amount(line.messages, line.bytes) for line in run.lines.all() if line.kind == LineKind.HIDDEN
            ),
            run.get_state_display(),
        )
        for run in runs
    ]
