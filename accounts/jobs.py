"""Celery's jobs of people."""

from celery import shared_task

from accounts import notices


@shared_task(name="accounts.mail_notices")
def mail_notices(account_id: int) -> None:
    """Send an account's notices by e-mail (queue bulk)."""
    notices.mail(account_id)
