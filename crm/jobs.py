"""Celery's jobs of CRM: the truth is in rows, and a job that was lost comes again."""

from celery import shared_task
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account
from crm import directory, rematching


@shared_task(name="crm.tick")
def tick() -> int:
    """Hint at every matching that is not finished: its job may have been lost (beat)."""
    hinted = 0
    for account_id in Account.objects.values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            waiting = rematching.unfinished(account_id)
        for rematch_id in waiting:
            rematching.hint(account_id, rematch_id)
        hinted += len(waiting)
    return hinted


@shared_task(name="crm.rematch")
def rematch(account_id: int, rematch_id: int) -> None:
    """Match again what is here (queue bulk)."""
    rematching.run(account_id, rematch_id)


@shared_task(name="crm.empty_bins")
def empty_bins() -> int:
    """Delete for good what has been in the bin for 30 days (beat, by night)."""
    gone = 0
    for account_id in Account.objects.values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            gone += directory.empty_bin(account_id, timezone.now())
    return gone
