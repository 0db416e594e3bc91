"""Celery's jobs of retention: the truth is in rows, and a job that was lost comes again with the next night's hour."""

from celery import current_app, shared_task
from django.utils import timezone

from accounts.models import Account
from retention import erasing, exporting, handing_over, leavers, runs, scan, storage, telling
from retention.models import RunState
from retention.purge import purge
from retention.sweep import sweep

RUN_SECONDS = 200
EXPORT_SECONDS = 3600


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
    elif run and run.state == RunState.FINISHED:
        current_app.send_task("retention.count_account", args=[account_id], queue="purge", retry=False)


@shared_task(name="retention.sweep")
def sweep_all() -> int:
    """Remove what nobody needs any more, account by account (beat, by night); returns how many accounts."""
    ids = list(Account.objects.order_by("pk").values_list("pk", flat=True))
    for account_id in ids:
        current_app.send_task("retention.sweep_account", args=[account_id], queue="purge", retry=False)
    return len(ids)


@shared_task(name="retention.sweep_account")
def sweep_account(account_id: int) -> None:
    """The same for one account (queue purge)."""
    sweep(account_id, timezone.now())


@shared_task(name="retention.count_storage")
def count_storage() -> int:
    """Count what every mailbox holds, account by account (beat, by night); returns how many accounts."""
    ids = list(Account.objects.order_by("pk").values_list("pk", flat=True))
    for account_id in ids:
        current_app.send_task("retention.count_account", args=[account_id], queue="purge", retry=False)
    return len(ids)


@shared_task(name="retention.count_account")
def count_account(account_id: int) -> None:
    """The same for one account, also when an admin asks (queue purge)."""
    storage.count(account_id, timezone.now())


@shared_task(name="retention.tell_changes")
def tell_changes(account_id: int | None = None) -> None:
    """Tell people of changes of the plan, in one account or in all (beat, and at once when one is written)."""
    for first, last in telling.ranges() if account_id is None else [(account_id, account_id)]:
        current_app.send_task("retention.tell_accounts", args=[first, last], queue="bulk", retry=False)


@shared_task(name="retention.tell_accounts")
def tell_accounts(first: int, last: int) -> None:
    """The same for the accounts with these ids (queue bulk)."""
    telling.tell_range(first, last)


@shared_task(name="retention.hand_over")
def hand_over(account_id: int, leaver_id: int) -> None:
    """Give an heir what a leaver held, or go on where somebody stopped (queue bulk)."""
    if handing_over.work(account_id, leaver_id, seconds=RUN_SECONDS):
        current_app.send_task("retention.hand_over", args=[account_id, leaver_id], queue="bulk", retry=False)


@shared_task(name="retention.leavers")
def look_after_leavers() -> None:
    """Warn of what ends soon, end what is over, take up what was left lying, in all accounts (beat)."""
    for first, last in telling.ranges():
        current_app.send_task("retention.leavers_of", args=[first, last], queue="bulk", retry=False)


@shared_task(name="retention.leavers_of")
def leavers_of(first: int, last: int) -> int:
    """The same for the accounts with these ids (queue bulk)."""
    ids = Account.objects.filter(pk__range=(first, last)).order_by("pk").values_list("pk", flat=True)
    return sum(leavers.look_after(account_id, timezone.now()) for account_id in list(ids))


@shared_task(name="retention.erase")
def erase_due() -> int:
    """Begin with every company whose waiting time is over, or go on (beat, hourly); returns how many."""
    ids = erasing.due()
    for account_id in ids:
        current_app.send_task("retention.erase_account", args=[account_id], queue="purge", retry=False)
    erasing.remove_stragglers()
    return len(ids)


@shared_task(name="retention.erase_account")
def erase_account(account_id: int) -> None:
    """Delete everything of a company; what time does not suffice for is gone on with at once (queue purge)."""
    if erasing.erase(account_id, seconds=RUN_SECONDS) is erasing.Outcome.MORE:
        current_app.send_task("retention.erase_account", args=[account_id], queue="purge", retry=False)


@shared_task(name="retention.export", soft_time_limit=EXPORT_SECONDS, time_limit=EXPORT_SECONDS + 60)
def export(account_id: int, export_id: int) -> None:
    """Write the next part of somebody's export (queue bulk). Longer than other jobs: a part is whole or is not."""
    if exporting.run(account_id, export_id):
        current_app.send_task("retention.export", args=[account_id, export_id], queue="bulk", retry=False)


@shared_task(name="retention.exports")
def tend_exports() -> None:
    """Take up what a worker left lying, remove what is a week old (beat)."""
    for account_id in exporting.with_exports():
        exporting.tend(account_id)
