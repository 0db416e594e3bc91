"""Completion of recipients."""

from dataclasses import asdict

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.views import RequestOfEmployee
from mailsync import composing, suggesting


@login_required
@require_safe
@never_cache
def people(request: RequestOfEmployee) -> HttpResponse:
    """{people: [{name, address, note, people?}]} for what is typed."""
    own = [sender.address for sender in composing.senders(request.user)]
    found = suggesting.people(request.user, request.GET.get("q", ""), own)
    return JsonResponse({"people": [_plain(asdict(each)) for each in found]})


def _plain(suggestion: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in suggestion.items() if value or name in ("name", "address")}


urls = [path("mail/people/", people, name="people")]
