"""How a verb is answered: with a sentence on the next page, or with the refusal in its place."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.views import RequestOfEmployee
from tasks.actions import CannotDo


def number(text: str | None) -> int:
    """An id as a browser sends it; Http404 for anything else."""
    if not text or not text.isdecimal() or len(text) > 18:
        raise Http404
    return int(text)


def by_htmx(request: RequestOfEmployee) -> bool:
    return bool(request.headers.get("HX-Request"))


def tried(request: RequestOfEmployee, verb: Callable[[], object], *, back: str) -> HttpResponse:
    """Do it and go back; a refusal is shown there as a sentence."""
    try:
        verb()
    except CannotDo as refusal:
        messages.error(request, str(refusal))
    return redirect(back)


def next_page(request: RequestOfEmployee, otherwise: str) -> str:
    """Where the form wants to return to, if that is a page of ours."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/")
    return wanted if safe else otherwise
