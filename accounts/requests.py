"""What a browser sends is a stranger's word: ids, and the page that a form wants to return to."""

from collections.abc import Iterable

from django.http import Http404, HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

# So many digits always fit into a column of ids.
_DIGITS = 18


def id_or_none(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) <= _DIGITS else None


def id_of(text: str | None) -> int:
    """Http404 for what is no id."""
    found = id_or_none(text)
    if found is None:
        raise Http404
    return found


def ids_of(texts: Iterable[str]) -> list[int]:
    """Http404 if one of them is no id."""
    return [id_of(text) for text in texts]


def next_page(request: HttpRequest, otherwise: str) -> str:
    """Where the form wants to return to, if that is a page of ours."""
    wanted = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) and wanted.startswith("/")
    return wanted if safe else otherwise
