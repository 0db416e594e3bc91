"""Writing to a client from the record's page, and clients in the completion of recipients."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.views import RequestOfEmployee
from crm import access, writing
from crm.kinds import Kind
from crm.models import Company, EmailAddress
from crm.views import facts
from mailsync import composing

MOST = 6
_MOST_IN_GROUP = 30


@login_required
@require_POST
def write(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    """A draft to one of the record's addresses; it opens in mail's own page."""
    record = access.get_record(request.user, kind, record_id)
    wanted = request.POST.get("address", "")
    address = next((each for each in writing.addresses_of(record) if each.address == wanted), None)
    if address is None:
        raise Http404
    senders = composing.senders(request.user)
    if not senders:
        messages.error(request, _("None of your mailboxes can send. Connect one with an outgoing server."))
        return redirect(facts.url_of(record))
    begun = writing.begin(record, address, senders[0], by=request.user)
    return redirect("mail:letter", begun.pk)


@login_required
@require_safe
@never_cache
def people(request: RequestOfEmployee) -> HttpResponse:
    """Clients by name or address, and a company's people as one choice; as mail's own completion answers."""
    words = request.GET.get("q", "").replace("\0", "").strip()[:100]
    if len(words) < 2:
        return JsonResponse({"people": []})
    return JsonResponse({"people": [*_clients(words), *_companies(words)]})


def _clients(words: str) -> list[dict[str, str]]:
    named = (
        Q(contact__name__icontains=words) | Q(lead__name__icontains=words) | Q(company__name__icontains=words)
    )
    alive = Q(contact__binned_at=None) & Q(lead__binned_at=None) & Q(company__binned_at=None)
    rows = EmailAddress.objects.filter(alive, named | Q(address__contains=words.lower()))
    found = rows.select_related("contact", "lead", "company").order_by("address")[:MOST]
    return [{"name": _owner(row), "address": row.address, "note": _("client")} for row in found]


def _owner(row: EmailAddress) -> str:
    owner = row.contact or row.lead or row.company
    return owner.name if owner else ""


def _companies(words: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for company in Company.objects.filter(name__icontains=words, binned_at=None).order_by("name")[:2]:
        rows = EmailAddress.objects.filter(contact__company=company, contact__binned_at=None)
        people = [[_owner(row), row.address] for row in rows.select_related("contact")[: _MOST_IN_GROUP + 1]]
        if 1 < len(people) <= _MOST_IN_GROUP:
            title = _("Everybody at %s") % company.name
            found.append(
                {"name": title, "address": "", "note": _("%d people") % len(people), "people": people}
            )
    return found


urls = [
    path("<kind:kind>/<int:record_id>/write/", write, name="write"),
    path("people/", people, name="people"),
]
