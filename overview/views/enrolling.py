"""Connecting mailboxes for others: one by a form, many by a file; the rows, their tests, the report of failures."""

import csv
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import Employee
from accounts.views import RequestOfEmployee, admin_required
from mailsync import enrolling
from mailsync.enrolling import AT_WORK, EnrolmentForm
from mailsync.models import Enrolment, EnrolmentRow, EnrolmentState
from overview import files
from overview.views.mailboxes import SECTION


@admin_required
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def connect(request: RequestOfEmployee) -> HttpResponse:
    """One for somebody; what is right is tested at once."""
    form = EnrolmentForm(request.POST or None, by=request.user, initial=request.GET.dict())
    if request.method == "POST" and form.is_valid():
        made = enrolling.begin([request.POST.dict()], by=request.user)
        return _started(request, made)
    return _page(request, form, status=422 if form.errors else 200)


@admin_required
@never_cache
@require_POST
def upload(request: RequestOfEmployee) -> HttpResponse:
    """Many from a file: its rows are shown before anything is tested."""
    file = request.FILES.get("file")
    try:
        if file is None:
            raise files.CannotRead(_("Choose a file first."))
        lines = files.read(file.read(files.MOST_BYTES + 1))
    except files.CannotRead as refusal:
        return _page(request, EnrolmentForm(by=request.user), refusal=str(refusal), status=422)
    name = (file.name or "")[:200].replace("\0", "")
    return redirect("overview:enrolment", enrolling.begin(lines, by=request.user, file_name=name).pk)


def _page(request: RequestOfEmployee, form: EnrolmentForm, *, status: int, refusal: str = "") -> HttpResponse:
    people = Employee.objects.filter(account_id=request.user.account_id, is_active=True)
    context = {
        **SECTION,
        "form": form,
        "refusal": refusal,
        "people": people.order_by("name"),
        "example": files.EXAMPLE,
        "most": files.MOST_ROWS,
    }
    return render(request, "overview/connect.html", context, status=status)


@admin_required
@never_cache
@require_safe
def enrolment(request: RequestOfEmployee, enrolment_id: int) -> HttpResponse:
    """The rows; the part asks again while some are being tested."""
    template = "overview/_enrolment.html" if request.headers.get("HX-Request") else "overview/enrolment.html"
    return render(request, template, _context(_get(request, enrolment_id)))


@admin_required
@require_POST
def start(request: RequestOfEmployee, enrolment_id: int) -> HttpResponse:
    """Test what is ready, and what failed once more."""
    return _started(request, _get(request, enrolment_id))


def _started(request: RequestOfEmployee, made: Enrolment) -> HttpResponse:
    invited = made.rows.filter(state=EnrolmentState.INVITED).count() if made.started_at is None else 0
    n = enrolling.start(made)
    if invited:
        words = ngettext(
            "%(n)d owner is asked for the password.",
            "%(n)d owners are asked for the password.",
            invited,
        )
        messages.success(request, words % {"n": invited})
    elif not n:
        messages.error(request, _("No row is ready: mend them first."))
    return redirect("overview:enrolment", made.pk)


@admin_required
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def mend(request: RequestOfEmployee, enrolment_id: int, row_id: int) -> HttpResponse:
    """One row again; the password stays unless another is typed."""
    made = _get(request, enrolment_id)
    row = get_object_or_404(made.rows, pk=row_id)
    if row.state not in enrolling.OPEN:
        raise Http404
    form = EnrolmentForm(request.POST or None, by=request.user, initial=row.typed)
    if request.method == "POST" and form.is_valid():
        enrolling.fill(row, form, request.POST.dict())
        enrolling.judge(made)
        return redirect("overview:enrolment", made.pk)
    context = {**SECTION, "enrolment": made, "row": row, "form": form, "has_secret": bool(row.secret)}
    return render(request, "overview/mend.html", context, status=422 if form.errors else 200)


@admin_required
@never_cache
@require_safe
def report(request: RequestOfEmployee, enrolment_id: int) -> HttpResponse:
    """What is not connected and why, as a file to be mended and handed in again; passwords are not in it."""
    made = _get(request, enrolment_id)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="not-connected-{made.pk}.csv"'
    names = ("address", "owner_email", "login", "imap_host", "imap_port", "smtp_host", "smtp_port", "days")
    lines = csv.writer(response)
    lines.writerow([*names, "row", "why"])
    failed = made.rows.filter(state__in=[EnrolmentState.BAD, EnrolmentState.FAILED]).order_by("number")
    for row in failed:
        lines.writerow([*(_cell(row.typed.get(name, "")) for name in names), row.number, _cell(row.said)])
    return response


def _cell(text: str) -> str:
    """A spreadsheet must not take what somebody typed for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _get(request: RequestOfEmployee, enrolment_id: int) -> Enrolment:
    return get_object_or_404(
        Enrolment.objects.select_related("by__account"), account_id=request.user.account_id, pk=enrolment_id
    )


def _context(made: Enrolment) -> dict[str, Any]:
    rows: list[EnrolmentRow] = list(made.rows.select_related("owner", "mailbox").order_by("number"))
    counted = {state: sum(row.state == state for row in rows) for state in EnrolmentState}
    at_work = sum(counted[state] for state in AT_WORK)
    done = counted[EnrolmentState.CONNECTED] + counted[EnrolmentState.FAILED]
    return {
        **SECTION,
        "enrolment": made,
        "rows": rows,
        "counted": {state.value: n for state, n in counted.items()},
        "at_work": at_work,
        "done": done,
        "of": at_work + done,
        "wrong": counted[EnrolmentState.BAD] + counted[EnrolmentState.FAILED],
        "to_start": counted[EnrolmentState.READY]
        + (0 if made.started_at else counted[EnrolmentState.INVITED]),
        "again": sum(row.state == EnrolmentState.FAILED and bool(row.secret) for row in rows),
    }


urls = [
    path("mailboxes/all/connect/", connect, name="connect"),
    path("mailboxes/all/connect/file/", upload, name="connect-file"),
    path("mailboxes/all/connect/<int:enrolment_id>/", enrolment, name="enrolment"),
    path("mailboxes/all/connect/<int:enrolment_id>/start/", start, name="enrolment-start"),
    path("mailboxes/all/connect/<int:enrolment_id>/rows/<int:row_id>/", mend, name="enrolment-row"),
    path("mailboxes/all/connect/<int:enrolment_id>/failures.csv", report, name="enrolment-report"),
]
