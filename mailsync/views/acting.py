"""What people do to mail from a list or an opened message: one door, one verb, one answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.models import Employee
from accounts.requests import id_of, ids_of, next_page
from accounts.views import RequestOfEmployee
from mailsync import access, actions, assigning, paging, trees
from mailsync.access import Box
from mailsync.assigning import CannotAssign
from mailsync.levels import LEVEL_OF
from mailsync.models import Act, GrantLevel
from mailsync.paging import Key
from mailsync.views import listing as lists
from mailsync.views.reading import fresh, live

SEEN, FLAGGED = "\\Seen", "\\Flagged"
Verb = Callable[..., Act]


def _read(placements: actions.Placements, *, by: Employee) -> Act:
    return actions.set_flags(placements, add=[SEEN], by=by)


def _unread(placements: actions.Placements, *, by: Employee) -> Act:
    return actions.set_flags(placements, remove=[SEEN], by=by)


def _star(placements: actions.Placements, *, by: Employee) -> Act:
    return actions.set_flags(placements, add=[FLAGGED], by=by)


def _unstar(placements: actions.Placements, *, by: Employee) -> Act:
    return actions.set_flags(placements, remove=[FLAGGED], by=by)


FLAGS: dict[str, Verb] = {"read": _read, "unread": _unread, "star": _star, "unstar": _unstar}
# Of each person's own where a mailbox keeps that apart.
READING = ("read", "unread")
MOVES: dict[str, Verb] = {
    "archive": actions.archive,
    "trash": actions.trash,
    "spam": actions.spam,
    "not-spam": actions.not_spam,
    "expunge": actions.expunge,
}


@login_required
@require_POST
def act(request: RequestOfEmployee) -> HttpResponse:
    """`verb` on `ids`, or with `all` on all that the list holds from its row `top` down.

    `one` ("star:17") is a button in a row: its verb and its row, whatever is ticked.
    """
    verb, _colon, argument = request.POST.get("verb", "").partition(":")
    ids = request.POST.getlist("ids")
    if request.POST.get("one"):
        verb, _colon, only = request.POST["one"].partition(":")
        ids = [only]
    boxes = access.boxes(request.user)
    chosen = _chosen(request, boxes, ids, verb)
    if not chosen:
        return _refused(request, _("These messages are no longer here, or you may not do this with them."))
    if verb == "expunge" and request.POST.get("confirmed") != "1":
        return _ask_first(request, len(chosen))
    try:
        done = _do(verb, argument, chosen, request.user)
    except (actions.CannotMove, CannotAssign) as refusal:
        return _refused(request, str(refusal))
    return _answer(request, boxes, done, said(verb, done, argument, request.user))


@login_required
@require_POST
def undo(request: RequestOfEmployee) -> HttpResponse:
    earlier = get_object_or_404(Act, pk=id_of(request.POST.get("act")), by=request.user)
    try:
        undone = actions.undo(earlier, by=request.user)
    except actions.CannotMove as refusal:
        return _refused(request, str(refusal))
    said = _("Undone.")
    if undone.count < earlier.count:
        said = _("Undone for %(n)s of %(all)s: the others are elsewhere now, or were changed since.")
    return _answer(
        request, access.boxes(request.user), None, said % {"n": undone.count, "all": earlier.count}
    )


@dataclass(frozen=True, slots=True)
class Chosen:
    """The placements meant; `own` are those where the verb concerns the employee alone."""

    shared: list[int]
    own: list[int]

    def __len__(self) -> int:
        return len(self.shared) + len(self.own)


def _chosen(request: RequestOfEmployee, boxes: list[Box], ids: list[str], verb: str) -> Chosen:
    """What is meant, as far as the employee has the right: reading alone changes nothing of what others see."""
    if verb not in LEVEL_OF:
        raise Http404
    own = [box for box in boxes if box.apart and verb in READING]
    shared = [box for box in boxes if box not in own and access.includes(box.level, LEVEL_OF[verb])]
    find = _finder(request, boxes, ids)
    return Chosen(find(shared), find(own) if own else [])


def _finder(request: RequestOfEmployee, boxes: list[Box], ids: list[str]) -> Callable[[list[Box]], list[int]]:
    """How to find what is meant in some of the boxes: by ids, or all that the list holds."""
    if request.POST.get("all") != "1" or request.POST.get("one"):
        return lambda some: access.placements_in(some, ids_of(ids), GrantLevel.READ)
    listed = lists.listing(trees.tree(boxes), request.POST.get("list", ""), request.POST.get("show", ""))
    top = Key.parse(request.POST.get("top", ""))

    def all_that_match(some: list[Box]) -> list[int]:
        allowed = {box.id for box in some}
        folders = [folder.id for folder in listed.folders if folder.mailbox_id in allowed]
        return paging.matching(
            folders, show=listed.show, down_from=top, reader=listed.reader, apart=listed.apart
        )

    return all_that_match


def _do(verb: str, argument: str, chosen: Chosen, by: Employee) -> Act:
    placements = chosen.shared
    if chosen.own:
        return actions.mark_apart(chosen.own, placements, read=verb == "read", by=by)
    if verb == "move":
        target = access.get_folder(by, id_of(argument), GrantLevel.DELETE)
        return actions.move(placements, target, by=by)
    if verb == "assign":
        return assigning.assign(placements, _colleague(argument, by), by=by)
    return (FLAGS | MOVES)[verb](placements, by=by)


def _colleague(argument: str, by: Employee) -> Employee | None:
    """Whom "assign:…" means: me, none, or the id of a colleague."""
    if argument == "none":
        return None
    if argument == "me":
        return by
    return get_object_or_404(Employee, pk=id_of(argument), account_id=by.account_id, is_active=True)


# What is said afterwards


def said(verb: str, done: Act, argument: str, by: Employee) -> str:
    """The sentence of the toast; "" for what is seen anyway (one message read, unread or starred)."""
    n = done.count
    if not n:
        nothing = _("Nothing to change: these messages are elsewhere or are so already.")
        return nothing if verb in MOVES or verb == "assign" else ""
    if verb in FLAGS and n == 1:
        return ""
    if verb == "assign":
        return _assigned(n, _colleague(argument, by), by)
    if verb == "move":
        folder = access.get_folder(by, id_of(argument), GrantLevel.READ)
        text = ngettext("%(n)s moved to %(folder)s", "%(n)s moved to %(folder)s", n)
        return text % {"n": n, "folder": folder.path}
    return _sentence(verb, n) % {"n": n}


def _assigned(n: int, to: Employee | None, by: Employee) -> str:
    if to is None:
        return ngettext("%(n)s is nobody's work now", "%(n)s are nobody's work now", n) % {"n": n}
    if to == by:
        return ngettext("%(n)s is yours now", "%(n)s are yours now", n) % {"n": n}
    return ngettext("%(n)s assigned to %(who)s", "%(n)s assigned to %(who)s", n) % {"n": n, "who": to}


def _sentence(verb: str, n: int) -> str:
    return {
        "read": ngettext("%(n)s marked as read", "%(n)s marked as read", n),
        "unread": ngettext("%(n)s marked as unread", "%(n)s marked as unread", n),
        "star": ngettext("%(n)s starred", "%(n)s starred", n),
        "unstar": ngettext("%(n)s no longer starred", "%(n)s no longer starred", n),
        "archive": ngettext("%(n)s archived", "%(n)s archived", n),
        "trash": ngettext("%(n)s moved to Trash", "%(n)s moved to Trash", n),
        "spam": ngettext("%(n)s moved to Spam", "%(n)s moved to Spam", n),
        "not-spam": ngettext("%(n)s moved to the Inbox", "%(n)s moved to the Inbox", n),
        "expunge": ngettext("%(n)s removed for good", "%(n)s removed for good", n),
    }[verb]


def _answer(request: RequestOfEmployee, boxes: list[Box], done: Act | None, text: str) -> HttpResponse:
    act_id = done.pk if done and done.undo else None
    if not request.headers.get("HX-Request"):
        if text:
            messages.success(request, text, extra_tags=str(act_id or ""))
        return redirect(came_from(request))
    context: dict[str, Any] = {"toast": text, "undo": act_id}
    if request.POST.get("rows"):
        return live(request, context | fresh(request, request.POST, trees.tree(boxes)))
    # The rows on screen are painted already: only the counts of others and of the tree are news.
    tree = trees.tree(boxes)
    listed = lists.listing(tree, request.POST.get("list", ""), request.POST.get("show", ""))
    return render(request, "mail/_counts.html", context | {"listing": listed, "tree": listed.tree})


def _refused(request: RequestOfEmployee, sentence: str) -> HttpResponse:
    """422 with the sentence: the page takes its row back and says why."""
    if request.headers.get("HX-Request"):
        return HttpResponse(sentence, status=422, content_type="text/plain; charset=utf-8")
    messages.error(request, sentence)
    return redirect(came_from(request))


def _ask_first(request: RequestOfEmployee, count: int) -> HttpResponse:
    """What cannot be undone is asked first, with the number."""
    kept = [(key, value) for key in request.POST for value in request.POST.getlist(key)]
    carried = [pair for pair in kept if pair[0] != "csrfmiddlewaretoken"]
    template = "mail/_confirm.html" if request.headers.get("HX-Request") else "mail/confirm.html"
    context = {"count": count, "carried": carried, "back": came_from(request), "section": "mail"}
    return render(request, template, context)


def came_from(request: RequestOfEmployee) -> str:
    """The page of ours that a form was on, else the inbox."""
    return next_page(request, reverse("mail:inbox"))


urls = [path("mail/act/", act, name="act"), path("mail/undo/", undo, name="undo")]
