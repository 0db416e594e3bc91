"""People as Django loads them."""

from django.apps import AppConfig
from django.core.validators import validate_email
from django.db.models.signals import post_delete, post_save
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """allauth's rows of second factors are written down in our audit log; and one word stands for one thing."""
        validate_email.message = gettext_lazy("Enter a valid e-mail address.")
        factors = import_string("allauth.mfa.models.Authenticator")
        post_save.connect(import_string("accounts.two_factor.came"), sender=factors, dispatch_uid="accounts")
        post_delete.connect(
            import_string("accounts.two_factor.went"), sender=factors, dispatch_uid="accounts"
        )
