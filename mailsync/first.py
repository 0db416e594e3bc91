"""First looks at folders: many of them in as few round trips as one.

40 ms from the server, a mailbox of ten folders spends more time on asking for one after the other than on its mail. So
all are opened and listed in one go, and their bodies come in one stream. What does not go smoothly here is left as it
is, for pulling.pull to look at by itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from accounts import tenancy
from mailsync import pulling, replica
from mailsync.imap.errors import CommandRefused, FolderGone
from mailsync.imap.server import AT_ONCE, SLICE, Opened, Status
from mailsync.models import Folder
from mailsync.pulling import FIRST_SLICE
from mailsync.run import Run
from mailsync.storing import Intake
from mailsync.sync.ledger import UidRanges
from mailsync.sync.state import RemoteMessage

LITTLE = 3_000  # messages in all: listing them takes no longer than the first screens

Statuses = Mapping[bytes, Status]


@dataclass(frozen=True, slots=True)
class _Look:
    """A folder as it was found, and what of it is to be fetched."""

    folder: Folder
    opened: Opened
    listed: list[RemoteMessage]
    wanted: list[RemoteMessage]

    @property
    def begun(self) -> int:
        """How many come before the rest of all folders: a screen, or all where no more than another would be left."""
        return FIRST_SLICE if len(self.wanted) > 2 * FIRST_SLICE else len(self.wanted)


def pull_tops(run: Run, folders: list[Folder], statuses: Statuses) -> None:
    """The first screen of each folder that was never fetched, before anything else; no cursor moves.

    Where there is little mail this is left to `pull_whole`, which begins with the same.
    """
    new = {f.pk: statuses[bytes(f.name)].messages for f in folders if _is_new(run, f, statuses)}
    run.parser.expect(sum(new.values()))
    if sum(new.values()) <= LITTLE and not run.one_by_one:
        return
    large = [folder for folder in folders if new.get(folder.pk, 0) > FIRST_SLICE]
    size = 1 if run.one_by_one else AT_ONCE
    for start in range(0, len(large), size):
        group = large[start : start + size]
        firsts = [(folder, new[folder.pk] - FIRST_SLICE + 1) for folder in group]
        with suppress(FolderGone, CommandRefused), Intake(run) as intake:
            _look(run, firsts, intake, reflags=False)
            for folder in intake:
                with tenancy.acting_for(run.lease.account_id):
                    folder.refresh_from_db()  # what is placed there now need not be looked for


def groups(run: Run, folders: list[Folder], statuses: Statuses) -> Iterator[list[Folder]]:
    """The folders in their order, those together that `pull_whole` takes together: a slice of messages in all."""
    group: list[Folder] = []
    size = 0
    for folder in folders:
        small = _is_small(run, folder, statuses)
        messages = statuses[bytes(folder.name)].messages if small else 0
        if group and not (small and size + messages <= SLICE and len(group) < AT_ONCE):
            yield group
            group, size = [], 0
        if small:
            group.append(folder)
            size += messages
        else:
            yield [folder]
    if group:
        yield group


def pull_whole(run: Run, group: list[Folder], statuses: Statuses) -> set[int]:
    """All of small folders that were never fetched; returns the ids of those that are equal to the server's now."""
    asked_at = timezone.now()
    small = [folder for folder in group if _is_small(run, folder, statuses)]
    firsts = [(folder, min(1, statuses[bytes(folder.name)].messages)) for folder in small]
    begun, equal = set(), set()
    with suppress(FolderGone, CommandRefused), Intake(run) as intake:
        looks = {look.folder.pk: look for look in _look(run, firsts, intake, reflags=True)}
        for look in looks.values():
            intake.add(look.folder, look.wanted[look.begun :])
        for folder in intake:
            if folder.pk not in begun:
                begun.add(folder.pk)
            elif _is_equal(run, looks[folder.pk], intake, asked_at):
                equal.add(folder.pk)
    return equal


def _is_equal(run: Run, look: _Look, intake: Intake, asked_at: datetime) -> bool:
    """Whether it has all of the folder's mail and nothing else; then the cursor moves."""
    uids = [message.uid for message in look.listed]
    if len(uids) < look.opened.exists:  # it was empty when STATUS counted, or the server lies
        return False
    if not pulling.vanish(run, look.folder, look.opened, UidRanges.of(uids), intake=intake):
        return False
    highest = max(uids, default=0)
    pulling.advance(
        run,
        look.folder,
        look.opened,
        highest,
        whole=True,
        asked_at=asked_at,
        rebuilds=look.folder.errors_in_row,  # none before this look
    )
    return True


def _is_small(run: Run, folder: Folder, statuses: Statuses) -> bool:
    return (
        not run.one_by_one
        and _is_new(run, folder, statuses)
        and statuses[bytes(folder.name)].messages <= SLICE
    )


def _is_new(run: Run, folder: Folder, statuses: Statuses) -> bool:
    """Never fetched, and nothing is known to be wrong with it."""
    known = folder.full_at is not None or folder.errors_in_row
    return not (known or run.careful) and bytes(folder.name) in statuses


def _look(run: Run, firsts: list[tuple[Folder, int]], intake: Intake, *, reflags: bool) -> list[_Look]:
    """Each folder from a sequence number to its end, the first screen of each on its way; those that do not go smoothly
    are left out."""
    if not firsts:
        return []
    run.check_time()
    asked = [(bytes(folder.name), first) for folder, first in firsts]
    found = run.server.look_into(asked)
    looks: list[_Look] = []
    coming: set[tuple[datetime, int]] = set()
    for folder, _first in firsts:
        with suppress(FolderGone, CommandRefused, replica.OtherMail):
            if bytes(folder.name) in found:
                opened, listed = found[bytes(folder.name)]
                pulling.accept(run, folder, opened)
                wanted = pulling.place(run, folder, opened, listed, reflags=reflags, intake=intake)
                marks = {(message.received_at, message.size) for message in wanted}
                # A copy of what is on its way already waits until that is here: then its body need not come twice.
                if coming.isdisjoint(marks):
                    coming |= marks
                    looks.append(_Look(folder, opened, listed, wanted))
                    intake.add(folder, wanted[: looks[-1].begun])
    return looks
