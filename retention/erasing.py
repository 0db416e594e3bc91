"""Deletes a company whose waiting time is over: every row, then every file, then the account itself.

Which tables there are the database says (each tenant table has a policy), so a new one is never forgotten. It goes in
batches, each a transaction that also counts it: killed anywhere, the next run goes on. Mail servers are not asked.
The deletes run in a function of the owner's role, which refuses a company that is not being deleted: the
application's role cannot delete from the audit log and the ledger, and must not be able to.
"""

import enum
import time
from datetime import timedelta
from graphlib import TopologicalSorter

import structlog
from django.db import IntegrityError, connection
from django.db.models import F, Q
from django.utils import timezone

from accounts import sessions, tenancy
from accounts.models import Account, BrowserSession, Employee
from mailsync import blobs
from mailsync.models import Dispatch, Schedule
from plans.models import PlanRequest
from retention.models import Erasure

log = structlog.get_logger(__name__)

BATCH = 2000
FILES_AT_ONCE = 500
# For so long after the end it is looked whether a worker that did not notice in time has left a file behind.
STRAGGLERS = timedelta(days=2)

_TABLES = "SELECT tablename FROM pg_policies WHERE schemaname = 'public' AND policyname = 'tenant'"
_REFERENCES = """
SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint
WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conrelid <> confrelid
"""
# Tables of the framework that know a person and no account.
_OF_PEOPLE = ("django_admin_log", "account_emailaddress")


class Outcome(enum.Enum):
    DONE = "done"
    MORE = "more"  # time was over, or a worker that did not know yet has written something
    NOT_OURS = "not ours"  # not due, called off, or another worker is at it


class _Busy(Exception):
    """Another worker has the account."""


def due() -> list[int]:
    """Accounts to begin with or to go on with."""
    over = Q(deletes_at__lte=timezone.now()) | Q(erasing_since__isnull=False)
    return list(Account.objects.filter(over).order_by("pk").values_list("pk", flat=True))


def erase(account_id: int, *, seconds: float) -> Outcome:
    """Delete for so many seconds."""
    until = time.monotonic() + seconds
    try:
        if not _begin(account_id):
            return Outcome.NOT_OURS
        rows_gone = all(_empty(account_id, table, until) for table in _order())
        if not (rows_gone and _remove_files(account_id, until)):
            return Outcome.MORE
    except _Busy:
        return Outcome.NOT_OURS
    return _finish(account_id)


def remove_stragglers() -> None:
    """Files that were begun before the end and written after it."""
    for erasure in Erasure.objects.filter(finished_at__gt=timezone.now() - STRAGGLERS):
        for _size in blobs.remove_files_of(erasure.company_id):
            pass


def _begin(account_id: int) -> bool:
    """From now on nobody signs in, nothing is fetched, nothing is sent, and there is no way back."""
    with tenancy.acting_for(account_id):
        now = timezone.now()
        account = Account.objects.select_for_update(no_key=True).filter(pk=account_id).first()
        if account is None or account.deletes_at is None or account.deletes_at > now:
            return False
        if account.erasing_since:
            return True
        account.erasing_since = now
        account.save(update_fields=["erasing_since"])
        Erasure.objects.create(
            company_id=account_id, name=account.name, founded_at=account.created_at, began_at=now
        )
        sessions.end(BrowserSession.objects.all())
        Employee.objects.filter(account_id=account_id).update(is_active=False)
        # A worker that has a mailbox notices by its lease, which is gone.
        Schedule.objects.filter(account_id=account_id).delete()
        Dispatch.objects.filter(account_id=account_id).delete()
        PlanRequest.objects.filter(account_id=account_id).delete()
        with connection.cursor() as cursor:
            for table in _OF_PEOPLE:
                cursor.execute(
                    f"DELETE FROM {table} WHERE user_id IN (SELECT id FROM accounts_employee WHERE account_id = %s)",  # noqa: S608
                    [account_id],
                )
    log.info("company_erasing", account=account_id)
    return True


def _order() -> list[str]:
    """Every tenant table, those that refer to others before those."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        tables = {table for (table,) in cursor.fetchall()}
        cursor.execute(_REFERENCES)
        references = cursor.fetchall()
    before: dict[str, set[str]] = {table: set() for table in sorted(tables)}
    for referring, referred in references:
        if referring in tables and referred in tables:
            before[referred].add(referring)
    return list(TopologicalSorter(before).static_order())


def _empty(account_id: int, table: str, until: float) -> bool:
    """False where time was over first."""
    last = 0
    while time.monotonic() < until:
        with tenancy.acting_for(account_id):
            erasure = _locked(account_id)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT removed, last FROM retention_erase(%s, %s, %s, %s)",
                    [table, account_id, last, BATCH],
                )
                removed, reached = cursor.fetchone()
            if not removed:
                return True
            erasure.counts[table] = erasure.counts.get(table, 0) + removed
            erasure.save(update_fields=["counts"])
        last = reached
    return False


def _locked(account_id: int) -> Erasure:
    """Raises _Busy. The lock lets foreign keys through, so that a late worker fails at its own statement."""
    mine = Account.objects.select_for_update(no_key=True, skip_locked=True).filter(pk=account_id)
    if not mine.exists():
        raise _Busy
    return Erasure.objects.get(company_id=account_id)


def _remove_files(account_id: int, until: float) -> bool:
    """False where time was over first. Counted now and then: after a crash some were removed and not counted."""
    files = size = 0
    files_gone = True
    for each in blobs.remove_files_of(account_id):
        files, size = files + 1, size + each
        if files == FILES_AT_ONCE:
            _count_files(account_id, files, size)
            files = size = 0
            if time.monotonic() > until:
                files_gone = False
                break
    _count_files(account_id, files, size)
    return files_gone


def _count_files(account_id: int, files: int, size: int) -> None:
    Erasure.objects.filter(company_id=account_id).update(files=F("files") + files, bytes=F("bytes") + size)


def _finish(account_id: int) -> Outcome:
    """The account itself. A row that a late worker wrote meanwhile keeps it, and the next run removes both."""
    try:
        with tenancy.acting_for(account_id):
            Erasure.objects.filter(company_id=account_id).update(finished_at=timezone.now())
            Account.objects.filter(pk=account_id)._raw_delete(connection.alias)
    except IntegrityError:
        return Outcome.MORE
    log.info("company_erased", account=account_id)
    return Outcome.DONE
