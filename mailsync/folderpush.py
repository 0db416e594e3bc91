"""Push, for folders: carry what employees did to them to the server, one by one and by effect.

What was done already (by a worker that died before it heard the answer, or by another program) is done; what
another program did differently stands, and the employee is told.
"""

from django.db.models import Q
from django.utils import timezone

from mailsync import folders, moving, replica
from mailsync.foldernames import moved, within
from mailsync.imap.answers import RemoteName
from mailsync.imap.errors import CommandRefused
from mailsync.imap.server import SLICE
from mailsync.importing import header_hash
from mailsync.models import (
    OPEN,
    Folder,
    Operation,
    OperationKind,
    OperationState,
    SpecialUse,
)
from mailsync.run import Run

_CLOSED = {"\\noselect", "\\nonexistent"}


def is_ready(run: Run, change: Operation) -> bool:
    """Whether the first open change may go now: a folder is deleted after all else that was asked of its mail."""
    if change.pk in run.tried:
        return False
    if change.kind != OperationKind.DELETE:
        return True
    of_mail = Operation.objects.filter(mailbox=run.mailbox_id, state__in=OPEN, uid__isnull=False)
    return not of_mail.filter(Q(folder=change.folder_id) | Q(target=change.folder_id)).exists()


def send(run: Run, change: Operation, folder: Folder) -> None:
    """Do it on the server. Raises CommandRefused or FolderGone."""
    if change.kind == OperationKind.CREATE:
        _create(run, bytes(change.new_name or b""))
    elif change.kind == OperationKind.RENAME:
        _rename(run, bytes(change.old_name or b""), bytes(change.new_name or b""), folder.delimiter)
    else:
        _delete(run, change, bytes(change.old_name or b""))


def settle(change: Operation, folder: Folder) -> None:
    """The server has done it; inside the caller's transaction."""
    if change.kind == OperationKind.RENAME:
        _take_name(change, folder)
        folders.show_names(folder.mailbox_id)
    elif change.kind == OperationKind.DELETE:
        replica.remove_folder(folder)


def roll_back(change: Operation, folder: Folder, sentence: str) -> None:
    """The server refused for good: show it as it is there, and say so; inside the caller's transaction."""
    Operation.objects.filter(pk=change.pk).update(error=f"“{folder.path}”: {sentence}")
    if change.kind == OperationKind.CREATE:
        _unmake(change, folder)
    elif change.kind == OperationKind.RENAME:
        _take_back_name(change, folder)
        folders.show_names(folder.mailbox_id)
    else:
        Folder.objects.filter(pk=folder.pk).update(deleting=False)


# On the server


def _create(run: Run, name: bytes) -> None:
    try:
        run.server.create(name)
    except CommandRefused:
        if name not in _listed(run):
            raise
    run.server.subscribe(add=[name])


def _rename(run: Run, old: bytes, new: bytes, delimiter: str) -> None:
    subscribed = run.server.subscribed()
    try:
        run.server.rename(old, new)
    except CommandRefused:
        listed = _listed(run)
        if not listed or old in listed:
            raise
        if new not in listed:
            raise CommandRefused(
                "It was renamed or deleted on the mail server meanwhile.", final=True
            ) from None
    # Subscriptions are of names: who shows only those would lose the folder (RFC 9051 6.3.6).
    left = [name for name in subscribed if within(name, old, delimiter)]
    run.server.subscribe(add=[moved(name, old, new, delimiter) for name in left], remove=left)


def _delete(run: Run, change: Operation, name: bytes) -> None:
    listed = _listed(run)
    if name in listed or not listed:
        if not listed or not listed[name].attributes & _CLOSED:
            _empty(run, change, name)
        run.server.delete(name)
    run.server.subscribe(remove=[name])


def _empty(run: Run, change: Operation, name: bytes) -> None:
    """Move to the Trash what is still there: what came meanwhile, and what we hold no copy of."""
    opened = run.server.open(name)
    if change.uidvalidity and opened.uidvalidity != change.uidvalidity:
        raise CommandRefused("By now there is another folder of this name on the mail server.", final=True)
    if not opened.exists:
        return
    with replica.writing(run.lease):
        trash = Folder.objects.filter(mailbox=run.mailbox_id, special_use=SpecialUse.TRASH).first()
    if trash is None:
        raise CommandRefused("There are messages in it, and no Trash to move them to.", final=True)
    left = _left(run, opened.exists)
    if change.tries and not run.server.session.can("MOVE"):
        headers = run.server.headers(left)
        hashes = {uid: header_hash(header, left[uid]) for uid, header in headers.items()}
        moving.resume(run, name, trash, hashes)
    else:
        run.server.move([*left], bytes(trash.name), trash.uidvalidity)
    opened = run.server.open(name)
    if _left(run, opened.exists):
        raise CommandRefused("More messages keep arriving in it.", final=False)


def _left(run: Run, exists: int) -> dict[int, int]:
    """Size by UID of what must not be lost. Without UIDPLUS a message that was copied away stays behind, \\Deleted."""
    gone = set() if run.server.session.can("UIDPLUS") else {"\\Deleted"}
    found: dict[int, int] = {}
    for first in range(1, exists + 1, SLICE):
        slice_ = run.server.list_messages(first, min(first + SLICE - 1, exists))
        found |= {message.uid: message.size for message in slice_ if not message.flags & gone}
    return found


def _listed(run: Run) -> dict[bytes, RemoteName]:
    return {folder.name: folder for folder in run.server.folders()}


# Here


def _take_name(change: Operation, folder: Folder) -> None:
    old, new = bytes(change.old_name or b""), bytes(change.new_name or b"")
    for each in Folder.objects.filter(mailbox=folder.mailbox_id):
        name = bytes(each.name)
        if within(name, old, folder.delimiter):
            Folder.objects.filter(pk=each.pk).update(name=moved(name, old, new, folder.delimiter))


def _take_back_name(change: Operation, folder: Folder) -> None:
    """What was wished later was wished of the new name."""
    old, new = bytes(change.old_name or b""), bytes(change.new_name or b"")
    for later in folders.open_changes(folder.mailbox_id):
        if later.pk > change.pk:
            for column in ("old_name", "new_name"):
                if (name := getattr(later, column)) is not None:
                    setattr(later, column, moved(bytes(name), new, old, folder.delimiter))
            later.save(update_fields=["old_name", "new_name"])
            if later.kind == OperationKind.CREATE and later.folder:
                Folder.objects.filter(pk=later.folder.pk).update(name=later.new_name)


def _unmake(change: Operation, folder: Folder) -> None:
    """The folder, and what was wished below it, never came to be; messages on their way there go back."""
    name = bytes(change.new_name or b"")
    for later in folders.open_changes(folder.mailbox_id):
        made = bytes(later.new_name or b"") if later.kind == OperationKind.CREATE else b""
        if later.folder and within(made, name, folder.delimiter):
            _refuse_below(later, later.folder)
    replica.remove_folder(folder, f"The folder “{folder.path}” could not be made.")


def _refuse_below(creation: Operation, folder: Folder) -> None:
    Operation.objects.filter(pk=creation.pk).update(
        state=OperationState.FAILED,
        error=f"“{folder.path}”: the folder above it could not be made.",
        finished_at=timezone.now(),
    )
    replica.remove_folder(folder, f"The folder “{folder.path}” could not be made.")
