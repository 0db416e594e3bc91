"""{% load mailboxes %}: words of the mailboxes' pages."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from mailsync import oauth
from mailsync.models import GrantLevel, Mailbox

register = template.Library()


@register.filter
def provider(mailbox: Mailbox) -> str:
    """Where the consent is that the mailbox lives by; "" where it has a password."""
    if mailbox.consent is None:
        return ""
    found = oauth.by_key(mailbox.consent.provider)
    return found.name if found else mailbox.consent.provider


@register.filter
def level_name(level: str) -> str:
    """A level of a grant in words."""
    return str(GrantLevel(level).label)


@register.filter
def ago(moment: datetime) -> str:
    """How long ago, in one unit: nobody reads "0 minutes ago"."""
    if timezone.now() - moment < timedelta(minutes=1):
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(moment, depth=1)}
