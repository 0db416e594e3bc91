"""Pages of departments, for admins."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import departments
from accounts.models import Department, Employee, Role
from accounts.people import CannotChange
from accounts.people_views import SECTION
from accounts.requests import id_of
from accounts.views import RequestOfEmployee, admin_required


@admin_required
@require_http_methods(["GET", "POST"])
def page(request: RequestOfEmployee) -> HttpResponse:
    """All of them; a POST makes one more."""
    typed, problem = request.POST.get("name", ""), ""
    if request.method == "POST":
        try:
            made = departments.make(request.user.account, typed, by=request.user)
        except ValidationError as error:
            problem = " ".join(error.messages)
        else:
            messages.success(request, _("The department %(name)s is made.") % {"name": made})
            return redirect("people:departments")
    return _list(request, {"typed": typed, "problem": problem}, status=422 if problem else 200)


@admin_required
@require_POST
def rename(request: RequestOfEmployee, department_id: int) -> HttpResponse:
    department = departments.get_department(request.user, department_id)
    try:
        departments.rename(department, request.POST.get("name", ""), by=request.user)
    except ValidationError as error:
        return _list(request, {"renamed": department.pk, "refusal": " ".join(error.messages)}, status=422)
    messages.success(request, _("The department is called %(name)s now.") % {"name": department})
    return redirect("people:departments")


@admin_required
@require_http_methods(["GET", "POST"])
def delete(request: RequestOfEmployee, department_id: int) -> HttpResponse:
    """Says first what becomes of its people and of what is shared with it."""
    department = departments.get_department(request.user, department_id)
    if request.method == "POST":
        chosen = request.POST.get("heir", "")
        heir = departments.get_department(request.user, id_of(chosen)) if chosen else None
        if heir == department:
            raise Http404  # the page does not offer it
        name = department.name
        try:
            departments.delete(department, heir=heir, by=request.user)
        except CannotChange as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, _("The department %(name)s is deleted.") % {"name": name})
        return redirect("people:departments")
    context = {
        **SECTION,
        "department": department,
        "people": Employee.objects.filter(department=department).order_by("-is_active", "name"),
        "shared": departments.shared_with(department),
        "others": departments.of(request.user.account).exclude(pk=department.pk),
    }
    return render(request, "accounts/people/department_delete.html", context)


def _list(request: RequestOfEmployee, said: dict[str, object], *, status: int) -> HttpResponse:
    rows = list(departments.of(request.user.account))
    supervisors = Employee.objects.filter(
        account_id=request.user.account_id, role=Role.SUPERVISOR, is_active=True, department__isnull=False
    )
    by_department: dict[int, list[str]] = {}
    for department_id, name in supervisors.order_by("name").values_list("department_id", "name"):
        by_department.setdefault(department_id or 0, []).append(name)
    context = {
        **SECTION,
        "departments": [(row, by_department.get(row.pk, [])) for row in rows],
        "longest": Department._meta.get_field("name").max_length,
        **said,
    }
    return render(request, "accounts/people/departments.html", context, status=status)
