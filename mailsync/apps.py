"""Mail as Django loads it."""

from django.apps import AppConfig
from django.utils.module_loading import import_string


class MailsyncConfig(AppConfig):
    name = "mailsync"

    def ready(self) -> None:
        """Models can be imported only now, and the receivers need them."""
        moved = import_string("accounts.departments.moved")
        moved.connect(import_string("mailsync.sharing.department_changed"), dispatch_uid="mailsync")
