"""Placement: a message in a folder under a UID."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import ExpressionWrapper, F, Q

from accounts.models import Account
from mailsync.models.folder import Folder
from mailsync.models.message import Message


class Placement(models.Model):
    """`uid` is empty while a move made here waits for the server to tell the new one."""

    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    # No index of its own on either key: the named ones begin with them, and the planner would mix.
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, db_index=False, related_name="placements")
    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False, related_name="placements")
    uid = models.BigIntegerField(null=True)
    # The server's flags with pending intentions on top, sorted; \Recent is never kept.
    flags = ArrayField(models.TextField(), default=list)
    # Copied from the message: the list's index needs no join.
    received_at = models.DateTimeField()
    # Columns the database derives, so that indexes stay usable under row-level security (plain booleans
    # are leakproof, array operators are not).
    seen = models.GeneratedField(
        expression=ExpressionWrapper(Q(flags__contains=["\\Seen"]), models.BooleanField()),
        output_field=models.BooleanField(),
        db_persist=True,
    )
    starred = models.GeneratedField(
        expression=ExpressionWrapper(Q(flags__contains=["\\Flagged"]), models.BooleanField()),
        output_field=models.BooleanField(),
        db_persist=True,
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["folder", "uid"], name="uid_once_a_folder", condition=Q(uid__isnull=False)
            ),
        ]
        indexes = [
            models.Index("folder", F("received_at").desc(), F("id").desc(), name="placement_list"),
            models.Index(
                "folder",
                F("received_at").desc(),
                F("id").desc(),
                name="placement_unseen",
                condition=Q(seen=False),
            ),
            models.Index(
                "folder",
                F("received_at").desc(),
                F("id").desc(),
                name="placement_starred",
                condition=Q(starred=True),
            ),
            models.Index(fields=["message"], name="placement_of_message"),
            models.Index(fields=["folder"], name="placement_waiting", condition=Q(uid__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"message {self.message_id} in {self.folder_id} uid {self.uid}"
