"""What people decide about a mail and CRM, on its page or on an activity's: link, move, unlink, "never", undo.

A decision is answered with the part of the page anew, and with a toast that carries all it takes to undo it.
"""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import audit
from accounts.requests import id_of
from accounts.views import RequestOfEmployee
from crm import access, activities
from crm.kinds import BY_LINK
from crm.matching import Ref
from crm.models import Activity, Exclusion, Record
from crm.views.panel import shown, subject_of

_SALT = "crm.undo"
_DAY = 24 * 3600


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
    context = shown(request.user, subject) | {"toast": sentence, "state": state}
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


_VERBS = {"link": link, "unlink": unlink, "leave": leave, "never": never, "undo": undo}
urls = [
    path(f"{of}/<int:{number}>/{verb}/", view, name=f"{name}-{verb}")
    for of, number, name in (("message", "placement_id", "panel"), ("activity", "activity_id", "activity"))
    for verb, view in _VERBS.items()
]
