"""A browser's own long name for itself, in words for people."""

from django import template
from django.utils.translation import gettext as _

register = template.Library()

# The first that is found: most browsers name others, too, which they want to pass for.
_BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "CriOS": "Chrome",
    "Safari": "Safari",
}
_SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "macOS",
    "Linux": "Linux",
}


@register.filter
def browser(agent: str) -> str:
    """ "Firefox on Linux", from a User-Agent header."""
    name = _first(_BROWSERS, agent)
    system = _first(_SYSTEMS, agent)
    if name and system:
        return _("%(browser)s on %(system)s") % {"browser": name, "system": system}
    return name or system or _("Another program")


def _first(known: dict[str, str], agent: str) -> str:
    return next((name for part, name in known.items() if part in agent), "")
