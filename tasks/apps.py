"""Tasks as Django loads them."""

from django.apps import AppConfig
from django.utils.module_loading import import_string

_HEARD = {"message_arrived": "receive", "letter_queued": "queued", "letter_recalled": "recalled"}


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        """Models can be imported only now, and the receivers need them."""
        for signal, receiver in _HEARD.items():
            heard = import_string(f"mailsync.signals.{signal}")
            heard.connect(import_string(f"tasks.arrivals.{receiver}"), dispatch_uid="tasks")
