"""URLs of the second factor, passkeys and sessions, under the names that allauth leads to."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.account import views as account
from allauth.mfa.base import views as base
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as passkeys
from django.http import HttpRequest, HttpResponseBase
from django.urls import path

from accounts import security_views, tenancy
from accounts.adapter import PENDING_KEY

View = Callable[..., HttpResponseBase]


def between(view: View) -> View:
    """A page after the right password and before the second factor: it sees the account that was signed in to."""

    @wraps(view)
    def entered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        account_id = request.session.get(PENDING_KEY)
        if account_id is not None and not request.user.is_authenticated:
            tenancy.enter(account_id)
        return view(request, *args, **kwargs)

    return entered


urlpatterns = [
    path("security/", security_views.security, name="mfa_index"),
    path("security/passkeys/", security_views.security, name="mfa_list_webauthn"),
    path("security/passkeys/add/", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("security/passkeys/<int:pk>/rename/", passkeys.edit_webauthn, name="mfa_edit_webauthn"),
    path("security/passkeys/<int:pk>/remove/", passkeys.remove_webauthn, name="mfa_remove_webauthn"),
    path("security/app/add/", totp.activate_totp, name="mfa_activate_totp"),
    path("security/app/remove/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("security/codes/", recovery_codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("security/codes/new/", recovery_codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("security/codes/file/", recovery_codes.download_recovery_codes, name="mfa_download_recovery_codes"),
    path("login/second/", between(base.authenticate), name="mfa_authenticate"),
    path("login/passkey/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("again/", account.reauthenticate, name="account_reauthenticate"),
    path("again/code/", base.reauthenticate, name="mfa_reauthenticate"),
    path("again/passkey/", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
]
