"""What leaves soon out of the mailboxes that an employee reads, and keeping some of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
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
from retention import telling as notices
from retention import words
from retention.policy import DAY, Rule
from retention.views.clock import CLOSE, NEAR, leaves, limits_of
from tasks import access as task_access
from tasks import binding, reading, telling

PAGE = 100
CHOICES = 6


@dataclass(frozen=True, slots=True)
class Span:
    """How far ahead the page looks: some days, or to a change of the plan.

    `rule` says who has left by then. Of a change only what would stay without it is shown: who stays by `otherwise`.
    """

    name: str
    label: str
    plan: str
    rule: Rule
    otherwise: Rule | None = None


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
    """What has left at the end of a span (`until`; else of three days), out of all mailboxes or out of one."""
    now = Rule.of(limits_of(request), timezone.now())
    spans = list(_spans(request, now))
    span = next((each for each in spans if each.name == request.GET.get("until")), spans[0])
    boxes = list(access.visible_mailboxes(request.user).order_by("address"))
    chosen = id_or_none(request.GET.get("mailbox"))
    shown = [box for box in boxes if chosen in (None, box.pk)]
    after = id_or_none(request.GET.get("after"))
    rows, last = _leaving(shown, span, now, after=after)
    if after and not rows:
        return redirect(_back(request, but="after"))
    of_this = {"until": span.name} | ({"mailbox": chosen} if chosen else {})
    context = {
        "section": "mail",
        "rows": rows,
        "first": "?" + urlencode(of_this) if after else "",
        "next": "?" + urlencode({**of_this, "after": last}) if last else "",
        "after": after,
        "span": span,
        "chips": [
            (
                each.label,
                "?" + urlencode({"until": each.name} | ({"mailbox": chosen} if chosen else {})),
                each is span,
            )
            for each in spans
        ],
        "boxes": boxes,
        "chosen": chosen,
    }
    return render(request, "retention/leaving.html", context)


def _spans(request: RequestOfEmployee, now: Rule) -> Iterator[Span]:
    plan = plan_name(limits_of(request).plan)
    for days in (CLOSE, NEAR):
        label = ngettext("Within %(n)d day", "Within %(n)d days", days) % {"n": days}
        yield Span(str(days), label, plan, now.within(days))
    for change in notices.to_come(request.user.account):
        if change.takes_mail:
            label = _("When the plan changes on %(day)s") % {"day": words.day(change.on)}
            before, after = notices.rules(request.user.account, change)
            yield Span(change.key, label, plan_name(change.after.plan), after, otherwise=before)


def _leaving(
    boxes: list[Mailbox], span: Span, now: Rule, *, after: int | None
) -> tuple[list[Leaving], int | None]:
    """A page, the next to leave first, and the last message on it if more leave behind it.

    It begins behind the message `after`; with the first to leave if that is not there any more. What is in no folder
    cannot be opened, and is not shown.
    """
    rows = span.rule.leaving(Message.objects.filter(mailbox__in=boxes, unplaced_since=None))
    if span.otherwise:
        rows = span.otherwise.staying(rows)
    if after and (begin := Message.objects.filter(pk=after, mailbox__in=boxes).only("ages_from").first()):
        rows = rows.filter(Q(ages_from__gt=begin.ages_from) | Q(ages_from=begin.ages_from, pk__gt=begin.pk))
    found = list(rows.defer("header").order_by("ages_from", "pk")[: PAGE + 1])
    last = found[PAGE - 1].pk if len(found) > PAGE else None
    found = found[:PAGE]
    shown = Placement.objects.filter(message__in=found, folder__deleting=False, folder__mailbox__in=boxes)
    places = {each.message_id: each for each in shown}
    with_the_change = (span.rule.at - now.at) // DAY if span.otherwise else None
    shown_rows = [
        Leaving(
            message,
            places[message.pk],
            leaves(now.days_left(message.ages_from) if with_the_change is None else with_the_change),
        )
        for message in found
        if message.pk in places
    ]
    return shown_rows, last


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def keep(request: RequestOfEmployee) -> HttpResponse:
    """Choose a task or a record for the messages at `ids` (places), and bind them to it."""
    ids = ids_of((request.POST or request.GET).getlist("ids")[:PAGE])
    found = task_access.readable_messages(request.user, ids)
    if not found:
        messages.error(request, _("Choose the messages first; what has left cannot be kept any more."))
        return redirect(_back(request))
    if request.method == "POST":
        try:
            messages.success(request, _bound(request, ids, found))
        except (telling.CannotDo, activities.MessageLeft) as refusal:
            messages.error(request, str(refusal))
        return redirect(_back(request))
    return render(request, "retention/keep.html", _choices(request, ids, found))


def _back(request: RequestOfEmployee, *, but: str = "") -> str:
    """The list from which the messages were chosen; without what `but` says of it."""
    asked = request.POST or request.GET
    kept = {name: asked[name] for name in ("until", "mailbox", "after") if name != but and asked.get(name)}
    return reverse("retention:leaving") + (f"?{urlencode(kept)}" if kept else "")


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
        "back": _back(request),
        "until": request.GET.get("until", ""),
        "mailbox": request.GET.get("mailbox", ""),
        "after": request.GET.get("after", ""),
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
