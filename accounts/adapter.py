"""allauth's hooks: signing in crosses the wall between tenants exactly once, here."""

from typing import Any, Never

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit, sessions, tenancy, throttling
from accounts.middleware import ACCOUNT_KEY
from accounts.models import Employee

PENDING_KEY = "pending_account"  # in the session between a right password and the second factor


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """People are added by their admin and companies by plans.views; login finds the account by the address."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": gettext_lazy("The e-mail address or the password is not right."),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002 (allauth's signature)
        return False

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Employee | None:
        """Enter the account of the address, then let allauth check the password (and us how often it was tried).

        The account stays entered only for whom the password was right: the rest of the login needs their row.
        """
        email = str(credentials.get("email") or "").strip().lower()
        account_id = tenancy.account_of_address(email)
        if account_id is not None:
            tenancy.enter(account_id)
        employee: Employee | None = None
        try:
            employee = super().authenticate(request, **credentials)
            if employee is None and account_id is not None:
                self._note("sign_in.failed", request, email, account_id, by=None)
        finally:
            if employee is None:
                tenancy.leave()
        return employee

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Instead of allauth's limits, by which one place or one victim is locked out cheaply."""
        self._attempt = throttling.attempt(request, str(credentials.get("email") or "").strip().lower())
        limit = self._attempt.begin()
        if limit:
            _refuse(limit)

    def _rollback_login_failed_rl_usage(self) -> None:
        """allauth's word for: the password was right."""
        self._attempt.succeeded()

    def reauthenticate(self, user: Employee, password: str) -> bool:
        """The person is known and their account entered: allauth would look for an address in its own table."""
        return user.check_password(password)

    def pre_login(self, request: HttpRequest, user: Employee, **kwargs: Any) -> HttpResponse | None:
        """The pages between password and second factor act for nobody yet: they enter this account."""
        request.session[PENDING_KEY] = user.account_id
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def _note(
        self, verb: str, request: HttpRequest, email: str, account_id: int, *, by: Employee | None
    ) -> None:
        address = self.get_client_ip(request)
        audit.record(verb, email, account_id=account_id, by=by, address=address)

    def login(self, request: HttpRequest, user: Employee) -> None:
        """Remember the account in the session: the next request starts inside it."""
        super().login(request, user)
        request.session.pop(PENDING_KEY, None)
        request.session[ACCOUNT_KEY] = user.account_id
        remember_locale(request, user)
        sessions.begin(request, user)
        self._note("sign_in.made", request, user.email, user.account_id, by=user)

    def post_login(self, request: HttpRequest, user: Employee, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        throttling.know(request, response, user.email)
        return response

    def logout(self, request: HttpRequest) -> None:
        user = request.user
        if isinstance(user, Employee):
            self._note("sign_in.ended", request, user.email, user.account_id, by=user)
        sessions.end_this(request)
        super().logout(request)

    def set_password(self, user: Employee, password: str) -> None:
        """The employee's own change; an admin's is people.renew_password."""
        super().set_password(user, password)
        audit.record("employee.password_changed", user.email, account_id=user.account_id, by=user)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:  # noqa: ARG002
        return reverse("people:settings")


def _refuse(limit: throttling.Limit) -> Never:
    """The same for an address that exists and for one that does not."""
    minutes = limit.seconds // 60
    raise ValidationError(
        _("Too many failed sign-ins. Wait %(minutes)s minutes, or sign in with a passkey.")
        % {"minutes": minutes}
    )


def remember_locale(request: HttpRequest, employee: Employee) -> None:
    """Language and time zone are read from the session, before any employee is loaded."""
    request.session["language"] = employee.language
    request.session["time_zone"] = employee.time_zone


def of_sign_in(request: HttpRequest) -> dict[str, str | bool]:  # noqa: ARG001 (a context processor)
    """For the sign-in page: the trial's logins (empty on a real server), and whether companies may sign up."""
    return {"demo_note": settings.MAIL_DEMO_NOTE, "sign_up_open": settings.SIGN_UP}
