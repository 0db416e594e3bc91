"""Event: what happened to one message, or to all messages of a folder at once, and who did it."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Account, Employee
from mailsync.models.folder import Folder
from mailsync.models.message import Message


class EventKind(models.TextChoices):
    """What an employee does has the operation's word; then it is sent, or refused by the server."""

    FLAG = "flag"  # without `by`: another program
    MOVE = "move"
    EXPUNGE = "expunge"
    FLAG_SENT = "flag sent"
    MOVE_SENT = "move sent"
    FLAG_REFUSED = "flag refused"
    MOVE_REFUSED = "move refused"
    # What other programs did, as the server shows it: a move of theirs is one of each, in either order.
    PLACED = "placed"
    GONE = "gone"
    # Of work in a shared mailbox: `target` is the name of whose it is now, "" for nobody's.
    ASSIGN = "assign"
    # Of a whole folder: its UIDVALIDITY changed.
    RENUMBERED = "renumbered"


class Event(models.Model):
    """Append-only (a trigger refuses UPDATE); dropped after MAIL_HISTORY_DAYS, or with its message.

    That a message came in is no event: Message.stored_at and its first place say so. `path` and `target` are the
    names that the folders had at that moment. `flags` = "+\\Seen -\\Flagged". `note` is the server's refusal.
    """

    # As of messages: the row that this one refers to has asked for the account.
    account = models.ForeignKey(
        Account, on_delete=models.PROTECT, db_constraint=False, db_index=False, related_name="+"
    )
    message = models.ForeignKey(
        Message, null=True, on_delete=models.CASCADE, db_index=False, related_name="events"
    )
    folder = models.ForeignKey(
        Folder, null=True, on_delete=models.CASCADE, db_index=False, related_name="events"
    )
    at = models.DateTimeField(db_default=Now())
    kind = models.CharField(max_length=20, choices=EventKind)
    path = models.TextField()
    uid = models.BigIntegerField(null=True)
    target = models.TextField(db_default="", blank=True)
    flags = models.TextField(db_default="", blank=True)
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    note = models.TextField(db_default="", blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(message__isnull=True, folder__isnull=False)
                | Q(message__isnull=False, folder__isnull=True),
                name="an_event_has_one_subject",
            ),
        ]
        indexes = [
            # With the account, which the wall asks for: else the planner reads all events of the account beside it.
            models.Index(
                fields=["message", "account", "id"],
                name="event_in_order",
                condition=Q(message__isnull=False),
            ),
            models.Index(fields=["folder"], name="event_of_folder", condition=Q(folder__isnull=False)),
            models.Index(fields=["account", "at"], name="event_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.path} uid {self.uid}"
