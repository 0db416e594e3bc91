"""Celery's jobs of plans."""

from celery import shared_task

from plans import requesting


@shared_task(name="plans.mail_request")
def mail_request(request_id: int) -> None:
    """Tell those who run Mailbound that a company asks for another plan (queue bulk)."""
    requesting.mail(request_id)
