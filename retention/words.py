"""What is said about a change of the plan: on the page, in the notice and in the e-mail, in the same words."""

from collections.abc import Iterable
from datetime import date

from django.template.defaultfilters import filesizeformat
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from plans.changes import LIMITS, Change, Why
from plans.limits import Limits
from plans.offers import plan_name
from retention.models import PlanNotice, Stage

NAMES = {
    "storage_days": gettext_lazy("Days that copies stay"),
    "fetch_days": gettext_lazy("Days of the first fetch"),
    "mailboxes_per_employee": gettext_lazy("Mailboxes per employee"),
    "shared_mailboxes": gettext_lazy("Shared mailboxes"),
    "outgoing_per_month": gettext_lazy("Outgoing per month"),
    "crm_bound_stays": gettext_lazy("Mail bound to CRM stays in Webmail"),
}


def limit(limits: Limits, name: str) -> str:
    """A limit for people: "unlimited", "not available", or the number."""
    value = getattr(limits, name)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if value is None:
        return _("unlimited")
    if not value and name.endswith("_days"):
        return _("none")
    return f"{value:,}".replace(",", "\u202f") if value else _("not available")


def differences(change: Change) -> list[str]:
    """ "Days that copies stay: 7 instead of 30" for each limit that is another."""
    names = [*LIMITS, "crm_bound_stays"]
    return [
        _("%(name)s: %(after)s instead of %(before)s")
        % {"name": NAMES[name], "after": limit(change.after, name), "before": limit(change.before, name)}
        for name in names
        if getattr(change.after, name) != getattr(change.before, name)
    ]


def subject(change: Change) -> str:
    """What happens and when, in one line."""
    words = {
        "day": day(change.on),
        "plan": plan_name(change.after.plan),
        "before": plan_name(change.before.plan),
    }
    if change.why == Why.TRIAL:
        return _("The trial ends on %(day)s; then the plan is %(plan)s") % words
    if change.why == Why.ROW:
        return _("The limits of the plan %(plan)s change on %(day)s") % words
    return _("On %(day)s the plan changes from %(before)s to %(plan)s") % words


def past(change: Change) -> str:
    """What has changed and why, in one line."""
    words = {
        "day": day(change.on),
        "plan": plan_name(change.after.plan),
        "before": plan_name(change.before.plan),
    }
    if change.why == Why.TRIAL:
        return _("The trial ended on %(day)s: the plan is %(plan)s now.") % words
    if change.why == Why.ROW:
        return _("The limits of the plan %(plan)s changed on %(day)s.") % words
    return _("Since %(day)s the plan is %(plan)s instead of %(before)s.") % words


def numbers(boxes: Iterable[dict[str, object]]) -> list[str]:
    """One line a mailbox."""
    lines = []
    for box in boxes:
        messages = int(str(box["messages"]))
        parts = []
        if messages:
            words = ngettext("%(n)d message leaves (%(size)s)", "%(n)d messages leave (%(size)s)", messages)
            parts.append(words % {"n": messages, "size": filesizeformat(int(str(box["bytes"])))})
        if box["parked"]:
            parts.append(_("it is parked: nothing new comes in"))
        lines.append(f"{box['address']}: {', '.join(parts)}")
    return lines


def letter(notice: PlanNotice, change: Change) -> str:
    """The e-mail: plain text."""
    head = past(change) if notice.stage == Stage.AFTER else subject(change) + "."
    lines = numbers(notice.boxes)
    parts = [head, "\n".join(differences(change))]
    if lines:
        parts.append("\n".join([_("Because of it:"), *lines]))
    parts.append(
        _(
            "Only copies in Mailbound are concerned: your mail server keeps everything, and what is bound to a task "
            "stays here, too."
        )
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def day(on: date) -> str:
    return date_format(on, "DATE_FORMAT")
