"""Two records become one, and a lead becomes a client: both asked first, with what will happen."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.models import Employee
from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from crm import access, converting, deals, directory, finding
from crm.forms import RecordField
from crm.kinds import COMPANIES, LEADS, Kind
from crm.models import Company, Lead, LeadStatus, Outcome, Record, Stage
from crm.views import facts
from crm.views.frame import SECTION

# What two records may disagree about; what is not here moves or is the older one's.
_VALUES = {
    "name": gettext_lazy("Name"),
    "company": gettext_lazy("Company"),
    "contact": gettext_lazy("Contact"),
    "company_name": gettext_lazy("Company"),
    "position": gettext_lazy("Position"),
    "phone": gettext_lazy("Phone"),
    "domain": gettext_lazy("Domain"),
    "stage": gettext_lazy("Stage"),
    "status": gettext_lazy("State"),
    "amount": gettext_lazy("Amount"),
    "currency": gettext_lazy("Currency"),
    "expected_on": gettext_lazy("Expected on"),
    "responsible": gettext_lazy("Responsible"),
    "notes": gettext_lazy("Notes"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of which one lives. `theirs_first`: ours is empty, so theirs is proposed."""

    name: str
    label: str
    ours: Any
    theirs: Any

    @property
    def theirs_first(self) -> bool:
        return not self.ours


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def merge(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    """First whom with (`?with=…`, typed), then which values live."""
    keep = access.get_record(request.user, kind, record_id)
    typed = (request.POST.get("with") or request.GET.get("with", "")).replace("\0", "")
    lose, refusal = _other(request.user, kind, keep, typed)
    if request.method == "POST" and lose:
        take = [each.name for each in _differences(keep, lose) if request.POST.get(each.name) == "theirs"]
        directory.merge(keep, lose, take=take, by=request.user)
        messages.success(
            request, _("“%(lost)s” is part of “%(kept)s” now.") % {"lost": lose.name, "kept": keep.name}
        )
        return redirect(facts.url_of(keep))
    context = {
        "kind": kind,
        "record": keep,
        "other": lose,
        "typed": typed,
        "refusal": refusal,
        "differences": _differences(keep, lose) if lose else [],
    }
    return render(request, "crm/merge.html", SECTION | context, status=422 if refusal else 200)


def _other(employee: Employee, kind: Kind, keep: Record, typed: str) -> tuple[Record | None, str]:
    if not typed.strip():
        return None, ""
    try:
        # Two of one name are just what is merged: a number tells them apart.
        sign, number = typed.strip()[:1], id_or_none(typed.strip()[1:])
        if sign == "#" and number is not None:
            found = access.get_record(employee, kind, number)
        else:
            found = finding.find(employee, kind, typed, besides=keep)
    except finding.NotFound as error:
        return None, str(error)
    except Http404:
        return None, _("There is no such record.")
    if found == keep:
        return None, _("A record cannot be merged with itself.")
    return found, ""


def _differences(keep: Record, lose: Record) -> list[Difference]:
    found = []
    for name, label in _VALUES.items():
        if not hasattr(keep, name):
            continue
        ours, theirs = getattr(keep, name), getattr(lose, name)
        if theirs and ours != theirs:
            found.append(Difference(name, str(label), ours, theirs))
    return found


class ConvertForm(forms.Form):
    company_typed = RecordField(
        COMPANIES, label=gettext_lazy("Company"), help_text=gettext_lazy("A new name makes a new company.")
    )
    deal = forms.CharField(
        label=gettext_lazy("Deal"), max_length=200, required=False, help_text=gettext_lazy("Empty: no deal.")
    )
    stage = forms.ModelChoiceField(
        label=gettext_lazy("Stage"), queryset=Stage.objects.none(), empty_label=None
    )

    def __init__(self, *args: Any, employee: Employee, **options: Any) -> None:
        super().__init__(*args, **options)
        self.employee = employee
        deals.pipelines(employee.account)
        stage = self.fields["stage"]
        assert isinstance(stage, forms.ModelChoiceField)
        stages = Stage.objects.filter(account_id=employee.account_id, outcome=Outcome.OPEN)
        stage.queryset = stages.order_by("pipeline__position", "pipeline", "position")

    def clean_company_typed(self) -> Company | None:
        try:
            return finding.company_for(self.employee, self.cleaned_data["company_typed"])
        except finding.NotFound as error:
            raise ValidationError(str(error)) from None


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def convert(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    lead = access.get_record(request.user, kind, record_id)
    if not isinstance(lead, Lead):
        raise Http404
    form = ConvertForm(
        request.POST or None, employee=request.user, initial={"company_typed": lead.company_name}
    )
    if request.method == "POST" and form.is_valid():
        chosen = form.cleaned_data
        wanted = converting.Wanted(chosen["company_typed"], chosen["deal"], chosen["stage"])
        try:
            contact = converting.convert(lead, wanted, by=request.user)
        except directory.CannotChange as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(
                request, _("“%(name)s” is a contact now, with all mail.") % {"name": contact.name}
            )
            return redirect(facts.url_of(contact))
    done = lead.status == LeadStatus.CONVERTED
    context = {"kind": LEADS, "record": lead, "form": form, "done": done}
    return render(request, "crm/convert.html", SECTION | context, status=422 if form.errors else 200)


urls = [
    path("<kind:kind>/<int:record_id>/merge/", merge, name="merge"),
    path("<kind:kind>/<int:record_id>/convert/", convert, name="convert"),
]
