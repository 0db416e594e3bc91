"""Where people are signed in: a row beside each session of Django's, so that its owner can see and end it."""

from datetime import timedelta
from importlib import import_module

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import throttling
from accounts.models import BrowserSession, Employee

TOUCHED_AFTER = timedelta(minutes=5)
_ROW, _SEEN, _KEY = "browser_session", "browser_session_seen", "browser_session_key"


def begin(request: HttpRequest, employee: Employee) -> None:
    """Write down a sign-in that has just happened; rows whose sessions are over are forgotten."""
    open_sessions(employee)
    if request.session.session_key is None:
        request.session.save()
    key = str(request.session.session_key)
    row = BrowserSession.objects.create(
        account_id=employee.account_id,
        employee=employee,
        key=key,
        address=throttling.address_of(request),
        agent=request.META.get("HTTP_USER_AGENT", "")[:300],
    )
    _remember(request, row.pk, key)


def touch(request: HttpRequest) -> None:
    """Note from time to time that the session is in use, and its new key where it was given one."""
    session = request.session
    row_id = session.get(_ROW)
    if row_id is None:
        return
    fresh = session.get(_SEEN, 0) > timezone.now().timestamp() - TOUCHED_AFTER.total_seconds()
    if fresh and session.get(_KEY) == session.session_key:
        return
    key = str(session.session_key)
    BrowserSession.objects.filter(pk=row_id).update(
        key=key, seen_at=timezone.now(), address=throttling.address_of(request)
    )
    _remember(request, row_id, key)


def current(request: HttpRequest) -> int:
    """The id of the row of this very browser; 0 where it has none."""
    return int(request.session.get(_ROW, 0))


def open_sessions(employee: Employee) -> QuerySet[BrowserSession]:
    """Newest use first. Sessions that ended by themselves are forgotten on the way."""
    rows = BrowserSession.objects.filter(employee=employee)
    keys = list(rows.values_list("key", flat=True))
    alive = Session.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    ended = {*keys} - {*alive.values_list("session_key", flat=True)}
    if ended:
        rows.filter(key__in=ended).delete()
    return rows.order_by("-seen_at", "-pk")


def end(rows: QuerySet[BrowserSession]) -> int:
    """Sign out at these places at once; returns how many there were."""
    found = list(rows)
    for row in found:
        _store()(row.key).delete()
    BrowserSession.objects.filter(pk__in=[row.pk for row in found]).delete()
    return len(found)


def end_this(request: HttpRequest) -> None:
    """Forget the row of a session that is being signed out."""
    BrowserSession.objects.filter(pk=current(request)).delete()


def _remember(request: HttpRequest, row_id: int, key: str) -> None:
    request.session.update({_ROW: row_id, _SEEN: timezone.now().timestamp(), _KEY: key})


def _store() -> type[SessionBase]:
    store: type[SessionBase] = import_module(settings.SESSION_ENGINE).SessionStore
    return store
