"""The audit log on screen and as a file, for admins."""

import csv
from collections.abc import Iterator
from typing import Any, cast

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts import audit, audit_search, tenancy
from accounts.audit_search import Asked
from accounts.audit_words import GROUPS, told
from accounts.models import Account, AuditEntry, Employee
from accounts.spreadsheets import cell
from accounts.views import RequestOfEmployee, admin_required

MOST_PEOPLE = 1000
COLUMNS = ("at", "by", "what", "verb", "subject", "details")


@admin_required
@require_GET
@never_cache
def page(request: RequestOfEmployee) -> HttpResponse:
    """Newest first; `before` is the last entry of the page above."""
    asked = Asked.of(request.GET)
    found = audit_search.page(request.user.account, asked)
    everybody = Employee.objects.filter(account_id=request.user.account_id)
    context = {
        "section": "people",
        "asked": asked,
        "entries": [(entry, *told(entry)) for entry in found.entries],
        "older": asked.url(found.older) if found.older else "",
        "searched_to": found.searched_to,
        "groups": [(key, name) for key, (name, _kinds) in GROUPS.items()],
        "people": everybody.order_by("name", "pk").only("pk", "name", "email")[:MOST_PEOPLE],
    }
    return render(request, "accounts/audit.html", context)


@admin_required
@require_POST
def export(request: RequestOfEmployee) -> StreamingHttpResponse:
    """What the page's form asks for, as CSV; that it was taken is written down first."""
    asked, account = Asked.of(request.POST), request.user.account
    with tenancy.acting_for(account.pk):
        narrowed = ", ".join(f"{name} {value}" for name, value in asked.said.items()) or "everything"
        audit.record("audit.exported", account.name, account_id=account.pk, by=request.user, lines=narrowed)
    response = StreamingHttpResponse(_lines(account, asked), content_type="text/csv; charset=utf-8")
    name = f"audit-{timezone.localdate().isoformat()}.csv"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response


# However long the browser takes to read it, no transaction is kept open for it.
cast(Any, export).opens_own_transactions = True


class _Line:
    """What csv.writer writes to: the line is handed on."""

    def write(self, text: str) -> str:
        return text


def _lines(account: Account, asked: Asked) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    pages = audit_search.everything(account, asked)
    while True:
        with tenancy.acting_for(account.pk):
            entries = next(pages, None)
        if entries is None:
            return
        yield "".join(writer.writerow([cell(each) for each in _cells(entry)]) for entry in entries)


def _cells(entry: AuditEntry) -> list[object]:
    sentence, _left = told(entry)
    details = "; ".join(f"{name}: {value}" for name, value in entry.details.items())
    return [entry.at, entry.by.email if entry.by else "", sentence, entry.verb, entry.subject, details]
