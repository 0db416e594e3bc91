"""What a list of mail may be narrowed to: unread, starred, by what binds a message, and by whose work it is.

A narrowing is SQL about a placement `p`. What binds is asked row by row: (SELECT … LIMIT 1) reads one key of an index,
while the planner could make an EXISTS into a join with all links of every company. So a list with few hits is long to
look through; each page looks at WALKED places at most and says how far it came.
"""

import re
from collections.abc import Iterable
from functools import cache

from mailsync import unread
from mailsync.models.message import bonds

WALKED = 5_000
_LEAVES = {"leaves:3d": 3, "leaves:7d": 7}
_OTHER_NAMES = {"is:unread": "unread", "is:starred": "starred"}
# assigned:me, assigned:none, or the address of a colleague: letters that need no quoting.
_ASSIGNED = re.compile(r"assigned:(me|none|[a-z0-9][a-z0-9.+_-]*@[a-z0-9.-]+)")


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
    return all(_is_word(word) for word in show.split())


def sql(show: str, reader: int = 0, *, apart: bool = False) -> str:
    """All of the words hold; "" narrows nothing. `reader` is the id of the employee whom "me" means.

    With `apart` the statement has `%(apart)s`: ids of folders whose mail is read or unread for the reader alone.
    """
    return " AND ".join(_word(word, reader, apart=apart) for word in show.split()) or "TRUE"


def without_unread(show: str) -> str | None:
    """The other words, where "unread" is one and an index serves them; else None."""
    words = show.split()
    if "unread" not in words or walks(show):
        return None
    return " ".join(word for word in words if word != "unread")


def of_teams(show: str) -> bool:
    """Whether it asks whose work something is, which only mail of shared mailboxes can be."""
    return "assigned:" in show


def walks(show: str) -> bool:
    """Whether no index serves it, so that a page may end before it is full."""
    return "bound:" in show or of_teams(show)


def leaves(words: Iterable[str]) -> int | None:
    """The days of "leaves:3d" or "leaves:7d", typed alone: that is asked by age and not by folder, on a page of its
    own."""
    match list(words):
        case [word]:
            return _LEAVES.get(word.lower())
    return None


def typed(words: Iterable[str]) -> tuple[str, list[str]]:
    """What somebody typed as a narrowing, each word once in one order; and the words that say nothing here."""
    meant = [_OTHER_NAMES.get(word.lower(), word.lower()) for word in words]
    known = [word for word in narrowings() if word in meant]
    assigned = [word for word in dict.fromkeys(meant) if _ASSIGNED.fullmatch(word)]
    return " ".join([*known, *assigned]), [word for word in meant if not _is_word(word)]


def _is_word(word: str) -> bool:
    return word in narrowings() or bool(_ASSIGNED.fullmatch(word))


def _word(word: str, reader: int, *, apart: bool) -> str:
    if apart and word == "unread":
        own = unread.is_unread("p.message_id", f"{reader:d}")
        return f"CASE WHEN p.folder_id = ANY(%(apart)s) THEN {own} ELSE NOT p.seen END"
    return _assigned(word, reader) or narrowings()[word]


def _assigned(word: str, reader: int) -> str:
    """ "" for other words."""
    found = _ASSIGNED.fullmatch(word)
    if not found:
        return ""
    who = found[1]
    whose = {"me": f"e.id = {reader:d}", "none": "TRUE"}.get(who, f"e.email = '{who}'")
    # What somebody had who has left the company is nobody's. Key by key, like what binds.
    held = (
        "(SELECT true FROM mailsync_assignment a CROSS JOIN LATERAL "  # noqa: S608 (digits, and letters of _ASSIGNED)
        "(SELECT id, email FROM accounts_employee WHERE id = a.employee_id AND is_active LIMIT 1) e "
        f"WHERE a.message_id = p.message_id AND {whose} LIMIT 1)"
    )
    return f"{held} IS NULL" if who == "none" else held
