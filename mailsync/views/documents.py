"""The parts of a message as answers to a browser: its HTML for the frame, its files. Whoever's door a message is
read through (mail's, a task's, a client's), what leaves here leaves under the same policy."""

import functools
from typing import Protocol
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse

from accounts.views import RequestOfEmployee
from mailsync import reading
from mailsync.mime import document, parse
from mailsync.views import images

# Shown in the browser; every other type only leaves as a download of unknown bytes.
KEEPS_TYPE = reading.RASTER | {"application/pdf", "text/plain", "text/csv", "application/zip"}


class Raw(Protocol):
    """A message's bytes; what `reading.document` takes."""

    @property
    def header(self) -> bytes: ...
    @property
    def body(self) -> bytes: ...


def body_response(
    request: RequestOfEmployee, raw: Raw, *, images_of: int, cache: str = "max-age=300"
) -> HttpResponse:
    """The HTML of a message as a document for the sandboxed frame, with a policy of its own.

    With `?images=1` pictures of the web come through our proxy; `images_of` tells one message's from another's.
    """
    proxied = functools.partial(images.proxied, employee_id=request.user.pk, message_id=images_of)
    wanted = request.GET.get("images") == "1"
    response = HttpResponse(reading.document(raw, image_url=proxied if wanted else None))
    for name, value in document.headers().items():
        response.headers[name] = value
    response.headers["Cache-Control"] = f"private, {cache}"
    return response


def file_response(request: HttpRequest, raw: Raw, part: int, *, cache: str = "max-age=3600") -> HttpResponse:
    """One file of a message. Only raster images may be shown (`?inline=1`), everything else is a download."""
    try:
        found, content = parse.part_bytes(raw.header, raw.body, part)
    except LookupError as error:
        raise Http404 from error
    kind = found.type.lower()
    response = HttpResponse(content, content_type=kind if kind in KEEPS_TYPE else "application/octet-stream")
    shown = request.GET.get("inline") == "1" and kind in reading.RASTER
    response.headers["Content-Disposition"] = disposition(
        "inline" if shown else "attachment", found.name or f"part-{part}"
    )
    response.headers["Cache-Control"] = f"private, {cache}"
    return response


def disposition(kind: str, name: str) -> str:
    """RFC 6266: a plain name for old programs and the exact one in UTF-8; no character ends the header."""
    name = "".join(character if character.isprintable() else " " for character in name)
    name = name.replace("/", "-").replace("\\", "-").strip()[-150:] or "file"
    ascii_name = name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "'")
    return f"{kind}; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
