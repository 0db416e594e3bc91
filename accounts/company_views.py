"""The company's own page, for its admins."""

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import companies
from accounts.forms import CompanyForm
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
    return render(request, "accounts/company.html", {"form": form}, status=status)
