"""allauth's hooks: signing in crosses the wall between tenants exactly once, here."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from accounts import audit, tenancy
from accounts.middleware import ACCOUNT_KEY
from accounts.models import Employee


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """People are added by their admin and companies by plans.views; login finds the account by the address."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 (allauth's signature)
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Employee | None:
        """Enter the account of the address, then let allauth check the password (and its rate limits).

        The account stays entered only for whom the password was right: the rest of the login needs their row.
        """
        account_id = tenancy.account_of_address(str(credentials.get("email") or "").strip().lower())
        if account_id is not None:
            tenancy.enter(account_id)
        employee: Employee | None = None
        try:
            employee = super().authenticate(request, **credentials)
        finally:
            if employee is None:
                tenancy.leave()
        return employee

    def login(self, request: HttpRequest, user: Employee) -> None:
        """Remember the account in the session: the next request starts inside it."""
        super().login(request, user)
        request.session[ACCOUNT_KEY] = user.account_id
        remember_locale(request, user)

    def set_password(self, user: Employee, password: str) -> None:
        """The employee's own change; an admin's is people.renew_password."""
        super().set_password(user, password)
        audit.record("employee.password_changed", user.email, account_id=user.account_id, by=user)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:  # noqa: ARG002
        return reverse("people:settings")


def remember_locale(request: HttpRequest, employee: Employee) -> None:
    """Language and time zone are read from the session, before any employee is loaded."""
    request.session["language"] = employee.language
    request.session["time_zone"] = employee.time_zone


def of_sign_in(request: HttpRequest) -> dict[str, str | bool]:  # noqa: ARG001 (a context processor)
    """For the sign-in page: the trial's logins (empty on a real server), and whether companies may sign up."""
    return {"demo_note": settings.MAIL_DEMO_NOTE, "sign_up_open": settings.SIGN_UP}
