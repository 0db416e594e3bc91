"""People as Django loads them."""

from django.apps import AppConfig
from django.db.models.signals import post_delete, post_save
from django.utils.module_loading import import_string


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """allauth's rows of second factors are written down in our audit log."""
        factors = import_string("allauth.mfa.models.Authenticator")
        post_save.connect(import_string("accounts.two_factor.came"), sender=factors, dispatch_uid="accounts")
        post_delete.connect(
            import_string("accounts.two_factor.went"), sender=factors, dispatch_uid="accounts"
        )
