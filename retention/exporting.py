"""Exports: somebody takes along what they may see, as one zip file that a worker writes and that stays for a week.

A worker shows by `seen_at` that it lives; one that died leaves a file that nobody needs, and another begins anew, three
times at most. Each batch is read in a transaction of its own, so an export holds nothing up, and is not of one moment.
"""

import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import IO, Protocol

import structlog
from celery import current_app
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts import audit, tenancy
from accounts.models import Account, Employee
from mailsync import access, blobs
from mailsync.models import Folder
from retention import export_mail, export_rows, mbox
from retention.models import Export, ExportState, ExportWhat
from tasks.models import TaskFile

log = structlog.get_logger(__name__)

STAYS = timedelta(days=7)
SILENT = timedelta(minutes=5)
TRIES = 3
SHOWS_LIFE = 2.0  # seconds

ABOUT = """What is in here

mail/       A file in the mbox form (mboxrd) for each folder of the mailboxes that you own or have access to, and
            beside it a .jsonl file: a line of JSON a message, in the same order, with flags, tags and links.
data/       With an export of the company: rows as JSON, a line each.
activities/ The mail that CRM keeps, as .eml files named by the id in data/crm_activity.jsonl.
files/      Files of tasks, named by the id in data/tasks_taskfile.jsonl.

A message that had no line end at its end has one here. Programs that read mbox as mboxrd remove one ">" from lines
that begin with ">From "; nothing else was changed.
"""


class Stopped(Exception):
    """It was called off, or another worker has taken it over."""


class Beat(Protocol):
    def __call__(self, more: int = 0) -> None: ...


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
    return bool(stopped)


def run(account_id: int, export_id: int) -> None:
    """Write the file, unless a worker that lives is at it."""
    export = _claim(account_id, export_id)
    if export is None:
        return
    path = path_of(export)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left_behind in path.parent.glob(f"{export.pk}.[0-9]*"):
        left_behind.unlink(missing_ok=True)
    try:
        _write(export, path)
    except Stopped:
        return
    except (OSError, blobs.BodyLost) as error:
        log.warning("export_failed", account=account_id, error=type(error).__name__)
        _fail(export)
    else:
        _finish(export, path)


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
        path_of(export).unlink(missing_ok=True)


def with_exports() -> Iterator[int]:
    """Accounts to tend."""
    for account_id in list(Account.objects.order_by("pk").values_list("pk", flat=True)):
        with tenancy.acting_for(account_id):
            states = [*Export.OPEN, ExportState.DONE]
            some = Export.objects.filter(account_id=account_id, state__in=states).exists()
        if some:
            yield account_id


def path_of(export: Export) -> Path:
    """Beside the bodies, because web and workers see that folder, and what deletes a company empties it."""
    return Path(storages["mail"].path(f"{export.account_id}/exports/{export.pk}.zip"))


def _claim(account_id: int, export_id: int) -> Export | None:
    now = timezone.now()
    with tenancy.acting_for(account_id):
        free = Q(state=ExportState.WAITING) | Q(state=ExportState.RUNNING, seen_at__lt=now - SILENT)
        claimed = Export.objects.filter(free, pk=export_id, tries__lt=TRIES).update(
            state=ExportState.RUNNING, seen_at=now, tries=F("tries") + 1, done=0
        )
        if not claimed:
            return None
        return Export.objects.select_related("by").get(pk=export_id)


def _write(export: Export, path: Path) -> None:
    """Under a name that nobody asks for until it is whole."""
    with tenancy.acting_for(export.account_id):
        folders = list(_folders(export.by))
        total = sum(folder.total for folder in folders)
        Export.objects.filter(pk=export.pk).update(total=total)
    unfinished = path.with_suffix(f".{export.tries}")
    beat = _beating(export)
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr("ABOUT.txt", ABOUT)
            for folder in folders:
                _write_folder(archive, export.by, folder, beat)
            if export.what == ExportWhat.COMPANY:
                _write_company(archive, export.account_id, beat)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _folders(employee: Employee) -> QuerySet[Folder]:
    """Of the mailboxes whose mail this employee may read: an admin has no other key, here as anywhere."""
    mailboxes = access.visible_mailboxes(employee)
    folders: QuerySet[Folder] = Folder.objects.filter(mailbox__in=mailboxes).select_related("mailbox")
    return folders.order_by("mailbox_id", "pk")


def _write_folder(archive: zipfile.ZipFile, employee: Employee, folder: Folder, beat: Beat) -> None:
    """A zip file takes one entry after the other, so the lines wait in a temporary file."""
    name = f"mail/{_named(folder.mailbox.address)}/{folder.pk}-{_named(folder.path)}"
    with tempfile.TemporaryFile() as waiting:
        with _entry(archive, f"{name}.mbox") as into:
            for original in export_mail.of_folder(employee, folder.pk):
                into.writelines(mbox.entry(original.header, original.body, original.received_at))
                waiting.writelines(export_rows.as_lines([original.facts]))
                beat(1)
        waiting.seek(0)
        with _entry(archive, f"{name}.jsonl") as into:
            into.writelines(waiting)


def _write_company(archive: zipfile.ZipFile, account_id: int, beat: Beat) -> None:
    for table in export_rows.TABLES:
        with _entry(archive, f"data/{table}.jsonl") as into:
            for line in export_rows.lines(account_id, table):
                into.write(line)
                beat()
    for original in export_mail.of_activities(account_id):
        _put(archive, f"activities/{original.id}.eml", [original.header, original.body])
        beat()
    with tenancy.acting_for(account_id):
        files = list(TaskFile.objects.order_by("pk").values_list("pk", "name"))
    for pk, name in files:
        with tenancy.acting_for(account_id):
            file = TaskFile.objects.select_related("content").filter(pk=pk).first()
        if file:
            _put(archive, f"files/{pk}-{_named(name)}", [blobs.body_of(file.content)])
        beat()


def _put(archive: zipfile.ZipFile, name: str, parts: Iterable[bytes]) -> None:
    with _entry(archive, name) as into:
        into.writelines(parts)


@contextmanager
def _entry(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """One that may be larger than 4 GB."""
    with archive.open(name, "w", force_zip64=True) as into:
        yield into


def _beating(export: Export) -> Beat:
    """Shows life and progress every few seconds. Raises Stopped."""
    done, last = 0, time.monotonic()

    def beat(more: int = 0) -> None:
        nonlocal done, last
        done += more
        if time.monotonic() - last < SHOWS_LIFE:
            return
        last = time.monotonic()
        with tenancy.acting_for(export.account_id):
            mine = Export.objects.filter(pk=export.pk, state=ExportState.RUNNING, tries=export.tries)
            if not mine.update(done=done, seen_at=timezone.now()):
                raise Stopped

    return beat


def _finish(export: Export, path: Path) -> None:
    with tenancy.acting_for(export.account_id):
        done = Export.objects.filter(pk=export.pk, state=ExportState.RUNNING, tries=export.tries).update(
            state=ExportState.DONE, finished_at=timezone.now(), done=F("total"), bytes=path.stat().st_size
        )
        if done:
            audit.record(
                "export.written",
                export.what,
                account_id=export.account_id,
                by=export.by,
                messages=export.total,
            )
    if not done:
        path.unlink(missing_ok=True)


def _fail(export: Export) -> None:
    """Unless another worker has it by now."""
    with tenancy.acting_for(export.account_id):
        mine = Export.objects.filter(pk=export.pk, state__in=Export.OPEN, tries=export.tries)
        if mine.update(state=ExportState.FAILED, finished_at=timezone.now()):
            audit.record("export.failed", export.what, account_id=export.account_id, by=None)


def _named(name: str) -> str:
    """A part of a path in the zip file: names come from mail servers and strangers."""
    return (
        "".join(each if each.isalnum() or each in "@.-_ " else "_" for each in name).strip(". ")[:100] or "_"
    )


def _hint(account_id: int, export_id: int) -> None:
    try:
        current_app.send_task("retention.export", args=[account_id, export_id], queue="bulk", retry=False)
    except OperationalError:
        log.warning("export_hint_lost")
