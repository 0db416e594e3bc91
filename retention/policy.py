"""The one rule of what leaves: a message's bond, its age, and what becomes of it under a plan's limits.

Age counts from `Message.ages_from`: INTERNALDATE, or the moment we first saw the message where the server's date is
none, 1970 or later than that moment. A day is 24 hours, whatever clocks do in spring; who is exactly as old as the
plan allows stays.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Case, Exists, OuterRef, Q, QuerySet, TextChoices, Value, When

from crm.models import ActivityCopy
from mailsync.models import Message
from mailsync.models.message import MessageQuerySet
from plans.limits import Limits

DAY = timedelta(days=1)


class Bond(TextChoices):
    """What a message is bound to; a task counts before a client."""

    TASK = "task"
    CRM = "crm"
    NONE = "none"


class Fate(TextChoices):
    """What becomes of a message that is too old."""

    REMOVED = "removed"  # deleted here, with attachments that nobody else needs
    HIDDEN = "hidden"  # gone from Webmail; its activity has a copy of its own, which stays
    KEPT_CRM = "kept_crm"
    KEPT_TASK = "kept_task"


LEAVES = (Fate.REMOVED, Fate.HIDDEN)


@dataclass(frozen=True, slots=True)
class Rule:
    """The limits of a plan at a moment."""

    storage_days: int
    crm_bound_stays: bool
    at: datetime

    @classmethod
    def of(cls, limits: Limits, at: datetime) -> "Rule":
        return cls(limits.storage_days, limits.crm_bound_stays, at)

    @property
    def cutoff(self) -> datetime:
        """Who ages from a moment before this is too old."""
        return (
            self.at.astimezone(UTC) - self.storage_days * DAY
        )  # in another zone days would be those of the wall

    def within(self, days: int) -> "Rule":
        """The same so many days later: who is too old then leaves within them."""
        return replace(self, at=self.at + days * DAY)

    def fate(self, bond: str) -> Fate:
        """Of a message that is too old."""
        if bond == Bond.TASK:
            return Fate.KEPT_TASK
        if bond == Bond.CRM:
            return Fate.KEPT_CRM if self.crm_bound_stays else Fate.HIDDEN
        return Fate.REMOVED

    def leaves_at(self, ages_from: datetime) -> datetime:
        """From when on who ages from that moment is too old, unless something keeps it."""
        return ages_from.astimezone(UTC) + self.storage_days * DAY

    def days_left(self, ages_from: datetime) -> int:
        """Whole days until then; 0 in the last one, and where the next purge takes it."""
        return max(0, (self.leaves_at(ages_from) - self.at.astimezone(UTC)) // DAY)

    def aged(self, messages: MessageQuerySet) -> MessageQuerySet:
        """Those that are too old, bound or not."""
        return messages.filter(ages_from__lt=self.cutoff)

    def leaving(self, messages: MessageQuerySet) -> MessageQuerySet:
        """Those that leave: too old, held by nothing above mail, and with CRM only where that does not keep them."""
        leaving = self.aged(messages).free()
        return leaving.exclude(_with_crm()) if self.crm_bound_stays else leaving

    def staying(self, messages: MessageQuerySet) -> MessageQuerySet:
        """Those that do not leave, of messages that nothing above mail holds."""
        young = Q(ages_from__gte=self.cutoff)
        return messages.filter(young | Q(_with_crm()) if self.crm_bound_stays else young)


def with_bond(messages: MessageQuerySet) -> QuerySet[Any]:
    """Annotates `bond`."""
    return messages.with_held().annotate(
        bond=Case(
            When(held=True, then=Value(Bond.TASK.value)),
            When(_with_crm(), then=Value(Bond.CRM.value)),
            default=Value(Bond.NONE.value),
        )
    )


def of_bond(messages: MessageQuerySet, bond: Bond) -> MessageQuerySet:
    """Those that with_bond says it of."""
    if bond == Bond.TASK:
        return messages.held()
    free = messages.free()
    return free.filter(_with_crm()) if bond == Bond.CRM else free.exclude(_with_crm())


def _with_crm() -> Exists:
    return Exists(ActivityCopy.objects.filter(message=OuterRef("pk"), activity__unbound_at=None))


@dataclass(frozen=True, slots=True)
class Clock:
    """When a copy leaves Webmail and why; both are empty where its bond keeps it whatever its age."""

    bond: Bond
    plan: str
    leaves_at: datetime | None
    # Whole days that are left; 0 in the last one, and where the next purge takes it.
    days: int | None
    activity_stays: bool = False


def clock(message_id: int, limits: Limits, at: datetime) -> Clock | None:
    """The clock of one message; None where there is no such message."""
    rule = Rule.of(limits, at)
    rows = with_bond(Message.objects.filter(pk=message_id)).values_list("bond", "ages_from")
    for bond, ages_from in rows:
        leaves = rule.fate(bond) in LEAVES
        return Clock(
            bond=Bond(bond),
            plan=limits.plan,
            leaves_at=rule.leaves_at(ages_from) if leaves else None,
            days=rule.days_left(ages_from) if leaves else None,
            activity_stays=leaves and bond == Bond.CRM,
        )
    return None
