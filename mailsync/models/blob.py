"""Blob: the bytes of a message's body, once per account."""

from django.db import models
from django.utils import timezone

from accounts.models import Account


class Blob(models.Model):
    """Immutable bytes known by their hash. Never shared between accounts: a hash would tell what another holds.

    `digest` is BLAKE3 of the bytes (blobs.digest_of). `content` is empty where the bytes are a file (mailsync.blobs).
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    digest = models.BinaryField(max_length=32)
    size = models.PositiveBigIntegerField()
    content = models.BinaryField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "digest"], name="blob_once_an_account")]

    def __str__(self) -> str:
        return f"{self.size} bytes {bytes(self.digest).hex()[:12]}"
