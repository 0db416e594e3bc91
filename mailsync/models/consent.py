"""Consent: what a person allowed us at a provider (OAuth 2), and the keys that come with it."""

from django.db import models
from django.utils import timezone

from accounts.models import Account


class Consent(models.Model):
    """One consent; a test that proves it and the mailbox that lives by it share the row, and so its lock.

    `address` is who consented, as the provider says; it never changes. `secret` = secrets.seal(JSON of the access
    and the refresh token). Rows that neither a mailbox nor a test needs are dropped after a day.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    provider = models.CharField(max_length=20)
    address = models.EmailField(max_length=254)
    secret = models.BinaryField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.address} at {self.provider}"
