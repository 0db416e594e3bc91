"""Pages of people: one's own settings. `admin_required` is every admin's page's guard."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.adapter import remember_locale
from accounts.forms import SettingsForm
from accounts.models import Employee

View = Callable[..., HttpResponseBase]


class RequestOfEmployee(HttpRequest):
    """A request behind login_required."""

    user: Employee


def admin_required(view: View) -> View:
    """Login first; then 403 for those who are no admins."""

    @login_required
    @wraps(view)
    def guarded(request: RequestOfEmployee, *args: Any, **kwargs: Any) -> HttpResponseBase:
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
