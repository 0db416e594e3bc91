"""How a verb is answered: with a sentence on the next page, or with the refusal in its place."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect

from accounts.views import RequestOfEmployee
from tasks.telling import CannotDo


def by_htmx(request: RequestOfEmployee) -> bool:
    return bool(request.headers.get("HX-Request"))


def tried(request: RequestOfEmployee, verb: Callable[[], object], *, back: str) -> HttpResponse:
    """Do it and go back; a refusal is shown there as a sentence."""
    try:
        verb()
    except CannotDo as refusal:
        messages.error(request, str(refusal))
    return redirect(back)
