"""When somebody leaves: what they hold, how long it is kept, who gets it.

SPEC 11: a leaver's mailbox goes on for 30 days, admins are warned 7 days before, an heir may have it before that. A
leaver is one whose last row of Leaver has not ended and who cannot sign in: whoever is let in again is none any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts import audit, people, tenancy
from accounts.models import Account, Employee, Role
from crm import handing as records
from crm.kinds import KINDS
from mailsync import outbox, schedule, settling, sharing
from mailsync.models import (
    Assignment,
    Mailbox,
    MailboxGrant,
    Outgoing,
    OutgoingState,
    Placement,
    SpecialUse,
)
from retention.models import Leaver, LeaverState
from tasks import handing as tasks

log = structlog.get_logger(__name__)

KEPT = timedelta(days=30)
WARNED_BEFORE = timedelta(days=7)
# Of what came to the inbox since then it is said how much waits for an answer.
RECENT = timedelta(days=30)
MOST_COUNTED = 1000
HINT_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Heirs:
    """Who gets it all; tasks and records may go to somebody else."""

    heir: Employee
    tasks: Employee | None = None
    records: Employee | None = None

    def others(self) -> dict[str, Employee]:
        """By what they get, those who are not the heir."""
        named = {"tasks": self.tasks, "records": self.records}
        return {what: who for what, who in named.items() if who and who != self.heir}


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an employee holds; the mailboxes with `people`: how many grants each has.

    `waiting` counts to MOST_COUNTED: letters in their inboxes without an answer.
    """

    mailboxes: list[Mailbox]
    waiting: int
    assigned: int
    planned: int
    tasks: int
    records: dict[str, int]
    grants: list[MailboxGrant]

    @property
    def can_be_inherited(self) -> bool:
        return bool(self.mailboxes or self.tasks or sum(self.records.values()))

    @property
    def anything(self) -> bool:
        return bool(self.can_be_inherited or self.assigned or self.planned or self.grants)

    @property
    def receiving(self) -> list[Mailbox]:
        return [box for box in self.mailboxes if box.disconnected_at is None]

    @property
    def many_waiting(self) -> bool:
        return self.waiting >= MOST_COUNTED

    @property
    def records_named(self) -> list[tuple[str, int]]:
        return [(str(KINDS[slug].many), n) for slug, n in self.records.items() if n]


def holdings(employee: Employee) -> Holdings:
    """Of one employee, in a transaction that acts for their account."""
    boxes = Mailbox.objects.filter(owner=employee).annotate(people=Count("grants"))
    return Holdings(
        mailboxes=list(boxes.order_by("address")),
        waiting=_waiting(connected(employee)),
        assigned=_assigned(employee).count(),
        planned=planned(employee).count(),
        tasks=tasks.open_of(employee),
        records=records.held_by(employee),
        grants=list(_grants(employee).select_related("mailbox__owner").order_by("mailbox__address")),
    )


def connected(employee: Employee) -> QuerySet[Mailbox]:
    return Mailbox.objects.filter(owner=employee, disconnected_at=None).order_by("address")


def planned(employee: Employee) -> QuerySet[Outgoing]:
    """Letters that wait for a moment which the employee chose."""
    return Outgoing.objects.filter(by=employee, state=OutgoingState.QUEUED, planned=True)


def _grants(employee: Employee) -> QuerySet[MailboxGrant]:
    return MailboxGrant.objects.filter(employee=employee, mailbox__disconnected_at=None)


def _assigned(employee: Employee) -> QuerySet[Assignment]:
    return Assignment.objects.filter(employee=employee)


def _waiting(boxes: Iterable[Mailbox]) -> int:
    lying = Placement.objects.filter(
        folder__in=[
            folder.pk for box in boxes for folder in box.folders.filter(special_use=SpecialUse.INBOX)
        ],
        received_at__gt=timezone.now() - RECENT,
    ).exclude(flags__contains=["\\Answered"])
    return len(lying.values_list("pk")[:MOST_COUNTED])


def last(employee: Employee) -> Leaver | None:
    """How they left the last time."""
    rows = Leaver.objects.filter(employee=employee).select_related("employee", "heir", "by")
    return rows.order_by("-at", "-pk").first()


@transaction.atomic
def leave(employee: Employee, *, heirs: Heirs | None, stop_letters: bool, by: Employee) -> Leaver:
    """Shut the employee out at once; what they hold is kept, or begins to go to the heirs.

    What colleagues shared with them ends now, so that it counts against no limit. Raises people.CannotChange.
    """
    employee = Employee.objects.select_for_update(no_key=True).get(pk=employee.pk)
    if not employee.is_active:
        raise people.CannotChange(_("%(who)s is deactivated already.") % {"who": employee})
    for grant in _grants(employee).select_related("mailbox"):
        sharing.unshare(grant.mailbox, employee, by=by)
    # Also where a department's grant had let them in; what is assigned in their own mailboxes goes with those.
    _assigned(employee).exclude(mailbox__owner=employee).delete()
    people.deactivate(employee, by=by)
    leaver = note(employee, by=by)
    if stop_letters:
        for letter in planned(employee).select_related("mailbox"):
            outbox.undo(letter)
    if heirs:
        hand_over(leaver, heirs, by=by)
    return leaver


def note(employee: Employee, *, by: Employee) -> Leaver:
    """The row of somebody who has left just now, or did before such rows were kept."""
    now = timezone.now()
    return Leaver.objects.create(
        account_id=employee.account_id, employee=employee, by=by, at=now, ends_at=now + KEPT
    )


@transaction.atomic
def hand_over(leaver: Leaver, heirs: Heirs, *, by: Employee) -> None:
    """Begin to give the heirs what the leaver holds; a worker does it. Raises people.CannotChange."""
    row = Leaver.objects.select_for_update(of=("self",)).select_related("employee").get(pk=leaver.pk)
    if row.state == LeaverState.MOVING:
        raise people.CannotChange(_("This is being handed over already."))
    if row.employee.is_active:
        raise people.CannotChange(_("%(who)s is back, and holds it themselves.") % {"who": row.employee})
    others = heirs.others()
    for who in (heirs.heir, *others.values()):
        if not who.is_active or who.account_id != row.account_id:
            raise people.CannotChange(_("Choose a colleague of your company who can sign in."))
    held = holdings(row.employee)
    row.state, row.heir, row.by, row.problems = LeaverState.MOVING, heirs.heir, by, []
    row.tasks_heir, row.records_heir = others.get("tasks"), others.get("records")
    row.stage = row.cursor = 0
    row.totals = {"mailboxes": len(held.mailboxes), "tasks": held.tasks, **held.records}
    row.touched_at = timezone.now()
    row.save()
    audit.record(
        "leaver.handed_over",
        row.employee.email,
        account_id=row.account_id,
        by=by,
        to=heirs.heir.email,
        **{f"{what}_to": who.email for what, who in others.items()},
        **row.totals,
    )
    hint(row)


@transaction.atomic
def give_back(leaver: Leaver, *, by: Employee) -> None:
    """They came back: what went to the heir, and is still there, is theirs again. Raises people.CannotChange."""
    row = Leaver.objects.select_for_update(of=("self",)).select_related("employee", "heir").get(pk=leaver.pk)
    if row.state != LeaverState.DONE:
        raise people.CannotChange(_("There is nothing to give back."))
    if not row.employee.is_active:
        raise people.CannotChange(_("Let %(who)s in again first.") % {"who": row.employee})
    Leaver.objects.filter(pk=row.pk).update(
        state=LeaverState.RETURNING, by=by, problems=[], touched_at=timezone.now()
    )
    audit.record("leaver.given_back", row.employee.email, account_id=row.account_id, by=by)
    hint(row)


def hint(leaver: Leaver) -> None:
    """Send a worker; a hint that is lost is sent again by the page that watches, and by the clock."""
    account_id, leaver_id = leaver.account_id, leaver.pk
    transaction.on_commit(
        lambda: schedule.hint(
            "retention.hand_over", [account_id, leaver_id], queue=schedule.BULK, expires=HINT_SECONDS
        )
    )


# By the clock


def look_after(account_id: int, now: datetime) -> int:
    """Warn of ends to come, carry out those that came, hint what was left lying; returns how many it was about."""
    with tenancy.acting_for(account_id):
        rows = list(
            Leaver.objects.filter(account=account_id, ended_at=None)
            .filter(Q(ends_at__lte=now + WARNED_BEFORE) | Q(state__in=["moving", "returning"]))
            .values_list("pk", flat=True)
        )
    for pk in rows:
        _look_after(account_id, pk, now)
    return len(rows)


def _look_after(account_id: int, pk: int, now: datetime) -> None:
    with tenancy.acting_for(account_id):
        row = Leaver.objects.select_for_update(of=("self",)).select_related("employee", "account").get(pk=pk)
        if row.state in (LeaverState.MOVING, LeaverState.RETURNING):
            hint(row)
            return
        if row.ended_at or is_over(row):
            return
        left = list(connected(row.employee))
        warned = [] if row.warned_at or row.ends_at <= now else _warn(row, left, now)
        if row.ends_at <= now:
            _end(row, left, now)
    if warned:
        _mail(row, warned, [box.address for box in left])


def is_over(leaver: Leaver) -> bool:
    """Whether the row says nothing any more: its person is back, or has left once more since."""
    return leaver.employee.is_active or last(leaver.employee) != leaver


def ending(account: Account, now: datetime) -> list[tuple[Leaver, int]]:
    """Those whose mailboxes end within a week, with how many there are; for the admins' notice."""
    rows = Leaver.objects.filter(account=account, ended_at=None, ends_at__lte=now + WARNED_BEFORE)
    found = [(row, connected(row.employee).count()) for row in rows.select_related("employee")]
    return [(row, n) for row, n in found if n and not is_over(row)]


def _warn(leaver: Leaver, left: list[Mailbox], now: datetime) -> list[Employee]:
    """Whom to write to: nobody where nothing is left to end."""
    Leaver.objects.filter(pk=leaver.pk).update(warned_at=now)
    if not left:
        return []
    audit.record(
        "leaver.admins_warned",
        leaver.employee.email,
        account_id=leaver.account_id,
        by=None,
        ends=leaver.ends_at.isoformat(timespec="minutes"),
        mailboxes=[box.address for box in left],
    )
    return list(Employee.objects.filter(account=leaver.account_id, role=Role.ADMIN, is_active=True))


def _end(leaver: Leaver, left: list[Mailbox], now: datetime) -> None:
    """Disconnect what nobody took. The servers keep everything, and what is bound stays here."""
    messages = settling.disconnect_all(left, by=None)
    Leaver.objects.filter(pk=leaver.pk).update(ended_at=now)
    audit.record(
        "leaver.ended",
        leaver.employee.email,
        account_id=leaver.account_id,
        by=None,
        mailboxes=[box.address for box in left],
        copies_leaving=messages,
    )


def _mail(leaver: Leaver, admins: list[Employee], addresses: list[str]) -> None:
    """By e-mail, too, where the installation can send; the notice stands on the admins' pages all the same."""
    if not settings.EMAIL_URL:
        return
    for admin in admins:
        with override(admin.language):
            said = {
                "who": leaver.employee,
                "day": date_format(timezone.localtime(leaver.ends_at)),
                "boxes": ", ".join(addresses),
            }
            # A name may hold line ends, a subject must not.
            subject = " ".join((_("The mailboxes of %(who)s end on %(day)s") % said).split())
            text = _(
                "%(who)s has left. On %(day)s these mailboxes are disconnected: %(boxes)s.\n\n"
                "Until then you can hand them to somebody, under People in Mailbound. Nothing is deleted on the mail "
                "server, and mail that is bound to tasks and clients stays."
            )
        try:
            send_mail(subject, text % said, None, [admin.email])
        except OSError as error:  # smtplib's errors are OSErrors
            log.warning("leaver_not_mailed", error=type(error).__name__)
