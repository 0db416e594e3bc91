"""Act: what one click of an employee did, with what it takes to undo it."""

from django.db import models
from django.utils import timezone

from accounts.models import Account, Employee


class Act(models.Model):
    """`undo` says how to take it back; empty where nothing can (expunging).

    {"flags": [{"add": […], "remove": […], "placements": [ids]}], "moves": {source folder id: [placement ids]},
    "to": [ids of the folders moved to], so that a message which somebody moved on since then is left alone,
    "read" and "unread": [ids of messages] that become so again for the employee alone,
    "assigned": {message id: whose it was or null}, "whose": whose it was made, likewise}
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    verb = models.CharField(max_length=20)
    count = models.PositiveIntegerField()
    undo = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["by", "-at"], name="act_newest")]

    def __str__(self) -> str:
        return f"{self.verb} {self.count}"
