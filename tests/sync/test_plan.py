"""Each row of the case table in mailsync/sync/__init__.py, one by one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mailsync.sync.plan import plan_folder
from mailsync.sync.state import (
    Action,
    Advance,
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

TODAY = datetime(2026, 5, 20, 12, tzinfo=UTC)
WINDOW = TODAY - timedelta(days=90)
LETTER, OTHER = b"the letter", b"another letter"
SEEN, STARRED = "\\Seen", "\\Flagged"


def flags(*names: str) -> frozenset[str]:
    return frozenset(names)


def there(uid: int, *names: str, identity: bytes | None = None, at: datetime = TODAY) -> RemoteMessage:
    return RemoteMessage(uid=uid, flags=flags(*names), received_at=at, size=100, identity=identity)


def here(uid: int | None, *names: str, id: int = 1, message: int = 10, **more: Any) -> LocalPlacement:  # noqa: A002
    return LocalPlacement(id=id, message_id=message, uid=uid, flags=flags(*names), **more)


def server(*arrivals: RemoteMessage, last: int | None = None, **more: Any) -> RemoteFolder:
    highest = max([message.uid for message in arrivals], default=0)
    return RemoteFolder(uidvalidity=7, last_uid=highest if last is None else last, arrivals=arrivals, **more)


def replica(*placements: LocalPlacement, seen: int = 0, **more: Any) -> LocalFolder:
    return LocalFolder(uidvalidity=7, uid_seen=seen, window_start=WINDOW, placements=placements, **more)


def planned(remote: RemoteFolder, local: LocalFolder) -> list[Action]:
    """The plan without its cursor, which is always there and always last."""
    *actions, cursor = plan_folder(remote, local)
    assert isinstance(cursor, Advance)
    return actions


new = there(5, SEEN, identity=LETTER)
unread_header = there(5)
old = there(5, identity=LETTER, at=WINDOW - timedelta(seconds=1))
at_the_edge = there(5, at=WINDOW)

TABLE: dict[str, tuple[RemoteFolder, LocalFolder, list[Action]]] = {
    "a letter we know from another folder is placed, not fetched": (
        server(new), replica(known={5: 10}), [Place(5, 10, flags(SEEN))],
    ),
    "a letter older than the window is placed if we hold it": (
        server(old), replica(known={5: 10}), [Place(5, 10, flags())],
    ),
    "a letter we hold twice in a folder has two places": (
        server(new), replica(here(4), seen=4, known={5: 10}), [Place(5, 10, flags(SEEN))],
    ),
    "a new letter in the window is fetched": (server(new), replica(), [Import(new)]),
    "a new letter that is none of those we know is fetched": (
        server(unread_header), replica(known={6: 10}), [Import(unread_header)],
    ),
    "a letter of the window's first second is fetched": (
        server(at_the_edge), replica(), [Import(at_the_edge)],
    ),
    "a letter of a second earlier is left on the server": (server(old), replica(), []),
    "a letter that was let go stays away": (server(new), replica(tombstones={LETTER}), []),
    "a letter that was let go stays away even if a copy is known": (
        server(new), replica(known={5: 10}, tombstones={LETTER}), [],
    ),
    "a letter that an employee took away does not come back": (
        server(new), replica(known={5: 10}, leaving={5}), [],
    ),
    "a letter stored before a crash is not fetched again": (server(new), replica(here(5, SEEN)), []),
    "a letter stored before a crash is shown as the server has it now": (
        server(new), replica(here(5)), [Reflag(1, flags(SEEN))],
    ),
    "the newest letter comes first": (
        server(there(5), there(9), there(7)), replica(), [Import(there(9)), Import(there(7)), Import(there(5))],
    ),
    "a phone marks a letter as read": (
        server(last=5, flags={5: flags(SEEN)}), replica(here(5), seen=5), [Reflag(1, flags(SEEN))],
    ),
    "a phone marks a letter as unread": (
        server(last=5, flags={5: flags()}), replica(here(5, SEEN), seen=5), [Reflag(1, flags())],
    ),
    "nothing differs, nothing is done": (
        server(last=5, flags={5: flags(SEEN)}, present={5}), replica(here(5, SEEN), seen=5), [],
    ),
    "a star that the server has not heard of stays": (
        server(last=5, flags={5: flags()}),
        replica(here(5, STARRED, add=flags(STARRED)), seen=5),
        [],
    ),
    "a read mark we took away stays away while the phone stars": (
        server(last=5, flags={5: flags(SEEN, STARRED)}),
        replica(here(5, remove=flags(SEEN)), seen=5),
        [Reflag(1, flags(STARRED))],
    ),
    "flags of a letter we do not hold are nobody's": (
        server(last=9, flags={9: flags(SEEN)}), replica(here(5), seen=9), [],
    ),
    "a letter at the cursor that was purged is not looked at": (
        server(there(5, identity=LETTER)), replica(seen=5, known={5: 10}), [],
    ),
    "a letter below the cursor that was purged is not looked at": (
        server(there(4)), replica(seen=5), [],
    ),
    "a letter that another program removed goes here too": (
        server(last=5, present=set()), replica(here(5), seen=5), [Vanish(1)],
    ),
    "a folder that was not read whole loses nothing": (
        server(last=5, present=None), replica(here(5), here(None, id=2), seen=5), [],
    ),
    "a letter on its way here waits for its move": (
        server(last=5, present=set()), replica(here(None, moving=True), seen=5), [],
    ),
    "a letter whose move is over and which is not here is gone": (
        server(last=5, present=set()), replica(here(None), seen=5), [Vanish(1)],
    ),
    "a letter that waited takes the UID that the server gave it": (
        server(new, present={5}), replica(here(None), seen=4, known={5: 10}),
        [Place(5, 10, flags(SEEN), placement_id=1)],
    ),
    "a letter that waited keeps the star it got meanwhile": (
        server(new, present={5}),
        replica(here(None, STARRED, add=flags(STARRED)), seen=4, known={5: 10}),
        [Place(5, 10, flags(SEEN, STARRED), placement_id=1)],
    ),
    "a copy by a phone does not take the place of a letter still on its way": (
        server(new, present={5}), replica(here(None, moving=True), seen=4, known={5: 10}),
        [Place(5, 10, flags(SEEN))],
    ),
    "two that waited and one UID: one is placed, one has gone": (
        server(new, present={5}),
        replica(here(None), here(None, id=2), seen=4, known={5: 10}),
        [Place(5, 10, flags(SEEN), placement_id=2), Vanish(1)],
    ),
    "two of the same letter take two UIDs": (
        server(new, there(6, identity=LETTER), present={5, 6}),
        replica(here(None), here(None, id=2), seen=4, known={5: 10, 6: 10}),
        [Place(6, 10, flags(), placement_id=2), Place(5, 10, flags(SEEN), placement_id=1)],
    ),
    "one waits for another letter than the one that came": (
        server(there(5, identity=OTHER), present={5}),
        replica(here(None), seen=4, known={5: 11}),
        [Place(5, 11, flags()), Vanish(1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_case_table(row: str) -> None:
    remote, local, expected = TABLE[row]

    assert planned(remote, local) == expected


def test_a_rebuilt_folder_is_forgotten_and_nothing_else_is_planned() -> None:
    remote = RemoteFolder(uidvalidity=8, last_uid=5, arrivals=(new,), flags={5: flags()}, present={5})

    assert plan_folder(remote, replica(here(3), seen=3, known={5: 10})) == [Forget(8)]


def test_a_folder_never_seen_begins_with_its_uidvalidity() -> None:
    local = LocalFolder(uidvalidity=None, uid_seen=0, window_start=WINDOW)

    assert plan_folder(server(new), local) == [Forget(7)]


@pytest.mark.parametrize(("last", "seen", "cursor"), [(9, 4, 9), (4, 9, 9), (0, 9, 9), (0, 0, 0)])
def test_the_cursor_never_goes_back(last: int, seen: int, cursor: int) -> None:
    """C09: a server whose UIDNEXT is nonsense must not make us read everything again."""
    assert plan_folder(server(last=last), replica(seen=seen))[-1] == Advance(cursor)
