"""Reading a mailbox without its owner's leave: an admin, with a reason, for a day, and never in secret.

It is a right to read and nothing more, ends by itself at the door (mailsync.access), counts neither as sharing nor
against the plan, and can be ended by its owner, by who manages the mailbox, and by every admin.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Employee
from mailsync import access, live, notices
from mailsync.connecting import CannotConnect, lock_account
from mailsync.models import EmergencyAccess, GrantLevel, Mailbox, NoticeKind

LASTS = timedelta(hours=24)
MOST_WORDS = 500


@transaction.atomic
def begin(mailbox: Mailbox, *, by: Employee, reason: str) -> EmergencyAccess:
    """Let an admin read the mailbox, tell its owner and write it down. Raises CannotConnect."""
    lock_account(mailbox.account_id)
    reason = " ".join(reason.split())[:MOST_WORDS]
    if not by.is_admin or by.account_id != mailbox.account_id or mailbox.disconnected_at:
        raise CannotConnect(_("Only an admin of the company can do this, with a mailbox that is connected."))
    if len(reason) < 3:
        raise CannotConnect(_("Say why: its owner reads it, and it stays in the audit log."))
    if access.may(by, mailbox, GrantLevel.READ):
        raise CannotConnect(_("You can read this mailbox already."))
    now = timezone.now()
    # One that has run out is over from then on: there is one open row each.
    for over in EmergencyAccess.objects.filter(mailbox=mailbox, employee=by, ended_at=None):
        EmergencyAccess.objects.filter(pk=over.pk).update(ended_at=over.ends_at)
    begun = EmergencyAccess.objects.create(
        account_id=mailbox.account_id,
        mailbox=mailbox,
        employee=by,
        reason=reason,
        at=now,
        ends_at=now + LASTS,
    )
    notices.tell([mailbox.owner_id], NoticeKind.OPENED, mailbox, by=by.pk, words=reason)
    audit.record(
        "mailbox.emergency_access",
        mailbox.address,
        account_id=mailbox.account_id,
        by=by,
        reason=reason,
        until=begun.ends_at.isoformat(timespec="minutes"),
    )
    live.tell(mailbox.pk)
    return begun


@transaction.atomic
def end(emergency: EmergencyAccess, *, by: Employee) -> None:
    """End it now; nothing happens where it is over."""
    open_ones = EmergencyAccess.objects.filter(pk=emergency.pk, ended_at=None, ends_at__gt=timezone.now())
    if open_ones.update(ended_at=timezone.now(), ended_by=by):
        audit.record(
            "mailbox.emergency_ended",
            emergency.mailbox.address,
            account_id=emergency.account_id,
            by=by,
            of=emergency.employee.email,
        )
        live.tell(emergency.mailbox_id)


def running() -> QuerySet[EmergencyAccess]:
    """Those that let somebody in at this moment."""
    found = EmergencyAccess.objects.filter(ended_at=None, ends_at__gt=timezone.now())
    return found.select_related("employee", "mailbox")
