"""Outage: a mail server that workers could not reach lately."""

from django.db import models


class Outage(models.Model):
    """Global like Schedule, and as nameless: `server` is its number (mailsync.lanes)."""

    server = models.BigIntegerField(primary_key=True)
    failures = models.PositiveIntegerField(default=1)  # since somebody got through
    next_try_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"server {self.server}: {self.failures} failures"
