"""Telling people that the plan will change, before and after: at once, a week and a day before, and when it has.

Exactly once a stage and employee: the unique row decides, however often and by however many this is asked.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.utils import timezone, translation

from accounts import tenancy
from accounts.models import Account, Employee, Role
from mailsync import parking
from mailsync.models import Mailbox
from plans.changes import Change, changes
from retention import words
from retention.models import PlanNotice, Stage
from retention.policy import Rule
from retention.preview import removals

log = structlog.get_logger(__name__)

AHEAD = timedelta(days=400)
BEHIND = timedelta(days=14)  # so long it is said what has changed
SHARE = 1000


@dataclass(frozen=True, slots=True)
class OfBox:
    """What a change does to a mailbox: messages that leave because of it, or that it rests."""

    mailbox: Mailbox
    messages: int
    bytes: int
    parked: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "address": self.mailbox.address,
            "messages": self.messages,
            "bytes": self.bytes,
            "parked": self.parked,
        }


def ranges() -> Iterator[tuple[int, int]]:
    """All accounts in shares that a worker has time for: the first and the last id of each."""
    ids = list(Account.objects.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(ids), SHARE):
        share = ids[start : start + SHARE]
        yield share[0], share[-1]


def tell_range(first: int, last: int) -> int:
    """Returns how many notices were written."""
    ids = Account.objects.filter(pk__range=(first, last)).order_by("pk").values_list("pk", flat=True)
    return sum(tell(account_id) for account_id in list(ids))


def tell(account_id: int) -> int:
    """Write the notices that are due in one account and mail them; returns how many were written."""
    with tenancy.acting_for(account_id):
        # Two at once would both count; the second waits and finds everything told.
        account = Account.objects.select_for_update(no_key=True).get(pk=account_id)
        today = account.today()
        told = sum(
            _tell(account, change, stage)
            for change in changes(account, after=_since(account, today), until=today + AHEAD)
            if (stage := stage_of(change, today))
        )
    _mail(account_id)
    return told


def _since(account: Account, today: date) -> date:
    """With what a company began nothing has changed."""
    return max(today - BEHIND, account.day_of(account.created_at))


def stage_of(change: Change, today: date) -> Stage | None:
    """What is due today: of a change to come only where it takes something."""
    if change.on <= today:
        return Stage.AFTER
    if not change.shorter:
        return None
    left = (change.on - today).days
    return Stage.DAY if left <= 1 else Stage.WEEK if left <= 7 else Stage.AHEAD


def _tell(account: Account, change: Change, stage: Stage) -> int:
    told = PlanNotice.objects.filter(account=account, key=change.key)
    if told.filter(stage=stage).exists():
        return 0
    boxes = [] if stage == Stage.AFTER else effects(account, change)
    notices = [
        PlanNotice(
            account=account,
            employee=employee,
            key=change.key,
            on=change.on,
            stage=stage,
            boxes=[box.as_json() for box in concerned],
        )
        for employee, concerned in _audience(account, boxes, everybody=stage == Stage.AFTER)
    ]
    PlanNotice.objects.bulk_create(notices, ignore_conflicts=True)
    return len(notices)


def to_come(account: Account) -> list[Change]:
    today = account.today()
    return changes(account, after=today, until=today + AHEAD)


def rules(account: Account, change: Change) -> tuple[Rule, Rule]:
    """Without a change, and with it, at the moment when it comes."""
    at = _begins(account, change)
    return Rule.of(change.before, at), Rule.of(change.after, at)


def _begins(account: Account, change: Change) -> datetime:
    return datetime.combine(change.on, time(), ZoneInfo(account.time_zone))


def effects(account: Account, change: Change) -> list[OfBox]:
    """By mailbox, what would go on that day because of the change and would not without it."""
    before, after = removals(account, [change.before, change.after], _begins(account, change))
    without = {box.mailbox.pk: box.leaving for box in before}
    found: dict[int, OfBox] = {}
    for box in after:
        there, here = box.leaving, without.get(box.mailbox.pk)
        messages = there.messages - (here.messages if here else 0)
        if messages > 0:
            size = there.bytes - (here.bytes if here else 0)
            found[box.mailbox.pk] = OfBox(box.mailbox, messages, size, parked=False)
    resting = parking.parked(change.after, account_id=account.pk) - parking.parked(
        change.before, account_id=account.pk
    )
    for mailbox in Mailbox.objects.filter(pk__in=resting).select_related("owner"):
        known = found.get(mailbox.pk)
        found[mailbox.pk] = OfBox(
            mailbox, known.messages if known else 0, known.bytes if known else 0, parked=True
        )
    return sorted(found.values(), key=lambda box: (-box.messages, box.mailbox.address))


def _audience(
    account: Account, boxes: Iterable[OfBox], *, everybody: bool
) -> Iterable[tuple[Employee, list[OfBox]]]:
    """Admins with all numbers, others with those of mailboxes they use; afterwards everybody who uses one."""
    boxes = list(boxes)
    by_person: dict[int, list[OfBox]] = defaultdict(list)
    concerned = {box.mailbox.pk: box for box in boxes}
    connected = Mailbox.objects.filter(account=account, disconnected_at=None)
    used = connected if everybody else connected.filter(pk__in=concerned)
    for mailbox_id, owner_id, guest_id in used.values_list("pk", "owner", "grants__employee"):
        for person in {owner_id, guest_id} - {None}:
            if mailbox_id in concerned and concerned[mailbox_id] not in by_person[person]:
                by_person[person].append(concerned[mailbox_id])
            by_person.setdefault(person, [])
    for employee in Employee.objects.filter(account=account, is_active=True).order_by("pk"):
        if employee.role == Role.ADMIN:
            yield employee, boxes
        elif employee.pk in by_person:
            yield employee, by_person[employee.pk]


def shown(employee: Employee) -> list[tuple[PlanNotice, Change]]:
    """What is said to an employee now, with the change that it is about: the newest stage of each, unless dismissed.

    A change that was called off is not found any more, and nothing is said of it.
    """
    rows = list(PlanNotice.objects.filter(employee=employee).order_by("at", "pk"))
    if not rows:
        return []
    account = employee.account
    today = account.today()
    known = {c.key: c for c in changes(account, after=today - BEHIND, until=today + AHEAD)}
    newest = {row.key: row for row in rows if row.key in known}
    return [
        (row, known[key])
        for key, row in newest.items()
        if row.dismissed_at is None and (row.stage == Stage.AFTER or known[key].on > today)
    ]


def dismiss(notice: PlanNotice) -> None:
    PlanNotice.objects.filter(pk=notice.pk, dismissed_at=None).update(dismissed_at=timezone.now())


def _mail(account_id: int) -> None:
    """By e-mail, too, where the installation can send. Claimed first: killed in between, one is not sent twice."""
    if not settings.EMAIL_URL:
        return
    with tenancy.acting_for(account_id):
        waiting = PlanNotice.objects.filter(account=account_id, mailed_at=None)
        ids = list(waiting.values_list("pk", flat=True))
    for pk in ids:
        with tenancy.acting_for(account_id):
            if not PlanNotice.objects.filter(pk=pk, mailed_at=None).update(mailed_at=timezone.now()):
                continue
            notice = PlanNotice.objects.select_related("employee__account").get(pk=pk)
            letter = _letter(notice)
        if letter:
            _send(notice.employee.email, *letter)


def _letter(notice: PlanNotice) -> tuple[str, str] | None:
    for row, change in shown(notice.employee):
        if row.pk == notice.pk:
            with translation.override(notice.employee.language):
                return words.subject(change), words.letter(notice, change)
    return None


def _send(address: str, subject: str, text: str) -> None:
    try:
        send_mail(subject, text, None, [address])
    except OSError as error:  # smtplib's errors are OSErrors; the notice stands in the product all the same
        log.warning("notice_not_mailed", error=type(error).__name__)
