"""Contacts from a file: read, shown, and taken when the employee has seen what will happen."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit
from accounts.models import Employee
from accounts.views import RequestOfEmployee
from crm import cards, directory, rematching
from crm.kinds import CONTACTS
from crm.models import Company, Contact, ContactImport, Source
from crm.views.frame import SECTION

SHOWN = 50
PROBLEMS = 500


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def upload(request: RequestOfEmployee) -> HttpResponse:
    if request.method != "POST":
        return render(request, "crm/import.html", SECTION | {"kind": CONTACTS})
    file = request.FILES.get("file")
    if file is None:
        return _refused(request, _("Choose a file first."))
    if (file.size or 0) > cards.MOST_BYTES:
        return _refused(request, _("The file is too large: at most 5 MB."))
    found = cards.read(file.read())
    draft = ContactImport.objects.create(
        account_id=request.user.account_id,
        by=request.user,
        file_name=(file.name or "")[:200].replace("\0", ""),
        cards=[card.as_json() for card in found.cards],
        problems=[[each.number, each.sentence] for each in found.problems],
    )
    return redirect("crm:import", draft.pk)


def _refused(request: RequestOfEmployee, sentence: str) -> HttpResponse:
    return render(request, "crm/import.html", SECTION | {"kind": CONTACTS, "refusal": sentence}, status=422)


@login_required
@never_cache
@require_safe
def preview(request: RequestOfEmployee, import_id: int) -> HttpResponse:
    draft = _get(request, import_id)
    known, fresh = _sorted(draft)
    context = {
        "kind": CONTACTS,
        "draft": draft,
        "fresh": fresh[:SHOWN],
        "count": len(fresh),
        "known": [] if draft.done_at else known[:PROBLEMS],
        "problems": draft.problems[:PROBLEMS],
    }
    return render(request, "crm/import_preview.html", SECTION | context)


@login_required
@require_POST
def take(request: RequestOfEmployee, import_id: int) -> HttpResponse:
    """Once: a second click finds it done."""
    draft = _get(request, import_id)
    locked = ContactImport.objects.select_for_update().get(pk=draft.pk)
    if locked.done_at is None:
        _take(locked, request.user)
    made = locked.made
    messages.success(
        request, ngettext("%(n)s contact imported.", "%(n)s contacts imported.", made) % {"n": made}
    )
    return redirect("crm:import", draft.pk)


def _get(request: RequestOfEmployee, import_id: int) -> ContactImport:
    """One's own only: a file may hold more than what is taken of it."""
    return get_object_or_404(ContactImport, account_id=request.user.account_id, by=request.user, pk=import_id)


def _sorted(draft: ContactImport) -> tuple[list[tuple[dict[str, Any], str]], list[dict[str, Any]]]:
    """What is known already, with whose address it is; and what is new."""
    known, fresh = [], []
    for card in draft.cards:
        owners = (directory.owner_of(draft.account_id, address) for address in card["addresses"])
        owner = next((each for each in owners if each), None)
        if owner:
            known.append((card, owner.name))
        else:
            fresh.append(card)
    return known, fresh


def _take(draft: ContactImport, by: Employee) -> None:
    known, fresh = _sorted(draft)
    companies: dict[str, Company] = {}
    addresses: list[str] = []
    for card in fresh:
        contact = Contact.objects.create(
            account_id=draft.account_id, name=card["name"], responsible=by, position=card["position"],
            phone=card["phone"], notes=card["notes"], source=Source.IMPORT,
            company=_company(companies, card["company"], by),
        )  # fmt: skip
        directory.set_addresses(contact, card["addresses"])
        addresses += card["addresses"]
    draft.problems += [
        [card["number"], _("The address belongs to “%(owner)s” already.") % {"owner": owner}]
        for card, owner in known
    ]
    draft.made, draft.done_at, draft.cards = len(fresh), timezone.now(), []
    draft.save()
    if addresses:
        rematching.ask(by, addresses=addresses)
    audit.record("contacts.imported", draft.file_name, account_id=draft.account_id, by=by, made=draft.made)


def _company(known: dict[str, Company], name: str, by: Employee) -> Company | None:
    """By its name, made once for a file however often it is named."""
    if not name:
        return None
    key = name.lower()
    if key not in known:
        there = Company.objects.filter(account_id=by.account_id, name__iexact=name, binned_at=None).order_by(
            "pk"
        )
        known[key] = there.first() or Company.objects.create(
            account_id=by.account_id, name=name, responsible=by, source=Source.IMPORT
        )
    return known[key]


urls = [
    path("import/", upload, name="import-upload"),
    path("import/<int:import_id>/", preview, name="import"),
    path("import/<int:import_id>/take/", take, name="import-take"),
]
