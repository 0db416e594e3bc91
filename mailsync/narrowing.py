"""What a list of mail may be narrowed to: unread, starred, and by what binds a message.

A narrowing is SQL about a placement `p`. What binds is asked row by row: (SELECT … LIMIT 1) reads one key of an index,
while the planner could make an EXISTS into a join with all links of every company. So a list with few hits is long to
look through; each page looks at WALKED places at most and says how far it came.
"""

from collections.abc import Iterable
from functools import cache

from mailsync.models.message import bonds

WALKED = 5_000
_OTHER_NAMES = {"is:unread": "unread", "is:starred": "starred"}


@cache
def narrowings() -> dict[str, str]:
    """By the words that people may type, and URLs carry."""
    binds = {bond.name: bond.sql("p.message_id") for bond in bonds()}
    unbound = " AND ".join(f"{sql} IS NULL" for sql in binds.values())
    return {
        "unread": "NOT p.seen",
        "starred": "p.starred",
        **{f"bound:{name}": sql for name, sql in binds.items()},
        "bound:none": unbound or "TRUE",
    }


def is_narrowing(show: str) -> bool:
    return all(word in narrowings() for word in show.split())


def sql(show: str) -> str:
    """All of the words hold; "" narrows nothing."""
    return " AND ".join(narrowings()[word] for word in show.split()) or "TRUE"


def walks(show: str) -> bool:
    """Whether no index serves it, so that a page may end before it is full."""
    return "bound:" in show


def typed(words: Iterable[str]) -> tuple[str, list[str]]:
    """What somebody typed as a narrowing, each word once in one order; and the words that say nothing here."""
    meant = [_OTHER_NAMES.get(word.lower(), word.lower()) for word in words]
    known = [word for word in narrowings() if word in meant]
    return " ".join(known), [word for word in meant if word not in narrowings()]
