"""Switching a mailbox's CRM integration on and off, and who gets the clients that it makes; for many at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts import audit
from accounts.models import Employee
from crm.models import Feed, FeedFolder, FeedTurn
from mailsync.models import Folder, Mailbox, SpecialUse

USUAL = (SpecialUse.INBOX, SpecialUse.SENT)


@dataclass(frozen=True, slots=True)
class State:
    """Whether a mailbox feeds CRM, and the ids of those whose turn it is with new clients, in order."""

    enabled: bool
    queue: tuple[int, ...]


def state_of(mailbox: Mailbox) -> State:
    feed = Feed.objects.filter(mailbox=mailbox).first()
    if feed is None:
        return State(enabled=False, queue=())
    turns = feed.queue.order_by("position").values_list("employee_id", flat=True)
    return State(feed.enabled, tuple(turns))


def switch(mailbox: Mailbox, wanted: State, *, by: Employee) -> State:
    """Bring a mailbox into this state, in the running transaction; returns the one before.

    Folders and what happens to strangers stay as they were chosen; the first time it is the inbox and what was sent.
    """
    before = state_of(mailbox)
    if before == wanted:
        return before
    account = {"account_id": mailbox.account_id}
    feed, _made = Feed.objects.update_or_create(
        mailbox=mailbox, defaults=account | {"enabled": wanted.enabled}
    )
    if wanted.enabled and not feed.folders.exists():
        for folder in Folder.objects.filter(mailbox=mailbox, special_use__in=USUAL, syncing=True):
            FeedFolder.objects.get_or_create(folder=folder, defaults=account | {"feed": feed})
    _set_queue(feed, wanted.queue)
    audit.record(
        "mailbox.crm_changed",
        mailbox.address,
        account_id=mailbox.account_id,
        by=by,
        enabled=wanted.enabled,
        strangers=feed.strangers,
    )
    return before


def _set_queue(feed: Feed, queue: Sequence[int]) -> None:
    feed.queue.all().delete()
    FeedTurn.objects.bulk_create(
        FeedTurn(account_id=feed.account_id, feed=feed, employee_id=employee_id, position=position)
        for position, employee_id in enumerate(queue)
    )
