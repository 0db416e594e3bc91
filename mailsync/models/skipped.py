"""SkippedMessage: a UID that could not be fetched or stored, noted so that one bad mail never stops a box."""

from django.db import models
from django.utils import timezone

from accounts.models import Account
from mailsync.models.folder import Folder


class SkippedMessage(models.Model):
    """Tried, failed, counted; after three tries the engine leaves it and the page says so.

    `deadly`: a worker died while it read this one, or the session ended each time, so no run asks for it until a person
    has it tried again.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="skipped")
    uidvalidity = models.BigIntegerField()
    uid = models.BigIntegerField()
    tries = models.PositiveIntegerField(default=1)
    reason = models.TextField()
    deadly = models.BooleanField(default=False)
    last_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "uidvalidity", "uid"], name="skipped_once")]

    def __str__(self) -> str:
        return f"uid {self.uid}: {self.reason}"
