"""What is being written and what is on its way: drafts, planned letters, refusals, and those nobody is sure about."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.models import Employee
from accounts.views import RequestOfEmployee
from mailsync import access
from mailsync.models import GrantLevel, Outgoing, OutgoingState
from mailsync.views.letter_state import State, state_of
from mailsync.views.reading import tree_for

SHOWN = 100
# What needs a person first, then what moves by itself, then what waits for its author, then what is over.
_PARTS = (
    ("attention", (OutgoingState.REFUSED, OutgoingState.UNSURE)),
    ("waiting", (OutgoingState.SENDING, OutgoingState.QUEUED)),
    ("drafts", (OutgoingState.DRAFT,)),
    ("sent", (OutgoingState.SENT,)),
)


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    title: str
    states: list[State]


@login_required
@require_safe
@never_cache
def outbox(request: RequestOfEmployee) -> HttpResponse:
    """Everything unsent, and what went out lately, of the mailboxes the employee may write from."""
    titles = {
        "attention": _("Needs you"),
        "waiting": _("On its way"),
        "drafts": _("Drafts"),
        "sent": _("Sent lately"),
    }
    parts = [Part(name, titles[name], _states(request.user, states)) for name, states in _PARTS]
    context = {
        "section": "mail",
        "tree": tree_for(request.user),
        "parts": [part for part in parts if part.states],
    }
    return render(request, "mail/write/outbox.html", context)


def letters_of(employee: Employee) -> QuerySet[Outgoing]:
    """What people of the mailboxes have written; a draft that was opened and left untouched is none."""
    boxes = access.visible_mailboxes(employee, GrantLevel.REPLY).values_list("pk", flat=True)
    found = Outgoing.objects.filter(mailbox__in=list(boxes), by__isnull=False)
    return found.exclude(state=OutgoingState.DRAFT, revision=1)


def _states(employee: Employee, states: Iterable[str]) -> list[State]:
    shown = 20 if OutgoingState.SENT in states else SHOWN
    found = letters_of(employee).filter(state__in=list(states)).select_related("mailbox", "by")
    found = found.prefetch_related("reports").defer("header", "html", "quoted")
    return [state_of(letter) for letter in found.order_by("-updated_at")[:shown]]


urls = [path("mail/outbox/", outbox, name="outbox")]
