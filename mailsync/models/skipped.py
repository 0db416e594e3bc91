"""SkippedMessage: a UID that could not be fetched or stored, noted so that one bad mail never stops a box."""

from typing import Self

from django.db import models
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from accounts.models import Account
from mailsync.models.folder import Folder
from mailsync.models.placement import Placement


class SkippedQuerySet(models.QuerySet["SkippedMessage"]):
    def arrived(self) -> Self:
        """Those that are here: what came in a later try."""
        here = Placement.objects.filter(folder=OuterRef("folder"), uid=OuterRef("uid"))
        return self.filter(Exists(here), uidvalidity=F("folder__uidvalidity"))


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

    objects = SkippedQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "uidvalidity", "uid"], name="skipped_once")]

    def __str__(self) -> str:
        return f"uid {self.uid}: {self.reason}"
