"""Very many messages at once, stored as an import stores them."""

from datetime import UTC, datetime, timedelta

from mailsync.importing import prepare, store
from mailsync.models import Folder

NEWEST = datetime(2026, 11, 1, 12, tzinfo=UTC)
BATCH = 2000


def fill(folder: Folder, count: int, *, unseen_every: int = 7, newest: datetime = NEWEST) -> None:
    """Small messages, one a minute back from `newest`; the account must be the acting one."""
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        store(folder, [_fetched(folder, number, count, unseen_every, newest) for number in numbers])


def _fetched(folder: Folder, number: int, count: int, unseen_every: int, newest: datetime):
    flags = frozenset() if number % unseen_every == 0 else frozenset({"\\Seen"})
    raw = (
        f"From: Sender {number % 97} <sender{number % 97}@partner.example>\r\nTo: ann@acme.example\r\n"
        f"Subject: Report {number} of {folder.path}\r\n\r\nThe figures of last week; more on the second page.\r\n"
    )
    return prepare(folder.account_id, count - number, flags, newest - timedelta(minutes=number), raw.encode())
