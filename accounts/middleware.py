"""Puts each request inside its tenant, its language and its time zone."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import structlog
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django_structlog.middlewares import RequestMiddleware

from accounts import tenancy

ACCOUNT_KEY = "account"  # in the session, written at login by the adapter


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
    is gone or was deactivated acts for nobody.

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
    ) -> None:
        account_id = request.session.get(ACCOUNT_KEY)
        if opens_own_transactions(view):
            with tenancy.acting_for(account_id):
                _recognise(request)
        else:
            request.transaction.enter_context(tenancy.acting_for(account_id))
            _recognise(request)

    def process_exception(self, request: RequestOfTenant, exception: Exception) -> None:
        request.transaction.__exit__(type(exception), exception, exception.__traceback__)


def opens_own_transactions(view: Callable[..., HttpResponse]) -> bool:
    return bool(getattr(getattr(view, "view_class", view), "opens_own_transactions", False))


def _recognise(request: HttpRequest) -> None:
    """Load the employee while their row can be seen; later looks at request.user cost nothing."""
    if request.user.is_authenticated:
        structlog.contextvars.bind_contextvars(account=request.user.account_id, employee=request.user.pk)
    else:
        tenancy.leave()


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
