"""Writing: beginning a letter, keeping it while it is written, sending it, taking it back."""

import re
import secrets
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.cache import cache
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.models import Employee
from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from mailsync import access, actions, asking, composing, outbox
from mailsync.composing import Sender
from mailsync.mime import writing
from mailsync.models import GrantLevel, How, Outgoing, OutgoingState, SpecialUse
from mailsync.outbox import CannotSend, SavedElsewhere
from mailsync.quota import QuotaUsedUp
from mailsync.views import listing as lists
from mailsync.views.letter import composer
from mailsync.views.letter_state import state_of
from mailsync.views.reading import screen, tree_for, varied

MOST_SUBJECT = 1000


# Beginnings


@login_required
@require_POST
def write(request: RequestOfEmployee) -> HttpResponse:
    """A new letter, from the mailbox whose list is open where one may send from it."""
    known = composing.senders(request.user)
    if not known:
        return _refused(request, _("None of your mailboxes can send. Connect one with an outgoing server."))
    wanted = id_or_none(request.POST.get("mailbox"))
    sender = next((each for each in known if each.mailbox.pk == wanted), known[0])
    to = composing.people_of(request.POST.get("to", ""))
    begun = composing.blank(
        sender, by=request.user, to=to, subject=request.POST.get("subject", "")[:MOST_SUBJECT]
    )
    return _opened(request, begun, new=True)


@login_required
@require_POST
def answer(request: RequestOfEmployee, placement_id: int) -> HttpResponse:
    """Reply, reply to all, forward in the text or as a file, or go on with a draft, as `how` says."""
    letter = access.get_letter(request.user, placement_id, GrantLevel.REPLY)
    how = request.POST.get("how", "")
    if how == "file":
        return _opened(request, composing.forward_as_file(letter, by=request.user), new=True)
    if how == "draft" and letter.role == SpecialUse.DRAFTS:
        try:
            return _opened(request, composing.resume(letter, by=request.user))
        except actions.CannotMove as refusal:
            return _refused(request, str(refusal))
    if how not in (How.REPLY, How.REPLY_ALL, How.FORWARD):
        raise Http404
    return _opened(request, composing.answer(letter, how, by=request.user), new=True)


def _opened(request: RequestOfEmployee, found: Outgoing, *, new: bool = False) -> HttpResponse:
    """The letter's page. A `new` one, begun by this very click, is thrown away when it is left untouched."""
    carried = {"list": request.POST.get("list"), "new": "1" if new else ""}
    query = {name: value for name, value in carried.items() if value}
    url = reverse("mail:letter", args=[found.pk], query=query)
    if request.headers.get("HX-Request"):
        return JsonResponse({"url": url})
    return redirect(url)


def _refused(request: RequestOfEmployee, sentence: str, status: int = 422) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(sentence, status=status, content_type="text/plain; charset=utf-8")
    messages.error(request, sentence)
    return redirect("mail:inbox")


# The letter


@login_required
@require_safe
@never_cache
def letter(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """A draft in its editor, or what became of it; htmx asks for the pane alone."""
    found = access.get_outgoing(request.user, outgoing_id)
    tree = tree_for(request.user)
    name = request.GET.get("list", "") or lists.ALL
    listed = lists.listing(tree, name, "")
    shown = _shown(request, found, listed)
    if request.headers.get("HX-Request"):
        return varied(render(request, "mail/write/_pane.html", shown))
    return screen(request, listed, **shown)


def _shown(request: RequestOfEmployee, found: Outgoing, listed: lists.Listing) -> dict[str, Any]:
    """What the templates of a letter need: its editor while it is a draft, else its state."""
    if found.state == OutgoingState.DRAFT:
        made = composer(found, request.user, secrets.token_urlsafe(18), is_new=request.GET.get("new") == "1")
        return {"composer": made, "listing": listed}
    return {"letter_state": state_of(found), "listing": listed}


@login_required
@require_POST
def save(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """Keep what is written so far. Answers {revision, …}, or 409 with the sentence that another window was first."""
    found = access.get_outgoing(request.user, outgoing_id)
    try:
        kept = _saved(request, found)
    except SavedElsewhere as newer:
        if not _is_the_same(request, newer.current):
            return _elsewhere(newer)
        kept = newer.current  # a page that was reloaded brings again what it saved while it went
    moved = {} if kept.pk == found.pk else {"url": reverse("mail:letter", args=[kept.pk])}
    return JsonResponse({"revision": kept.revision, "files": _sizes(kept), **moved})


def _saved(request: RequestOfEmployee, found: Outgoing) -> Outgoing:
    """A page that is reloaded may have saved while it went: what the same tab said earlier is no conflict."""
    try:
        kept = _kept(request, found, id_or_none(request.POST.get("revision")) or 0)
    except SavedElsewhere as newer:
        if not _is_older_of_this_tab(request, newer.current):
            raise
        kept = _kept(request, found, newer.current.revision)
    # A hint only: without it the author is asked.
    cache.set(f"letter-{kept.pk}", (request.POST.get("tab", ""), _turn(request), kept.revision), 3600)
    return kept


def _is_older_of_this_tab(request: RequestOfEmployee, current: Outgoing) -> bool:
    tab, turn, revision = cache.get(f"letter-{current.pk}") or ("", 0, 0)
    return (
        bool(tab)
        and tab == request.POST.get("tab")
        and revision == current.revision
        and turn < _turn(request)
    )


def _turn(request: RequestOfEmployee) -> int:
    return id_or_none(request.POST.get("turn")) or 0


def _kept(request: RequestOfEmployee, found: Outgoing, revision: int) -> Outgoing:
    sender = _sender(request.user, found, request.POST.get("from", ""))
    fields = _written(request, found, sender)
    if sender.mailbox.pk != found.mailbox_id:
        return composing.moved(found, sender, revision=revision, **fields)
    return outbox.save(found, revision=revision, **fields)


def _is_the_same(request: RequestOfEmployee, current: Outgoing) -> bool:
    sender = _sender(request.user, current, request.POST.get("from", ""))
    fields = _written(request, current, sender)
    unchanged = all(getattr(current, name) == value for name, value in fields.items())
    return current.state == OutgoingState.DRAFT and unchanged


def _written(request: RequestOfEmployee, found: Outgoing, sender: Sender) -> dict[str, Any]:
    post = request.POST
    fields: dict[str, Any] = {
        "from_name": sender.name,
        "from_address": sender.address,
        "to": composing.from_field(post.get("to", "")),
        "cc": composing.from_field(post.get("cc", "")),
        "bcc": composing.from_field(post.get("bcc", "")),
        "subject": " ".join(post.get("subject", "").split())[:MOST_SUBJECT],
        "html": writing.clean(_with_cids(found, post.get("html", ""))),
    }
    if post.get("quoted") == "no":
        fields["quoted"] = ""
    return fields


def _sender(employee: Employee, found: Outgoing, key: str) -> Sender:
    """Only under an address of one's own; a key that is none means the one it has."""
    for sender in composing.senders(employee):
        if sender.key == key:
            return sender
    return Sender(found.mailbox, found.from_name, found.from_address)


def _with_cids(found: Outgoing, html: str) -> str:
    """The editor shows a letter's images by URL; what is kept and sent names them by Content-ID."""
    names = dict(found.attachments.filter(inline=True).values_list("pk", "content_id"))

    def named(match: re.Match[str]) -> str:
        cid = names.get(int(match[1]))
        return f'src="cid:{cid}"' if cid else 'src=""'

    return re.sub(r'src="/mail/write/\d+/files/(\d{1,18})/"', named, html)


def _sizes(kept: Outgoing) -> int:
    return sum(kept.attachments.values_list("size", flat=True))


def _elsewhere(newer: SavedElsewhere) -> HttpResponse:
    current = newer.current
    if current.state == OutgoingState.DRAFT:
        said = _("This draft was changed in another window.")
    else:
        said = state_of(current).sentence
    return JsonResponse(
        {"sentence": said, "revision": current.revision, "draft": current.state == OutgoingState.DRAFT},
        status=409,
    )


# Sending and taking back


@login_required
@require_POST
def send(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """Keep it as it stands, then queue it. 422 is a sentence or, with X-Questions, what to answer first.

    X-Revision then is the draft's, and X-Letter its page where it went to another mailbox with its sender.
    """
    kept: Outgoing | None = None
    found = access.get_outgoing(request.user, outgoing_id)
    key = request.POST.get("key", "")[:64]
    if found.state != OutgoingState.DRAFT and key and found.key == key:
        return _sent(request, found)  # the second click
    try:
        send_at = _moment(request.POST.get("send_at", ""))
        kept = _saved(request, found)
        if obstacle := asking.obstacle(kept):
            raise CannotSend(obstacle)
        asked = [] if request.POST.get("confirmed") else asking.questions(kept, by=request.user)
        if asked:
            return _kept_at(_asked(request, asked), found, kept)
        queued = outbox.queue(kept, by=request.user, key=key, send_at=send_at)
    except SavedElsewhere as newer:
        return _elsewhere(newer)
    except (CannotSend, QuotaUsedUp) as refusal:
        return _kept_at(_refused(request, refusal.sentence), found, kept)
    return _sent(request, queued)


def _asked(request: RequestOfEmployee, asked: list[str]) -> HttpResponse:
    if not request.headers.get("HX-Request"):
        return _refused(request, " ".join(asked))
    return JsonResponse({"questions": asked}, status=422, headers={"X-Questions": str(len(asked))})


def _kept_at(response: HttpResponse, found: Outgoing, kept: Outgoing | None) -> HttpResponse:
    if kept is not None:
        response.headers["X-Revision"] = str(kept.revision)
        if kept.pk != found.pk:
            response.headers["X-Letter"] = reverse("mail:letter", args=[kept.pk])
    return response


def _moment(text: str) -> datetime | None:
    """A local date and time, as the browser's field gives it. Raises CannotSend."""
    if not text:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None:
        raise CannotSend(_("Choose a date and a time."))
    aware = moment if timezone.is_aware(moment) else timezone.make_aware(moment)
    if aware <= timezone.now():
        raise CannotSend(_("That moment is over. Choose a later one."))
    return aware


def _sent(request: RequestOfEmployee, queued: Outgoing) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return render(request, "mail/write/_sent.html", {"letter": state_of(queued)})
    messages.success(request, state_of(queued).sentence)
    return redirect("mail:letter", queued.pk)


@login_required
@require_POST
def undo(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """Take a letter back that has not left yet, or that was refused; it opens in the editor again."""
    found = access.get_outgoing(request.user, outgoing_id)
    try:
        outbox.undo(found)
    except SavedElsewhere as newer:
        if newer.current.state != OutgoingState.DRAFT:
            return _refused(request, _("It has left already: it cannot be taken back."))
    return _opened(request, found)


@login_required
@require_POST
def discard(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    found = access.get_outgoing(request.user, outgoing_id)
    try:
        outbox.discard(found)
    except SavedElsewhere as newer:
        if newer.current.state != OutgoingState.DISCARDED:
            return _refused(request, state_of(newer.current).sentence)
    if request.headers.get("HX-Request"):
        return render(request, "mail/write/_discarded.html", {"letter": found})
    messages.success(request, _("The draft is thrown away."))
    return redirect("mail:outbox")


@login_required
@require_POST
def restore(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    found = access.get_outgoing(request.user, outgoing_id)
    try:
        outbox.restore(found)
    except SavedElsewhere as newer:
        if newer.current.state != OutgoingState.DRAFT:
            return _refused(request, state_of(newer.current).sentence)
    return _opened(request, found)


@login_required
@require_POST
def settle(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """A person says what nobody else knows: it arrived, or it is to be sent again."""
    found = access.get_outgoing(request.user, outgoing_id)
    verb = {"arrived": outbox.it_arrived, "again": outbox.send_again}.get(request.POST.get("verb", ""))
    if verb is None:
        raise Http404
    try:
        verb(found)
    except SavedElsewhere:
        pass  # somebody was faster: the page shows what it is now
    except QuotaUsedUp as refusal:
        messages.error(request, refusal.sentence)
    return redirect("mail:letter", found.pk)


urls = [
    path("mail/write/", write, name="write"),
    path("mail/message/<int:placement_id>/answer/", answer, name="answer"),
    path("mail/write/<int:outgoing_id>/", letter, name="letter"),
    path("mail/write/<int:outgoing_id>/save/", save, name="save"),
    path("mail/write/<int:outgoing_id>/send/", send, name="send"),
    path("mail/write/<int:outgoing_id>/undo/", undo, name="undo-send"),
    path("mail/write/<int:outgoing_id>/discard/", discard, name="discard"),
    path("mail/write/<int:outgoing_id>/restore/", restore, name="restore"),
    path("mail/write/<int:outgoing_id>/settle/", settle, name="settle"),
]
