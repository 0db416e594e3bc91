"""PURE: compare what the server has with what we have; see the case table in the package's docstring."""

from collections.abc import Iterable

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


def plan_folder(remote: RemoteFolder, local: LocalFolder) -> list[Action]:
    """Everything to do so that our side of one folder equals the server's, in order."""
    if remote.uidvalidity != local.uidvalidity:
        return [Forget(remote.uidvalidity)]
    return [
        *plan_arrivals(remote, local),
        *plan_flags(remote, local),
        *plan_vanished(remote, local),
        Advance(max(remote.last_uid, local.uid_seen)),
    ]


def plan_arrivals(remote: RemoteFolder, local: LocalFolder) -> list[Place | Import]:
    """What to do about UIDs above the cursor, newest first."""
    have = {placement.uid for placement in local.placements} | local.leaving
    waiting = _waiting_by_message(local.placements)
    new = [m for m in remote.arrivals if m.uid > local.uid_seen and m.uid not in have]
    actions: list[Place | Import] = []
    for message in sorted(new, key=lambda m: m.uid, reverse=True):
        action = _plan_arrival(message, local, waiting, remote.lasting)
        if action:
            actions.append(action)
    return actions


def _plan_arrival(
    message: RemoteMessage,
    local: LocalFolder,
    waiting: dict[int, list[LocalPlacement]],
    lasting: Flags | None,
) -> Place | Import | None:
    if message.identity in local.tombstones:
        return None
    known = local.known.get(message.uid)
    if known is None:
        # What may be here already is as old as it may be: moved away and back, it would leave its folder here for good.
        wanted = message.received_at >= local.window_start or message.uid in local.resembling
        return Import(message) if wanted else None
    candidates = waiting.get(known)
    if not candidates:
        return Place(message.uid, known, message.flags)
    placement = candidates.pop()
    return Place(message.uid, known, rebase(message.flags, placement, lasting), placement.id)


def plan_flags(remote: RemoteFolder, local: LocalFolder) -> list[Reflag]:
    """The server's flags with our open operations on top, where that differs from what we show."""
    arrived = {message.uid: message.flags for message in remote.arrivals}
    actions = []
    for placement in local.placements:
        if placement.uid is None:
            continue
        flags = remote.flags.get(placement.uid, arrived.get(placement.uid))
        if flags is not None and rebase(flags, placement, remote.lasting) != placement.flags:
            actions.append(Reflag(placement.id, rebase(flags, placement, remote.lasting)))
    return actions


def plan_vanished(remote: RemoteFolder, local: LocalFolder) -> list[Vanish]:
    """Placements whose UID is gone, and those that wait for a UID which no move will bring any more."""
    if remote.present is None:
        return []
    placed = _placed_waiting(remote, local)
    return [
        Vanish(placement.id)
        for placement in local.placements
        if (placement.uid is not None and placement.uid not in remote.present)
        or (placement.uid is None and not placement.moving and placement.id not in placed)
    ]


def uids_of(vanished: Iterable[Vanish], local: LocalFolder) -> set[int]:
    """Under which UIDs the server had them; some wait for one."""
    going = {each.placement_id for each in vanished}
    return {p.uid for p in local.placements if p.id in going and p.uid is not None}


def lost(vanished: Iterable[Vanish], remote: RemoteFolder, local: LocalFolder) -> list[Vanish]:
    """Those whose message is not in this folder under another UID either: the others were only renumbered."""
    present = remote.present or set()
    still_here = {p.message_id for p in local.placements if p.uid is not None and p.uid in present}
    message_of = {placement.id: placement.message_id for placement in local.placements}
    return [each for each in vanished if message_of[each.placement_id] not in still_here]


def rebase(flags: Flags, placement: LocalPlacement, lasting: Flags | None = None) -> Flags:
    """What to show: the server's flags, with what the employee did and the server has not heard of, and the keywords
    that it cannot keep (F08)."""
    flags = (flags - placement.remove) | placement.add
    return flags if lasting is None else flags | only_here(placement.flags, lasting)


def only_here(flags: Flags, lasting: Flags) -> Flags:
    """The keywords among flags that a server which keeps `lasting` cannot keep."""
    return frozenset(each for each in flags if not each.startswith("\\") and each.lower() not in lasting)


def _waiting_by_message(placements: Iterable[LocalPlacement]) -> dict[int, list[LocalPlacement]]:
    waiting: dict[int, list[LocalPlacement]] = {}
    for placement in placements:
        if placement.uid is None and not placement.moving:
            waiting.setdefault(placement.message_id, []).append(placement)
    return waiting


def _placed_waiting(remote: RemoteFolder, local: LocalFolder) -> set[int]:
    """Waiting placements that plan_arrivals gives a UID in the same plan."""
    return {
        action.placement_id
        for action in plan_arrivals(remote, local)
        if isinstance(action, Place) and action.placement_id is not None
    }
