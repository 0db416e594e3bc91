"""Message-IDs of mail written from a task: a reply quotes them, and so comes back to the task (mailsync.naming)."""

from collections.abc import Iterable

from mailsync import naming


def message_id(task_id: int, *, account_id: int, host: str) -> str:
    """A Message-ID, without its angle brackets, never given before."""
    return naming.message_id(f"task.{task_id}", account_id=account_id, host=host)


def task_of(ids: Iterable[str], *, account_id: int) -> tuple[int, str] | None:
    """The task of the first of these Message-IDs that this account signed, and that Message-ID."""
    for found, parts in naming.told(ids, "task", account_id=account_id):
        if len(parts) == 1 and parts[0].isdecimal() and len(parts[0]) <= 18:
            return int(parts[0]), found
    return None
