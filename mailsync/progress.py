"""How far the first fetch of a mailbox is: folder, done of total, rate, time remaining."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import ngettext

from mailsync.models import Folder, Mailbox, SpecialUse

# Under this many seconds or messages a rate is noise.
_SECONDS_TO_JUDGE = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """`total` is None until the server was asked; `remaining` until the rate is known."""

    mailbox: Mailbox
    finished: bool
    done: int
    total: int | None
    folder: Folder | None
    rate: float
    remaining: timedelta | None

    @property
    def percent(self) -> int:
        """Never 100 before the end, never more than 100 if mail arrives meanwhile."""
        if self.finished:
            return 100
        return min(99, self.done * 100 // self.total) if self.total else 0

    @property
    def rate_rounded(self) -> int:
        return max(1, round(self.rate))

    @property
    def remaining_text(self) -> str:
        """How long it still takes, in words; "" while nobody can know."""
        return "" if self.remaining is None else left(self.remaining)


def left(remaining: timedelta) -> str:
    """A time as people say it."""
    seconds = int(remaining.total_seconds())
    if seconds < 60:
        return ngettext("%d second left", "%d seconds left", seconds) % seconds
    minutes = round(seconds / 60)
    if minutes < 120:
        return ngettext("%d minute left", "%d minutes left", minutes) % minutes
    return ngettext("%d hour left", "%d hours left", round(minutes / 60)) % round(minutes / 60)


def of(mailbox: Mailbox, now: datetime) -> Progress:
    """Where the first fetch stands now, from what the engine wrote into the folders."""
    folders = _in_order(mailbox)
    done = sum(min(folder.fetched, folder.wanted) for folder in folders)
    finished = mailbox.first_synced_at is not None
    if finished:
        here = sum(folder.total for folder in folders)
        return Progress(mailbox, True, here, here, None, 0.0, None)
    if mailbox.first_sync_started_at is None:
        return Progress(mailbox, False, 0, None, None, 0.0, None)
    total = sum(folder.wanted for folder in folders)
    seconds = (now - mailbox.first_sync_started_at).total_seconds()
    rate = done / seconds if done and seconds >= _SECONDS_TO_JUDGE else 0.0
    remaining = timedelta(seconds=round((total - done) / rate)) if rate else None
    return Progress(mailbox, False, done, total or None, _at_work(folders), rate, remaining)


def _in_order(mailbox: Mailbox) -> list[Folder]:
    """INBOX first, as the engine goes."""
    folders = mailbox.folders.filter(syncing=True, selectable=True).defer("name")
    return sorted(folders, key=lambda folder: (folder.special_use != SpecialUse.INBOX, folder.path.lower()))


def _at_work(folders: list[Folder]) -> Folder | None:
    unfinished = [folder for folder in folders if folder.fetched < folder.wanted]
    begun = [folder for folder in unfinished if folder.fetched]
    return next(iter(begun or unfinished), None)
