"""Binding mail to tasks: it stays in Webmail for as long as a task lives that it is bound to.

Locks: a message before a task, as everything of mail comes before what is above it.
"""

from collections.abc import Collection

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import schedule
from mailsync.models import Mailbox
from tasks.models import Because, Task, TaskMessage
from tasks.telling import CannotDo, record

# FOR KEY SHARE: the purge and the discard wait for this link, other links do not.
_HOLD_MESSAGES = "SELECT id FROM mailsync_message WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"


@transaction.atomic
def bind(task: Task, message_ids: Collection[int], *, by: Employee, because: str = Because.HAND) -> int:
    """Bind messages that `by` may read; they stay for as long as the task lives. Returns how many are new.

    Raises CannotDo when one has left meanwhile, or the task is being deleted: then nothing was bound.
    """
    wanted = set(message_ids)
    with connection.cursor() as cursor:
        cursor.execute(_HOLD_MESSAGES, [sorted(wanted)])
        here = {row[0] for row in cursor.fetchall()}
    if here != wanted:
        raise CannotDo(_("This mail has just left Webmail, so it cannot be bound any more."))
    if not Task.objects.select_for_update(no_key=True).filter(pk=task.pk, delete_at=None).exists():
        raise CannotDo(_("This task is being deleted."))
    known = set(
        TaskMessage.objects.filter(task=task, message__in=wanted).values_list("message_id", flat=True)
    )
    links = [
        TaskMessage(account_id=task.account_id, task=task, message_id=pk, by=by, because=because)
        for pk in sorted(wanted - known)
    ]
    TaskMessage.objects.bulk_create(links)
    if links:
        record("task.mail_bound", task, by, messages=sorted(wanted - known), because=because)
    return len(links)


@transaction.atomic
def unbind(task: Task, message_id: int, *, by: Employee) -> None:
    """The message lives on as the plan says, unless something else holds it."""
    gone, _tables = TaskMessage.objects.filter(task=task, message=message_id).delete()
    if gone:
        let_age([message_id])
        record("task.mail_unbound", task, by, messages=[message_id])


def let_age(message_ids: Collection[int]) -> None:
    """No sync looks after a mailbox that was disconnected: its job removes what nobody holds any more."""
    gone = Mailbox.objects.filter(messages__in=message_ids, disconnected_at__isnull=False).distinct()
    for mailbox in gone:
        schedule.hint_discarding(mailbox.account_id, mailbox.pk)
