"""Layout: which columns somebody wants to see; Deed: what an admin did to many mailboxes at once."""

from django.db import models
from django.utils import timezone

from accounts.models import Account, Employee


class Layout(models.Model):
    """The columns that an employee chose, by name (overview.columns); without a row the usual ones."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.OneToOneField(Employee, on_delete=models.CASCADE, related_name="+")
    columns = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.employee_id}: {', '.join(self.columns)}"


class Deed(models.Model):
    """What an admin did to mailboxes from the list, and what it takes to undo it.

    `before` = [[mailbox's id, what was so before]], of those alone that it changed; the shape is bulk's matter.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="+")
    verb = models.CharField(max_length=20)
    before = models.JSONField(default=list)
    at = models.DateTimeField(default=timezone.now)
    undone_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.verb} {len(self.before)}"
