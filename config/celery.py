"""The Celery application; jobs are found in each app's `jobs.py`."""

import gc
import os
from typing import Any

from celery import Celery
from celery.signals import celeryd_after_setup

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
app = Celery("mailbound")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")


@celeryd_after_setup.connect
def _keep_what_is_loaded(**_options: Any) -> None:
    """What is loaded stays until the end: each full collection looked through all of it, for a tenth of a second in the
    middle of whatever a worker does. Before the processes are forked, which then share it."""
    gc.collect()
    gc.freeze()
