"""Letters of a task, on their way out and back: what was written from it, and what answers that, is bound by itself.

Each binding says why, and is undone as any other: by taking the message off the task.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from mailsync.importing import Prepared
from mailsync.models import Folder, Outgoing, SpecialUse
from tasks import binding, names, reading
from tasks.models import Because, Task, TaskLetter, TaskMessage
from tasks.telling import CannotDo

# What is no mail yet, is not wanted, or is shown in another folder, too.
_NEVER = (SpecialUse.DRAFTS, SpecialUse.JUNK, SpecialUse.TRASH)
_NAMED = b"<task."


def queued(*, outgoing: Outgoing, **_signal: Any) -> None:
    """The receiver of mailsync.signals.letter_queued: until its copy is here, the letter stands on the task."""
    found = _task_of([outgoing.message_id, *reading.ids_in(outgoing.references)], outgoing.account_id)
    if found and outgoing.by:
        task = found[0]
        TaskLetter.objects.get_or_create(
            outgoing=outgoing, defaults={"account_id": task.account_id, "task": task, "by": outgoing.by}
        )


def recalled(*, outgoing: Outgoing, **_signal: Any) -> None:
    """The receiver of mailsync.signals.letter_recalled."""
    TaskLetter.objects.filter(outgoing=outgoing).delete()


def receive(*, folder: Folder, arrived: dict[int, Prepared], **_signal: Any) -> None:
    """The receiver of mailsync.signals.message_arrived. Where nothing was written from tasks it reads no row."""
    if folder.special_use in _NEVER:
        return
    for message_id, item in arrived.items():
        if _NAMED in item.header:
            _bind(folder.account_id, message_id, item)


def _bind(account_id: int, message_id: int, item: Prepared) -> None:
    found = _task_of([item.summary.message_id, *reading.referred(item.header)], account_id)
    if found is None:
        return
    task, named = found
    written = named == item.summary.message_id
    # The same mail in another mailbox is on the task already.
    if TaskMessage.objects.filter(task=task, message__message_id=item.summary.message_id).exists():
        return
    author = Outgoing.objects.filter(account_id=account_id, message_id=named).select_related("by").first()
    by = author.by if author and author.by else task.responsible
    because = Because.WRITTEN if written else Because.ANSWERS
    with suppress(CannotDo):  # the task is being deleted: the mail lives as any other
        binding.bind(task, [message_id], by=by, because=because)
        letters = TaskLetter.objects.filter(task=task, outgoing__message_id=item.summary.message_id)
        letters.delete()


def _task_of(ids: Iterable[str], account_id: int) -> tuple[Task, str] | None:
    found = names.task_of(ids, account_id=account_id)
    if found is None:
        return None
    task = Task.objects.filter(pk=found[0], delete_at=None).select_related("responsible").first()
    return (task, found[1]) if task else None
