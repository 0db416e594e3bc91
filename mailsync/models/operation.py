"""Operation: what an employee wants done on the server."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import Account, Employee
from mailsync.models.folder import Folder
from mailsync.models.mailbox import Mailbox
from mailsync.models.outgoing import Outgoing
from mailsync.models.placement import Placement


class OperationKind(models.TextChoices):
    FLAG = "flag"
    MOVE = "move"
    EXPUNGE = "expunge"
    APPEND = "append"
    CREATE = "create"
    RENAME = "rename"
    DELETE = "delete"


# What is done to folders, in the order asked for; everything else is done to messages.
FOLDER_KINDS = (OperationKind.CREATE, OperationKind.RENAME, OperationKind.DELETE)


class OperationState(models.TextChoices):
    PENDING = "pending"  # may still be changed or taken back
    SENDING = "sending"  # a worker has it; its effect on the server is unknown until it says so
    DONE = "done"
    FAILED = "failed"  # rolled back on screen, with a notice
    VOID = "void"  # taken back by the employee, or its UID died with the UIDVALIDITY


# What the server has not answered yet.
OPEN = (OperationState.PENDING, OperationState.SENDING)


class Operation(models.Model):
    """An intention with the server's coordinates (folder, uidvalidity, uid): it replays harmlessly.

    `uid` is empty while the placement itself waits for its UID (moved here a moment ago): the engine fills
    the coordinates in when it is known. On folders `old_name` and `new_name` are the coordinates: names byte for
    byte, as they are once all earlier operations are done; a deletion means the `uidvalidity` too. `folder` is
    empty when it no longer exists here. An append means `outgoing`, whatever it says when its turn comes: its draft
    in the Drafts folder, its copy in Sent, or nothing of it in Drafts.
    """

    # As of messages: the row that this one refers to has asked for the account.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="operations")
    kind = models.CharField(max_length=10, choices=OperationKind)
    state = models.CharField(max_length=10, choices=OperationState, default=OperationState.PENDING)
    folder = models.ForeignKey(Folder, null=True, on_delete=models.SET_NULL, related_name="+")
    uidvalidity = models.BigIntegerField(null=True)
    uid = models.BigIntegerField(null=True)
    # The message that it is meant for, by its INTERNALDATE and header: a server that was restored from a backup gives
    # the UID to another under the same UIDVALIDITY (C14).
    received_at = models.DateTimeField(null=True)
    header_hash = models.BinaryField(max_length=32, null=True)
    add = ArrayField(models.TextField(), default=list)
    remove = ArrayField(models.TextField(), default=list)
    target = models.ForeignKey(Folder, null=True, on_delete=models.SET_NULL, related_name="+")
    placement = models.ForeignKey(Placement, null=True, on_delete=models.SET_NULL, related_name="operations")
    outgoing = models.ForeignKey(Outgoing, null=True, on_delete=models.SET_NULL, related_name="operations")
    old_name = models.BinaryField(null=True)
    new_name = models.BinaryField(null=True)
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="+")
    tries = models.PositiveIntegerField(default=0)
    # A copy of a letter for which there was no room, or that its provider may still file, is not tried again before
    # this moment.
    not_before = models.DateTimeField(null=True)
    error = models.TextField(blank=True)
    # A failed operation is shown to `by` until they have seen it.
    noticed_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["folder", "uid", "kind"],
                name="one_pending_operation",
                condition=Q(state="pending", uid__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["outgoing"], name="one_append_a_letter", condition=Q(state="pending", kind="append")
            ),
            models.CheckConstraint(
                condition=Q(kind="append", uid=None) | (~Q(kind="append") & Q(outgoing=None)),
                name="only_letters_are_appended",
            ),
            models.CheckConstraint(
                # A finished move outlives the folder it went to, with its notice.
                condition=Q(kind="move", target__isnull=False)
                | (Q(kind="move") & ~Q(state__in=["pending", "sending"]))
                | (~Q(kind="move") & Q(target__isnull=True)),
                name="a_move_has_a_target",
            ),
            models.CheckConstraint(
                condition=Q(kind="create", old_name=None, new_name__isnull=False, uid=None)
                | Q(kind="rename", old_name__isnull=False, new_name__isnull=False, uid=None)
                | Q(kind="delete", old_name__isnull=False, new_name=None, uid=None)
                | (~Q(kind__in=["create", "rename", "delete"]) & Q(old_name=None, new_name=None)),
                name="only_folders_change_names",
            ),
        ]
        indexes = [
            models.Index(
                fields=["mailbox", "id"], name="operation_open", condition=Q(state__in=["pending", "sending"])
            ),
            models.Index(
                fields=["placement"],
                name="operation_of_placement",
                condition=Q(state__in=["pending", "sending"]),
            ),
            models.Index(
                fields=["by"], name="operation_failed", condition=Q(state="failed", noticed_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state} uid {self.uid}"
