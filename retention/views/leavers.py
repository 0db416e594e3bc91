"""Pages about somebody who leaves: what they hold, who gets it, how far that is, what became of it. For admins."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import people
from accounts.models import Employee
from accounts.views import RequestOfEmployee, admin_required
from crm.kinds import KINDS
from retention import handing_over, leavers
from retention.leavers import Heirs
from retention.models import Leaver, LeaverState

SECTION = {"section": "people"}
# A handing-over that did not get on for so long lost its worker or its hint: the page that watches asks anew.
STALE = timedelta(seconds=60)
NAMES = {"mailboxes": gettext_lazy("Mailboxes"), "tasks": gettext_lazy("Tasks")} | {
    slug: kind.many for slug, kind in KINDS.items()
}
AT_WORK = (LeaverState.MOVING, LeaverState.RETURNING)


class HeirForm(forms.Form):
    """Nobody chosen: it is kept, and somebody may be chosen later."""

    heir = forms.ModelChoiceField(
        Employee.objects.none(),
        required=False,
        label=gettext_lazy("Who gets it"),
        empty_label=gettext_lazy("Nobody yet: keep it for 30 days"),
    )
    tasks_heir = forms.ModelChoiceField(
        Employee.objects.none(),
        required=False,
        label=gettext_lazy("Open tasks"),
        empty_label=gettext_lazy("The same person"),
    )
    records_heir = forms.ModelChoiceField(
        Employee.objects.none(),
        required=False,
        label=gettext_lazy("Records in CRM"),
        empty_label=gettext_lazy("The same person"),
    )
    stop_letters = forms.BooleanField(required=False)

    def __init__(self, *args: Any, leaver: Employee, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        colleagues = Employee.objects.filter(account_id=leaver.account_id, is_active=True)
        for field in self.fields.values():
            if isinstance(field, forms.ModelChoiceField):
                field.queryset = colleagues.exclude(pk=leaver.pk).order_by("name", "pk")

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        if (given.get("tasks_heir") or given.get("records_heir")) and not given.get("heir"):
            self.add_error("heir", _("Choose who gets the rest, too."))
        return given

    def heirs(self) -> Heirs | None:
        heir: Employee | None = self.cleaned_data["heir"]
        if heir is None:
            return None
        return Heirs(heir, self.cleaned_data["tasks_heir"], self.cleaned_data["records_heir"])


@admin_required
@never_cache
@require_http_methods(["GET", "POST"])
def page(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    """Before: what they hold and the question who gets it. Afterwards: how it stands."""
    employee = people.get_employee(request.user, employee_id)
    form = HeirForm(request.POST if request.method == "POST" else None, leaver=employee)
    if request.method == "POST" and form.is_valid() and _done(request, employee, form):
        return redirect("retention:leaver", employee.pk)
    leaver = leavers.last(employee)
    context = {
        **SECTION,
        "employee": employee,
        "held": leavers.holdings(employee),
        "form": form,
        "leaver": leaver,
        "days": leavers.KEPT.days,
        **(_progress(leaver) if leaver else {}),
    }
    return render(request, "retention/leaver.html", context, status=422 if form.errors else 200)


def _done(request: RequestOfEmployee, employee: Employee, form: HeirForm) -> bool:
    """Shut out, or handed on where they left before; a refusal stands on the form."""
    heirs, leaver = form.heirs(), leavers.last(employee)
    try:
        if employee.is_active:
            stop = form.cleaned_data["stop_letters"]
            leavers.leave(employee, heirs=heirs, stop_letters=stop, by=request.user)
            messages.success(
                request, _("%(who)s is deactivated and signed out everywhere.") % {"who": employee}
            )
        elif heirs is None:
            form.add_error("heir", _("Choose who gets it."))
        else:
            leavers.hand_over(leaver or leavers.note(employee, by=request.user), heirs, by=request.user)
    except people.CannotChange as refusal:
        form.add_error(None, str(refusal))
    return not form.errors


@admin_required
@never_cache
@require_safe
def progress(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    """The part of the page that watches; its last answer loads the whole page anew."""
    employee = people.get_employee(request.user, employee_id)
    leaver = get_object_or_404(Leaver, pk=getattr(leavers.last(employee), "pk", None))
    if leaver.state in AT_WORK and timezone.now() - leaver.touched_at > STALE:
        leavers.hint(leaver)
    answer = render(
        request,
        "retention/_leaver_progress.html",
        {"employee": employee, "leaver": leaver} | _progress(leaver),
    )
    if leaver.state not in AT_WORK:
        answer["HX-Refresh"] = "true"
    return answer


@admin_required
@require_POST
def come_back(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    """Let somebody in again; with `give_back` the heir gives back what is still with them."""
    employee = people.get_employee(request.user, employee_id)
    if not employee.is_active:
        people.reactivate(employee, by=request.user)
        employee.refresh_from_db()
    leaver = leavers.last(employee)
    if leaver and "give_back" in request.POST:
        try:
            leavers.give_back(leaver, by=request.user)
        except people.CannotChange as refusal:
            messages.error(request, str(refusal))
    return redirect("retention:leaver", employee.pk)


def _progress(leaver: Leaver) -> dict[str, Any]:
    lines = [line | {"name": NAMES[line["kind"]]} for line in handing_over.report(leaver)]
    back = leaver.state in (LeaverState.RETURNING, LeaverState.RETURNED)
    return {
        "lines": lines,
        "at_work": leaver.state in AT_WORK,
        "is_back": back,
        "done": sum(line["returned" if back else "moved"] for line in lines),
        "total": sum(line["moved" if back else "total"] for line in lines),
    }
