"""Exports: somebody takes along what they may see, as zip files that workers write and that stay for a week.

A job writes one part (retention.archive) and notes where the next begins. A worker shows by `seen_at` that it lives;
what one that died had begun is written once more by another, three times at most. Each batch is read in a transaction
of its own, so an export holds nothing up, and is not of one moment.
"""

import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog
from celery import current_app
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import audit, tenancy
from accounts.models import Account, Employee
from mailsync import access, blobs
from mailsync.models import Folder
from retention import archive
from retention.archive import Beat, Reached
from retention.models import Export, ExportState, ExportWhat

log = structlog.get_logger(__name__)

STAYS = timedelta(days=7)
SILENT = timedelta(minutes=5)
TRIES = 3
SHOWS_LIFE = 2.0  # seconds


class Stopped(Exception):
    """It was called off, or another worker has taken it over."""


def ask(employee: Employee, what: ExportWhat) -> Export | None:
    """None where this employee has an open one already."""
    try:
        with transaction.atomic():
            export = Export.objects.create(account_id=employee.account_id, by=employee, what=what)
    except IntegrityError:
        return None
    audit.record("export.asked", what, account_id=employee.account_id, by=employee)
    transaction.on_commit(partial(_hint, export.account_id, export.pk))
    return export


def cancel(export: Export) -> bool:
    """False where it is over already. A worker notices within seconds."""
    stopped = Export.objects.filter(pk=export.pk, state__in=Export.OPEN).update(
        state=ExportState.CANCELLED, finished_at=timezone.now()
    )
    if stopped:
        audit.record("export.cancelled", export.what, account_id=export.account_id, by=export.by)
        transaction.on_commit(partial(_remove_files, export))
    return bool(stopped)


def run(account_id: int, export_id: int) -> bool:
    """Write the next part, unless a worker that lives is at it; whether another part follows."""
    export = _claim(account_id, export_id)
    if export is None:
        return False
    number = export.parts + 1
    path = path_of(export, number)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_behind in path.parent.glob(f"{path.name}.*"):
        left_behind.unlink(missing_ok=True)
    unfinished = path.with_name(f"{path.name}.{export.tries}")
    try:
        following = _write(export, unfinished, number)
        unfinished.replace(path)
    except Stopped:
        return False
    except (OSError, blobs.BodyLost) as error:
        log.warning("export_failed", account=account_id, error=type(error).__name__)
        _fail(export)
        return False
    finally:
        unfinished.unlink(missing_ok=True)
    return _keep(export, path, following)


def tend(account_id: int) -> None:
    """Hint at what waits or whose worker died, give up after TRIES, and remove what is too old."""
    now = timezone.now()
    with tenancy.acting_for(account_id):
        silent = Export.objects.filter(account_id=account_id, state__in=Export.OPEN).filter(
            Q(seen_at=None) | Q(seen_at__lt=now - SILENT)
        )
        for export in silent:
            if export.tries >= TRIES:
                _fail(export)
            else:
                _hint(account_id, export.pk)
        old = Export.objects.filter(
            account_id=account_id, state=ExportState.DONE, finished_at__lt=now - STAYS
        )
        expired = list(old)
        old.update(state=ExportState.EXPIRED)
    for export in expired:
        _remove_files(export)


def with_exports() -> Iterator[int]:
    """Accounts to tend."""
    for account_id in list(Account.objects.order_by("pk").values_list("pk", flat=True)):
        with tenancy.acting_for(account_id):
            states = [*Export.OPEN, ExportState.DONE]
            some = Export.objects.filter(account_id=account_id, state__in=states).exists()
        if some:
            yield account_id


def path_of(export: Export, number: int = 1) -> Path:
    """A part, beside the bodies: web and workers see that folder, and what deletes a company empties it."""
    name = f"{export.pk}.zip" if number == 1 else f"{export.pk}-{number}.zip"
    return Path(storages["mail"].path(f"{export.account_id}/exports/{name}"))


def _claim(account_id: int, export_id: int) -> Export | None:
    now = timezone.now()
    with tenancy.acting_for(account_id):
        free = Q(state=ExportState.WAITING) | Q(state=ExportState.RUNNING, seen_at__lt=now - SILENT)
        claimed = Export.objects.filter(free, pk=export_id, tries__lt=TRIES).update(
            state=ExportState.RUNNING,
            seen_at=now,
            began_at=Coalesce("began_at", now),
            tries=F("tries") + 1,
        )
        if not claimed:
            return None
        return Export.objects.select_related("by").get(pk=export_id)


def _write(export: Export, path: Path, number: int) -> Reached | None:
    """What is there now and may be read now: whoever lost a mailbox since the last part gets no more of it."""
    company_of = export.account_id if export.what == ExportWhat.COMPANY else None
    reached = Reached(*export.reached)
    with tenancy.acting_for(export.account_id):
        folders = list(_folders(export.by))
        total = archive.count(folders, company_of)
        _mine(export).update(total=total, done=reached.done)
    sections = archive.mail(folders, export.by)
    if company_of is not None:
        sections += archive.company(company_of)
    return archive.write_part(path, number, sections, reached, _beating(export))


def _folders(employee: Employee) -> QuerySet[Folder]:
    """Of the mailboxes whose mail this employee may read: an admin has no other key, here as anywhere."""
    return archive.in_order(Folder.objects.filter(mailbox__in=access.visible_mailboxes(employee)))


def _mine(export: Export) -> QuerySet[Export]:
    """The row, as long as no other worker has it and nobody called it off."""
    return Export.objects.filter(
        pk=export.pk, state=ExportState.RUNNING, parts=export.parts, tries=export.tries
    )


def _beating(export: Export) -> Beat:
    """Shows life and progress every few seconds. Raises Stopped."""
    last = time.monotonic()

    def beat(done: int) -> None:
        nonlocal last
        if time.monotonic() - last < SHOWS_LIFE:
            return
        last = time.monotonic()
        with tenancy.acting_for(export.account_id):
            if not _mine(export).update(done=done, seen_at=timezone.now()):
                raise Stopped

    return beat


def _keep(export: Export, path: Path, following: Reached | None) -> bool:
    """The part is whole: note where the next begins, or that it was the last; whether another follows."""
    changes = {"parts": export.parts + 1, "bytes": F("bytes") + path.stat().st_size, "tries": 0}
    if following:
        changes |= {"state": ExportState.WAITING, "reached": list(following), "done": following.done}
    else:
        changes |= {"state": ExportState.DONE, "finished_at": timezone.now(), "done": F("total")}
    with tenancy.acting_for(export.account_id):
        kept = _mine(export).update(**changes)
        if kept and not following:
            export.refresh_from_db(fields=["total", "parts"])
            audit.record(
                "export.written",
                export.what,
                account_id=export.account_id,
                by=export.by,
                items=export.total,
                parts=export.parts,
            )
    if not kept:
        path.unlink(missing_ok=True)
    return bool(kept and following)


def _fail(export: Export) -> None:
    """Unless another worker has it by now."""
    with tenancy.acting_for(export.account_id):
        mine = Export.objects.filter(
            pk=export.pk, state__in=Export.OPEN, parts=export.parts, tries=export.tries
        )
        failed = mine.update(state=ExportState.FAILED, finished_at=timezone.now())
        if failed:
            audit.record("export.failed", export.what, account_id=export.account_id, by=None)
    if failed:
        _remove_files(export)


def _remove_files(export: Export) -> None:
    folder = path_of(export).parent
    for pattern in (f"{export.pk}.zip*", f"{export.pk}-*.zip*"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _hint(account_id: int, export_id: int) -> None:
    try:
        current_app.send_task("retention.export", args=[account_id, export_id], queue="bulk", retry=False)
    except OperationalError:
        log.warning("export_hint_lost")
