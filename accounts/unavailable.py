"""What a page says when the database or Redis is away, full or held up: for the moment, and nothing is lost."""

import sys

import redis
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views import defaults

# OperationalError: also too many connections, a lock that was not had in time, a full disk.
_FOR_THE_MOMENT = (OperationalError, InterfaceError, redis.RedisError)
RETRY_SECONDS = 5


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500: 503 with Retry-After for what passes, 500 for our mistakes."""
    if isinstance(sys.exception(), _FOR_THE_MOMENT):
        # Without the request: who asked is in the database, too.
        page = render_to_string("503.html")
        return HttpResponse(page, status=503, headers={"Retry-After": str(RETRY_SECONDS)})
    return defaults.server_error(request)
