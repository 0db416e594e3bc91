"""Deleting a task: held for a while so that it can be taken back, then for good with the mail that only it holds."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, tenancy
from accounts.models import Employee
from mailsync import discarding
from mailsync.models import Attachment, Message
from tasks.binding import let_age
from tasks.models import Task, TaskMessage
from tasks.telling import CannotDo

# How long a deletion can be taken back.
HELD = timedelta(seconds=30)


class TooLate(CannotDo):
    """A deletion can no longer be taken back."""

    def __init__(self) -> None:
        super().__init__(_("This task is deleted for good, so it cannot be brought back."))


class Fate:
    """What goes with a task: asked before it is deleted, and true unless a link is made or cut meanwhile."""

    def __init__(self, task: Task) -> None:
        """Tasks that are being deleted hold nothing any more."""
        leaving = TaskMessage.objects.filter(task=task) | TaskMessage.objects.filter(
            task__delete_at__isnull=False
        )
        bound = Message.objects.filter(pk__in=TaskMessage.objects.filter(task=task).values("message"))
        going = bound.free(apart_from=leaving)
        self.bound = bound.count()
        self.messages = going.count()
        self.kept = self.bound - self.messages
        self.attachments = Attachment.objects.filter(message__in=going.values("pk")).count()
        self.files = task.files.count()


@transaction.atomic
def ask_deletion(task: Task, *, keep_mail: bool, by: Employee) -> None:
    """Hide the task now and delete it when HELD is over, unless somebody takes it back."""
    until = timezone.now() + HELD
    Task.objects.filter(pk=task.pk, delete_at=None).update(
        delete_at=until, deleted_by=by, keep_mail=keep_mail
    )


@transaction.atomic
def undo_deletion(task: Task, *, by: Employee) -> None:
    """Raises TooLate."""
    held = Task.objects.filter(pk=task.pk, delete_at__gt=timezone.now(), deleted_by=by)
    if not held.update(delete_at=None, deleted_by=None, keep_mail=False):
        raise TooLate


def leaving(account_id: int, now: datetime) -> list[int]:
    """The tasks whose deletion nobody can take back any more."""
    return list(Task.objects.filter(account=account_id, delete_at__lte=now).values_list("pk", flat=True))


def carry_out_deletion(account_id: int, task_id: int, now: datetime) -> int:
    """Delete a task whose time is over, and with it the messages that nothing else holds; returns how many.

    One transaction; nothing happens a second time. On the mail server nothing happens at all.
    """
    with tenancy.acting_for(account_id):
        links = TaskMessage.objects.filter(task=task_id).values_list("message_id", flat=True)
        message_ids = list(links)
        discarding.lock(message_ids)
        over = Task.objects.filter(pk=task_id, delete_at__lte=now)
        task = over.select_for_update(of=("self",)).select_related("deleted_by").first()
        if task is None:
            return 0
        task.delete()
        if task.keep_mail:
            let_age(message_ids)
            gone: list[int] = []
        else:
            gone = discarding.discard(message_ids, reason="task deleted")
        audit.record(
            "task.deleted",
            f"Task {task_id}",
            account_id=account_id,
            by=task.deleted_by,
            messages_removed=len(gone),
            messages_kept=len(message_ids) - len(gone),
        )
        return len(gone)
