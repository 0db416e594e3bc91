"""Task and what hangs on it. A row that names a message or a file keeps it from leaving (PROTECT)."""

from datetime import UTC, datetime

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee
from mailsync.models import Blob, Message, Outgoing
from mailsync.models.message import Bond

TITLE_LENGTH = 300
# Where a task without a deadline stands among those that have one: behind them.
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
# A date of a task lies between these: near the ends of the calendar no time zone can show one any more.
FIRST_DAY, LAST_DAY = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Status(models.TextChoices):
    TODO = "todo", _("To do")
    DOING = "doing", _("In progress")
    WAITING = "waiting", _("Waiting")
    DONE = "done", _("Done")


class Priority(models.IntegerChoices):
    LOW = 0, _("Low")
    NORMAL = 1, _("Normal")
    HIGH = 2, _("High")


class Task(models.Model):
    """`delete_at` is set while a deletion is held: the task is hidden, and gone for good from that moment on.

    With `keep_mail` that deletion unbinds the messages first instead of removing them.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    title = models.CharField(max_length=TITLE_LENGTH)
    description = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.TODO)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.NORMAL)
    responsible = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    deadline = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    done_at = models.DateTimeField(null=True)
    delete_at = models.DateTimeField(null=True)
    deleted_by = models.ForeignKey(
        Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    keep_mail = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(title=""), name="a_task_has_a_title"),
            models.CheckConstraint(condition=Q(priority__lte=Priority.HIGH), name="a_known_priority"),
            models.CheckConstraint(
                condition=Q(deadline=None) | Q(deadline__range=(FIRST_DAY, LAST_DAY)),
                name="a_deadline_one_can_show",
            ),
            models.CheckConstraint(
                condition=Q(status=Status.DONE, done_at__isnull=False)
                | (Q(done_at=None) & Q(status__in=[Status.TODO, Status.DOING, Status.WAITING])),
                name="done_since_a_moment",
            ),
            models.CheckConstraint(
                condition=Q(delete_at=None, deleted_by=None)
                | Q(delete_at__isnull=False, deleted_by__isnull=False),
                name="somebody_deletes_a_task",
            ),
        ]
        indexes = [
            models.Index(
                F("account"),
                F("status"),
                Coalesce("deadline", Value(NEVER)),
                F("id"),
                name="task_by_deadline",
            ),
            # What lists show first, in their order: the one above has a place in each status.
            models.Index(
                F("account"),
                Coalesce("deadline", Value(NEVER)),
                F("id"),
                name="task_open_by_deadline",
                condition=Q(done_at=None, delete_at=None),
            ),
            models.Index(
                F("responsible"),
                Coalesce("deadline", Value(NEVER)),
                F("id"),
                name="task_open_of_somebody",
                condition=Q(done_at=None, delete_at=None),
            ),
            models.Index(
                fields=["account", "delete_at"], name="task_leaving", condition=Q(delete_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_done(self) -> bool:
        return self.status == Status.DONE

    @property
    def is_overdue(self) -> bool:
        return not self.is_done and self.deadline is not None and self.deadline < timezone.now()


class Participant(models.Model):
    """Somebody who sees and edits the task beside its responsible and its creator."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, db_index=False, related_name="participants")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "employee"], name="participant_once")]

    def __str__(self) -> str:
        return f"{self.employee_id} in task {self.task_id}"


class Because(models.TextChoices):
    """Why a message is bound to a task."""

    HAND = "hand", _("bound by %(who)s")
    WRITTEN = "written", _("written from this task by %(who)s")
    ANSWERS = "answers", _("answers a letter that %(who)s wrote from this task")


class TaskMessage(models.Model):
    """A message bound to a task: it stays in Webmail for as long as the task lives."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, db_index=False, related_name="links")
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    because = models.CharField(max_length=10, choices=Because, default=Because.HAND)

    bond = Bond("task")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "message"], name="message_once_a_task")]

    def __str__(self) -> str:
        return f"message {self.message_id} on task {self.task_id}"

    @property
    def why(self) -> str:
        return self.get_because_display() % {"who": self.by.name}


class TaskLetter(models.Model):
    """A letter written from a task, or answering such mail, until its copy is here and bound."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="letters")
    outgoing = models.OneToOneField(Outgoing, on_delete=models.CASCADE, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")

    def __str__(self) -> str:
        return f"letter {self.outgoing_id} of task {self.task_id}"


class ChecklistItem(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="checklist")
    text = models.CharField(max_length=500)
    done_at = models.DateTimeField(null=True)
    done_by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(text=""), name="a_point_has_words"),
            models.CheckConstraint(
                condition=Q(done_at=None, done_by=None) | Q(done_at__isnull=False, done_by__isnull=False),
                name="somebody_ticked_it",
            ),
        ]
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text


class Comment(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="comments")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    text = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="a_comment_has_words")]
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text[:60]


class TaskFile(models.Model):
    """A file of the task's own. Its bytes lie where bodies of mail lie: in one backup, each once an account."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="files")
    content = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=255)
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name


class Reminder(models.Model):
    """A notice on every page of one employee from `at` on, until they have seen it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, db_index=False, related_name="reminders")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField()
    # Set by the job whose turn it was; the page shows what was raised and not yet seen.
    raised_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "employee", "at"], name="reminder_once_a_moment"),
            models.CheckConstraint(
                condition=Q(at__range=(FIRST_DAY, LAST_DAY)), name="a_moment_one_can_show"
            ),
            models.CheckConstraint(
                condition=Q(seen_at=None) | Q(raised_at__isnull=False), name="seen_after_it_was_raised"
            ),
        ]
        indexes = [
            models.Index(fields=["account", "at"], name="reminder_waiting", condition=Q(raised_at=None)),
            models.Index(
                fields=["employee"],
                name="reminder_unseen",
                condition=Q(raised_at__isnull=False, seen_at=None),
            ),
        ]
        ordering = ["at"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M}"
