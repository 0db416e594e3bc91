"""Tasks as people leave them."""

from datetime import timedelta

from django.utils import timezone

from accounts.models import Employee
from mailsync.models import Message
from tasks import actions, binding, details
from tasks.models import Task


def busy_task(
    by: Employee,
    message: Message,
    participant: Employee,
    *,
    title: str = "Answer Zoe",
    file: bytes = b"42 buoys",
) -> Task:
    """A task with something of everything; the account must be the acting one."""
    task = actions.create(title, by=by)
    binding.bind(task, [message.pk], by=by)
    actions.let_in(task, participant, by=by)
    details.add_point(task, "Ask for the price")
    details.comment(task, "Called; she is away until Monday.", by=by)
    details.attach(task, "offer.txt", file, by=by)
    reminder = details.remind(task, timezone.now() + timedelta(days=1), whom=by)
    reminder.raised_at = timezone.now()
    reminder.save()
    return task
