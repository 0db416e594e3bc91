"""FolderCheck: one comparison of a folder with the server, kept as proof of what is here."""

from django.db import models
from django.utils import timezone

from accounts.models import Account, Employee
from mailsync.models.folder import Folder
from mailsync.models.mailbox import Mailbox


class FolderCheck(models.Model):
    """Append-only; dropped after checking.HISTORY_KEPT. `path` outlives the folder and its name.

    `differences` = [{"cause": sync.ledger.Cause, "count": n, "named": [at most 50 sync.ledger.Named as objects]}];
    counts of causes that hide mail add up to server_count - here_count, less what is here and not there. `error`
    says why the folder could not be compared, and then the counts are empty; a row without folder and path is about
    the whole mailbox. `asked_by` is empty for the nightly check.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="checks")
    folder = models.ForeignKey(
        Folder, null=True, on_delete=models.SET_NULL, db_index=False, related_name="checks"
    )
    path = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)
    server_count = models.PositiveIntegerField(null=True)
    here_count = models.PositiveIntegerField(null=True)
    differences = models.JSONField(default=list)
    # What was missing without a reason is fetched again by the sync that this check woke.
    repaired = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    asked_by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        indexes = [
            models.Index(fields=["folder", "-at"], name="check_latest"),
            models.Index(fields=["mailbox", "-at"], name="check_history"),
        ]

    def __str__(self) -> str:
        return f"{self.path}: server {self.server_count}, here {self.here_count}"
