"""Layout: which columns somebody wants to see."""

from django.db import models

from accounts.models import Account, Employee


class Layout(models.Model):
    """The columns that an employee chose, by name (overview.columns); without a row the usual ones."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.OneToOneField(Employee, on_delete=models.CASCADE, related_name="+")
    columns = models.JSONField(default=list)

    def __str__(self) -> str:
        return f"{self.employee_id}: {', '.join(self.columns)}"
