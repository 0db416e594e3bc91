"""What is done to the mailboxes that were chosen in the list: at once with an undo, or after a preview."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts.models import Employee
from accounts.requests import id_or_none, ids_of, next_page
from accounts.views import RequestOfEmployee, admin_required
from mailsync import pausing, settling
from mailsync.models import GrantLevel, Mailbox
from mailsync.templatetags.mail import grouped
from overview import access, bulk, finding, previews
from overview.finding import asked_of
from overview.models import Deed
from overview.views.mailboxes import SECTION, resting_of

# Previews count messages, and each mailbox is a transaction of its own: a page must not take minutes.
MOST_AT_ONCE = {"crm": 500, "disconnect": 200, "transfer": 200}
REFUSALS_SHOWN = 5
NAMED = 12

Boxes = QuerySet[Mailbox]


@admin_required
@never_cache
@require_POST
def act(request: RequestOfEmployee) -> HttpResponse:
    """Carry out a verb on the chosen mailboxes, or show its preview first."""
    verb, boxes = request.POST.get("verb", ""), _chosen(request)
    if verb in AT_ONCE:
        if boxes:
            return _said(request, AT_ONCE[verb](boxes, request.user))
    elif verb in ASKED:
        if 0 < len(boxes) <= MOST_AT_ONCE[verb]:
            return ASKED[verb](request, boxes)
    else:
        raise Http404
    if boxes:
        words = _("Choose at most %(most)d mailboxes at once for this; %(n)d are chosen.")
        messages.error(request, words % {"most": MOST_AT_ONCE[verb], "n": len(boxes)})
    else:
        messages.error(request, _("Choose the mailboxes first."))
    return redirect(_back(request))


def _said(request: RequestOfEmployee, sentence: str) -> HttpResponse:
    if sentence:
        messages.success(request, sentence)
    return redirect(_back(request))


def _chosen(request: RequestOfEmployee) -> Boxes:
    """The boxes that are ticked, those that a preview was about, or all that the list was asked for."""
    if request.POST.get("all"):
        asked = asked_of(QueryDict(request.POST.get("query", "")))
        found = finding.found(
            access.visible(request.user), asked, resting=resting_of(request.user), now=timezone.now()
        )
        return access.to_act_on(request.user, found.values_list("pk", flat=True))
    texts = [text for given in request.POST.getlist("ids") for text in given.split(",")]
    return access.to_act_on(request.user, ids_of(texts))


def _back(request: RequestOfEmployee) -> str:
    return next_page(request, reverse("overview:mailboxes"))


# At once


def _undoable(deed: Deed) -> str:
    """The list itself says what was done, beside its undo."""
    return "" if deed.before else _("Nothing had to be changed.")


def _checked(boxes: Boxes, _by: Employee) -> str:
    n = len(pausing.try_now(boxes.values_list("pk", flat=True)))
    return ngettext("%(n)s mailbox is checked now.", "%(n)s mailboxes are checked now.", n) % {
        "n": grouped(n)
    }


AT_ONCE: dict[str, Callable[[Boxes, Employee], str]] = {
    "pause": lambda boxes, by: _undoable(bulk.pause(boxes, by=by)),
    "resume": lambda boxes, by: _undoable(bulk.resume(boxes, by=by)),
    "check": _checked,
}


# After a preview


def _preview(request: RequestOfEmployee, boxes: Boxes, verb: str, **context: Any) -> HttpResponse:
    shown = {
        **SECTION,
        "verb": verb,
        "n": len(boxes),
        "boxes": sorted(box.address for box in boxes)[:NAMED],
        "more": len(boxes) - NAMED,
        "ids": ",".join(str(box.pk) for box in boxes),
        "next": _back(request),
        "colleagues": _colleagues(request.user),
    }
    status = 422 if context.get("trouble") else 200
    return render(request, f"overview/{verb}.html", shown | context, status=status)


def _crm(request: RequestOfEmployee, boxes: Boxes) -> HttpResponse:
    wish, queue = request.POST.get("crm"), request.POST.get("queue", "keep")
    if wish not in ("yes", "no"):
        return _preview(request, boxes, "crm")
    people = {row.pk for row in _colleagues(request.user)}
    turns = [pk for pk in ids_of(request.POST.getlist("people")) if pk in people]
    if wish == "yes" and queue == "people" and not turns:
        return _preview(request, boxes, "crm", trouble=_("Choose at least one colleague."))
    chosen = {"people": turns, "owner": []}.get(queue) if wish == "yes" else None
    deed = bulk.feed_crm(boxes, enabled=wish == "yes", queue=chosen, by=request.user)
    return _said(request, _undoable(deed))


def _disconnect(request: RequestOfEmployee, boxes: Boxes) -> HttpResponse:
    if not request.POST.get("confirmed"):
        return _preview(request, boxes, "disconnect", leaving=previews.disconnecting(boxes))
    n = len(boxes)
    gone = settling.disconnect_all(list(boxes), by=request.user)
    words = ngettext(
        "%(n)s mailbox is disconnected; %(gone)s copies leave Mailbound. The mail server keeps everything.",
        "%(n)s mailboxes are disconnected; %(gone)s copies leave Mailbound. The mail servers keep everything.",
        n,
    )
    messages.success(request, words % {"n": grouped(n), "gone": grouped(gone)})
    return redirect(_back(request))


def _transfer(request: RequestOfEmployee, boxes: Boxes) -> HttpResponse:
    if not request.POST.get("confirmed"):
        return _preview(request, boxes, "transfer", levels=GrantLevel.choices)
    heir = _colleagues(request.user).filter(pk=id_or_none(request.POST.get("heir")) or 0).first()
    keeps = request.POST.get("keeps", "")
    if heir is None or (keeps and keeps not in GrantLevel.values):
        trouble = _("Choose who gets them.")
        return _preview(request, boxes, "transfer", levels=GrantLevel.choices, trouble=trouble)
    done, refusals = bulk.transfer(list(boxes), heir, keeps=keeps, by=request.user)
    if done:
        words = ngettext("%(n)s mailbox is %(heir)s's now.", "%(n)s mailboxes are %(heir)s's now.", done)
        messages.success(request, words % {"n": grouped(done), "heir": heir})
    for sentence in refusals[:REFUSALS_SHOWN]:
        messages.error(request, sentence)
    if len(refusals) > REFUSALS_SHOWN:
        more = len(refusals) - REFUSALS_SHOWN
        messages.error(request, _("and %(n)d more for the same kind of reason.") % {"n": more})
    return redirect(_back(request))


ASKED: dict[str, Callable[[RequestOfEmployee, Boxes], HttpResponse]] = {
    "crm": _crm,
    "disconnect": _disconnect,
    "transfer": _transfer,
}


def _colleagues(admin: Employee) -> QuerySet[Employee]:
    return Employee.objects.filter(account_id=admin.account_id, is_active=True).order_by("name", "pk")


@admin_required
@require_POST
def undo(request: RequestOfEmployee, deed_id: int) -> HttpResponse:
    """Take back one's own last deed."""
    deed = get_object_or_404(Deed, pk=deed_id, account_id=request.user.account_id)
    if deed.by_id != request.user.pk:
        raise PermissionDenied
    n = bulk.undo(deed, by=request.user)
    words = ngettext("%(n)s mailbox is as it was.", "%(n)s mailboxes are as they were.", n)
    messages.success(request, words % {"n": grouped(n)})
    return redirect(_back(request))


urls = [
    path("mailboxes/all/act/", act, name="act"),
    path("mailboxes/all/undo/<int:deed_id>/", undo, name="undo"),
]
