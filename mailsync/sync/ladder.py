"""PURE: how much to ask the server about a folder: nothing, news, changes, everything."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

WHOLE_EVERY = timedelta(days=1)  # trust, but compare everything once a day
ALL_FLAGS_EVERY = timedelta(minutes=10)  # without CONDSTORE flags can only be read, not asked for
FEW = 1_000  # so many newest flags are read in every run without CONDSTORE


class FlagsAsked(Enum):
    NONE = "none"
    CHANGED = "changed"  # CHANGEDSINCE
    NEWEST = "newest"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Seen:
    """What STATUS says now, or what it said when the folder was last equal."""

    uidvalidity: int | None
    uidnext: int
    messages: int
    modseq: int | None


@dataclass(frozen=True, slots=True)
class Ask:
    """What to read. `whole` = every UID, so that vanished ones can be told."""

    news: bool
    flags: FlagsAsked
    whole: bool

    @property
    def nothing(self) -> bool:
        return not (self.news or self.whole) and self.flags is FlagsAsked.NONE


EVERYTHING = Ask(news=True, flags=FlagsAsked.ALL, whole=True)


def choose(now_seen: Seen, before: Seen, *, full_at: datetime | None, now: datetime, thorough: bool) -> Ask:
    """The least that keeps us equal. `thorough` reads all flags where there is no CONDSTORE to ask."""
    if before.uidvalidity != now_seen.uidvalidity or full_at is None or now - full_at > WHOLE_EVERY:
        return EVERYTHING
    # A server without UIDNEXT, or one whose UIDNEXT is nonsense, is asked for news each time (C09).
    news = now_seen.uidnext == 0 or now_seen.uidnext != before.uidnext
    flags = _flags(now_seen, before, full_at, now, thorough)
    # No arrival, another count: something vanished. With arrivals the engine counts after reading them.
    # All flags name all UIDs: reading them is comparing the whole folder, and counts as that.
    whole = (not news and now_seen.messages != before.messages) or flags is FlagsAsked.ALL
    return Ask(news, flags, whole)


def _flags(now_seen: Seen, before: Seen, full_at: datetime, now: datetime, thorough: bool) -> FlagsAsked:
    if now_seen.messages == 0:
        return FlagsAsked.NONE
    if now_seen.modseq is None:
        often = thorough or now - full_at > ALL_FLAGS_EVERY
        return FlagsAsked.ALL if often or now_seen.messages <= FEW else FlagsAsked.NEWEST
    if now_seen.modseq == before.modseq:
        return FlagsAsked.NONE
    # Of what changed before the first mod-sequence none tells, and one that went down belongs to a restored server
    # (C11): read all flags once.
    tells = before.modseq is not None and now_seen.modseq > before.modseq
    return FlagsAsked.CHANGED if tells else FlagsAsked.ALL
