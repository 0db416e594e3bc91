"""What a list of mail may be narrowed to: unread, starred, by what binds a message, by whose work it is, by who sent
it, and by when it leaves.

A narrowing is SQL about a placement `p`. What binds is asked row by row: (SELECT … LIMIT 1) reads one key of an index,
while the planner could make an EXISTS into a join with all links of every company. So a list with few hits is long to
look through; each page looks at WALKED places at most and says how far it came.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from mailsync import unread
from mailsync.models.message import bonds

WALKED = 5_000
# Within so many days; what that means is the rule of who stands above mail (settings.MAIL_LEAVING).
_LEAVES = re.compile(r"leaves:([37])d")
_OTHER_NAMES = {"is:unread": "unread", "is:starred": "starred"}
# assigned:me, assigned:none, or the address of a colleague: letters that need no quoting.
_ASSIGNED = re.compile(r"assigned:(me|none|[a-z0-9][a-z0-9.+_-]*@[a-z0-9.-]+)")
# A part of the sender's address or name: letters that need no quoting, here neither.
_FROM = re.compile(r"from:([\w.+@-]{1,100})")


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
    """All of the words hold; "" narrows nothing. `reader` is the id of the employee whom "me" means, and by whose
    company's plan mail leaves.

    With `apart` the statement has `%(apart)s`: ids of folders whose mail is read or unread for the reader alone.
    """
    return " AND ".join(_word(word, reader, apart=apart) for word in show.split()) or "TRUE"


def without_unread(show: str) -> str | None:
    """The other words, where "unread" is one and an index serves them; else None."""
    words = show.split()
    if "unread" not in words or walks(show):
        return None
    return " ".join(word for word in words if word != "unread")


def begins(show: str, reader: int, folder_ids: Collection[int]) -> datetime | None:
    """No row of the list is as new as this; None where nothing is known."""
    days = leaves(show)
    if not (days and reader):
        return None
    newest: datetime = import_string(settings.MAIL_LEAVING).of(reader, days).before(folder_ids)
    return newest


def of_teams(show: str) -> bool:
    """Whether it asks whose work something is, which only mail of shared mailboxes can be."""
    return "assigned:" in show


def walks(show: str) -> bool:
    """Whether no index serves it, so that a page may end before it is full."""
    return any(word in show for word in ("bound:", "assigned:", "from:", "leaves:"))


def leaves(show: str) -> int:
    """The days of "leaves:3d" or "leaves:7d" in it; 0 where it does not ask."""
    found = _LEAVES.search(show)
    return int(found[1]) if found else 0


def typed(words: Iterable[str]) -> tuple[str, list[str]]:
    """What somebody typed as a narrowing, each word once in one order; and the words that say nothing here."""
    meant = [_OTHER_NAMES.get(word.lower(), word.lower()) for word in words]
    known = [word for word in narrowings() if word in meant]
    others = [word for word in dict.fromkeys(meant) if word not in known and _is_word(word)]
    return " ".join([*known, *others]), [word for word in meant if not _is_word(word)]


def _is_word(word: str) -> bool:
    return word in narrowings() or any(form.fullmatch(word) for form in (_ASSIGNED, _FROM, _LEAVES))


def _word(word: str, reader: int, *, apart: bool) -> str:
    if apart and word == "unread":
        own = unread.is_unread("p.message_id", f"{reader:d}")
        return f"CASE WHEN p.folder_id = ANY(%(apart)s) THEN {own} ELSE NOT p.seen END"
    return narrowings().get(word) or _assigned(word, reader) or _from(word) or _leaves(word, reader)


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


def _from(word: str) -> str:
    """ "" for other words."""
    found = _FROM.fullmatch(word)
    if not found:
        return ""
    return (
        "(SELECT true FROM mailsync_message m WHERE m.id = p.message_id "  # noqa: S608 (letters of _FROM)
        f"AND strpos(lower(m.sender_address || ' ' || m.sender_name), '{found[1].lower()}') > 0 LIMIT 1)"
    )


def _leaves(word: str, reader: int) -> str:
    if not reader:
        return "FALSE"
    asked: str = import_string(settings.MAIL_LEAVING).of(reader, leaves(word)).sql
    return asked
