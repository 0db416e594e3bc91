"""What people write on a task: its checklist, comments, files, and when they want to be reminded."""

from concurrent.futures import Future
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import blobs
from tasks.models import ChecklistItem, Comment, Reminder, Task, TaskFile
from tasks.telling import CannotDo

FILE_BYTES = 25 * 1024 * 1024


@transaction.atomic
def add_point(task: Task, text: str) -> ChecklistItem:
    text = " ".join(text.replace("\0", "").split())[:500]
    if not text:
        raise CannotDo(_("Write what is to be done."))
    return ChecklistItem.objects.create(account_id=task.account_id, task=task, text=text)


@transaction.atomic
def tick(item: ChecklistItem, *, done: bool, by: Employee) -> None:
    now = timezone.now() if done else None
    ChecklistItem.objects.filter(pk=item.pk).update(done_at=now, done_by=by if done else None)


@transaction.atomic
def comment(task: Task, text: str, *, by: Employee) -> Comment:
    text = text.replace("\0", "").strip()
    if not text:
        raise CannotDo(_("Write a comment first."))
    return Comment.objects.create(account_id=task.account_id, task=task, by=by, text=text)


@transaction.atomic
def attach(task: Task, name: str, content: bytes, *, by: Employee) -> TaskFile:
    """Keep a file with the task. Raises CannotDo where it is too large."""
    if len(content) > FILE_BYTES:
        raise CannotDo(_("A file may have %(n)d MB at most.") % {"n": FILE_BYTES // 1024 // 1024})
    digest = blobs.digest_of(content)
    written: Future[None] | None = blobs.begin_file(task.account_id, digest, content)
    if written:
        written.result()
    ids = blobs.store(task.account_id, {digest: content})
    name = name.replace("\0", "").strip()[-255:] or "file"
    return TaskFile.objects.create(
        account_id=task.account_id, task=task, content_id=ids[digest], name=name, by=by
    )


@transaction.atomic
def remind(task: Task, at: datetime, *, whom: Employee) -> Reminder:
    """A notice on `whom`'s pages from that moment on. Raises CannotDo for a moment that has passed."""
    if at <= timezone.now():
        raise CannotDo(_("This moment has passed already."))
    row, _new = Reminder.objects.get_or_create(
        task=task, employee=whom, at=at, defaults={"account_id": task.account_id}
    )
    return row


def raise_reminders(account_id: int, now: datetime) -> int:
    """Turn the reminders whose time has come into notices; returns how many."""
    return Reminder.objects.filter(account=account_id, raised_at=None, at__lte=now).update(raised_at=now)
