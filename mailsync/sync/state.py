"""What the planner sees and what it answers: frozen values only."""

from collections.abc import Container, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime

Flags = frozenset[str]


def is_undated(received_at: datetime) -> bool:
    """Whether the server has no date of receipt: INTERNALDATE has whole seconds, our clock that stands in has not.

    Then each look at the message gives another.
    """
    return received_at.microsecond > 0


@dataclass(frozen=True, slots=True)
class RemoteMessage:
    """One message as the server lists it. `identity` (importing.header_hash) and `message_id` (without its brackets)
    only where its header was read; `server_id` is the server's own name for it in every folder, where it has one."""

    uid: int
    flags: Flags
    received_at: datetime
    size: int = 0
    identity: bytes | None = None
    message_id: str = ""
    server_id: int | None = None


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """What was read of a folder. `present` is the whole UID set, or None if it was not read whole. `lasting`: the flags
    that the server keeps, in lower case; None if it keeps any keyword."""

    uidvalidity: int
    last_uid: int
    arrivals: tuple[RemoteMessage, ...] = ()
    flags: Mapping[int, Flags] = field(default_factory=dict)
    present: Container[int] | None = None
    lasting: Flags | None = None


@dataclass(frozen=True, slots=True)
class LocalPlacement:
    """One of ours. `moving`: the move that brought it is not over; `add`, `remove`: open flag operations."""

    id: int
    message_id: int
    uid: int | None
    flags: Flags
    moving: bool = False
    add: Flags = frozenset()
    remove: Flags = frozenset()
    received_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """Our side of a folder: cursor, placements, and what of the mailbox must stay away.

    `known`: of the arrivals, by UID, the messages that they can only be. `resembling`: UIDs of those that have the
    header of a message we hold, and only their bodies tell whether they are it. `leaving`: UIDs that were taken away
    here, and the server has not heard of it or keeps them all the same.
    """

    uidvalidity: int | None
    uid_seen: int
    window_start: datetime
    placements: tuple[LocalPlacement, ...] = ()
    known: Mapping[int, int] = field(default_factory=dict)
    resembling: AbstractSet[int] = frozenset()
    tombstones: AbstractSet[bytes] = frozenset()
    leaving: AbstractSet[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Forget:
    """Every UID we hold is void; remember the new UIDVALIDITY and plan again."""

    uidvalidity: int


@dataclass(frozen=True, slots=True)
class Place:
    """A message we hold is in this folder under this UID; `placement_id`: the one waiting for it, if any."""

    uid: int
    message_id: int
    flags: Flags
    placement_id: int | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """Fetch this message whole and store it."""

    remote: RemoteMessage


@dataclass(frozen=True, slots=True)
class Reflag:
    placement_id: int
    flags: Flags


@dataclass(frozen=True, slots=True)
class Vanish:
    """The server no longer has it here."""

    placement_id: int


@dataclass(frozen=True, slots=True)
class Advance:
    """The cursor: every UID up to here was planned for."""

    uid_seen: int


Action = Forget | Place | Import | Reflag | Vanish | Advance
