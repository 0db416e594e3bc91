"""Who else may use a mailbox: grants to colleagues and departments, what a change would mean, and the plan's limit.

A grant to a department is a grant to whoever is active in it, now and later; of several grants the highest counts.
Whether a mailbox is shared goes by its grants alone, so that a new colleague in a department never meets a limit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Department, Employee
from accounts.people import CannotChange
from mailsync import live, notices, unread
from mailsync.access import includes, may
from mailsync.connecting import CannotConnect, lock_account, refuse_if, why_not_share
from mailsync.models import Assignment, GrantLevel, Mailbox, MailboxGrant, NoticeKind

Holder = Employee | Department
# The level each holder is to have; "" for none.
Changes = Mapping[Holder, str]


@dataclass(frozen=True, slots=True)
class Seer:
    """Somebody who sees the mail, after or before a change. `level` and `before` are "" for no access.

    `through` are the departments whose grants count, `personally` whether one of their own does.
    """

    employee: Employee
    level: str
    before: str
    personally: bool
    through: tuple[str, ...]

    @property
    def change(self) -> str:
        """gained | lost | changed, or "" where all stays as it is."""
        if self.level == self.before:
            return ""
        return "changed" if self.level and self.before else "gained" if self.level else "lost"


def key_of(holder: Holder) -> str:
    """How forms name a holder: e12, d3."""
    return f"{'e' if isinstance(holder, Employee) else 'd'}{holder.pk}"


def holders(mailbox: Mailbox) -> dict[Holder, str]:
    """Who holds a grant, departments first, by name."""
    rows = mailbox.grants.select_related("employee", "department")
    held = {grant.department or grant.employee: grant.level for grant in rows}
    ordered = sorted((h for h in held if h), key=lambda h: (isinstance(h, Employee), str(h).casefold(), h.pk))
    return {holder: held[holder] for holder in ordered}


def possible(mailbox: Mailbox) -> list[Holder]:
    """Who could be given a grant: departments with the active people of the company, but for the owner."""
    company = {"account_id": mailbox.account_id}
    colleagues = Employee.objects.filter(**company, is_active=True).exclude(pk=mailbox.owner_id)
    return [*Department.objects.filter(**company).order_by("name"), *colleagues.order_by("name", "pk")]


def preview(mailbox: Mailbox, changes: Changes) -> list[Seer]:
    """Everybody who sees the mail before or after, by name, the owner left out: nothing changes for them."""
    now = holders(mailbox)
    return _compare(mailbox, now, _changed(now, changes))


@transaction.atomic
def change(mailbox: Mailbox, changes: Changes, *, by: Employee) -> list[Seer]:
    """Give, change and take grants, tell those whom it concerns, and write it down. Raises CannotConnect.

    Callers have checked that `by` may (why_not_oneself). Sharings of one company happen one after another, so that
    the plan's limit holds. Returns those for whom something is different now.
    """
    account = lock_account(mailbox.account_id)
    now = holders(mailbox)
    wanted = {holder: level for holder, level in changes.items() if now.get(holder, "") != level}
    for holder, level in wanted.items():
        _check(mailbox, holder, level)
    after = _changed(now, wanted)
    if after and not now:
        refuse_if(why_not_share(account, account.today()))
    different = [seer for seer in _compare(mailbox, now, after) if seer.change]
    for holder, level in wanted.items():
        _write(mailbox, holder, level, by)
    _tell(mailbox, different, by)
    return different


def why_not_oneself(mailbox: Mailbox, seers: Iterable[Seer], by: Employee) -> str:
    """An admin decides who else has access, and cannot let themselves in: the sentence, or ""."""
    gains = any(seer.employee == by and seer.change in ("gained", "changed") for seer in seers)
    if not gains or may(by, mailbox, GrantLevel.MANAGE):
        return ""
    return _("Nobody lets themselves into a colleague's mailbox: ask %(owner)s, or another admin.") % {
        "owner": mailbox.owner
    }


def department_changed(
    employee: Employee, before: Department | None, by: Employee, **_signal: object
) -> None:
    """What the departments of somebody who was moved open and close to them, told to whom it concerns.

    Raises CannotChange where people would let themselves in.
    """
    concerned = [department for department in (before, employee.department) if department]
    shared = Mailbox.objects.filter(disconnected_at=None, grants__department__in=concerned)
    for mailbox in shared.exclude(owner=employee).distinct().order_by("pk"):
        held = holders(mailbox)
        seer = _seer(employee, held, employee.department_id, held, before.pk if before else None)
        if not seer.change:
            continue
        if refusal := why_not_oneself(mailbox, [seer], by):
            raise CannotChange(refusal)
        _tell(mailbox, [seer], by)


def share(mailbox: Mailbox, holder: Holder, level: str, *, by: Employee) -> None:
    """Give one colleague or department a right on the mailbox, or change it. Raises CannotConnect."""
    if level not in GrantLevel.values:
        raise CannotConnect(_("Choose what they may do."))
    change(mailbox, {holder: level}, by=by)


def unshare(mailbox: Mailbox, holder: Holder, *, by: Employee) -> None:
    """Take the right back; nothing happens if there was none."""
    change(mailbox, {holder: ""}, by=by)


def _check(mailbox: Mailbox, holder: Holder, level: str) -> None:
    """A right may always be taken back, also from who has left."""
    if not level:
        return
    if level not in GrantLevel.values:
        raise CannotConnect(_("Choose what they may do."))
    left = isinstance(holder, Employee) and not holder.is_active
    if left or holder.account_id != mailbox.account_id or holder.pk == _owner(mailbox, holder):
        raise CannotConnect(_("Choose a colleague of your company."))


def _owner(mailbox: Mailbox, holder: Holder) -> int | None:
    return mailbox.owner_id if isinstance(holder, Employee) else None


def _changed(now: Mapping[Holder, str], changes: Changes) -> dict[Holder, str]:
    return {holder: level for holder, level in {**now, **changes}.items() if level}


def _write(mailbox: Mailbox, holder: Holder, level: str, by: Employee) -> None:
    whose = {"employee": holder} if isinstance(holder, Employee) else {"department": holder}
    to = holder.email if isinstance(holder, Employee) else f"department {holder.name}"
    if level:
        MailboxGrant.objects.update_or_create(
            mailbox=mailbox, **whose, defaults={"account_id": mailbox.account_id, "level": level}
        )
    else:
        MailboxGrant.objects.filter(mailbox=mailbox, **whose).delete()
    audit.record(
        "mailbox.shared" if level else "mailbox.unshared",
        mailbox.address,
        account_id=mailbox.account_id,
        by=by,
        to=to,
        **({"level": level} if level else {}),
    )


def _compare(mailbox: Mailbox, now: Mapping[Holder, str], after: Mapping[Holder, str]) -> list[Seer]:
    people = _people(mailbox, {**now, **after})
    seers = [_seer(each, after, each.department_id, now, each.department_id) for each in people]
    return [seer for seer in seers if seer.level or seer.before]


def _seer(
    employee: Employee,
    after: Mapping[Holder, str],
    department: int | None,
    now: Mapping[Holder, str],
    department_now: int | None,
) -> Seer:
    """What the grants mean for one colleague, in the department they will be in and the one they are in."""
    return Seer(
        employee,
        _highest(employee, after, department),
        _highest(employee, now, department_now),
        employee in after,
        tuple(h.name for h in after if isinstance(h, Department) and h.pk == department),
    )


def _people(mailbox: Mailbox, held: Iterable[Holder]) -> list[Employee]:
    """Whom grants reach: the active people among the holders and of the departments."""
    active = Employee.objects.filter(account_id=mailbox.account_id, is_active=True)
    named = active.filter(pk__in=[h.pk for h in held if isinstance(h, Employee)])
    members = active.filter(department__in=[h.pk for h in held if isinstance(h, Department)])
    return list((named | members).exclude(pk=mailbox.owner_id).order_by("name", "pk"))


def _highest(employee: Employee, held: Mapping[Holder, str], department: int | None) -> str:
    levels = [
        level
        for holder, level in held.items()
        if holder == employee or (isinstance(holder, Department) and holder.pk == department)
    ]
    return next((level for level in levels if all(includes(level, other) for other in levels)), "")


def _tell(mailbox: Mailbox, different: Sequence[Seer], by: Employee) -> None:
    for seer in different:
        notices.tell(
            [seer.employee.pk], NoticeKind(seer.change), mailbox, by=by.pk, words=seer.level or seer.before
        )
    if different:
        names = ", ".join(str(seer.employee) for seer in different)
        notices.tell([mailbox.owner_id], NoticeKind.SHARED, mailbox, by=by.pk, words=names)
    lost = [seer.employee.pk for seer in different if not seer.level]
    if lost:
        # What they had to do here waits for somebody else.
        Assignment.objects.filter(mailbox=mailbox, employee__in=lost).delete()
        notices.withdraw(mailbox.pk, lost)
        unread.forget(mailbox.pk, lost)
    live.tell(mailbox.pk)
