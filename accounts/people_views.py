"""Pages of people for admins: the list, one person, passwords and who may sign in."""

from django.conf import settings
from django.contrib import messages
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import departments, people, roster, two_factor
from accounts.models import Employee, Role
from accounts.people_forms import InviteForm, PlaceForm
from accounts.requests import id_of, ids_of
from accounts.roster import Asked
from accounts.views import RequestOfEmployee, admin_required

SECTION = {"section": "people"}


@admin_required
@require_GET
def employees(request: RequestOfEmployee) -> HttpResponse:
    return list_page(request, InviteForm(account=request.user.account))


def list_page(request: RequestOfEmployee, form: InviteForm, *, status: int = 200) -> HttpResponse:
    """The list, with the form that failed where one did."""
    account = request.user.account
    asked = Asked.of(request.GET)
    rows, after = roster.people(account, asked)
    context = {
        **SECTION,
        "asked": asked,
        "employees": rows,
        "invited": roster.invited(account, asked),
        "older": asked.url(after=after) if after else "",
        "states": [(label, asked.url(state=key), key == asked.state) for key, label in roster.STATES.items()],
        "departments": departments.of(account),
        "roles": Role.choices,
        "form": form,
        "by_mail": bool(settings.EMAIL_URL),
    }
    return render(request, "accounts/people/list.html", context, status=status)


@admin_required
@require_http_methods(["GET", "POST"])
def person(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    """One person: what they are here, and what can be done about it."""
    employee = people.get_employee(request.user, employee_id)
    initial = {"role": employee.role, "department": employee.department_id}
    form = PlaceForm(request.POST or None, account=request.user.account, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            _place(employee, form, by=request.user)
        except people.CannotChange as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, _("Saved: %(who)s.") % {"who": employee})
            return redirect("people:employees")
    context = {
        **SECTION,
        "employee": employee,
        "form": form,
        "second_factor": two_factor.has_two_factor(employee),
    }
    return render(request, "accounts/people/person.html", context, status=422 if form.errors else 200)


@transaction.atomic
def _place(employee: Employee, form: PlaceForm, *, by: Employee) -> None:
    people.change_role(employee, form.cleaned_data["role"], by=by)
    departments.move([employee], form.cleaned_data["department"], by=by)


@admin_required
@require_POST
def move(request: RequestOfEmployee) -> HttpResponse:
    """Several people into one department; into none where none is named."""
    wanted = request.POST.get("department", "")
    department = departments.get_department(request.user, id_of(wanted)) if wanted else None
    chosen = [people.get_employee(request.user, pk) for pk in ids_of(request.POST.getlist("who"))]
    if not chosen:
        messages.error(request, _("Choose the people first."))
        return redirect("people:employees")
    try:
        moved = departments.move(chosen, department, by=request.user)
    except people.CannotChange as refusal:
        messages.error(request, str(refusal))
    else:
        said = ngettext("%(n)d person moved to %(where)s.", "%(n)d people moved to %(where)s.", moved)
        messages.success(request, said % {"n": moved, "where": department or _("no department")})
    return redirect("people:employees")


@admin_required
@require_POST
@never_cache
def renew_password(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    """The password is in this answer and nowhere else: it is not stored, and not shown again."""
    employee = people.get_employee(request.user, employee_id)
    password = people.renew_password(employee, by=request.user)
    context = {**SECTION, "employee": employee, "password": password}
    return render(request, "accounts/password_once.html", context)


@admin_required
@require_POST
def reactivate(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    """Deactivating asks who gets what they hold: a page of retention, which sees all of it."""
    employee = people.get_employee(request.user, employee_id)
    people.reactivate(employee, by=request.user)
    messages.success(request, _("%(who)s can sign in again.") % {"who": employee})
    return redirect("people:employees")
