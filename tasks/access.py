"""Doors to tasks: who may use a task, and who reads the mail bound to it. Each returns the row or raises Http404.

The rule: the people of a task (responsible, creator, participants) see and change it, and read the mail bound to it,
whosever mailbox it came to: access follows the link. Only its responsible, its creator and admins delete it. An admin
sees and changes every task of the company, so that a leaver's work can be handed on, but reads bound mail only as one
of its people. For all others there is no such task.
"""

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404

from accounts.models import Employee
from mailsync import access as mail
from mailsync.models import GrantLevel, Message, Placement
from tasks.models import Participant, Task, TaskMessage


def involved(employee: Employee) -> QuerySet[Task]:
    """The tasks whose people the employee is one of; without those being deleted."""
    takes_part = Participant.objects.filter(task=OuterRef("pk"), employee=employee)
    return Task.objects.filter(Q(responsible=employee) | Q(by=employee) | Exists(takes_part), delete_at=None)


def visible(employee: Employee) -> QuerySet[Task]:
    """The tasks that the employee sees and may change; without those being deleted."""
    return Task.objects.filter(delete_at=None) if employee.is_admin else involved(employee)


def get_task(employee: Employee, task_id: int) -> Task:
    task = visible(employee).select_related("responsible", "by").filter(pk=task_id).first()
    if task is None:
        raise Http404
    return task


def may_delete(employee: Employee, task: Task) -> bool:
    """With a task its mail goes, also out of mailboxes that a participant has no key to."""
    return employee.is_admin or employee.pk in {task.responsible_id, task.by_id}


def find_leaving(employee: Employee, task_id: int) -> Task | None:
    """A task whose deletion this employee has asked for, while it is held."""
    return Task.objects.filter(pk=task_id, deleted_by=employee, delete_at__isnull=False).first()


def reads_mail_of(employee: Employee, task: Task) -> bool:
    """Whether the mail bound to the task is open to the employee."""
    return involved(employee).filter(pk=task.pk).exists()


def get_bound(employee: Employee, task_id: int, message_id: int) -> TaskMessage:
    """A bound message by the task's door, with its bytes; the mailbox stays closed."""
    link = (
        TaskMessage.objects.select_related("task", "message__body", "message__mailbox", "by")
        .filter(task__in=involved(employee).filter(pk=task_id), message=message_id)
        .first()
    )
    if link is None:
        raise Http404
    return link


def readable_messages(employee: Employee, placement_ids: list[int]) -> list[Message]:
    """The messages at these places of mailboxes that the employee may read, each once, newest first."""
    mine = mail.placements_in(mail.boxes(employee), placement_ids, GrantLevel.READ)
    messages = Message.objects.filter(pk__in=Placement.objects.filter(pk__in=mine).values("message"))
    return list(messages.defer("header").order_by("-received_at", "-id"))


def get_readable(employee: Employee, placement_id: int) -> Message:
    """The message at one place. Raises Http404."""
    for message in readable_messages(employee, [placement_id]):
        return message
    raise Http404
