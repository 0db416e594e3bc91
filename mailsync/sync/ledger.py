"""PURE: is everything here? The server's UIDs of a folder against ours, every difference named by its cause.

UID sets are sorted ranges, so that 180 000 UIDs are a handful of numbers wherever they lie together.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice

from mailsync.sync.state import RemoteMessage

MOST_NAMED = 50  # UIDs named of each cause; the rest is counted
Span = tuple[int, int]


class Cause(StrEnum):
    """Why a UID is on one side only. All but MISSING are explained."""

    # On the server, not here.
    OLDER = "older"  # received before the fetch window
    DISCARDED = "discarded"  # let go here on purpose: a tombstone
    SKIPPED = "skipped"  # too large or unreadable, noted by the engine
    LEAVING = "leaving"  # moved or deleted here; the server has not heard of it
    ARRIVED = "arrived"  # since the last sync
    FETCHING = "fetching"  # the first fetch of this folder is not over, or it is being read anew
    LEFT = "left"  # gone again while it was compared
    MARKED = "marked"  # \Deleted: moved or removed here, and the server, without UIDPLUS, keeps it
    MISSING = "missing"  # the alarm: nothing explains it
    # Here, not on the server.
    REMOVED = "removed"  # another program removed it since the last sync
    HELD = "held"  # the same, but so many that the brake holds them back (sync.brake)
    COMING = "coming"  # moved here; the server has not told its new UID


ONLY_HERE = frozenset({Cause.REMOVED, Cause.HELD, Cause.COMING})


@dataclass(frozen=True, slots=True)
class UidRanges:
    """A set of UIDs; `spans` = (low, high) inclusive, ascending, neither touching nor overlapping."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def of(cls, uids: Iterable[int]) -> "UidRanges":
        return cls.joined((uid, uid) for uid in uids)

    @classmethod
    def joined(cls, spans: Iterable[Span]) -> "UidRanges":
        """Spans in any order, overlapping or not."""
        joined: list[Span] = []
        for low, high in sorted(spans):
            if joined and low <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], high))
            else:
                joined.append((low, high))
        return cls(tuple(joined))

    def __len__(self) -> int:
        return sum(high - low + 1 for low, high in self.spans)

    def __iter__(self) -> Iterator[int]:
        for low, high in self.spans:
            yield from range(low, high + 1)

    def __contains__(self, uid: object) -> bool:
        if not isinstance(uid, int):
            return False
        place = bisect_right(self.spans, (uid, float("inf"))) - 1
        return place >= 0 and uid <= self.spans[place][1]

    def __sub__(self, other: "UidRanges") -> "UidRanges":
        """What is in this set and not in the other, in one pass over both."""
        return UidRanges(tuple(_without(self.spans, other.spans)))

    def __and__(self, other: "UidRanges") -> "UidRanges":
        return self - (self - other)


def _without(spans: tuple[Span, ...], cut: tuple[Span, ...]) -> Iterator[Span]:
    place = 0
    for low, high in spans:
        while place < len(cut) and cut[place][1] < low:
            place += 1
        start, at = low, place
        while at < len(cut) and cut[at][0] <= high:
            if start < cut[at][0]:
                yield start, cut[at][0] - 1
            start = cut[at][1] + 1
            at += 1
        place = max(place, at - 1)
        if start <= high:
            yield start, high


@dataclass(frozen=True, slots=True)
class ServerSide:
    """What the server has. `older`: known to be received before the window; `described`: flags, date and size of
    every other UID that is not here. A UID that is in neither was gone when it was asked about."""

    uids: UidRanges
    older: UidRanges = field(default_factory=UidRanges)
    described: Mapping[int, RemoteMessage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OurSide:
    """What we have, and what may explain the rest.

    `waiting` placements have no UID yet; `leaving` UIDs are named by an open move or removal; `skipped` says why;
    `discarded` UIDs carry a tombstone; `fetching`: the folder was never read to its end.
    """

    uids: UidRanges
    uid_seen: int
    window_start: datetime
    waiting: int = 0
    leaving: AbstractSet[int] = frozenset()
    skipped: Mapping[int, str] = field(default_factory=dict)
    discarded: AbstractSet[int] = frozenset()
    fetching: bool = False
    held: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """One UID of a difference; date and size (bytes) where the server told them, `why` where the engine noted it."""

    uid: int
    received_at: datetime | None = None
    size: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """How many UIDs differ for one cause, the first of them by name, ascending."""

    cause: Cause
    count: int
    named: tuple[Named, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """One folder. server_count - here_count = what is only there - what is only here."""

    server_count: int
    here_count: int
    differences: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        return not self.differences

    def count(self, cause: Cause) -> int:
        return sum(each.count for each in self.differences if each.cause is cause)

    @property
    def rewind_to(self) -> int | None:
        """The cursor from which a sync meets everything that is missing; None if nothing is."""
        for each in self.differences:
            if each.cause is Cause.MISSING:
                return each.named[0].uid - 1
        return None


def compare(server: ServerSide, ours: OurSide) -> Comparison:
    """Every UID that is on one side only, under exactly one cause."""
    absent, extra = server.uids - ours.uids, ours.uids - server.uids
    noted = UidRanges.of({*ours.leaving, *ours.skipped})
    old = (absent & server.older) - noted
    groups: dict[Cause, list[int]] = defaultdict(list)
    for uid in absent - old:
        groups[_why_absent(uid, server, ours)].append(uid)
    found = {cause: UidRanges.of(uids) for cause, uids in groups.items()}
    found[Cause.OLDER] = UidRanges.joined((*found.get(Cause.OLDER, UidRanges()).spans, *old.spans))
    found[Cause.HELD if ours.held else Cause.REMOVED] = extra
    differences = [_difference(cause, found[cause], server, ours) for cause in Cause if found.get(cause)]
    if ours.waiting:
        differences.append(Difference(Cause.COMING, ours.waiting))
    return Comparison(len(server.uids), len(ours.uids) + ours.waiting, tuple(differences))


def _why_absent(uid: int, server: ServerSide, ours: OurSide) -> Cause:
    """The first explanation that holds; none is MISSING."""
    message = server.described.get(uid)
    explained = {
        Cause.LEAVING: uid in ours.leaving,
        Cause.SKIPPED: uid in ours.skipped,
        Cause.LEFT: message is None and uid not in server.older,
        Cause.OLDER: message is None or message.received_at < ours.window_start,
        Cause.DISCARDED: uid in ours.discarded,
        Cause.FETCHING: uid > ours.uid_seen and ours.fetching,
        Cause.ARRIVED: uid > ours.uid_seen,
        # By the mark alone: what we did is forgotten one day (retention.sweep), and the server keeps it longer.
        Cause.MARKED: message is not None and "\\Deleted" in message.flags,
    }
    return next((cause for cause, holds in explained.items() if holds), Cause.MISSING)


def _difference(cause: Cause, uids: UidRanges, server: ServerSide, ours: OurSide) -> Difference:
    named = tuple(_named(uid, server, ours) for uid in islice(uids, MOST_NAMED))
    return Difference(cause, len(uids), named)


def _named(uid: int, server: ServerSide, ours: OurSide) -> Named:
    message = server.described.get(uid)
    why = ours.skipped.get(uid, "")
    return Named(uid, message.received_at, message.size, why) if message else Named(uid, why=why)
