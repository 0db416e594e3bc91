"""Pages of people: one's own settings; for admins the employees and the audit log."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import people
from accounts.adapter import remember_locale
from accounts.forms import AddEmployeeForm, SettingsForm
from accounts.models import AuditEntry, Employee, Role
from accounts.requests import id_of

AUDIT_PAGE = 50

View = Callable[..., HttpResponse]


class RequestOfEmployee(HttpRequest):
    """A request behind login_required."""

    user: Employee


def admin_required(view: View) -> View:
    """Login first; then 403 for those who are no admins."""

    @login_required
    @wraps(view)
    def guarded(request: RequestOfEmployee, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_admin:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@login_required
@require_http_methods(["GET", "POST"])
def settings(request: RequestOfEmployee) -> HttpResponse:
    form = SettingsForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        employee = form.save()
        remember_locale(request, employee)
        messages.success(request, _("Your settings are saved."))
        return redirect("people:settings")
    return render(request, "accounts/settings.html", {"form": form})


@admin_required
@require_GET
def employees(request: RequestOfEmployee) -> HttpResponse:
    return _employees_page(request, AddEmployeeForm(initial={"role": Role.EMPLOYEE}))


@admin_required
@require_POST
@never_cache
def add(request: RequestOfEmployee) -> HttpResponse:
    """The password is in this answer and nowhere else: it is not stored, and not shown again."""
    form = AddEmployeeForm(request.POST)
    if not form.is_valid():
        return _employees_page(request, form, status=422)
    password = people.new_password()
    try:
        employee = people.add_employee(
            request.user.account, password=password, by=request.user, **form.cleaned_data
        )
    except ValidationError as error:
        form.add_error(None, error)
        return _employees_page(request, form, status=422)
    return _password_page(request, employee, password, added=True)


@admin_required
@require_POST
@never_cache
def renew_password(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    employee = people.get_employee(request.user, employee_id)
    password = people.renew_password(employee, by=request.user)
    return _password_page(request, employee, password, added=False)


@admin_required
@require_POST
def change_role(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    employee = people.get_employee(request.user, employee_id)
    return _tried(
        request, lambda: people.change_role(employee, request.POST.get("role", ""), by=request.user)
    )


@admin_required
@require_POST
def deactivate(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    employee = people.get_employee(request.user, employee_id)
    return _tried(request, lambda: people.deactivate(employee, by=request.user))


@admin_required
@require_POST
def reactivate(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    employee = people.get_employee(request.user, employee_id)
    return _tried(request, lambda: people.reactivate(employee, by=request.user))


@admin_required
@require_GET
def audit(request: RequestOfEmployee) -> HttpResponse:
    """Newest first; `before` is the last entry of the page above."""
    entries = list(_audit_before(request.user, request.GET.get("before", ""))[: AUDIT_PAGE + 1])
    page = entries[:AUDIT_PAGE]
    older = page[-1].pk if len(entries) > AUDIT_PAGE else None
    return render(request, "accounts/audit.html", {"entries": page, "older": older, "section": "people"})


def _password_page(request: HttpRequest, employee: Employee, password: str, *, added: bool) -> HttpResponse:
    context = {"employee": employee, "password": password, "added": added, "section": "people"}
    return render(request, "accounts/password_once.html", context)


def _employees_page(request: RequestOfEmployee, form: AddEmployeeForm, status: int = 200) -> HttpResponse:
    everybody = Employee.objects.filter(account_id=request.user.account_id)
    context = {
        "employees": everybody.order_by("-is_active", "name", "pk"),
        "form": form,
        "roles": Role.choices,
        "section": "people",
    }
    return render(request, "accounts/employees.html", context, status=status)


def _tried(request: HttpRequest, change: Callable[[], None]) -> HttpResponse:
    """Back to the list; a refusal is a sentence above it."""
    try:
        change()
    except people.CannotChange as refusal:
        messages.error(request, str(refusal))
    return redirect("people:employees")


def _audit_before(admin: Employee, before: str) -> QuerySet[AuditEntry]:
    entries = AuditEntry.objects.filter(account_id=admin.account_id).order_by("-at", "-id")
    if not before:
        return entries.select_related("by")
    last = get_object_or_404(entries, pk=id_of(before))
    older = entries.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk))
    return older.select_related("by")
