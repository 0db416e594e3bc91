"""{% load mail %}: what mail's templates need beyond Django's own."""

import functools
from datetime import datetime

from django import template
from django.urls import reverse
from django.utils import formats, timezone
from django.utils.dates import WEEKDAYS
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.templatetags.icons import icon
from mailsync.models import SpecialUse
from mailsync.trees import Tree

register = template.Library()

ICONS = {
    SpecialUse.INBOX: "inbox",
    SpecialUse.DRAFTS: "file-pen",
    SpecialUse.SENT: "send",
    SpecialUse.ARCHIVE: "archive",
    SpecialUse.JUNK: "octagon-alert",
    SpecialUse.TRASH: "trash-2",
    SpecialUse.ALL: "mails",
    SpecialUse.FLAGGED: "star",
}


@register.simple_tag
def role_icon(role: str) -> SafeString:
    """The icon of a folder by its role."""
    return icon(ICONS.get(SpecialUse(role), "folder") if role else "folder")


@register.simple_tag
def url_of(name: str, number: int, *words: str) -> SafeString:
    """{% url name number … %} at a tenth of its cost: the pane of a message has two dozen of them, a board hundreds.

    `words` are those of a template, never what somebody typed: each is remembered.
    """
    return SafeString(_pattern(name, *words).format(number))


@functools.cache
def _pattern(name: str, *words: str) -> str:
    return reverse(name, args=[0, *words]).replace("/0/", "/{}/", 1)


@register.filter
def grouped(number: int, more: bool = False) -> str:
    """12 408, with a space that does not break; with `more` as "12 408+"."""
    return f"{number:,}{'+' if more else ''}".replace(",", "\u202f")


@register.simple_tag
def badge(name: object, number: int, role: str = "", *, more: bool = False, oob: bool = False) -> SafeString:
    """What the tree counts at a folder (or at "all" inboxes); empty where there is nothing to count.

    `more`: there may be more than were counted. With `oob` it goes into the tree that is on screen already.
    """
    shown = f'{grouped(number, more=more)}<span class="sr"> {_counted(role)}</span>' if number else ""
    swap = ' hx-swap-oob="true"' if oob else ""
    # Numbers and words of ours: nothing to escape, and every act answers with a badge of each folder.
    return SafeString(f'<span class="num" id="n{name}"{swap}>{shown}</span>')


def _counted(role: str) -> str:
    return escape(_("drafts") if role == SpecialUse.DRAFTS else _("unread"))


@register.simple_tag
def badges(tree: Tree) -> SafeString:
    """All counts of the tree on screen, anew."""
    folders = [folder for mailbox in tree.mailboxes for folder in mailbox.folders]
    counted = [badge(folder.id, folder.badge, folder.role, more=folder.more, oob=True) for folder in folders]
    return SafeString("\n".join([badge("all", tree.inbox_unseen, more=tree.inbox_more, oob=True), *counted]))


@register.filter
def initials(name: str) -> str:
    """One or two letters that stand for a person; "?" when nothing in the name is a letter."""
    words = [word for word in name.replace("@", " ").split() if word[0].isalnum()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


@register.simple_tag
def moment(at: datetime) -> SafeString:
    """A date in the employee's zone, with zone and year on hover."""
    local, now = timezone.localtime(at), timezone.localtime()
    whole = formats.date_format(local, "DATETIME_FORMAT")
    shown = whole if abs((now - local).days) >= 6 else _near(local, now)
    full = f"{whole} {local:%Z (%z)}"
    return format_html('<time datetime="{}" title="{}">{}</time>', local.isoformat(), full, shown)


def _near(local: datetime, now: datetime) -> str:
    day = _("Today") if local.date() == now.date() else WEEKDAYS[local.weekday()]
    return f"{day}, {local:%H:%M}"


@register.simple_tag
def person(name: str, address: str) -> SafeString:
    """Somebody of a header: the name, and the address behind it."""
    if not name:
        return format_html("<bdi>{}</bdi>", address)
    return format_html('<bdi>{}</bdi> <span class="faint">&lt;{}&gt;</span>', name, address)
