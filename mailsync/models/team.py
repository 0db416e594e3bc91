"""Work of several people in one mailbox: whose a message is, who has not read it, what they tell each other about it,
and what they are told."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, Employee
from mailsync.models.mailbox import Mailbox
from mailsync.models.message import Message


class Assignment(models.Model):
    """Whose work a message is, while they are active. Goes with the message: what is not here is no work here."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="+")
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["mailbox", "employee"], name="assignment_of_mailbox")]

    def __str__(self) -> str:
        return f"message {self.message_id} is for {self.employee_id}"


class Unread(models.Model):
    """What one person has not read, where each has read and unread of their own (Mailbox.read_apart_since).

    A row for what is unread and none for what is read, so that whoever gets access later meets no old mail. None for
    the owner, whose state is the server's \\Seen. It hangs on the message: places change with folders and UIDs.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="+")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False, related_name="+")
    # Copied from the message: the list's index needs no join.
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "employee"], name="unread_once_each")]
        indexes = [
            # Holds all that lists and counts ask for, the account for the wall.
            models.Index(
                fields=["employee", "mailbox", "-received_at"],
                name="unread_list",
                include=["message", "account"],
            )
        ]

    def __str__(self) -> str:
        return f"message {self.message_id} is unread for {self.employee_id}"


class Note(models.Model):
    """What colleagues tell each other about a message; never sent.

    It hangs on the message's identity in its mailbox and not on our copy: these are people's own words. The copy may
    leave by the plan, be moved, be fetched again, and the note is there again with it; see noting.drop_old.
    `mentions` are the ids of employees. Deleted by its author, it waits for second thoughts until the night.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="+")
    identity = models.BinaryField(max_length=32)
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    text = models.TextField()
    mentions = ArrayField(models.BigIntegerField(), default=list)
    at = models.DateTimeField(default=timezone.now)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="a_note_says_something")]
        indexes = [
            models.Index(fields=["mailbox", "identity", "at"], name="note_of_message"),
            models.Index(fields=["account", "at"], name="note_by_age"),
        ]

    def __str__(self) -> str:
        return self.text[:40]


class NoticeKind(models.TextChoices):
    """`words` of the first three: the level; of MENTIONED: the note's beginning; of OPENED: the admin's reason; of
    SHARED, which owners are told: for whom something changed."""

    GAINED = "gained"
    CHANGED = "changed"
    LOST = "lost"
    ASSIGNED = "assigned"
    MENTIONED = "mentioned"
    OPENED = "opened"
    SHARED = "shared"


class Notice(models.Model):
    """One thing that one employee is told, until they have seen it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, db_index=False, related_name="+")
    kind = models.CharField(max_length=12, choices=NoticeKind)
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="+")
    message = models.ForeignKey(Message, null=True, on_delete=models.CASCADE, related_name="+")
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    words = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["employee", "-id"], name="notice_unseen", condition=Q(seen_at__isnull=True)),
            models.Index(fields=["account", "at"], name="notice_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.employee_id}"
