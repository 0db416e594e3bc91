"""CRM as Django loads it."""

from django.apps import AppConfig
from django.utils.module_loading import import_string

_HEARD = {
    "message_arrived": "crm.arrivals.receive",
    "letter_queued": "crm.departures.receive",
    "letter_recalled": "crm.departures.recall",
    "letter_sent": "crm.departures.receive",
}


class CrmConfig(AppConfig):
    name = "crm"

    def ready(self) -> None:
        """Models can be imported only now, and the receivers need them."""
        for signal, receiver in _HEARD.items():
            heard = import_string(f"mailsync.signals.{signal}")
            heard.connect(import_string(receiver), dispatch_uid="crm")
