"""Pages of people: one's own settings; for admins the audit log. `admin_required` is every admin's page's guard."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts.adapter import remember_locale
from accounts.forms import SettingsForm
from accounts.models import AuditEntry, Employee
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
def audit(request: RequestOfEmployee) -> HttpResponse:
    """Newest first; `before` is the last entry of the page above."""
    entries = list(_audit_before(request.user, request.GET.get("before", ""))[: AUDIT_PAGE + 1])
    page = entries[:AUDIT_PAGE]
    older = page[-1].pk if len(entries) > AUDIT_PAGE else None
    return render(request, "accounts/audit.html", {"entries": page, "older": older, "section": "people"})


def _audit_before(admin: Employee, before: str) -> QuerySet[AuditEntry]:
    entries = AuditEntry.objects.filter(account_id=admin.account_id).order_by("-at", "-id")
    if not before:
        return entries.select_related("by")
    last = get_object_or_404(entries, pk=id_of(before))
    older = entries.filter(Q(at__lt=last.at) | Q(at=last.at, pk__lt=last.pk))
    return older.select_related("by")
