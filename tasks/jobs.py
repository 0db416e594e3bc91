"""Jobs of tasks: what happens at a moment. The truth is in rows; a job that was lost is caught up by the next."""

from celery import shared_task
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account
from tasks import deletion, details

# A deletion that no worker took by then is handed out anew.
HINT_SECONDS = 60


@shared_task(name="tasks.tick")
def tick() -> int:
    """Raise reminders, and hand out the deletions that nobody can take back any more (beat); returns how many."""
    return sum(_tick(account_id) for account_id in Account.objects.values_list("pk", flat=True))


@shared_task(name="tasks.carry_out_deletion")
def carry_out_deletion(account_id: int, task_id: int) -> int:
    """Each deletion by itself: one that fails keeps no other waiting."""
    return deletion.carry_out_deletion(account_id, task_id, timezone.now())


def _tick(account_id: int) -> int:
    now = timezone.now()
    with tenancy.acting_for(account_id):
        raised = details.raise_reminders(account_id, now)
        over = deletion.leaving(account_id, now)
    for task_id in over:
        carry_out_deletion.apply_async((account_id, task_id), queue="interactive", expires=HINT_SECONDS)
    return raised + len(over)
