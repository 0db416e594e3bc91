"""Handing a mailbox to another employee: who owns it changes, and nothing that hangs on it.

Messages, conversations, links, history, drafts and letters that wait hang on the mailbox, so they are the new owner's
by the same transaction. The mail server is not asked and learns nothing.
"""

from collections.abc import Iterable

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import Account, Employee
from mailsync import connecting, live, notices, schedule, sharing, unread
from mailsync.models import (
    Assignment,
    GrantLevel,
    Mailbox,
    MailboxGrant,
    NoticeKind,
)
from plans.offers import or_ask_admin, plan_name, with_more
from plans.subscriptions import limits_for


class CannotTransfer(Exception):
    """Nothing was changed; `sentence` tells a person why, and what to do."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


def lock(account_id: int, mailbox_ids: Iterable[int]) -> Account:
    """Hold what a transfer needs, in the order of every writer: first the account's lock, as connecting and sharing
    take it, so that the plan's limits hold against all of them. For all mailboxes at once, where there are several."""
    account = connecting.lock_account(account_id)
    schedule.lock(mailbox_ids)
    return account


@transaction.atomic
def transfer(mailbox: Mailbox, heir: Employee, *, by: Employee, keeps: str = "") -> None:
    """Make `heir` the owner. With `keeps` (a GrantLevel) the owner before goes on using it, by a grant.

    `mailbox` has its new owner afterwards. Who transfers several in one transaction has locked them. Raises
    CannotTransfer.
    """
    account = lock(mailbox.account_id, [mailbox.pk])
    current = Mailbox.objects.select_related("owner").get(pk=mailbox.pk)
    before = current.owner
    _refuse_if(_why_not_people(current, before, heir, by))
    if current.disconnected_at is None:
        _refuse_if(why_no_room(account, heir))
    # A name that was only the owner's goes with them; one that was chosen for the mailbox stays.
    sender_name = heir.name if current.sender_name == before.name else current.sender_name
    Mailbox.objects.filter(pk=mailbox.pk).update(owner=heir, place=None, sender_name=sender_name)
    MailboxGrant.objects.filter(mailbox=mailbox, employee=heir).delete()
    connecting.use_up_tests_of(mailbox)
    mailbox.owner, mailbox.place, mailbox.sender_name = heir, None, sender_name
    audit.record(
        "mailbox.transferred",
        current.address,
        account_id=account.pk,
        by=by,
        before=before.email,
        to=heir.email,
        keeps=keeps,
    )
    unread.forget(mailbox.pk, [heir.pk])
    _let_keep(mailbox, before, keeps, by)
    notices.tell([heir.pk], NoticeKind.GAINED, mailbox, by=by.pk, words=GrantLevel.MANAGE)
    if current.disconnected_at is None:
        # It rested if the owner before had too many.
        schedule.wake(mailbox.pk)
        live.tell(mailbox.pk)


def why_no_room(account: Account, heir: Employee, more: int = 1) -> str:
    """Why the plan has no room for so many more mailboxes of this employee, as a sentence; "" when it has.

    Where the plan has no mail at all nothing is at work and nobody's places are counted.
    """
    limits = limits_for(account, account.today())
    room, have = limits.mailboxes_per_employee, connecting.owned(heir)
    if room is None or not limits.sync_enabled or have + more <= room:
        return ""
    return ngettext(
        "%(who)s has %(have)d already, and your plan %(plan)s has room for %(room)d mailbox per employee. %(offer)s",
        "%(who)s has %(have)d already, and your plan %(plan)s has room for %(room)d mailboxes per employee. %(offer)s",
        room,
    ) % {
        "who": heir,
        "have": have,
        "plan": plan_name(limits.plan),
        "room": room,
        "offer": or_ask_admin(_("Choose somebody else"), with_more(limits, account.today())),
    }


def _why_not_people(mailbox: Mailbox, owner: Employee, heir: Employee, by: Employee) -> str:
    if heir.account_id != mailbox.account_id or not heir.is_active:
        return _("Choose a colleague of your company who can sign in.")
    if heir.pk == owner.pk:
        return _("%(address)s is %(who)s's already.") % {"address": mailbox.address, "who": heir}
    if heir.pk == by.pk and owner.is_active:
        # Else this would be a way for an admin to read whatever they like.
        return _("Nobody takes a colleague's mailbox for themselves: ask %(who)s, or another admin.") % {
            "who": owner
        }
    return ""


def _let_keep(mailbox: Mailbox, before: Employee, keeps: str, by: Employee) -> None:
    if not keeps:
        # What they had to do here is the new owner's.
        Assignment.objects.filter(mailbox=mailbox, employee=before).update(employee=mailbox.owner)
        notices.withdraw(mailbox.pk, [before.pk])
        notices.tell([before.pk], NoticeKind.LOST, mailbox, by=by.pk)
        return
    if keeps not in GrantLevel.values:
        raise CannotTransfer(_("Choose what they may do."))
    try:
        sharing.share(mailbox, before, keeps, by=by)
        unread.keep(mailbox.pk, before)
    except connecting.CannotConnect as refusal:
        raise CannotTransfer(refusal.sentence) from refusal


def _refuse_if(reason: str) -> None:
    if reason:
        raise CannotTransfer(reason)
