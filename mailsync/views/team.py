"""Colleagues in one mailbox: whose a message is, notes about it, and who is answering at this moment."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Employee
from accounts.views import RequestOfEmployee
from mailsync import access, conversation, noting, presence, teamwork
from mailsync.access import Letter
from mailsync.models import Event, EventKind, GrantLevel, Mailbox, Message, Note, Placement
from mailsync.noting import CannotNote
from mailsync.views import listing as lists
from mailsync.views.reading import tree_for, varied


@dataclass(frozen=True, slots=True)
class Shown:
    """A note on the page; `html` has its mentions marked."""

    id: int
    by: Employee
    at: datetime
    mine: bool
    html: SafeString


@login_required
@require_safe
@never_cache
def team(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """The part beside an opened message, or of it only what colleagues change (`live`); a page of its own."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    if not request.headers.get("HX-Request"):
        return varied(render(request, "mail/team/page.html", _context(request, letter)))
    part = "_live" if request.GET.get("live") else "_team"
    return varied(render(request, f"mail/team/{part}.html", _context(request, letter)))


@login_required
@require_POST
def note(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """Write one."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    said: dict[str, Any] = {"asked": True}
    try:
        noting.write(Message.objects.get(pk=letter.message_id), request.POST.get("text", ""), by=request.user)
    except CannotNote as refusal:
        said |= {"error": str(refusal), "typed": request.POST.get("text", "")}
    if request.headers.get("HX-Request"):
        return render(request, "mail/team/_team.html", _context(request, letter) | said)
    if "error" in said:
        return render(request, "mail/team/page.html", _context(request, letter) | said, status=422)
    return redirect("mail:team", placement_id)


@login_required
@require_POST
def delete_note(request: RequestOfEmployee, note_id: int) -> HttpResponse:
    """By its author; the toast has it back."""
    mine, letter = _get_note(request.user, note_id)
    noting.delete(mine)
    if not request.headers.get("HX-Request"):
        return redirect("mail:team", letter.id)
    return render(request, "mail/team/_deleted.html", _context(request, letter) | {"note": mine})


@login_required
@require_POST
def restore_note(request: RequestOfEmployee, note_id: int) -> HttpResponse:
    mine, letter = _get_note(request.user, note_id)
    noting.restore(mine)
    if not request.headers.get("HX-Request"):
        return redirect("mail:team", letter.id)
    return render(request, "mail/team/_live.html", _context(request, letter))


@login_required
@require_safe
@never_cache
def colleagues(request: RequestOfEmployee) -> HttpResponse:
    """Those who work in the mailboxes of a list, besides the reader: to assign to, or to narrow the list by."""
    listed = lists.listing(tree_for(request.user), request.GET.get("list", ""), "")
    shared = {f.mailbox_id for f in listed.folders if listed.tree.mailbox(f.mailbox_id).shared}
    found = {each for box in Mailbox.objects.filter(pk__in=shared) for each in access.people_of(box)}
    context = {
        "people": sorted(found - {request.user}, key=lambda each: (each.name.casefold(), each.pk)),
        "for": request.GET.get("for", ""),
        "base": listed.all_url,
        "form": "acts",
    }
    return render(request, "mail/team/_colleagues.html", context)


@login_required
@require_POST
def answering(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """The page of a draft says that its author is at it, or (`gone`) no longer; answers who else is."""
    draft = access.get_outgoing(request.user, outgoing_id)
    root = conversation.root_of_letter(draft)
    if not root:
        return HttpResponse(status=204)
    if request.POST.get("gone") == "1":
        presence.gone(draft.mailbox_id, root, request.user.pk)
        return HttpResponse(status=204)
    presence.here(draft.mailbox_id, root, request.user.pk)
    others = _names(presence.others(draft.mailbox_id, root, request.user.pk))
    return render(request, "mail/team/_answering.html", {"answering": others})


def _get_note(employee: Employee, note_id: int) -> tuple[Note, Letter]:
    """A note of one's own, and its message where it lies now. Http404 where either is out of reach."""
    mine = get_object_or_404(Note, pk=note_id, by=employee)
    places = Placement.objects.filter(message__mailbox=mine.mailbox_id, message__identity=mine.identity)
    for placement_id in places.values_list("pk", flat=True)[:1]:
        return mine, access.get_letter(employee, placement_id, GrantLevel.READ)
    raise Http404


def _context(request: RequestOfEmployee, letter: Letter) -> dict[str, Any]:
    box = Mailbox.objects.get(pk=letter.box.id)
    message = Message.objects.only("mailbox_id", "identity", "message_id").get(pk=letter.message_id)
    people = access.people_of(box)
    mark = teamwork.marks([letter.message_id]).get(letter.message_id)
    root = conversation.root(letter.header, message.message_id)
    return {
        "section": "mail",
        "letter": letter,
        "mark": mark,
        "shut_out": bool(mark and mark.employee_id and mark.employee_id not in {each.pk for each in people}),
        "deeds": _deeds(letter, mark, request.user),
        "notes": [_shown(each, people, request.user) for each in noting.of(message)],
        "people": [person for person in people if person != request.user],
        "names": json.dumps([str(person) for person in people if person != request.user]),
        "may_assign": access.includes(letter.box.level, GrantLevel.REPLY),
        "answering": _names(presence.others(box.pk, root, request.user.pk)) if root else [],
    }


def _deeds(letter: Letter, mark: teamwork.Mark | None, reader: Employee) -> list[tuple[str, datetime]]:
    """Who answered it last, and who put it where it lies, each with the time."""
    answered = Event.objects.filter(
        message=letter.message_id, kind=EventKind.FLAG, by__isnull=False, flags__contains="+\\Answered"
    )
    deeds = [
        (_("Answered by you") if one.by == reader else _("Answered by %(who)s") % {"who": one.by}, one.at)
        for one in answered.select_related("by").order_by("-pk")[:1]
    ]
    if mark and mark.at and (did := mark.did(letter.path, letter.role, reader.pk)):
        deeds.append((did, mark.at))
    return deeds


def _shown(each: Note, people: list[Employee], reader: Employee) -> Shown:
    parts, end = [], 0
    for start, stop, _person in noting.mentions(each.text, people):
        parts += [escape(each.text[end:start]), f"<mark>{escape(each.text[start:stop])}</mark>"]
        end = stop
    html = "".join([*parts, escape(each.text[end:])])
    return Shown(each.pk, each.by, each.at, each.by == reader, mark_safe(html))  # noqa: S308 (escaped above)


def _names(ids: list[int]) -> list[str]:
    return [str(each) for each in Employee.objects.filter(pk__in=ids).order_by("name")] if ids else []


urls = [
    path("mail/message/<int:placement_id>/team/", team, name="team"),
    path("mail/message/<int:placement_id>/note/", note, name="note"),
    path("mail/notes/<int:note_id>/delete/", delete_note, name="note-delete"),
    path("mail/notes/<int:note_id>/restore/", restore_note, name="note-restore"),
    path("mail/colleagues/", colleagues, name="colleagues"),
    path("mail/write/<int:outgoing_id>/answering/", answering, name="answering"),
]
