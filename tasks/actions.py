"""What people do with tasks. Each verb is one transaction; doors (access) were passed before.

Locks: a message before a task, as everything of mail comes before what is above it.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TypedDict, Unpack

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, tenancy
from accounts.models import Employee
from mailsync import blobs, discarding, schedule
from mailsync.models import Attachment, Mailbox, Message
from tasks import access
from tasks.models import (
    TITLE_LENGTH,
    ChecklistItem,
    Comment,
    Participant,
    Priority,
    Reminder,
    Status,
    Task,
    TaskFile,
    TaskMessage,
)

# How long a deletion can be taken back.
HELD = timedelta(seconds=30)
FILE_BYTES = 25 * 1024 * 1024
# FOR KEY SHARE: the purge and the discard wait for this link, other links do not.
_HOLD_MESSAGES = "SELECT id FROM mailsync_message WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"


class CannotDo(Exception):
    """Nothing was changed; the text is a sentence for people."""


class TooLate(CannotDo):
    """A deletion can no longer be taken back."""

    def __init__(self) -> None:
        super().__init__(_("This task is deleted for good, so it cannot be brought back."))


# Making and changing


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
    bind(task, [message.pk for message in messages], by=by)
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
    _record("task.assigned", task, by, to=responsible.email)


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
        _record("task.participant_added", task, by, who=employee.email)


@transaction.atomic
def let_out(task: Task, employee: Employee, *, by: Employee) -> None:
    gone, _tables = Participant.objects.filter(task=task, employee=employee).delete()
    if gone:
        Reminder.objects.filter(task=task, employee=employee).delete()
        _record("task.participant_removed", task, by, who=employee.email)


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


# What hangs on a task


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
    digest = sha256(content).digest()
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


# Mail on a task


@transaction.atomic
def bind(task: Task, message_ids: Collection[int], *, by: Employee) -> int:
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
        TaskMessage(account_id=task.account_id, task=task, message_id=pk, by=by)
        for pk in sorted(wanted - known)
    ]
    TaskMessage.objects.bulk_create(links)
    if links:
        _record("task.mail_bound", task, by, messages=sorted(wanted - known))
    return len(links)


@transaction.atomic
def unbind(task: Task, message_id: int, *, by: Employee) -> None:
    """The message lives on as the plan says, unless something else holds it."""
    gone, _tables = TaskMessage.objects.filter(task=task, message=message_id).delete()
    if gone:
        _let_age([message_id])
        _record("task.mail_unbound", task, by, messages=[message_id])


def _let_age(message_ids: Collection[int]) -> None:
    """No sync looks after a mailbox that was disconnected: its job removes what nobody holds any more."""
    gone = Mailbox.objects.filter(messages__in=message_ids, disconnected_at__isnull=False).distinct()
    for mailbox in gone:
        schedule.hint_discarding(mailbox.account_id, mailbox.pk)


# Deleting


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
            _let_age(message_ids)
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


def _record(verb: str, task: Task, by: Employee, **details: object) -> None:
    """By number: a title may be the subject of a mail, which the audit log must not tell."""
    audit.record(verb, f"Task {task.pk}", account_id=task.account_id, by=by, **details)
