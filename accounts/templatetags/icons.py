"""{% icon "archive" %}: one icon of the sprite; with a label it speaks, without it is decoration."""

import functools

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.icons import NAMES

register = template.Library()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Return the icon as SVG; a name that the sprite lacks is an error at once, not a blank."""
    return _svg(name, str(label))


@functools.cache
def _svg(name: str, label: str) -> SafeString:
    if name not in NAMES:
        raise template.TemplateSyntaxError(f"no icon {name!r} in accounts.icons.NAMES")
    where = static("accounts/icons.svg")
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}#{}"></use></svg>', label, where, name
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', where, name)
