"""Exports: what somebody may take along, how far it is, and the file for a week."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from retention import exporting
from retention.models import Export, ExportState, ExportWhat

SHOWN = 10


@login_required
@never_cache
@require_safe
def page(request: RequestOfEmployee) -> HttpResponse:
    """The part with the list renews itself while something is being written."""
    exports = list(Export.objects.filter(by=request.user).order_by("-at", "-pk")[:SHOWN])
    context = {
        "exports": exports,
        "open": any(each.is_open for each in exports),
        "days": exporting.STAYS.days,
    }
    name = "retention/_exports.html" if request.headers.get("HX-Request") else "retention/exports.html"
    return render(request, name, context)


@login_required
@require_POST
def start(request: RequestOfEmployee) -> HttpResponse:
    what = request.POST.get("what", "")
    if what not in ExportWhat.values:
        raise Http404
    if what == ExportWhat.COMPANY and not request.user.is_admin:
        raise PermissionDenied
    if exporting.ask(request.user, ExportWhat(what)) is None:
        messages.error(request, _("An export of yours is being written: wait for it, or call it off."))
    return redirect("retention:exports")


@login_required
@require_POST
def cancel(request: RequestOfEmployee, export_id: int) -> HttpResponse:
    exporting.cancel(_mine(request, export_id))
    return redirect("retention:exports")


@login_required
@never_cache
@require_safe
def download(request: RequestOfEmployee, export_id: int) -> HttpResponseBase:
    """A part (`part`, otherwise the first), for who asked alone; the company's only as long as they are an admin."""
    export = _mine(request, export_id)
    if export.what == ExportWhat.COMPANY and not request.user.is_admin:
        raise PermissionDenied
    number = id_or_none(request.GET.get("part")) or 1
    path = exporting.path_of(export, number)
    if export.state != ExportState.DONE or number > export.parts or not path.exists():
        raise Http404
    audit.record("export.downloaded", export.what, account_id=export.account_id, by=request.user)
    of = f"-{number}-of-{export.parts}" if export.parts > 1 else ""
    name = f"mailbound-{export.what}-{export.at:%Y-%m-%d}{of}.zip"
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type="application/zip")


def _mine(request: RequestOfEmployee, export_id: int) -> Export:
    return get_object_or_404(Export, pk=export_id, by=request.user)
