"""Folder: one IMAP mailbox of a connected address, with its cursors and kept counters."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from mailsync.models.mailbox import Mailbox
from mailsync.sync.brake import Brake


class SpecialUse(models.TextChoices):
    """RFC 6154, plus INBOX; the role decides what archive, trash and spam mean."""

    INBOX = "inbox", _("Inbox")
    DRAFTS = "drafts", _("Drafts")
    SENT = "sent", _("Sent")
    ARCHIVE = "archive", _("Archive")
    JUNK = "junk", _("Spam")
    TRASH = "trash", _("Trash")
    ALL = "all", _("All mail")
    FLAGGED = "flagged", _("Flagged")


class Folder(models.Model):
    """`name` is what the server said, byte for byte; `path` is for people. Counters are kept by a trigger.

    An employee's act shows in `path` at once; `name` follows when the server has taken it.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="folders")
    name = models.BinaryField()
    path = models.TextField()
    delimiter = models.CharField(max_length=4, blank=True)
    special_use = models.CharField(max_length=10, choices=SpecialUse, blank=True)
    # False for \Noselect parents, and for names that are listed although there is no such folder: never opened, and
    # seen only in front of the names of those inside.
    selectable = models.BooleanField(default=True)
    syncing = models.BooleanField(default=True)
    # An employee deleted it: hidden until the server has done so or refused.
    deleting = models.BooleanField(default=False)
    # Why the folder is left alone for now, as a sentence; "" when nothing is wrong.
    error = models.TextField(blank=True)
    errors_in_row = models.PositiveIntegerField(default=0)
    refused_since = models.DateTimeField(null=True)  # it does not open

    uidvalidity = models.BigIntegerField(null=True)
    # Every UID at or below was planned for: present here, discarded, or outside the window.
    uid_seen = models.BigIntegerField(default=0)
    modseq = models.BigIntegerField(null=True)
    # MESSAGES and UIDNEXT of the server when last equal: with them a vanished UID is arithmetic.
    server_messages = models.BigIntegerField(default=0)
    server_uidnext = models.BigIntegerField(default=0)
    full_at = models.DateTimeField(null=True)
    # How far down a look at every message has come that a run had no time to end (pulling.Walk).
    walk = models.JSONField(null=True)
    # How many placements the last plan would have dropped and the brake held back; see sync.brake.
    held_back = models.PositiveIntegerField(default=0)
    brake = models.CharField(max_length=10, blank=True, choices=[(b.value, b.name) for b in Brake])
    # Progress of a fetch: messages on the server and how many of them were looked through.
    wanted = models.PositiveIntegerField(default=0)
    fetched = models.PositiveIntegerField(default=0)

    # Kept by trigger mailsync_count_placements; the page never counts.
    total = models.IntegerField(default=0)
    unseen = models.IntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "name"], name="folder_name_once"),
            models.UniqueConstraint(
                fields=["mailbox", "special_use"], name="one_folder_a_role", condition=~Q(special_use="")
            ),
            models.CheckConstraint(
                condition=Q(total__gte=0) & Q(unseen__gte=0), name="folder_counters_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return self.path


def no_cursors() -> dict[str, object]:
    """Columns of a folder that is read from the beginning. UIDVALIDITY stays: copies may still be leaving."""
    return {
        "uid_seen": 0,
        "modseq": None,
        "server_messages": 0,
        "server_uidnext": 0,
        "wanted": 0,
        "fetched": 0,
        **to_be_compared(),
    }


def to_be_compared() -> dict[str, object]:
    """Columns of a folder of which every message is looked at in the next run, from the newest down."""
    return {"full_at": None, "walk": None}
