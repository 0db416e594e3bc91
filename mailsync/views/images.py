"""Remote images of a mail, on request, through us.

The frame that shows a mail has an opaque origin, so its requests carry no session (they are cross-site to a browser).
The address itself is the permission: signed by us, for one image in one message, for one employee and one day.
"""

import hashlib
from typing import Any, cast

import structlog
from django.conf import settings
from django.core import signing
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.views.decorators.http import require_safe

from mailsync import images
from mailsync.images import Picture
from mailsync.mime.sanitize import PLACEHOLDER, PLACEHOLDER_BYTES

_SALT = "mailsync.image"
_DAY = 24 * 3600
_KEPT_SECONDS = 3600
_FAILURE_SECONDS = 300
_KEPT_BYTES = 512 * 1024
# gunicorn refuses request lines above 4094 bytes.
_MAX_TOKEN = 3800
_POLICY = "default-src 'none'; sandbox"

log = structlog.get_logger(__name__)


def proxied(url: str, *, employee_id: int, message_id: int) -> str:
    """Our address for a remote image of a message, to be shown to one employee within a day."""
    token = signing.dumps([url, employee_id, message_id], salt=_SALT, compress=True)
    return reverse("mail:image", args=[token]) if len(token) <= _MAX_TOKEN else PLACEHOLDER


@require_safe
def image(_request: HttpRequest, token: str) -> HttpResponse:
    """The image behind a signed address; one transparent pixel with 404 when it is not to be had."""
    try:
        url, employee_id, message_id = signing.loads(token, salt=_SALT, max_age=_DAY)
    except (signing.BadSignature, ValueError):
        return _answer(None)
    return _answer(_kept(url, f"{employee_id}:{message_id}"))


# Setting attributes on a function is how TenancyMiddleware is told; a fetch must not hold a transaction.
cast(Any, image).opens_own_transactions = True


def _kept(url: str, reader: str) -> Picture | None:
    """The image from our memory, else from its server; failures are remembered for a while as well.

    The memory is the reader's own: shared, it would tell one tenant by its speed what another has opened.
    """
    key = "image:" + hashlib.sha256(f"{reader}:{url}".encode()).hexdigest()
    known = cache.get(key)
    if known is not None:
        return Picture(*known) if known else None
    try:
        picture = images.fetch(
            url, allow_private=settings.MAIL_ALLOW_PRIVATE_HOSTS, ca_file=settings.MAIL_CA_FILE
        )
    except images.UnfitImage as error:
        log.info("remote_image_refused", reason=str(error)[:200])
        cache.set(key, (), _FAILURE_SECONDS)
        return None
    if len(picture.content) <= _KEPT_BYTES:
        cache.set(key, (picture.content, picture.type), _KEPT_SECONDS)
    return picture


def _answer(picture: Picture | None) -> HttpResponse:
    if picture is None:
        response = HttpResponse(PLACEHOLDER_BYTES, content_type="image/gif", status=404)
        response.headers["Cache-Control"] = "no-store"
    else:
        response = HttpResponse(picture.content, content_type=picture.type)
        response.headers["Cache-Control"] = f"private, max-age={_KEPT_SECONDS}, immutable"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = _POLICY
    # The frame asks from an opaque origin.
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


urls = [path("image/<str:token>", image, name="image")]
