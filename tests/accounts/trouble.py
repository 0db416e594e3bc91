"""URLs that only the tests of the middleware have: views that go wrong in each possible way."""

from collections.abc import Iterator

from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import path

from accounts.models import Account, Employee
from config.urls import urlpatterns as of_the_product

ERRORS = {"crash": ZeroDivisionError, "missing": Http404, "forbidden": PermissionDenied}


def people(request: HttpRequest) -> HttpResponse:
    return HttpResponse(", ".join(Employee.objects.order_by("name").values_list("name", flat=True)))


def rename(request: HttpRequest, then: str) -> HttpResponse:
    """Change a row, then go wrong (or well)."""
    Employee.objects.filter(email="ann@acme.example").update(name="Renamed")
    Account.objects.filter(name="Acme").update(name="Renamed")
    if then in ERRORS:
        raise ERRORS[then]
    if then == "template":
        return TemplateResponse(request, engines["django"].from_string("{% include 'no/such.html' %}"))
    return HttpResponse("done")


def late(request: HttpRequest) -> TemplateResponse:
    """The rows are asked for by the template, after the view returned."""
    template = engines["django"].from_string("{% for one in people %}{{ one.name }},{% endfor %}")
    return TemplateResponse(request, template, {"people": Employee.objects.order_by("name")})


def streamed(request: HttpRequest) -> StreamingHttpResponse:
    def lines() -> Iterator[str]:
        yield f"{Employee.objects.count()} people"

    return StreamingHttpResponse(lines())


def networking(request: HttpRequest) -> HttpResponse:
    return HttpResponse(
        f"{request.user} in_transaction={connection.in_atomic_block} {Employee.objects.count()}"
    )


networking.opens_own_transactions = True  # type: ignore[attr-defined]

urlpatterns = [
    path("t/people/", people),
    path("t/rename/<str:then>/", rename),
    path("t/late/", late),
    path("t/streamed/", streamed),
    path("t/networking/", networking),
    *of_the_product,
]
