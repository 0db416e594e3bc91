"""What an account has sent in a month, and the ledger that says why it is so much."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account
from mailsync.models.outgoing import Origin, Outgoing


class OutgoingUsage(models.Model):
    """Recipients written to in a calendar month of the account's time zone; `month` is its first day.

    `used` counts against the plan (crm, marketing, workflow, automation), `marketing` is the part of it that campaigns
    took, `webmail` is counted and never refused.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    month = models.DateField()
    used = models.PositiveIntegerField(default=0)
    marketing = models.PositiveIntegerField(default=0)
    webmail = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "month"], name="one_usage_a_month"),
            models.CheckConstraint(condition=Q(marketing__lte=F("used")), name="marketing_is_part_of_it"),
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}: {self.used}"


class LedgerEntry(models.Model):
    """Append-only (a trigger refuses UPDATE and DELETE, but for the link to a letter that is no more).

    `count` recipients were reserved (above 0) or given back (below). The sum of a month is its OutgoingUsage.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    month = models.DateField()
    outgoing = models.ForeignKey(Outgoing, null=True, on_delete=models.SET_NULL, related_name="ledger")
    origin = models.CharField(max_length=10, choices=Origin)
    count = models.IntegerField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(count=0), name="an_entry_counts")]
        indexes = [models.Index(fields=["account", "month"], name="ledger_of_month")]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.origin} {self.count:+d}"
