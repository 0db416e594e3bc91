"""What a message has to do with CRM: the part of its page that says so, and the decisions that are made there.

The same part stands on the page of an activity, whose message may have left Webmail. A decision is answered with the
part anew, and with a toast that carries all it takes to undo it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import audit
from accounts.models import Employee
from accounts.requests import id_of, ids_of
from accounts.views import RequestOfEmployee
from crm import access, activities, finding, reasons
from crm.finding import Query
from crm.kinds import BY_LINK, KINDS
from crm.matching import Ref
from crm.models import Activity, ActivityCopy, ActivityKind, Binding, Deal, Exclusion, Record
from crm.views import facts
from crm.views.frame import SECTION
from mailsync import access as mail
from mailsync.models import GrantLevel, Placement

_SALT = "crm.undo"
_DAY = 24 * 3600
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
    return _shown(request.user, _of_activity(activity))


def _shown(employee: Employee, subject: Subject) -> dict[str, Any]:
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
    context = _shown(request.user, subject_of(request, number))
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


# Deciding


@login_required
@require_POST
def link(request: RequestOfEmployee, **number: int) -> HttpResponse:
    """To `record`; with `away` instead of that one."""
    to = _ref(request, request.POST.get("record", ""))
    away = request.POST.get("away", "")

    def decide(activity: Activity, alone: bool) -> dict[str, Any]:
        if away:
            return activities.rebind(activity, _ref(request, away), to, by=request.user, alone=alone)
        return activities.bind(activity, to, by=request.user, alone=alone)

    sentence = _("Moved to “%(name)s”.") if away else _("Linked to “%(name)s”.")
    return _decided(request, number, decide, sentence % {"name": _record(request, to).name})


@login_required
@require_POST
def unlink(request: RequestOfEmployee, **number: int) -> HttpResponse:
    """From `record`, or from everything."""
    named = request.POST.get("record", "")
    away = _ref(request, named) if named else None

    def decide(activity: Activity, alone: bool) -> dict[str, Any]:
        return activities.unbind(activity, away, by=request.user, alone=alone)

    return _decided(request, number, decide, _("Unlinked."))


@login_required
@require_POST
def leave(request: RequestOfEmployee, **number: int) -> HttpResponse:
    """It belongs to none of the deals that were asked about: it stays where it is."""

    def decide(activity: Activity, alone: bool) -> dict[str, Any]:
        return activities.settle(activity, activities.refs_of(activity), by=request.user, alone=alone)

    return _decided(request, number, decide, _("It stays where it is."))


@login_required
@require_POST
def never(request: RequestOfEmployee, **number: int) -> HttpResponse:
    """The sender comes on the list of exceptions, and this conversation leaves CRM."""
    subject = subject_of(request, number)
    if "@" not in subject.sender:
        raise Http404

    def decide(activity: Activity, alone: bool) -> dict[str, Any]:
        state = activities.unbind(activity, None, by=request.user, alone=alone)
        exception, made = Exclusion.objects.get_or_create(
            account_id=request.user.account_id, pattern=subject.sender, defaults={"by": request.user}
        )
        if made:
            audit.record(
                "crm.exception_added", subject.sender, account_id=request.user.account_id, by=request.user
            )
        return state | {"exception": exception.pk if made else 0}

    sentence = _("Mail of %(address)s is not saved any more.") % {"address": subject.sender}
    return _decided(request, number, decide, sentence)


@login_required
@require_POST
def undo(request: RequestOfEmployee, **number: int) -> HttpResponse:
    subject = subject_of(request, number)
    try:
        account_id, state = signing.loads(request.POST.get("state", ""), salt=_SALT, max_age=_DAY)
    except signing.BadSignature as error:
        raise Http404 from error
    if account_id != request.user.account_id or not subject.may_decide:
        raise Http404
    activities.undo(state, by=request.user)
    return _answer(request, number, _("Undone."), None)


def _decided(
    request: RequestOfEmployee,
    number: dict[str, int],
    decide: Callable[[Activity, bool], dict[str, Any]],
    sentence: str,
) -> HttpResponse:
    subject = subject_of(request, number)
    if not subject.may_decide:
        raise Http404
    try:
        activity = subject.activity
        if subject.message_id is not None:
            activity = activities.kept_for(request.user.account_id, subject.message_id)
    except activities.MessageLeft as left:
        return HttpResponse(str(left), status=422, content_type="text/plain; charset=utf-8")
    assert activity is not None
    alone = request.POST.get("scope") == "message"
    state = decide(activity, alone)
    return _answer(
        request, number, sentence, signing.dumps([request.user.account_id, state], salt=_SALT, compress=True)
    )


def _answer(
    request: RequestOfEmployee, number: dict[str, int], sentence: str, state: str | None
) -> HttpResponse:
    subject = subject_of(request, number)
    if not request.headers.get("HX-Request"):
        messages.success(request, sentence)
        return redirect(subject.base)
    context = _shown(request.user, subject) | {"toast": sentence, "state": state}
    response = render(request, "crm/_panel.html", context)
    response.headers["HX-Trigger"] = "crm-changed"
    return response


def _ref(request: RequestOfEmployee, named: str) -> Ref:
    """ "contact:7" as a browser sends it; Http404 unless it is a record of the company's, outside of the bin."""
    kind, _colon, number = named.partition(":")
    if kind not in BY_LINK:
        raise Http404
    ref = Ref(kind, id_of(number))
    _record(request, ref)
    return ref


def _record(request: RequestOfEmployee, ref: Ref) -> Record:
    return access.get_record(request.user, BY_LINK[ref.kind], ref.id)


_VERBS = {"choose": choose, "link": link, "unlink": unlink, "leave": leave, "never": never, "undo": undo}
urls = [
    path("message/<int:placement_id>/", panel, name="panel"),
    *(
        path(f"message/<int:placement_id>/{verb}/", view, name=f"panel-{verb}")
        for verb, view in _VERBS.items()
    ),
    *(
        path(f"activity/<int:activity_id>/{verb}/", view, name=f"activity-{verb}")
        for verb, view in _VERBS.items()
    ),
    path("marks/", marks, name="marks"),
]
