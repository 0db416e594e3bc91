"""Celery's jobs of retention: the truth is in rows, and a job that was lost comes again with the next night's hour."""

from celery import shared_task
from django.utils import timezone

from retention import runs, scan
from retention.models import RunState
from retention.purge import purge

RUN_SECONDS = 200


@shared_task(name="retention.nightly")
def nightly() -> int:
    """Hint workers at every account that holds something too old (beat, in each hour of the night)."""
    hinted = 0
    for account_id in scan.due(timezone.now()):
        runs.hint(account_id)
        hinted += 1
    return hinted


@shared_task(name="retention.purge")
def purge_account(account_id: int) -> None:
    """Purge an account, or go on where somebody stopped (queue purge)."""
    run = purge(account_id, timezone.now(), seconds=RUN_SECONDS)
    if run and run.state == RunState.RUNNING:
        runs.hint(account_id)
