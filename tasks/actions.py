"""Making tasks, changing them, and who takes part. Each verb is one transaction; doors (access) were passed before."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypedDict, Unpack

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync.models import Message
from tasks import access, binding
from tasks.models import TITLE_LENGTH, Participant, Priority, Reminder, Status, Task
from tasks.telling import CannotDo, record


@transaction.atomic
def create(
    title: str, *, by: Employee, responsible: Employee | None = None, status: str = Status.TODO
) -> Task:
    """Raises CannotDo without a title."""
    title = _clean_title(title)
    return Task.objects.create(
        account_id=by.account_id,
        title=title,
        by=by,
        responsible=responsible or by,
        status=status,
        done_at=timezone.now() if status == Status.DONE else None,
    )


@transaction.atomic
def create_from(messages: Sequence[Message], *, by: Employee) -> Task:
    """A task about these messages: the first one's subject is its title, `by` is responsible."""
    subject = " ".join(messages[0].subject.split()) if messages else ""
    task = create(subject[:TITLE_LENGTH] or str(_("(no subject)")), by=by)
    binding.bind(task, [message.pk for message in messages], by=by)
    return task


class Changes(TypedDict, total=False):
    """What `edit` changes; what is not named stays as somebody else may have made it meanwhile."""

    title: str
    description: str
    priority: int
    deadline: datetime | None


@transaction.atomic
def edit(task: Task, **changes: Unpack[Changes]) -> None:
    """Raises CannotDo without a title."""
    if "title" in changes:
        changes["title"] = _clean_title(changes["title"])
    if changes.get("priority", Priority.NORMAL) not in Priority.values:
        raise CannotDo(_("Choose a priority."))
    if changes:
        Task.objects.filter(pk=task.pk).update(**changes)


@transaction.atomic
def move(task: Task, status: str) -> None:
    """To another column of the board. Raises CannotDo where there is none of that name."""
    if status not in Status.values:
        raise CannotDo(_("There is no such status."))
    done_at = (task.done_at or timezone.now()) if status == Status.DONE else None
    Task.objects.filter(pk=task.pk).update(status=status, done_at=done_at)
    task.status, task.done_at = status, done_at


@transaction.atomic
def assign(task: Task, responsible: Employee, *, by: Employee) -> None:
    """Hand the task to somebody, who reads the mail bound to it from now on. The one before keeps taking part."""
    _refuse_strangers(task, responsible, by)
    if responsible.pk == task.responsible_id:
        return
    before = task.responsible
    Task.objects.filter(pk=task.pk).update(responsible=responsible)
    Participant.objects.filter(task=task, employee=responsible).delete()
    if before.pk != task.by_id:
        Participant.objects.get_or_create(
            task=task, employee=before, defaults={"account_id": task.account_id}
        )
    task.responsible = responsible
    record("task.assigned", task, by, to=responsible.email)


@transaction.atomic
def let_in(task: Task, employee: Employee, *, by: Employee) -> None:
    """A participant sees and changes the task and reads the mail bound to it."""
    _refuse_strangers(task, employee, by)
    if employee.pk in {task.responsible_id, task.by_id}:
        return
    _row, new = Participant.objects.get_or_create(
        task=task, employee=employee, defaults={"account_id": task.account_id}
    )
    if new:
        record("task.participant_added", task, by, who=employee.email)


@transaction.atomic
def let_out(task: Task, employee: Employee, *, by: Employee) -> None:
    gone, _tables = Participant.objects.filter(task=task, employee=employee).delete()
    if gone:
        Reminder.objects.filter(task=task, employee=employee).delete()
        record("task.participant_removed", task, by, who=employee.email)


def _refuse_strangers(task: Task, employee: Employee, by: Employee) -> None:
    if employee.account_id != task.account_id or not employee.is_active:
        raise CannotDo(_("Choose a colleague of your company."))
    # An admin hands a task on; who reads its mail is not for them to say of themselves.
    if employee.pk == by.pk and not access.reads_mail_of(by, task):
        raise CannotDo(_("Ask somebody of this task to add you: they decide who reads its mail."))


def _clean_title(title: str) -> str:
    title = " ".join(title.replace("\0", "").split())[:TITLE_LENGTH]
    if not title:
        raise CannotDo(_("A task needs a title."))
    return title
