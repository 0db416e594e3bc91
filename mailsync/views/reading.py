"""The screens of mail: lists, a message, its parts, and the news that keep an open page fresh."""

import hashlib
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.text import get_valid_filename
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Employee
from accounts.views import RequestOfEmployee
from mailsync import access, failures, history, narrowing, trees
from mailsync.mime import parse
from mailsync.models import GrantLevel
from mailsync.paging import Key
from mailsync.trees import Tree
from mailsync.views import listing as lists
from mailsync.views.documents import body_response, disposition, file_response
from mailsync.views.pane import Pane, pane
from mailsync.views.strips import Strips, strips


def tree_for(employee: Employee) -> Tree:
    return trees.tree(access.boxes(employee))


# Whole screens


@login_required
@require_safe
@never_cache
def inbox(request: RequestOfEmployee) -> HttpResponse:
    return _list(request, lists.ALL)


@login_required
@require_safe
@never_cache
def folder(request: RequestOfEmployee, folder_id: int) -> HttpResponse:
    return _list(request, str(folder_id))


@login_required
@require_safe
@never_cache
def message(request: RequestOfEmployee, folder_id: int, placement_id: int) -> HttpResponse:
    """A message beside its list; htmx asks for the pane alone."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    if letter.folder_id != folder_id:  # it was moved since the link was made
        return redirect("mail:message", letter.folder_id, placement_id)
    alone = request.headers.get("HX-Request")
    unified = request.GET.get("in") == lists.ALL
    # The pane alone shows nothing of other mailboxes; the unified list is where its neighbours are looked for.
    tree = trees.tree([letter.box]) if alone and not unified else tree_for(request.user)
    name = lists.ALL if unified else str(folder_id)
    opened = pane(letter, lists.listing(tree, name, request.GET.get("show", "")))
    if alone:
        return varied(render(request, "mail/_message.html", {"pane": opened}))
    return screen(request, opened.listing, opened)


def _list(request: RequestOfEmployee, name: str) -> HttpResponse:
    """A narrowing that somebody typed (`q`) leads to its own address."""
    if "q" not in request.GET:
        return screen(request, lists.listing(tree_for(request.user), name, request.GET.get("show", "")))
    words_typed = request.GET["q"].split()[:10]
    show, unknown = narrowing.typed(words_typed)
    listed = lists.listing(tree_for(request.user), name, show)
    if unknown:
        words = {
            "words": " ".join(unknown)[:80],
            "known": "bound:task, bound:crm, bound:none, is:unread, is:starred, leaves:3d, leaves:7d, "
            "from:name, assigned:me, assigned:none, assigned:name@example.com",
        }
        messages.error(request, _("“%(words)s” says nothing here. What does: %(known)s.") % words)
    return redirect(listed.url)


def screen(
    request: RequestOfEmployee, listed: lists.Listing, opened: Pane | None = None, **more: Any
) -> HttpResponse:
    """The whole screen; `more` is for what stands in the pane instead of a message."""
    before = Key.parse(request.GET.get("before", ""))
    page = lists.page(listed, before=before)
    if opened and not any(row.id == opened.letter.id for row in page.rows):
        page = lists.page(listed, before=Key(opened.letter.received_at, opened.letter.id + 1))
        before = Key.parse(page.top)
    above = strips(request.user, listed.tree)
    context = {
        "section": "mail",
        "listing": listed,
        "page": page,
        "before": before,
        "pane": opened,
        "tree": listed.tree,
        "strips": above,
        "token": news_token(listed.tree, page, above),
    }
    return varied(render(request, "mail/screen.html", context | more))


def varied(response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["HX-Request"])
    return response


# Parts of a screen


@login_required
@require_safe
@never_cache
def rows(request: RequestOfEmployee) -> HttpResponse:
    """The next rows of a list, for the end of the one on screen."""
    listed = lists.listing(tree_for(request.user), request.GET.get("list", ""), request.GET.get("show", ""))
    page = lists.page(listed, before=Key.parse(request.GET.get("before", "")))
    return render(request, "mail/_rows.html", {"page": page})


@login_required
@require_safe
@never_cache
def news(request: RequestOfEmployee) -> HttpResponse:
    """204 while nothing changed since `token`; else the counts and the rows on screen, anew."""
    context = fresh(request, request.GET, tree_for(request.user))
    if context["token"] == request.GET.get("token"):
        return HttpResponse(status=204)
    return live(request, context)


def fresh(request: RequestOfEmployee, asked: Any, tree: Tree) -> dict[str, Any]:
    """What a page that shows the list `asked` for has to show now, down to its last row."""
    listed = lists.listing(tree, asked.get("list", ""), asked.get("show", ""))
    page = lists.page(listed, down_to=Key.parse(asked.get("bottom", "")))
    above = strips(request.user, listed.tree)
    return {
        "listing": listed,
        "tree": listed.tree,
        "page": page if asked.get("rows") else None,
        "strips": above,
        "section": "mail",
        "token": news_token(listed.tree, page, above),
    }


def live(request: RequestOfEmployee, context: dict[str, Any]) -> HttpResponse:
    """The changed parts of a screen, each for its own place (htmx's out-of-band swaps)."""
    response = render(request, "mail/_live.html", context)
    response.headers["X-News"] = context["token"]
    return response


def news_token(tree: Tree, page: lists.Page, above: Strips) -> str:
    """Equal as long as nothing that the page shows has changed."""
    state = (tree, page.state, above)
    return hashlib.blake2b(repr(state).encode(), digest_size=12).hexdigest()


@login_required
@require_POST
def dismiss(request: RequestOfEmployee) -> HttpResponse:
    """The employee has read what failed."""
    failures.dismiss(request.user)
    return HttpResponse() if request.headers.get("HX-Request") else redirect("mail:inbox")


# A message's own resources


@login_required
@require_safe
def body(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    return body_response(request, letter, images_of=letter.message_id)


@login_required
@require_safe
def attachment(request: RequestOfEmployee, placement_id: int, part: int) -> HttpResponse:
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    return file_response(request, letter, part)


@login_required
@require_safe
def original(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """The message byte for byte, as text to look at or (`?download=1`) as a file."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    if request.GET.get("download") != "1":
        return HttpResponse(letter.header + letter.body, content_type="text/plain; charset=utf-8")
    response = HttpResponse(letter.header + letter.body, content_type="message/rfc822")
    response.headers["Content-Disposition"] = disposition("attachment", _file_name(letter))
    return response


@login_required
@require_safe
def headers(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    context = {"section": "mail", "letter": letter, "fields": parse.header_fields(letter.header)}
    return render(request, "mail/headers.html", context)


@login_required
@require_safe
@never_cache
def what_happened(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """The message's history: the part at its foot, or a page of its own."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.READ)
    told = history.of(letter.message_id, reader=request.user, now=timezone.now())
    template = "mail/_history.html" if request.headers.get("HX-Request") else "mail/history.html"
    return varied(render(request, template, {"section": "mail", "letter": letter, "history": told}))


def _file_name(letter: access.Letter) -> str:
    subject = get_valid_filename(letter.subject[:80] or f"message-{letter.id}")
    return f"{subject}.eml"


urls = [
    path("", inbox, name="inbox"),
    path("mail/<int:folder_id>/", folder, name="folder"),
    path("mail/<int:folder_id>/<int:placement_id>/", message, name="message"),
    path("mail/rows/", rows, name="rows"),
    path("mail/news/", news, name="news"),
    path("mail/failed/dismiss/", dismiss, name="dismiss-failed"),
    path("mail/message/<int:placement_id>/body/", body, name="body"),
    path("mail/message/<int:placement_id>/file/<int:part>/", attachment, name="attachment"),
    path("mail/message/<int:placement_id>/original/", original, name="original"),
    path("mail/message/<int:placement_id>/headers/", headers, name="headers"),
    path("mail/message/<int:placement_id>/history/", what_happened, name="history"),
]
