"""CRM as Django loads it."""

from django.apps import AppConfig
from django.utils.module_loading import import_string


class CrmConfig(AppConfig):
    name = "crm"

    def ready(self) -> None:
        """Models can be imported only now, and the receivers need them."""
        for signal, receiver in (("message_arrived", "arrivals"), ("letter_sent", "departures")):
            heard = import_string(f"mailsync.signals.{signal}")
            heard.connect(import_string(f"crm.{receiver}.receive"), dispatch_uid="crm")
