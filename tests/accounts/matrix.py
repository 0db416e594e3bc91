"""The table of who gets what from which URL (matrix.txt), and the URLs as the URLconf has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

from tests.accounts.guarded import PEOPLE

TABLE = Path(__file__).with_name("matrix.txt")
SIGN_IN = "/account/login/"
WORDS = {"yes", "own", "no", "login"}


@dataclass(frozen=True)
class Endpoint:
    """One URL pattern and the names of its variable parts."""

    name: str
    kwargs: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """What each kind of person gets for one method of one URL."""

    url: str
    method: str
    answers: dict[str, str]


def endpoints() -> list[Endpoint]:
    return sorted(_walk(get_resolver().url_patterns, ""), key=lambda endpoint: endpoint.name)


def _walk(patterns: list, namespace: str) -> Iterator[Endpoint]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{pattern.namespace}:" if pattern.namespace else ""
            yield from _walk(pattern.url_patterns, namespace + inner)
        elif isinstance(pattern, URLPattern):
            assert pattern.name, f"{pattern.pattern} has no name: the matrix cannot go there"
            yield Endpoint(namespace + pattern.name, tuple(pattern.pattern.converters))


@cache
def lines() -> dict[tuple[str, str], Line]:
    """By URL and method."""
    found = {}
    for number, text in enumerate(TABLE.read_text().splitlines(), start=1):
        words = text.split("#")[0].split()
        if not words:
            continue
        url, method, *answers = words
        assert len(answers) == len(PEOPLE), f"line {number} of {TABLE.name} has not one word for each person"
        assert {*answers} <= WORDS, (
            f"line {number} of {TABLE.name} has words that are none of {sorted(WORDS)}"
        )
        line = Line(url, method, dict(zip(PEOPLE, answers, strict=True)))
        assert (url, method) not in found, f"line {number} of {TABLE.name} says {url} {method} again"
        found[url, method] = line
    return found


def written(url: str, method: str, answers: dict[str, str]) -> str:
    """A line as the table has it."""
    return f"{url:32} {method:5} " + " ".join(f"{answers[who]:10}" for who in PEOPLE).rstrip()


def is_sign_in(answer: HttpResponseBase) -> bool:
    return answer.status_code == 302 and answer["Location"].startswith(SIGN_IN + "?next=")


def text_of(answer: HttpResponseBase) -> str:
    assert isinstance(answer, HttpResponse | StreamingHttpResponse)
    content = answer.getvalue() if isinstance(answer, StreamingHttpResponse) else answer.content
    return content.decode("utf-8", "replace") + "".join(
        f"{name}: {value}\n" for name, value in answer.items()
    )
