"""The files of a letter that is being written, and the quotation below it, each by its own URL."""

import base64

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.views import RequestOfEmployee
from mailsync import access, blobs, outbox, reading
from mailsync.mime import document, sanitize
from mailsync.models import Outgoing, OutgoingAttachment
from mailsync.outbox import SavedElsewhere
from mailsync.views.documents import KEEPS_TYPE, disposition
from mailsync.views.letter import attached, most_bytes, with_urls
from mailsync.views.letter_state import state_of

MOST_NAME = 200


@login_required
@require_POST
def add(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """One file. Answers its line in the list of files or, for an image in the text, {src}; the revision as a header."""
    letter = access.get_outgoing(request.user, outgoing_id)
    given = request.FILES.get("file")
    if given is None:
        raise Http404
    inline = request.POST.get("inline") == "1" and (given.content_type or "") in reading.RASTER
    used = sum(letter.attachments.values_list("size", flat=True))
    if used + (given.size or 0) > most_bytes(letter):
        room = filesizeformat(max(most_bytes(letter) - used, 0))
        return _said(
            _("“%(name)s” does not fit: there is room for %(room)s.") % {"name": given.name, "room": room}
        )
    try:
        made = outbox.attach(
            letter,
            name=_name(given.name or ""),
            content_type=(given.content_type or "application/octet-stream")[:200],
            content=given.read(),
            content_id=outbox.new_message_id(letter.from_address) if inline else "",
            inline=inline,
        )
    except SavedElsewhere as newer:
        return _said(state_of(newer.current).sentence)
    file = attached(made)
    if inline:
        response: HttpResponse = JsonResponse({"src": file.url})
    else:
        response = render(request, "mail/write/_file.html", {"file": file})
    response.headers["X-Revision"] = _revision(letter)
    return response


def _name(name: str) -> str:
    """Without folders and control characters."""
    flat = "".join(character if character.isprintable() else " " for character in name)
    return flat.replace("\\", "/").rpartition("/")[2].strip()[-MOST_NAME:] or _("file")


def _said(sentence: str) -> HttpResponse:
    return HttpResponse(sentence, status=422, content_type="text/plain; charset=utf-8")


def _revision(letter: Outgoing) -> str:
    return str(Outgoing.objects.values_list("revision", flat=True).get(pk=letter.pk))


def _file(request: RequestOfEmployee, outgoing_id: int, attachment_id: int) -> OutgoingAttachment:
    letter = access.get_outgoing(request.user, outgoing_id)
    for file in letter.attachments.filter(pk=attachment_id).select_related("outgoing", "blob"):
        return file
    raise Http404


@login_required
@require_POST
def remove(request: RequestOfEmployee, outgoing_id: int, attachment_id: int) -> HttpResponse:
    file = _file(request, outgoing_id, attachment_id)
    try:
        outbox.detach(file)
    except SavedElsewhere as newer:
        return _said(state_of(newer.current).sentence)
    response = HttpResponse()
    response.headers["X-Revision"] = _revision(file.outgoing)
    return response


@login_required
@require_safe
def file(request: RequestOfEmployee, outgoing_id: int, attachment_id: int) -> HttpResponse:
    """Images of the text are shown, everything else is a download."""
    found = _file(request, outgoing_id, attachment_id)
    kind = found.type.lower()
    response = HttpResponse(
        blobs.body_of(found.blob), content_type=kind if kind in KEEPS_TYPE else "application/octet-stream"
    )
    shown = found.inline and kind in reading.RASTER
    response.headers["Content-Disposition"] = disposition("inline" if shown else "attachment", found.name)
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@login_required
@require_safe
@never_cache
def quoted(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """What is quoted, for the sandboxed frame below the editor; with `?edit=1` as the editor takes it."""
    letter = access.get_outgoing(request.user, outgoing_id)
    if request.GET.get("edit") == "1":
        plain = with_urls(letter.quoted, list(letter.attachments.filter(inline=True)))
        return HttpResponse(plain, content_type="text/plain; charset=utf-8")
    return _framed(letter, letter.quoted)


@login_required
@require_safe
@never_cache
def text(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """The whole text as it goes out, for the frame on the page of a letter that was sent."""
    letter = access.get_outgoing(request.user, outgoing_id)
    return _framed(letter, letter.html + letter.quoted)


def _framed(letter: Outgoing, html: str) -> HttpResponse:
    # As data: URLs, because the frame has an origin of its own and so no session.
    images = {each.content_id: each for each in letter.attachments.filter(inline=True).select_related("blob")}

    def data_url(content_id: str) -> str | None:
        image = images.get(content_id)
        if image is None or image.type.lower() not in reading.RASTER:
            return None
        return f"data:{image.type.lower()};base64,{base64.b64encode(blobs.body_of(image.blob)).decode()}"

    shown = sanitize.clean(html, inline_url=data_url, image_url=None).html
    response = HttpResponse(document.document(shown))
    for name, value in document.headers().items():
        response.headers[name] = value
    return response


urls = [
    path("mail/write/<int:outgoing_id>/files/", add, name="letter-attach"),
    path("mail/write/<int:outgoing_id>/files/<int:attachment_id>/", file, name="letter-file"),
    path("mail/write/<int:outgoing_id>/files/<int:attachment_id>/remove/", remove, name="letter-detach"),
    path("mail/write/<int:outgoing_id>/quoted/", quoted, name="letter-quoted"),
    path("mail/write/<int:outgoing_id>/text/", text, name="letter-text"),
]
