"""Numbers of a preview and of an export in templates."""

from datetime import timedelta

from django import template

from mailsync import progress
from retention.policy import Fate
from retention.preview import OfMailbox

register = template.Library()


@register.filter
def kept(box: OfMailbox, fate: str) -> int:
    """How many messages of a mailbox meet a fate."""
    return box.of(Fate(fate)).messages


@register.filter
def left(remaining: timedelta) -> str:
    """As in "4 minutes left"."""
    return progress.left(remaining)


@register.filter
def whole(rate: float) -> int:
    """A rate in whole numbers, never 0."""
    return max(1, round(rate))
