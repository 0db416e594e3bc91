"""The company's own page, for its admins."""

from allauth.core import ratelimit
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import companies, ending
from accounts.forms import CompanyForm, DeleteCompanyForm
from accounts.models import Account
from accounts.views import RequestOfEmployee, admin_required


@admin_required
@require_http_methods(["GET", "POST"])
def company(request: RequestOfEmployee) -> HttpResponse:
    account = Account.objects.get(pk=request.user.account_id)
    form = CompanyForm(request.POST or None, instance=account)
    if request.method == "POST" and form.is_valid():
        try:
            companies.change(account.pk, by=request.user, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            messages.success(request, _("The settings of the company are saved."))
            return redirect("people:company")
    status = 422 if form.errors else 200
    context = {"form": form, "deletes_at": account.deletes_at}
    return render(request, "accounts/company.html", context, status=status)


@admin_required
@require_http_methods(["GET", "POST"])
def delete(request: RequestOfEmployee) -> HttpResponse:
    """Plan it: the password and the company's name are asked for, because a page left open must not be enough."""
    if Account.objects.get(pk=request.user.account_id).deletes_at:
        return redirect("people:company")
    form = DeleteCompanyForm(request.POST or None, employee=request.user)
    if request.method == "POST":
        if not ratelimit.consume(request, action="reauthenticate", user=request.user):
            form.add_error(None, _("That was tried too often. Wait a minute."))
        elif form.is_valid():
            ending.plan(request.user.account_id, by=request.user)
            return redirect("people:company")
    context = {"form": form, "days": ending.WAITS.days}
    return render(request, "accounts/company_delete.html", context, status=422 if form.errors else 200)


@admin_required
@require_POST
def keep(request: RequestOfEmployee) -> HttpResponse:
    if ending.call_off(request.user.account_id, by=request.user):
        messages.success(request, _("The company stays."))
    return redirect("people:company")
