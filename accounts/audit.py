"""The audit log's one door for writing."""

from accounts.models import AuditEntry, Employee


def record(verb: str, subject: str, *, account_id: int, by: Employee | None, **details: object) -> None:
    """Append one entry in the running transaction, so that act and record exist together or not at all.

    `verb` is a past tense with a dot ("mailbox.connected"); `details` must be JSON, never mail content or a
    secret; `by` is None for what the machine did.
    """
    AuditEntry.objects.create(account_id=account_id, by=by, verb=verb, subject=subject[:300], details=details)
