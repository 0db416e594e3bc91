"""A word to the workers that limits will change, so that people are told at once and not at the next look.

Nothing depends on it: whoever acts by limits asks for them, and a beat job looks several times a day.
"""

import logging
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)


def nudge(account_id: int | None = None) -> None:
    """Have everybody told of the changes of an account, or of all, once the running transaction is committed."""
    transaction.on_commit(partial(_send, account_id))


def _send(account_id: int | None) -> None:
    try:
        current_app.send_task("retention.tell_changes", args=[account_id], queue="sync", retry=False)
    except OperationalError:
        logger.warning("nudge_lost")
