"""PURE: keywords of IMAP (RFC 9051 2.3.2) as the tags that people read and write.

A keyword is an ASCII atom. Other programs write what does not fit in modified UTF-7 and with "_" for a space; so do we.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from mailsync.foldernames import encode, path_of

LONGEST = 50  # bytes; what Dovecot keeps (mail_max_keyword_length)
# Thunderbird's own five, which its people know by these names.
_KNOWN = {
    "$label1": "Important",
    "$label2": "Work",
    "$label3": "Personal",
    "$label4": "To do",
    "$label5": "Later",
}
# What programs tell each other (IANA's registry of keywords and older habits): nobody wrote these.
_PROGRAMS = frozenset(
    ["junk", "nonjunk", "notjunk", "junkrecorded", "forwarded", "mdnsent", "redirected", "unsubscribed"]
)
_FORBIDDEN = re.compile(r'[\x00-\x20\x7f(){%*"\\\]]+')
HUES = 6


@dataclass(frozen=True, slots=True)
class Tag:
    """A keyword as the server has it, and its name for people."""

    keyword: str
    name: str

    @property
    def hue(self) -> int:
        """One of HUES colours, the same for one name everywhere."""
        return sum(self.name.lower().encode()) % HUES


def tags_of(flags: Iterable[str]) -> list[Tag]:
    """The tags among flags, by name. To servers a keyword is one in any case of letters, and so it is one tag."""
    keywords = {flag.lower(): flag for flag in flags if _is_tag(flag)}
    return sorted(map(tag, keywords.values()), key=lambda each: each.name.lower())


def tag(keyword: str) -> Tag:
    known = _KNOWN.get(keyword.lower())
    return Tag(
        keyword, known or path_of(keyword.encode("ascii", "replace")).replace("_", " ").strip() or keyword
    )


def keyword_of(name: str) -> str:
    """The keyword for what a person typed. Raises ValueError with a sentence."""
    name = " ".join(name.split())
    for keyword, known in _KNOWN.items():
        if known.lower() == name.lower():
            return keyword
    try:
        keyword = _FORBIDDEN.sub("_", encode(name).decode("ascii"))
    except UnicodeEncodeError:
        raise ValueError("A tag cannot hold these characters.") from None
    if not keyword.strip("_$"):
        raise ValueError("Type a name for the tag.")
    if len(keyword) > LONGEST:
        raise ValueError(
            "This name is too long: mail servers keep about 50 letters, or 15 of other alphabets."
        )
    if not _is_tag(keyword):
        raise ValueError("Mail programs use this name among themselves; choose another.")
    return keyword


def offered() -> list[Tag]:
    """Tags that every program knows."""
    return [Tag(keyword, name) for keyword, name in _KNOWN.items()]


def _is_tag(flag: str) -> bool:
    lower = flag.lower()
    return not flag.startswith("\\") and (
        lower in _KNOWN or (not flag.startswith("$") and lower not in _PROGRAMS)
    )
