"""Numbers of a preview in templates."""

from django import template

from retention.policy import Fate
from retention.preview import OfMailbox

register = template.Library()


@register.filter
def kept(box: OfMailbox, fate: str) -> int:
    """How many messages of a mailbox meet a fate."""
    return box.of(Fate(fate)).messages
