"""Whether this process can work: the database and Redis answer. For load balancers and containers."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

SECONDS = 2


@require_safe
def healthz(_: HttpRequest) -> JsonResponse:
    """200 with every part "ok", or 503 that names the part that is not; never why, strangers may read it."""
    parts = {"database": _database(), "redis": _redis()}
    ok = all(parts.values())
    body = {name: "ok" if works else "down" for name, works in parts.items()}
    return JsonResponse({"ok": ok, **body}, status=200 if ok else 503)


# A database that is away must be said, not raised while the tenant's transaction opens.
healthz.opens_own_transactions = True  # type: ignore[attr-defined]


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {SECONDS * 1000}")
            cursor.execute("SELECT 1")
            cursor.execute("RESET statement_timeout")
    except DatabaseError:
        return False
    return True


def _redis() -> bool:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
    try:
        return bool(client.set("healthz", 1, ex=SECONDS))  # a full one answers, and keeps nothing
    except redis.RedisError:
        return False
    finally:
        client.close()
