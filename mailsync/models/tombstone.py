"""Tombstone: a mail that left on purpose while the server still shows it inside the window."""

from django.db import models

from accounts.models import Account
from mailsync.models.mailbox import Mailbox


class Tombstone(models.Model):
    """Keeps a discarded identity from being fetched again; dropped once its date leaves the window."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    identity = models.BinaryField(max_length=32)
    header_hash = models.BinaryField(max_length=32)
    reason = models.CharField(max_length=40)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "identity"], name="tombstone_once")]

    def __str__(self) -> str:
        return f"{self.reason} {bytes(self.identity).hex()[:12]}"
