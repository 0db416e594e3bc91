"""When a copy leaves, on the pages of mail: a part beside the message, and a sign in lists when it is close."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from mailsync import access
from mailsync.models import GrantLevel, Message, Placement
from plans.limits import Limits
from plans.offers import plan_name
from plans.subscriptions import limits_for
from retention.policy import Bond, Clock, Rule, clock

MARKED = 400
# In days: a clock that is close is amber and stands in lists; one that is far is quiet.
CLOSE, NEAR = 3, 7


def limits_of(request: RequestOfEmployee) -> Limits:
    return limits_for(request.user.account, request.user.account.today())


@login_required
@never_cache
@require_safe
def panel(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """The clock of a message that the employee may read; without scripts a page of its own."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    shown = clock(letter.message_id, limits_of(request), timezone.now())
    context = {
        "section": "mail",
        "placement_id": placement_id,
        "folder_id": letter.folder_id,
        "clock": shown,
        "tone": tone(shown.days) if shown else "",
        "sentence": sentence(shown) if shown else "",
    }
    part = request.headers.get("HX-Request")
    return render(request, "retention/_clock.html" if part else "retention/clock.html", context)


@login_required
@never_cache
@require_safe
def marks(request: RequestOfEmployee) -> JsonResponse:
    """What the rows on screen (`ids` are places) say whose message leaves within `days`: by place, a label, and in
    short when."""
    asked = [id_or_none(text) for text in request.GET.get("ids", "").split(",")[:MARKED]]
    ids = [pk for pk in asked if pk is not None]
    mine = access.placements_in(access.boxes(request.user), ids, GrantLevel.READ)
    places = dict(Placement.objects.filter(pk__in=mine).values_list("pk", "message_id"))
    days = NEAR if request.GET.get("days") == str(NEAR) else CLOSE
    rule = Rule.of(limits_of(request), timezone.now())
    found = rule.within(days).leaving(Message.objects.filter(pk__in=places.values()))
    left = {pk: rule.days_left(ages_from) for pk, ages_from in found.values_list("pk", "ages_from")}
    close = {place: left[pk] for place, pk in places.items() if pk in left}
    return JsonResponse(
        {
            "leaving": {place: leaves(days) for place, days in close.items()},
            "when": {place: when(days) for place, days in close.items()},
        }
    )


def leaves(days: int) -> str:
    if not days:
        return _("Leaves Webmail tonight")
    return ngettext("Leaves Webmail in %(n)d day", "Leaves Webmail in %(n)d days", days) % {"n": days}


def when(days: int) -> str:
    """The same where it is clear what is meant."""
    return ngettext("in %(n)d day", "in %(n)d days", days) % {"n": days} if days else _("tonight")


def sentence(shown: Clock) -> str:
    """When it leaves and why, or why not."""
    if shown.days is None:
        if shown.bond == Bond.TASK:
            return _("Stays in Webmail for as long as its task, whatever the plan says.")
        return _("Stays in Webmail: it is with a client, and plan %(plan)s keeps that.") % {
            "plan": plan_name(shown.plan)
        }
    why = _("with a client, which does not keep it here") if shown.activity_stays else _("not bound")
    return f"{leaves(shown.days)}: {why}, {_('plan')} {plan_name(shown.plan)}."


def tone(days: int | None) -> str:
    if days is None or days > NEAR:
        return "far"
    return "close" if days <= CLOSE else "near"
