"""CRM as Django loads it."""

from django.apps import AppConfig
from django.utils.module_loading import import_string


class CrmConfig(AppConfig):
    name = "crm"

    def ready(self) -> None:
        """Models can be imported only now, and the receiver needs them."""
        signal = import_string("mailsync.signals.message_arrived")
        signal.connect(import_string("crm.arrivals.receive"), dispatch_uid="crm")
