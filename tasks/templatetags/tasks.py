"""{% load tasks %}: how a deadline is said."""

from datetime import datetime

from django import template
from django.utils import dateformat, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

register = template.Library()


@register.simple_tag
def deadline(at: datetime) -> SafeString:
    """The day as one says it, with the full date on hover; the time only where it is near."""
    local, today = timezone.localtime(at), timezone.localdate()
    days = (local.date() - today).days
    near = {-1: _("Yesterday"), 0: _("Today"), 1: _("Tomorrow")}
    if days in near:
        shown = f"{near[days]} {local:%H:%M}"
    elif 1 < days < 7:
        shown = dateformat.format(local, "D H:i")
    else:
        shown = dateformat.format(local, "j M" if local.year == today.year else "j M Y")
    full = dateformat.format(local, "Y-m-d H:i T")
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), full, shown)
