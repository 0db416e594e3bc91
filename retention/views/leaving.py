"""What leaves soon out of the mailboxes that an employee reads, and keeping some of it."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts.requests import id_of, id_or_none, ids_of
from accounts.views import RequestOfEmployee
from crm import access as crm
from crm import activities, finding
from crm.finding import Query
from crm.kinds import BY_LINK, KINDS
from crm.matching import Ref
from mailsync import access
from mailsync.models import GrantLevel, Mailbox, Message, Placement
from plans.offers import plan_name
from retention.policy import Rule
from retention.views.clock import CLOSE, NEAR, leaves, limits_of
from tasks import access as task_access
from tasks import binding, reading, telling

PAGE = 100
CHOICES = 6


@dataclass(frozen=True, slots=True)
class Leaving:
    """A message that leaves, and where it is opened."""

    message: Message
    place: Placement
    when: str


@login_required
@never_cache
@require_safe
def page(request: RequestOfEmployee) -> HttpResponse:
    """Within three days, or a week (`days`); of all mailboxes, or of one."""
    days = NEAR if request.GET.get("days") == str(NEAR) else CLOSE
    boxes = list(access.visible_mailboxes(request.user).order_by("address"))
    chosen = id_or_none(request.GET.get("mailbox"))
    shown = [box for box in boxes if chosen in (None, box.pk)]
    rows = _leaving(request, shown, days)
    context = {
        "section": "mail",
        "rows": rows[:PAGE],
        "more": len(rows) > PAGE,
        "days": days,
        "chips": [
            (
                label,
                "?" + urlencode({"days": number} | ({"mailbox": chosen} if chosen else {})),
                number == days,
            )
            for number, label in ((CLOSE, _within(CLOSE)), (NEAR, _within(NEAR)))
        ],
        "boxes": boxes,
        "chosen": chosen,
        "plan": plan_name(limits_of(request).plan),
        "limits": limits_of(request),
    }
    return render(request, "retention/leaving.html", context)


def _within(days: int) -> str:
    return ngettext("Within %(n)d day", "Within %(n)d days", days) % {"n": days}


def _leaving(request: RequestOfEmployee, boxes: list[Mailbox], days: int) -> list[Leaving]:
    """One more than a page, the next to leave first; what is in no folder cannot be opened."""
    rule = Rule.of(limits_of(request), timezone.now())
    rows = (
        rule.within(days)
        .leaving(Message.objects.filter(mailbox__in=boxes, unplaced_since=None))
        .defer("header")
    )
    found = list(rows.order_by("ages_from", "pk")[: PAGE + 1])
    shown = Placement.objects.filter(message__in=found, folder__deleting=False, folder__mailbox__in=boxes)
    places = {each.message_id: each for each in shown}
    return [
        Leaving(message, places[message.pk], leaves(rule.days_left(message.ages_from)))
        for message in found
        if message.pk in places
    ]


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def keep(request: RequestOfEmployee) -> HttpResponse:
    """Choose a task or a record for the messages at `ids` (places), and bind them to it."""
    ids = ids_of((request.POST or request.GET).getlist("ids")[:PAGE])
    found = task_access.readable_messages(request.user, ids)
    if not found:
        messages.error(request, _("Choose the messages first; what has left cannot be kept any more."))
        return redirect("retention:leaving")
    if request.method == "POST":
        try:
            messages.success(request, _bound(request, ids, found))
        except (telling.CannotDo, activities.MessageLeft) as refusal:
            messages.error(request, str(refusal))
        return redirect("retention:leaving")
    return render(request, "retention/keep.html", _choices(request, ids, found))


def _choices(request: RequestOfEmployee, ids: list[int], found: list[Message]) -> dict[str, Any]:
    words = request.GET.get("q", "").replace("\0", "").strip()[:200]
    records = [
        (kind, record)
        for kind in KINDS.values()
        for record in finding.page(request.user, kind, Query(q=words))[0][:CHOICES]
    ]
    return {
        "section": "mail",
        "ids": ids,
        "found": found,
        "q": words,
        "tasks": reading.choice(request.user, words, without=found[0]),
        "records": records,
        "may_link": bool(_of_clients(request, ids)),
        "limits": limits_of(request),
    }


def _bound(request: RequestOfEmployee, ids: list[int], found: list[Message]) -> str:
    """Bind them all and say so. Raises CannotDo or MessageLeft, and then nothing was bound."""
    if request.POST.get("record"):
        count = _link(request, _of_clients(request, ids), request.POST["record"])
        said = ngettext("%(n)d message is linked.", "%(n)d messages are linked.", count)
        return said % {"n": count}
    task = task_access.get_task(request.user, id_of(request.POST.get("task")))
    binding.bind(task, [message.pk for message in found], by=request.user)
    said = ngettext(
        "%(n)d message stays with “%(task)s”.", "%(n)d messages stay with “%(task)s”.", len(found)
    )
    return said % {"n": len(found), "task": task.title}


def _of_clients(request: RequestOfEmployee, ids: list[int]) -> list[int]:
    """The messages that the employee may show to the company: more than reading is needed."""
    mine = access.placements_in(access.boxes(request.user), ids, GrantLevel.REPLY)
    return sorted(set(Placement.objects.filter(pk__in=mine).values_list("message_id", flat=True)))


def _link(request: RequestOfEmployee, message_ids: list[int], named: str) -> int:
    kind, _colon, number = named.partition(":")
    if kind not in BY_LINK or not message_ids:
        raise Http404
    record = crm.get_record(request.user, BY_LINK[kind], id_of(number))
    for message_id in message_ids:
        activity = activities.kept_for(request.user.account_id, message_id)
        activities.bind(activity, Ref(kind, record.pk), by=request.user, alone=True)
    return len(message_ids)
