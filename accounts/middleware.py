"""Puts each request inside its tenant, its language and its time zone."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils import timezone, translation

from accounts import tenancy

ACCOUNT_KEY = "account"  # in the session, written at login by the adapter


class TenancyMiddleware:
    """Runs the view in one transaction that acts for the session's account.

    A view that must not hold a transaction (it talks to the network) sets `opens_own_transactions = True`
    on itself and uses tenancy.acting_for where it needs rows.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponse],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponse | None:
        if getattr(view, "opens_own_transactions", False):
            return None
        with tenancy.acting_for(request.session.get(ACCOUNT_KEY)):
            with timezone.override(request.session.get("time_zone") or timezone.get_default_timezone()):
                response = view(request, *args, **kwargs)
                if isinstance(response, SimpleTemplateResponse):
                    response.render()
        return response


class LocaleOfEmployeeMiddleware:
    """The employee's language, remembered in the session at login; before it, what the browser asks for."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = request.session.get("language") or translation.get_language_from_request(request)
        with translation.override(language):
            response = self.get_response(request)
        response.headers.setdefault("Content-Language", language)
        return response
