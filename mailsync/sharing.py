"""Who else may use a mailbox: giving a right and taking it back, within the plan's number of shared mailboxes."""

from datetime import date

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import Account, Employee
from mailsync.connecting import CannotConnect, lock_account, refuse_if
from mailsync.models import GrantLevel, Mailbox, MailboxGrant
from plans.offers import or_ask_admin, plan_name, with_more
from plans.subscriptions import limits_for


@transaction.atomic
def share(mailbox: Mailbox, employee: Employee, level: str, *, by: Employee) -> MailboxGrant:
    """Give a colleague a right on the mailbox, or change it. Raises CannotConnect at the plan's limit."""
    account = lock_account(mailbox.account_id)
    if employee.account_id != account.pk or employee.pk == mailbox.owner_id or not employee.is_active:
        raise CannotConnect(_("Choose a colleague of your company."))
    if level not in GrantLevel.values:
        raise CannotConnect(_("Choose what they may do."))
    if not mailbox.grants.exists():
        refuse_if(why_not_share(account, account.today()))
    grant, _created = MailboxGrant.objects.update_or_create(
        mailbox=mailbox, employee=employee, defaults={"account": account, "level": level}
    )
    audit.record(
        "mailbox.shared", mailbox.address, account_id=account.pk, by=by, to=employee.email, level=level
    )
    return grant


def why_not_share(account: Account, on: date) -> str:
    """Why the account may not share one more mailbox, as a sentence; "" when it may."""
    limits = limits_for(account, on)
    room = limits.shared_mailboxes
    if room is None:
        return ""
    used = shared_mailboxes(account)
    if used < room:
        return ""
    return ngettext(
        "Your plan %(plan)s allows %(room)d shared mailbox in the company, and %(used)d is shared. %(offer)s",
        "Your plan %(plan)s allows %(room)d shared mailboxes in the company, and %(used)d are shared. %(offer)s",
        room,
    ) % {
        "plan": plan_name(limits.plan),
        "room": room,
        "used": used,
        "offer": or_ask_admin(
            _("End the sharing of another one first"), with_more(limits, on, "shared_mailboxes")
        ),
    }


def shared_mailboxes(account: Account) -> int:
    """How many connected mailboxes somebody besides the owner may use: each counts once, however many do."""
    used = MailboxGrant.objects.filter(account=account, mailbox__disconnected_at=None)
    return used.values("mailbox").distinct().count()


@transaction.atomic
def unshare(mailbox: Mailbox, employee: Employee, *, by: Employee) -> None:
    """Take the right back; nothing happens if there was none."""
    gone, _tables = MailboxGrant.objects.filter(mailbox=mailbox, employee=employee).delete()
    if gone:
        audit.record(
            "mailbox.unshared", mailbox.address, account_id=mailbox.account_id, by=by, to=employee.email
        )
