"""Act: what one click of an employee did, with what it takes to undo it."""

from django.db import models
from django.utils import timezone

from accounts.models import Account, Employee


class Act(models.Model):
    """`undo` = {"flags": [{"add": […], "remove": […], "placements": [ids]}], "moves": {folder id: [placement ids]}}.

    Expunging has no undo: its `undo` is empty.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
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
