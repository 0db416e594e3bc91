"""A mail server and a replica of it in memory, small enough to be read and trusted; the planner is the real one.

`Server` does what RFC 9051 says. `Replica` carries out plans and operations as replica.py, importing.py, actions.py
and pushing.py do. `Interrupted` is a worker killed at that point.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from mailsync.sync.plan import plan_folder
from mailsync.sync.state import (
    Action,
    Advance,
    Flags,
    Forget,
    Import,
    LocalFolder,
    LocalPlacement,
    Place,
    Reflag,
    RemoteFolder,
    RemoteMessage,
    Vanish,
)

NOW = datetime(2026, 5, 20, tzinfo=UTC)
WINDOW = NOW - timedelta(days=90)
FOLDERS = ("INBOX", "Archive", "Trash")


class Interrupted(Exception):
    """kill -9."""


@dataclass(frozen=True)
class Letter:
    """What the server holds under a UID."""

    identity: bytes
    flags: Flags
    received_at: datetime


@dataclass
class Box:
    uidvalidity: int
    uidnext: int = 1
    letters: dict[int, Letter] = field(default_factory=dict)


@dataclass
class Server:
    """Folders with letters. `changes` counts every change, so that a test can tell that there was none."""

    boxes: dict[str, Box] = field(default_factory=lambda: {name: Box(1) for name in FOLDERS})
    changes: int = 0
    read_again: list[bytes] = field(default_factory=list)  # bodies asked for although we had them

    def deliver(self, folder: str, letter: Letter) -> None:
        box = self.boxes[folder]
        box.letters[box.uidnext] = letter
        box.uidnext += 1
        self.changes += 1

    def move(self, folder: str, uid: int, target: str) -> None:
        """UID MOVE; a UID that is gone is no error."""
        letter = self.boxes[folder].letters.pop(uid, None)
        if letter:
            self.deliver(target, letter)

    def expunge(self, folder: str, uid: int) -> None:
        if self.boxes[folder].letters.pop(uid, None):
            self.changes += 1

    def store(self, folder: str, uid: int, *, add: Flags, remove: Flags) -> None:
        letters = self.boxes[folder].letters
        if uid in letters:
            letters[uid] = replace(letters[uid], flags=(letters[uid].flags - remove) | add)
            self.changes += 1

    def rebuild(self, folder: str, *, renumber: bool) -> None:
        """A new UIDVALIDITY; the UIDs stay or begin anew in another order (C01, C02)."""
        box = self.boxes[folder]
        box.uidvalidity += 1
        if renumber:
            letters = list(box.letters.values())[::-1]
            box.letters = dict(enumerate(letters, start=1))
            box.uidnext = len(letters) + 1
        self.changes += 1

    def whole(self) -> list[tuple[str, int, bytes, Flags]]:
        return sorted(
            (name, uid, letter.identity, letter.flags)
            for name, box in self.boxes.items()
            for uid, letter in box.letters.items()
        )


@dataclass
class Cursor:
    uidvalidity: int | None = None
    uid_seen: int = 0


@dataclass
class Spot:
    """A placement."""

    id: int
    folder: str
    message: int
    uid: int | None
    flags: Flags


@dataclass
class Wish:
    """An open operation."""

    kind: str
    folder: str
    uid: int | None
    spot: int | None
    uidvalidity: int | None = None
    add: Flags = frozenset()
    remove: Flags = frozenset()
    target: str = ""


@dataclass
class Replica:
    server: Server
    cursors: dict[str, Cursor] = field(default_factory=lambda: {name: Cursor() for name in FOLDERS})
    messages: dict[bytes, tuple[int, datetime]] = field(default_factory=dict)
    tombstones: dict[bytes, datetime] = field(default_factory=dict)
    spots: dict[int, Spot] = field(default_factory=dict)
    wishes: list[Wish] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # What employees do (actions.py).

    def flag(self, spot: Spot, *, add: Flags = frozenset(), remove: Flags = frozenset()) -> None:
        wanted = (spot.flags - remove) | add
        if wanted == spot.flags:
            return
        spot.flags = wanted
        move = self._move_of(spot)
        for wish in self.wishes:
            if wish.kind == "flag" and wish.spot == spot.id:
                wish.add, wish.remove = (wish.add - remove) | add, (wish.remove - add) | remove
                return
        folder, uid = (move.folder, move.uid) if move else (spot.folder, spot.uid)
        self.wishes.append(Wish("flag", folder, uid, spot.id, self._validity(folder, uid), add, remove))

    def move(self, spot: Spot, target: str) -> None:
        move = self._move_of(spot)
        if target == spot.folder or (spot.uid is None and move is None):
            return
        if move is None:
            validity = self._validity(spot.folder, spot.uid)
            self.wishes.append(Wish("move", spot.folder, spot.uid, spot.id, validity, target=target))
            spot.folder, spot.uid = target, None
        elif move.folder == target:
            self.wishes.remove(move)
            spot.folder, spot.uid = target, move.uid
        else:
            move.target = spot.folder = target

    def expunge(self, spot: Spot) -> None:
        move = self._move_of(spot)
        if spot.folder != "Trash" or (spot.uid is None and move is None):
            return
        if move:
            move.kind, move.target, move.spot = "expunge", "", None
        else:
            self.wishes.append(Wish("expunge", "Trash", spot.uid, None, self._validity("Trash", spot.uid)))
        self._remove(spot.id)

    def discard(self, spot: Spot) -> None:
        """Our copy goes and stays away (a task was deleted); the server is untouched."""
        identity = next(i for i, (number, _) in self.messages.items() if number == spot.message)
        if any(wish.spot == other.id for wish in self.wishes for other in self._spots_of(spot.message)):
            return
        self.tombstones[identity] = self.messages.pop(identity)[1]
        for other in self._spots_of(spot.message):
            self._remove(other.id)

    # What the worker does: pushing.py.

    def push(self, *, killed_at: int | None = None) -> None:
        """Flags, moves, removals. Killed at step n: odd = after the server did it and before we noted it."""
        self._fill_coordinates()
        step = 0
        for kind in ("flag", "move", "expunge"):
            for wish in [w for w in self.wishes if w.kind == kind and w.uid is not None]:
                if step == killed_at:
                    raise Interrupted
                self._send(wish)
                if step + 1 == killed_at:
                    raise Interrupted
                self._settle(wish)
                step += 2

    def _send(self, wish: Wish) -> None:
        assert wish.uid is not None
        if self.server.boxes[wish.folder].uidvalidity != wish.uidvalidity:
            return
        if wish.kind == "flag":
            self.server.store(wish.folder, wish.uid, add=wish.add, remove=wish.remove)
        elif wish.kind == "move":
            self.server.move(wish.folder, wish.uid, wish.target)
        else:
            self.server.expunge(wish.folder, wish.uid)

    def _settle(self, wish: Wish) -> None:
        if self.server.boxes[wish.folder].uidvalidity == wish.uidvalidity:
            self.wishes.remove(wish)

    def _fill_coordinates(self) -> None:
        for wish in self.wishes:
            spot = self.spots.get(wish.spot) if wish.spot else None
            if wish.uid is None and spot and spot.uid is not None:
                wish.folder, wish.uid = spot.folder, spot.uid
                wish.uidvalidity = self._validity(spot.folder, spot.uid)

    # What the worker does: pulling.py, replica.py, importing.py.

    def pull(self, name: str, *, killed_at: int | None = None) -> list[Action]:
        """Plan one folder and carry it out; killed after `killed_at` actions."""
        remote, local = self.remote(name), self.local(name)
        actions = plan_folder(remote, local)
        had = {*self.messages, *local.tombstones}
        for step, action in enumerate(actions):
            if step == killed_at:
                raise Interrupted
            self.apply(name, action)
            if isinstance(action, Import):
                identity = self.server.boxes[name].letters[action.remote.uid].identity
                self.server.read_again += [identity] if identity in had else []
        if isinstance(actions[0], Forget):
            return [*actions, *self.pull(name)]
        return actions

    def remote(self, name: str) -> RemoteFolder:
        """A whole reading; headers are read of those whose date we have seen before."""
        box = self.server.boxes[name]
        dates = {at for _, at in self.messages.values()} | {*self.tombstones.values()}
        arrivals = tuple(
            RemoteMessage(
                uid, letter.flags, letter.received_at, 1,
                letter.identity if letter.received_at in dates else None,
            )
            for uid, letter in box.letters.items()
            if uid > self.cursors[name].uid_seen
        )  # fmt: skip
        flags = {uid: letter.flags for uid, letter in box.letters.items()}
        return RemoteFolder(box.uidvalidity, box.uidnext - 1, arrivals, flags, frozenset(box.letters))

    def local(self, name: str) -> LocalFolder:
        cursor = self.cursors[name]
        placements = []
        for spot in self.spots.values():
            if spot.folder != name:
                continue
            mine = [wish for wish in self.wishes if wish.spot == spot.id]
            flag = next((wish for wish in mine if wish.kind == "flag"), None)
            placements.append(
                LocalPlacement(
                    id=spot.id, message_id=spot.message, uid=spot.uid, flags=spot.flags,
                    moving=any(wish.kind == "move" for wish in mine),
                    add=flag.add if flag else frozenset(),
                    remove=flag.remove if flag else frozenset(),
                )
            )  # fmt: skip
        return LocalFolder(
            uidvalidity=cursor.uidvalidity,
            uid_seen=cursor.uid_seen,
            window_start=WINDOW,
            placements=tuple(placements),
            known={
                message.uid: self.messages[message.identity][0]
                for message in self.remote(name).arrivals
                if message.identity in self.messages
            },
            tombstones=frozenset(self.tombstones),
            leaving=frozenset(
                w.uid for w in self.wishes if w.kind != "flag" and w.folder == name and w.uid is not None
            ),
        )

    def apply(self, name: str, action: Action) -> None:
        match action:
            case Forget(uidvalidity):
                self._forget(name, uidvalidity)
            case Place(uid, message_id, flags, None):
                self._put(name, message_id, uid, flags)
            case Place(uid, _, flags, int(spot)):
                self.spots[spot].uid, self.spots[spot].flags = uid, flags
            case Import(remote):
                self._import(name, remote)
            case Reflag(spot, flags):
                self.spots[spot].flags = flags
            case Vanish(spot):
                self._remove(spot)
            case Advance(uid_seen):
                self.cursors[name].uid_seen = uid_seen

    def _import(self, name: str, remote: RemoteMessage) -> None:
        letter = self.server.boxes[name].letters[remote.uid]
        if letter.identity not in self.messages:
            self.messages[letter.identity] = (next(self.numbers), letter.received_at)
        self._put(name, self.messages[letter.identity][0], remote.uid, remote.flags)

    def _forget(self, name: str, uidvalidity: int) -> None:
        for wish in [w for w in self.wishes if w.folder == name]:
            if wish.kind == "flag":
                wish.uid = wish.uidvalidity = None
                continue
            if wish.kind == "move" and wish.spot in self.spots:
                self.spots[wish.spot].folder, self.spots[wish.spot].uid = name, None
            self.wishes.remove(wish)
        for spot in self.spots.values():
            if spot.folder == name:
                spot.uid = None
        self.cursors[name] = Cursor(uidvalidity, 0)

    def _put(self, name: str, message: int, uid: int, flags: Flags) -> None:
        number = next(self.numbers)
        self.spots[number] = Spot(number, name, message, uid, flags)

    def _remove(self, spot: int) -> None:
        del self.spots[spot]
        self.wishes = [w for w in self.wishes if not (w.spot == spot and w.kind == "flag" and w.uid is None)]
        for wish in self.wishes:
            if wish.spot == spot:
                wish.spot = None

    def _move_of(self, spot: Spot) -> Wish | None:
        return next((w for w in self.wishes if w.kind == "move" and w.spot == spot.id), None)

    def _spots_of(self, message: int) -> list[Spot]:
        return [spot for spot in self.spots.values() if spot.message == message]

    def _validity(self, folder: str, uid: int | None) -> int | None:
        return self.cursors[folder].uidvalidity if uid is not None else None

    # What tests ask.

    def shown(self) -> list[tuple[str, int | None, bytes, Flags]]:
        identities = {number: identity for identity, (number, _) in self.messages.items()}
        return sorted(
            ((s.folder, s.uid, identities[s.message], s.flags) for s in self.spots.values()),
            key=lambda row: (row[0], row[1] or 0, row[2]),
        )

    def intentions(self) -> list[tuple[str, object]]:
        """What the employee must go on seeing until the server has been told."""
        seen: list[tuple[str, object]] = []
        for wish in self.wishes:
            spot = self.spots.get(wish.spot) if wish.spot else None
            if wish.kind == "flag" and spot:
                seen.append(("flag", (spot.id, wish.add <= spot.flags, not wish.remove & spot.flags)))
            elif wish.kind == "move" and spot:
                seen.append(("move", (spot.id, spot.folder)))
            elif wish.kind != "flag":
                taken = {(s.folder, s.uid) for s in self.spots.values()}
                seen.append(("gone", (wish.folder, wish.uid, (wish.folder, wish.uid) in taken)))
        return seen
