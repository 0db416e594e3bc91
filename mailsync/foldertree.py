"""PURE: folders as a tree for a page, the inbox first, children below their parents."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

F = TypeVar("F")


@dataclass(frozen=True, slots=True)
class Line(Generic[F]):
    """`label` is the rest of the path below the nearest parent in the list; `depth` counts those parents."""

    folder: F
    label: str
    depth: int


def tree(folders: Iterable[F], parts_of: Callable[[F], Iterable[str]]) -> list[Line[F]]:
    """In the order of the page. A parent that the server does not list is part of its children's labels."""
    parts = sorted(((tuple(parts_of(folder)), folder) for folder in folders), key=lambda one: _key(one[0]))
    known = {each for each, _ in parts}
    lines = []
    for each, folder in parts:
        parents = [each[:n] for n in range(1, len(each)) if each[:n] in known]
        above = len(parents[-1]) if parents else 0
        lines.append(Line(folder, " / ".join(each[above:]), len(parents)))
    return lines


def split(path: str, delimiter: str) -> list[str]:
    """A path's parts; a server without hierarchy has no delimiter (RFC 9051 5.1.1: NIL)."""
    return path.split(delimiter) if delimiter else [path]


def _key(parts: tuple[str, ...]) -> tuple[bool, list[str]]:
    return parts[0].upper() != "INBOX", [part.casefold() for part in parts]
