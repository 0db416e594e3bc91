"""Parked mailboxes: those of an employee for which the plan has no room. They keep settings and access, and rest.

Parked is derived on each question and stored nowhere: after a downgrade the newest rest, and with more room they go
on by themselves. Stored is the employee's choice alone, as the order in which their mailboxes take the plan's places
(`Mailbox.place`). What others share with an employee takes places of its owner only.
"""

from django.db import transaction
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Account, Employee
from mailsync import schedule
from mailsync.models import Mailbox
from plans.limits import Limits
from plans.subscriptions import limits_for

_ORDER = (F("place").asc(nulls_last=True), F("connected_at").asc(), F("pk").asc())


class CannotSwap(Exception):
    """The text is a sentence for the page."""


def parked(limits: Limits, *, account_id: int) -> set[int]:
    """The account's mailboxes that rest. Where the plan has no mail at all everything does, and nothing is parked."""
    return _parked(Mailbox.objects.filter(account=account_id), limits)


def is_parked(mailbox: Mailbox, limits: Limits) -> bool:
    return mailbox.pk in _parked(Mailbox.objects.filter(owner=mailbox.owner_id), limits)


def _parked(of_owners: QuerySet[Mailbox], limits: Limits) -> set[int]:
    room = limits.mailboxes_per_employee
    if room is None or not limits.sync_enabled:
        return set()
    number = Window(RowNumber(), partition_by=[F("owner")], order_by=_ORDER)
    surplus = of_owners.filter(disconnected_at=None).annotate(number=number).filter(number__gt=room)
    return set(surplus.values_list("pk", flat=True))


def in_order(owner: Employee) -> list[Mailbox]:
    """The owner's connected mailboxes as they take the plan's places; those after the last place are parked."""
    return list(Mailbox.objects.filter(owner=owner, disconnected_at=None).order_by(*_ORDER))


@transaction.atomic
def bring_back(mailbox: Mailbox, *, instead_of: int | None, by: Employee) -> Mailbox | None:
    """Give a parked mailbox the place of another one, by default of the newest; returns the one that rests now.

    None where it was not parked any more. Raises CannotSwap.
    """
    # As connecting and sharing do: changes of who has a place happen one after another.
    account = Account.objects.select_for_update(no_key=True).get(pk=mailbox.account_id)
    limits = limits_for(account, account.today())
    if not is_parked(mailbox, limits):
        return None
    order = in_order(mailbox.owner)
    at_work = order[: limits.mailboxes_per_employee]
    chosen = [box for box in at_work if instead_of in (None, box.pk)]
    if not chosen:
        raise CannotSwap(_("Choose one of your mailboxes that is at work."))
    resting = chosen[-1]
    here, there = order.index(mailbox), order.index(resting)
    order[here], order[there] = order[there], order[here]
    schedule.lock([box.pk for box in order])
    for place, box in enumerate(order):
        Mailbox.objects.filter(pk=box.pk).update(place=place)
    schedule.interrupt([resting.pk])
    schedule.wake(mailbox.pk)
    audit.record(
        "mailbox.brought_back", mailbox.address, account_id=account.pk, by=by, parked=resting.address
    )
    return resting
