"""A record's timeline, notes on it, and an activity's own copy of a mail."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Employee
from accounts.views import RequestOfEmployee
from crm import access, activities, timeline
from crm.kinds import Kind
from crm.models import Activity, ActivityKind, Record
from crm.views import facts, panel
from crm.views.frame import SECTION
from mailsync import blobs
from mailsync.mime import parse
from mailsync.views.documents import body_response, file_response
from mailsync.views.letter_state import State, unsettled
from mailsync.views.pane import File, plain

LONGEST_NOTE = 10_000


@login_required
@never_cache
@require_safe
def part(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    """The timeline alone, narrowed or further down."""
    record = access.get_record(request.user, kind, record_id)
    show, after = request.GET.get("show", ""), request.GET.get("after", "")
    context = shown(request.user, record, kind_of_activity=show, after=after)
    template = "crm/_entries.html" if request.GET.get("after") else "crm/_timeline.html"
    return render(request, template, context | {"record": record, "kind": kind})


def shown(
    employee: Employee, record: Record, *, kind_of_activity: str = "", after: str = ""
) -> dict[str, Any]:
    entries, further = timeline.page(record, kind=kind_of_activity, after=after)
    states = _states(employee, entries)
    for entry in entries:
        entry.letter_state = states.get(entry.pk)  # type: ignore[attr-defined]
    return {"entries": entries, "further": further, "show": kind_of_activity}


def _states(employee: Employee, entries: Iterable[Activity]) -> dict[int, State]:
    """By activity, what became of the letters that a timeline should not show as any other mail."""
    written = {each.message_id: each.pk for each in entries if each.outgoing and each.message_id}
    return {written[name]: state for name, state in unsettled(employee, written).items()}


@login_required
@require_POST
def note(request: RequestOfEmployee, kind: Kind, record_id: int) -> HttpResponse:
    record = access.get_record(request.user, kind, record_id)
    text = request.POST.get("text", "").replace("\0", "").strip()
    if not text:
        messages.error(request, _("The note was empty."))
    elif len(text) > LONGEST_NOTE:
        messages.error(request, _("The note was too long: at most %(n)s characters.") % {"n": LONGEST_NOTE})
    else:
        activities.note(record, text, by=request.user)
    return redirect(facts.url_of(record))


# One activity


@dataclass(frozen=True, slots=True)
class Raw:
    """The bytes of an activity, as mailsync.reading wants them."""

    header: bytes
    body: bytes


def get_mail(request: RequestOfEmployee, activity_id: int) -> Activity:
    """A mail that CRM keeps: for everybody of the company, whatever mailbox it came from."""
    rows = Activity.objects.filter(account_id=request.user.account_id, kind=ActivityKind.MAIL)
    return get_object_or_404(rows.select_related("body"), pk=activity_id)


def raw_of(activity: Activity) -> Raw:
    assert activity.header is not None
    assert activity.body is not None
    return Raw(bytes(activity.header), blobs.body_of(activity.body))


@login_required
@never_cache
@require_safe
def activity(request: RequestOfEmployee, activity_id: int) -> HttpResponse:
    """The mail as CRM keeps it, whether or not it is still in anybody's Webmail."""
    found = get_mail(request, activity_id)
    raw = raw_of(found)
    content = parse.read(raw.header, raw.body)
    context = {
        "activity": found,
        "letter_state": _states(request.user, [found]).get(found.pk),
        "html": bool(content.html),
        "text": SafeString("") if content.html else plain(content.text),
        "files": _files(found, content),
        "recipients": [each for key in ("to", "cc", "bcc") for each in found.recipients.get(key, ())],
        **panel.of_activity(request, found),
    }
    return render(request, "crm/activity.html", SECTION | context)


def _files(found: Activity, content: parse.Content) -> list[File]:
    return [
        File(
            each.name or f"part-{each.part}",
            filesizeformat(each.size),
            each.type,
            reverse("crm:activity-file", args=[found.pk, each.part]),
        )
        for each in content.attachments
        if not each.inline
    ]


@login_required
@require_safe
def body(request: RequestOfEmployee, activity_id: int) -> HttpResponse:
    """The HTML for the sandboxed frame, cleaned as in Webmail and under the same policy."""
    found = get_mail(request, activity_id)
    # An activity is no message: its number is kept apart from theirs.
    return body_response(request, raw_of(found), images_of=-found.pk)


@login_required
@require_safe
def file(request: RequestOfEmployee, activity_id: int, part: int) -> HttpResponse:
    return file_response(request, raw_of(get_mail(request, activity_id)), part)


urls = [
    path("<kind:kind>/<int:record_id>/timeline/", part, name="timeline"),
    path("<kind:kind>/<int:record_id>/note/", note, name="note"),
    path("activity/<int:activity_id>/", activity, name="activity"),
    path("activity/<int:activity_id>/body/", body, name="activity-body"),
    path("activity/<int:activity_id>/file/<int:part>/", file, name="activity-file"),
]
