"""How far back a mailbox reaches, and reaching further: what has left comes back by a person's wish only."""

import math
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Min
from django.utils import timezone

from accounts import audit
from accounts.models import Employee
from mailsync import schedule, unread
from mailsync.models import Folder, Mailbox, MailboxState, SkippedMessage, Tombstone
from mailsync.models.folder import to_be_compared
from plans.limits import Limits, window_start

DAY = timedelta(days=1)
PURGED = "purged"  # the reason on tombstones of a purge: the only ones that a wish removes


def window_of(mailbox: Mailbox, limits: Limits, *, now: datetime) -> datetime:
    """Mail received before this moment is not fetched into the mailbox."""
    return window_start(
        limits,
        connected_at=mailbox.connected_at,
        fetch_days=mailbox.fetch_days,
        beyond_plan=mailbox.fetch_beyond_plan,
        purged_until=mailbox.purged_until,
        now=now,
    )


def keep_away(mailbox_id: int, newest: datetime) -> None:
    """A purge took mail received up to this moment: no sync brings it back, whatever the plan or the server does.

    In the transaction that removes it, which holds the mailbox's schedule. Never a moment after the purge's cutoff,
    or mail to come would stay away, too.
    """
    later = Mailbox.objects.filter(pk=mailbox_id).exclude(purged_until__gte=newest)
    if later.update(purged_until=newest):
        schedule.interrupt([mailbox_id])  # a run that is under way goes by the window as it was


def reach_of(limits: Limits) -> datetime:
    """As far back as the plan would fetch today."""
    return timezone.now() - min(limits.fetch_days, limits.storage_days) * DAY


def can_widen(mailbox: Mailbox, limits: Limits) -> bool:
    """Whether fetching again would bring mail of more than a day: less is not worth a question."""
    return limits.sync_enabled and window_of(mailbox, limits, now=timezone.now()) - reach_of(limits) > DAY


@transaction.atomic
def widen(mailbox: Mailbox, limits: Limits, *, by: Employee) -> None:
    """Read every folder anew from its newest message down, as far back as the plan allows now.

    What is here is only placed, no body comes twice; the mailbox shows the progress of a first fetch. What left with
    a deleted task stays away.
    """
    schedule.lock([mailbox.pk])
    schedule.interrupt([mailbox.pk])  # a run that is under way goes by the old window and would end the wish
    folders = Folder.objects.filter(mailbox=mailbox, syncing=True).order_by("pk")
    list(folders.select_for_update().values_list("pk", flat=True))
    folders.update(uid_seen=0, wanted=F("server_messages"), fetched=0, **to_be_compared())
    since_connecting = (timezone.now() - mailbox.connected_at) / DAY
    Mailbox.objects.filter(pk=mailbox.pk).update(
        fetch_days=max(mailbox.fetch_days, limits.fetch_days - math.floor(since_connecting)),
        purged_until=None,
        first_sync_started_at=None,
        first_synced_at=None,
    )
    unread.begin_anew(mailbox.pk)
    Tombstone.objects.filter(mailbox=mailbox, reason=PURGED).delete()
    schedule.wake(mailbox.pk)
    audit.record(
        "mailbox.fetched_again", mailbox.address, account_id=mailbox.account_id, by=by, days=limits.fetch_days
    )


@transaction.atomic
def ask_again(mailbox: Mailbox) -> int:
    """Have the messages fetched that could not be fetched; returns how many are tried. What is here stays as it is."""
    schedule.lock([mailbox.pk])
    schedule.interrupt([mailbox.pk])
    noted = SkippedMessage.objects.filter(folder__mailbox=mailbox)
    lowest = dict(noted.values("folder").annotate(uid=Min("uid")).values_list("folder", "uid"))
    for folder in Folder.objects.filter(pk__in=lowest).order_by("pk").select_for_update():
        folder.uid_seen = min(folder.uid_seen, lowest[folder.pk] - 1)
        folder.full_at = folder.walk = None
        folder.save(update_fields=["uid_seen", "full_at", "walk"])
    tried, _each = noted.delete()
    # Of a mailbox that was set aside this asks, too, that somebody works on it again.
    again = schedule.start_anew if mailbox.state == MailboxState.SET_ASIDE else schedule.wake
    again(mailbox.pk)
    return tried
