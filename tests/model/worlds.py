"""PURE: all that may have become of a letter, as far as we can know, and what each event makes of it.

What must stand when both sides changed the same thing (docs/conflicts.md):

| here                  | on the server                     | what stands                             |
|-----------------------|-----------------------------------|-----------------------------------------|
| a flag                | the same flag                     | ours                                    |
| a flag                | another flag                      | both                                    |
| a flag                | moved or removed                  | the server's place and flags            |
| moved or trashed      | moved                             | the server's move                       |
| moved or trashed      | flags                             | both                                    |
| moved, removed        | removed                           | removed                                 |
| removed for good      | moved out of the Trash            | the server's move                       |
| moved or removed      | UIDVALIDITY changed               | taken back                              |
| a flag                | UIDVALIDITY changed               | ours                                    |
| a flag, then removed  | UIDVALIDITY changed               | both taken back                         |
| anything              | its folder renamed                | the server's                            |
| moved                 | the target renamed or deleted     | taken back                              |
| anything              | its folder deleted                | removed                                 |

A worker that was killed, cut off or overtaken has told the server a part of what was wished, or all, or nothing: then
there is a world for each, until somebody looks. So what was wished must have been done in the end, and done once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations, permutations, product

GONE = "gone"
Flags = frozenset[str]
Found = tuple[str, Flags]  # the folder in which the server has it, and its flags


@dataclass(frozen=True, slots=True)
class World:
    """One way in which it may be. `wish_*`: what Ann asked for and the server has not heard of."""

    place: str
    flags: Flags = frozenset()
    wish_flags: frozenset[tuple[str, bool]] = frozenset()
    wish_place: str = ""
    elsewhere: bool = False  # its UID has changed there since we last looked: what waits comes too late
    rebuilt: bool = False  # its folder has another UIDVALIDITY since we last looked: moves come too late
    home: str = ""  # where we looked, while it is elsewhere; "" if nobody knows

    @property
    def found(self) -> Found | None:
        return None if self.place == GONE else (self.place, self.flags)

    def heard(self, flags: Iterable[tuple[str, bool]] | None = None, *, move: bool = True) -> "World":
        """The server has heard of all that waited, or of these flags."""
        told = self.wish_flags if flags is None else frozenset(flags)
        on, off = ({flag for flag, wanted in told if wanted is way} for way in (True, False))
        return replace(
            self,
            flags=(self.flags | on) - off,
            wish_flags=self.wish_flags - told,
            place=self.wish_place or self.place if move else self.place,
            wish_place="" if move else self.wish_place,
        )

    def leaves(self, place: str) -> "World":
        """For another place; its UID has changed."""
        return replace(self, place=place, elsewhere=True, home=self.home if self.elsewhere else self.place)

    def settled(self) -> "World":
        """A whole run is over: the server was told everything, and we know how it is there."""
        if self.elsewhere:
            return World(self.place, self.flags)
        return self.renumbered().heard() if self.rebuilt else self.heard()

    def renumbered(self) -> "World":
        """We know of the new UIDVALIDITY: a move is taken back; a removal too, with the flags set before it."""
        flags = frozenset() if self.wish_place == GONE else self.wish_flags
        return replace(self, wish_place="", wish_flags=flags, rebuilt=False)

    def perhaps(self) -> Iterator["World"]:
        """After a run of which nobody knows how far it came."""
        yield self
        if self.wish_place == GONE:
            for told in _parts(self.wish_flags):
                before_expunge = self.heard(told, move=False)
                yield replace(before_expunge, flags=before_expunge.flags | {"\\Deleted"})
        if self.elsewhere:
            yield self.settled()
            return
        known = self.renumbered() if self.rebuilt else self
        for told in _parts(self.wish_flags):
            yield self.heard(told, move=False)
            yield known.heard(told)
            # It ended before it could note that the server has heard: the next says so again.
            yield replace(self.heard(told, move=False), wish_flags=self.wish_flags)


Event = Callable[[World], Iterable[World]]


# The server's side.


def flagged(flag: str, on: bool) -> Event:
    return lambda world: [replace(world, flags=world.flags | {flag} if on else world.flags - {flag})]


def moved(place: str) -> Event:
    """Moved, or with GONE removed, by another program. Back in a folder that was rebuilt it may be taken for what was
    there."""

    def event(world: World) -> Iterable[World]:
        away = world.leaves(place)
        is_back = away.rebuilt and away.home in (place, "")
        return [away, replace(away, elsewhere=False, home="")] if is_back else [away]

    return event


def rebuilt(place: str) -> Event:
    """The folder has a new UIDVALIDITY. What came back to it meanwhile may be taken for what was there."""

    def event(world: World) -> Iterable[World]:
        if world.place != place:
            return [replace(world, rebuilt=True)] if world.elsewhere and world.home == place else [world]
        seen = replace(world, elsewhere=False, rebuilt=True, home="")
        return [world, seen] if world.elsewhere else [seen]

    return event


def renamed(place: str) -> Event:
    """Another program renamed the folder: to us it is another one."""

    def event(world: World) -> Iterable[World]:
        here = world.leaves(place) if world.place == place else world
        return [replace(here, wish_place="") if here.wish_place == place else here]

    return event


def folder_deleted(place: str) -> Event:
    """Another program deleted the folder with all that is in it, and made an empty one of another name."""

    def event(world: World) -> Iterable[World]:
        here = world.leaves(GONE) if world.place == place else world
        return [replace(here, wish_place="") if here.wish_place == place else here]

    return event


# Ann's side.


def wishes_flag(flag: str, on: bool) -> Event:
    return lambda world: [
        replace(world, wish_flags=world.wish_flags - {(flag, not on)} | {(flag, on)}),
    ]


def wishes_place(place: str, *, certain: bool = True) -> Event:
    """`certain` unless the folder may be renamed over there: then the wish comes to nothing, or not."""

    def event(world: World) -> Iterable[World]:
        if world.elsewhere:
            return [world]
        wished = replace(world, wish_place="" if place == world.place else place)
        return [wished] if certain else [wished, replace(world, wish_place="")]

    return event


def forgets_flags(world: World) -> Iterable[World]:
    """Disconnected: marks that waited for a UID wait no more."""
    return [world, replace(world, wish_flags=frozenset())]


# Machinery.


def restored(before: Collection[World]) -> Event:
    """Our database is again as it was when these were the worlds: what waited then waits again, and the UID may have
    changed since."""

    def event(world: World) -> Iterable[World]:
        for then in before or {World(world.place)}:
            places = {then.wish_place} if then.wish_place in ("", GONE) else {then.wish_place, ""}
            for place, elsewhere, rebuilt in product(places, (False, True), (False, True)):
                yield World(world.place, world.flags, then.wish_flags, place, elsewhere, rebuilt)

    return event


def settles(world: World) -> Iterable[World]:
    return [world.settled()]


def settles_but_perhaps_unseen(world: World) -> Iterable[World]:
    """The server was told everything, and somebody changed things there while we looked."""
    told = world.settled()
    return [told, replace(told, elsewhere=world.elsewhere, rebuilt=world.rebuilt, home=world.home)]


def goes_on(world: World) -> Iterable[World]:
    """What a run tells the server in a folder that it had opened before the folder was rebuilt."""
    yield world
    if world.rebuilt and not world.elsewhere:
        for told in replace(world, rebuilt=False).perhaps():
            yield from (told, replace(told, rebuilt=True))


def _parts(wishes: Collection[tuple[str, bool]]) -> Iterator[tuple[tuple[str, bool], ...]]:
    return chain.from_iterable(combinations(wishes, n) for n in range(len(wishes) + 1))


class Letter:
    """One copy of a mail on the server."""

    def __init__(self, worlds: Iterable[World]) -> None:
        self.worlds = set(worlds)

    def __repr__(self) -> str:
        return f"Letter({sorted(map(repr, self.worlds))})"

    def meets(self, event: Event) -> None:
        self.worlds = {new for world in self.worlds for new in event(world)}

    def places(self) -> set[str]:
        """Where it may be on the server."""
        return {world.place for world in self.worlds}

    def shown(self) -> set[str]:
        """Where it may be shown here, as far as wishes tell."""
        return {world.wish_place or world.place for world in self.worlds}

    def is_certain(self) -> bool:
        """We know where it is, and so does the sync."""
        return len(self.shown()) == len(self.places()) == 1 and not any(
            world.elsewhere or world.rebuilt for world in self.worlds
        )


def look(letters: Sequence[Letter], found: Sequence[Found]) -> str:
    """The server has the copies of a mail at these places: only the worlds in which that is so are left.

    Returns what is wrong, if there is none.
    """
    places = [*found, *[None] * (len(letters) - len(found))]
    left: list[set[World]] = [set() for _letter in letters]
    for order in set(permutations(places)):
        fitting = [
            {w for w in letter.worlds if w.found == place}
            for letter, place in zip(letters, order, strict=False)
        ]
        if len(order) == len(letters) and all(fitting):
            left = [each | more for each, more in zip(left, fitting, strict=True)]
    if not all(left) or len(found) > len(letters):
        return f"the server has {list(found)}, and it should be {list(letters)}"
    for letter, worlds in zip(letters, left, strict=True):
        letter.worlds = worlds
    return ""
