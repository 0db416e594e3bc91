"""What a message has to do with CRM: the part of its page that says so (crm/views/deciding.py changes it).

The same part stands on the page of an activity, whose message may have left Webmail.
"""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Employee
from accounts.requests import ids_of
from accounts.views import RequestOfEmployee
from crm import activities, finding, reasons
from crm.finding import Query
from crm.kinds import BY_LINK, KINDS
from crm.matching import Ref
from crm.models import Activity, ActivityCopy, ActivityKind, Binding, Deal, Record
from crm.views import facts
from crm.views.frame import SECTION
from mailsync import access as mail
from mailsync.models import GrantLevel, Placement

CHOICES = 6
MARKED = 400


@dataclass(frozen=True, slots=True)
class Subject:
    """What the decision is about: an opened message, or an activity. `base` is where its verbs are."""

    base: str
    message_id: int | None
    activity: Activity | None
    sender: str
    sender_name: str
    may_decide: bool
    opened: mail.Letter | None = None


def subject_of(request: RequestOfEmployee, number: dict[str, int]) -> Subject:
    """Door: a message that the employee may read, or an activity, which is everybody's."""
    if "placement_id" in number:
        opened = mail.get_letter(request.user, number["placement_id"], GrantLevel.READ)
        return Subject(
            base=reverse("crm:panel", args=[opened.id]),
            message_id=opened.message_id,
            activity=activities.of_message(opened.message_id),
            sender=opened.sender_address.lower(),
            sender_name=opened.sender_name,
            # Binding shows the mail to the whole company: more than reading is needed.
            may_decide=mail.includes(opened.box.level, GrantLevel.REPLY),
            opened=opened,
        )
    rows = Activity.objects.filter(account_id=request.user.account_id, kind=ActivityKind.MAIL).defer("header")
    return _of_activity(get_object_or_404(rows, pk=number["activity_id"]))


def _of_activity(activity: Activity) -> Subject:
    return Subject(
        base=reverse("crm:activity", args=[activity.pk]),
        message_id=None,
        activity=activity,
        sender=activity.sender_address.lower(),
        sender_name=activity.sender_name,
        may_decide=True,
    )


# Showing


@dataclass(frozen=True, slots=True)
class Chip:
    """A record that the mail is bound to. `value` names it in forms: "contact:7"."""

    record: Record
    url: str
    icon: str
    value: str


def of_activity(request: RequestOfEmployee, activity: Activity) -> dict[str, Any]:
    return shown(request.user, _of_activity(activity))


def shown(employee: Employee, subject: Subject) -> dict[str, Any]:
    chips = _chips(subject.activity) if subject.activity else []
    why, offered = "", []
    if chips and subject.activity:
        why = reasons.why_bound(subject.activity)
    elif subject.opened:
        why, decision = reasons.why_not(subject.opened, employee.account_id)
        offered = [chip for ref in (decision.bind if decision else ()) for chip in _chip_of(ref)]
    return {
        "subject": subject,
        "chips": chips,
        "why": why,
        "offered": offered,
        "ask": _asked(subject.activity) if chips and subject.activity else [],
    }


def _chips(activity: Activity) -> list[Chip]:
    rows = Binding.objects.filter(activity=activity).select_related("contact", "company", "lead", "deal")
    records = (row.contact or row.company or row.lead or row.deal for row in rows.order_by("pk"))
    return [chip(record) for record in records if record and record.binned_at is None]


def chip(record: Record) -> Chip:
    ref = activities.ref_of(record)
    return Chip(record, facts.url_of(record), BY_LINK[ref.kind].icon, f"{ref.kind}:{ref.id}")


def _chip_of(ref: Ref) -> list[Chip]:
    record = BY_LINK[ref.kind].model._default_manager.filter(pk=ref.id, binned_at=None).first()
    return [chip(record)] if record else []


def _asked(activity: Activity) -> list[Chip]:
    """The deals of which somebody has yet to choose one."""
    ids = [pk for kind, pk in activity.reason.get("ask", ()) if kind == "deal"]
    return [chip(deal) for deal in Deal.objects.filter(pk__in=ids, binned_at=None).order_by("pk")]


@login_required
@never_cache
@require_safe
def panel(request: RequestOfEmployee, **number: int) -> HttpResponse:
    context = shown(request.user, subject_of(request, number))
    part = request.headers.get("HX-Request")
    return render(request, "crm/_panel.html" if part else "crm/panel.html", SECTION | context)


@login_required
@never_cache
@require_safe
def choose(request: RequestOfEmployee, **number: int) -> HttpResponse:
    """Records for what was typed; before that, those of the sender's name."""
    subject = subject_of(request, number)
    typed = request.GET.get("q", "").replace("\0", "").strip()[:200]
    found = [
        chip(record)
        for kind in KINDS.values()
        for record in finding.page(request.user, kind, Query(q=typed))[0][:CHOICES]
    ]
    away = request.GET.get("away", "")
    part = request.headers.get("HX-Request")
    # On a page of its own there is no panel to be replaced: its form is sent the plain way.
    alone = not part or "alone" in request.GET
    context = {"subject": subject, "found": found, "typed": typed, "away": away, "alone": alone}
    return render(request, "crm/_choices.html" if part else "crm/choose.html", SECTION | context)


@login_required
@never_cache
@require_safe
def marks(request: RequestOfEmployee) -> JsonResponse:
    """Which of these places hold a message that is with CRM: what the glyph in a list says."""
    ids = ids_of(filter(None, request.GET.get("ids", "").split(",")[:MARKED]))
    mine = mail.placements_in(mail.boxes(request.user), ids, GrantLevel.READ)
    places = dict(Placement.objects.filter(pk__in=mine).values_list("pk", "message_id"))
    bound = ActivityCopy.objects.filter(message_id__in=places.values(), activity__unbound_at=None)
    messages_bound = set(bound.values_list("message_id", flat=True))
    answer = [place for place, message_id in places.items() if message_id in messages_bound]
    return JsonResponse({"bound": answer, "label": _("In CRM.")})


urls = [
    path("message/<int:placement_id>/", panel, name="panel"),
    path("message/<int:placement_id>/choose/", choose, name="panel-choose"),
    path("activity/<int:activity_id>/choose/", choose, name="activity-choose"),
    path("marks/", marks, name="marks"),
]
