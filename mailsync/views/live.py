"""The stream that tells an open page to ask for news (server-sent events)."""

import threading
from collections.abc import Generator
from typing import Self

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import connection
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import require_safe

from accounts import tenancy
from accounts.views import RequestOfEmployee
from mailsync import access, live

# After so long the page connects anew, and is asked again who it is and what it may read.
SECONDS = 300
_places = threading.BoundedSemaphore(settings.LIVE_STREAMS)


@login_required
@require_safe
def events(request: RequestOfEmployee) -> HttpResponse | StreamingHttpResponse:
    """Says "news" whenever one of the employee's mailboxes changed.

    204 when all places are taken: the page then stops asking for the stream, and still looks by itself.
    """
    with tenancy.acting_for(request.user.account_id):
        mailbox_ids = [box.id for box in access.boxes(request.user)]
    if not mailbox_ids or not _places.acquire(blocking=False):
        return HttpResponse(status=204)
    if not connection.in_atomic_block:  # as it is in a test
        connection.close()  # a stream needs no database, and lasts
    response = StreamingHttpResponse(_Stream(mailbox_ids, request.user.pk), content_type="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


events.opens_own_transactions = True  # type: ignore[attr-defined]


class _Stream:
    """Keeps its place until it is closed, which Django does with every response, read to its end or not; or until it is
    forgotten, where the response was never sent because something above the view raised."""

    def __init__(self, mailbox_ids: list[int], reader: int) -> None:
        self._lines = _lines(mailbox_ids, reader)
        self._open = True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return next(self._lines)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._lines.close()
            _places.release()

    def __del__(self) -> None:
        self.close()


def _lines(mailbox_ids: list[int], reader: int) -> Generator[bytes]:
    yield b"retry: 3000\n\n"
    for news in live.calls(mailbox_ids, reader=reader, seconds=SECONDS):
        yield b"event: news\ndata: 1\n\n" if news else b": still here\n\n"


urls = [path("mail/events/", events, name="events")]
