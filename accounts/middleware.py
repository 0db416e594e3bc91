"""Puts each request inside its tenant, its language and its time zone."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django_structlog.middlewares import RequestMiddleware

from accounts import sessions, tenancy

ACCOUNT_KEY = "account"  # in the session, written at login by the adapter
# What stays open to who owes two-factor: setting it up, a new password, signing out.
_WITHOUT_TWO_FACTOR = (
    "mfa_",
    "account_reauthenticate",
    "account_change_password",
    "account_logout",
    "healthz",
)


class RequestLogMiddleware(RequestMiddleware):
    """django-structlog's, without the query: it holds what people search for, and the secrets of links."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        return f"{request.method} {request.path}"


class RequestOfTenant(HttpRequest):
    """A request that holds the transaction it runs in."""

    transaction: ExitStack


class TenancyMiddleware:
    """Runs the view and its template in one transaction that acts for the session's account.

    The transaction commits when the response is made and rolls back when the view raises; error pages are
    made after that and see no tenant row, but `request.user` is already known. A session whose employee
    is gone or was deactivated acts for nobody. Who owes two-factor is led to set it up, whatever they ask for.

    A view that must not hold a transaction (it talks to the network) sets `opens_own_transactions = True`
    on itself (or its class) and uses tenancy.acting_for(request.user.account_id) where it needs rows. So must
    the generator of a streamed response: it is read after the commit.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: RequestOfTenant) -> HttpResponse:
        with ExitStack() as request.transaction:
            return self.get_response(request)

    def process_view(
        self,
        request: RequestOfTenant,
        view: Callable[..., HttpResponse],
        args: tuple[Any, ...],  # noqa: ARG002 (Django's signature)
        kwargs: dict[str, Any],  # noqa: ARG002
    ) -> HttpResponse | None:
        account_id = request.session.get(ACCOUNT_KEY)
        if opens_own_transactions(view):
            with tenancy.acting_for(account_id):
                _recognise(request)
        else:
            request.transaction.enter_context(tenancy.acting_for(account_id))
            _recognise(request)
        return _led_to_two_factor(request)

    def process_exception(self, request: RequestOfTenant, exception: Exception) -> None:
        request.transaction.__exit__(type(exception), exception, exception.__traceback__)


def opens_own_transactions(view: Callable[..., HttpResponse]) -> bool:
    return bool(getattr(getattr(view, "view_class", view), "opens_own_transactions", False))


def _recognise(request: HttpRequest) -> None:
    """Load the employee while their row can be seen; later looks at request.user cost nothing."""
    if request.user.is_authenticated:
        structlog.contextvars.bind_contextvars(account=request.user.account_id, employee=request.user.pk)
        sessions.touch(request)
    else:
        tenancy.leave()


def _led_to_two_factor(request: HttpRequest) -> HttpResponse | None:
    if not getattr(request.user, "owes_two_factor", False):
        return None
    wanted = request.resolver_match.view_name if request.resolver_match else ""
    if wanted.startswith(_WITHOUT_TWO_FACTOR):
        return None
    there = reverse("mfa_index")
    if "HX-Request" in request.headers:
        return HttpResponse(status=204, headers={"HX-Redirect": there})
    return HttpResponseRedirect(there)


class LocaleOfEmployeeMiddleware:
    """Language and time zone of the employee, from the session; before login, the browser's language."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = request.session.get("language") or translation.get_language_from_request(request)
        zone = request.session.get("time_zone") or timezone.get_default_timezone()
        with translation.override(language), timezone.override(zone):
            response = self.get_response(request)
            response.headers.setdefault("Content-Language", translation.get_language())
        patch_vary_headers(response, ["Accept-Language"])
        return response
