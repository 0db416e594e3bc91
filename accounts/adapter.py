"""allauth's hooks: signing in crosses the wall between tenants exactly once, here."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts import tenancy
from accounts.middleware import ACCOUNT_KEY
from accounts.models import Employee


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """People are added by their admin: nobody signs up, and login finds the account by the address."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 (allauth's signature)
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Employee | None:
        """Enter the account of the address, then let allauth check the password (and its rate limits)."""
        email = str(credentials.get("email") or "").strip().lower()
        tenancy.allow_sign_in(email)
        account_id = Employee.objects.filter(email=email).values_list("account_id", flat=True).first()
        if account_id is not None:
            tenancy.enter(account_id)
        employee: Employee | None = super().authenticate(request, **credentials)
        return employee

    def login(self, request: HttpRequest, user: Employee) -> None:
        """Remember the account in the session: the next request starts inside it."""
        super().login(request, user)
        request.session[ACCOUNT_KEY] = user.account_id
        request.session["language"] = user.language
        request.session["time_zone"] = user.time_zone
