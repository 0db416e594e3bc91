"""What an employee does to folders: shown at once, written down as Operations for the server.

Callers have checked the rights (access.py). `Folder.path` shows what is wished, `Folder.name` stays what the
server says until it has agreed: so nothing that a pull does in between can undo the wish.
"""

import unicodedata
from collections.abc import Sequence

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import audit
from accounts.models import Employee
from mailsync import actions, schedule
from mailsync.foldernames import INBOX, encode, moved, path_of, within
from mailsync.models import (
    FOLDER_KINDS,
    OPEN,
    Act,
    Folder,
    Mailbox,
    Operation,
    OperationKind,
    OperationState,
)

MOST_LETTERS = 200
MOST_LEVELS = 20
# Bytes of a whole name: an index holds it, and mail servers have their limits too.
LONGEST_NAME = 1000
CREATED, RENAMED, DELETED = "create folder", "rename folder", "delete folder"
VERBS = (CREATED, RENAMED, DELETED)


class CannotChange(Exception):
    """Nothing was changed; the text is a sentence for people."""


@transaction.atomic
def create_folder(mailbox: Mailbox, name: str, parent: Folder | None = None, *, by: Employee) -> Act:
    """A new folder, at the top or below `parent`; `undo["folder"]` of the Act is its id. Raises CannotChange."""
    known = _Known(mailbox)
    delimiter = parent.delimiter if parent else known.delimiter
    raw = known.inside(parent, _checked(name, delimiter))
    known.refuse_taken(raw)
    folder = Folder.objects.create(
        account_id=mailbox.account_id, mailbox=mailbox, name=raw, path=path_of(raw), delimiter=delimiter
    )
    known.write_down(OperationKind.CREATE, folder, by, new=raw)
    return _act(CREATED, by, folder=folder.pk)


@transaction.atomic
def rename_folder(folder: Folder, name: str, *, by: Employee) -> Act:
    """Another last part of its name; the folders below follow. Raises CannotChange."""
    known = _Known(folder.mailbox)
    head, parted, _last = _parts(known.wished(folder), folder.delimiter)
    return _rename(known, folder, head + parted + encode(_checked(name, folder.delimiter)), by)


@transaction.atomic
def move_folder(folder: Folder, name: str, parent: Folder | None, *, by: Employee) -> Act:
    """A name, and the folder it is in from now on, or the top; the folders below follow. Raises CannotChange."""
    known = _Known(folder.mailbox)
    if parent and within(known.wished(parent), known.wished(folder), folder.delimiter):
        raise CannotChange(_("A folder cannot be inside itself."))
    return _rename(known, folder, known.inside(parent, _checked(name, folder.delimiter)), by)


@transaction.atomic
def delete_folder(folder: Folder, *, by: Employee) -> Act:
    """Its messages go to the Trash, then it goes; `count` of the Act is their number. Raises CannotChange."""
    known = _Known(folder.mailbox)
    name = known.wished(folder)
    _refuse_special([folder])
    inside = [each for each in known.rows if within(known.wished(each), name, folder.delimiter)]
    if any(each.pk != folder.pk and each.selectable and not each.deleting for each in inside):
        raise CannotChange(
            _("“%(folder)s” has folders inside. Delete or rename those first.") % {"folder": folder.path}
        )
    count = _empty(folder, by)
    audit.record(
        "folder.deleted",
        folder.path,
        account_id=folder.account_id,
        by=by,
        mailbox=folder.mailbox.address,
        messages=count,
    )
    last = known.changes[-1] if known.changes else None
    if last and last.kind == OperationKind.CREATE and last.folder_id == folder.pk and _is_unsent(last):
        _forget_unsent(folder)
    else:
        Folder.objects.filter(pk=folder.pk).update(deleting=True)
        known.write_down(OperationKind.DELETE, folder, by, old=name)
    return _act(DELETED, by, count=count)


@transaction.atomic
def undo(act: Act, *, by: Employee) -> None:
    """Rename back, or delete what was just made while it is empty; once. Raises CannotChange."""
    mine = Act.objects.filter(pk=act.pk, by=by, undone_at=None, verb__in=(CREATED, RENAMED)).exclude(undo={})
    if not mine.update(undone_at=timezone.now()):
        raise CannotChange(_("This cannot be undone any more."))
    folder = Folder.objects.select_related("mailbox").filter(pk=act.undo["folder"], deleting=False).first()
    if folder is None:
        raise CannotChange(_("This folder is no longer here."))
    if act.verb == RENAMED:
        known = _Known(folder.mailbox)
        if known.wished(folder) != act.undo["now"].encode("latin-1"):
            raise CannotChange(_("This cannot be undone any more."))
        _rename(known, folder, act.undo["was"].encode("latin-1"), by)
    elif folder.total:
        raise CannotChange(_("“%(folder)s” holds messages by now.") % {"folder": folder.path})
    else:
        delete_folder(folder, by=by)


def last_part(folder: Folder) -> str:
    """Its name without the folders above."""
    return folder.path.rpartition(folder.delimiter)[2] if folder.delimiter else folder.path


def parent_of(folder: Folder, rows: Sequence[Folder]) -> Folder | None:
    """The one of the rows that it is in, None at the top."""
    above = folder.path.rpartition(folder.delimiter)[0] if folder.delimiter else ""
    return next((row for row in rows if above and row.path == above), None)


def open_changes(mailbox_id: int) -> list[Operation]:
    """What is wished of the mailbox's folders and not done yet, in order."""
    changes = Operation.objects.filter(mailbox=mailbox_id, kind__in=FOLDER_KINDS, state__in=OPEN)
    return list(changes.order_by("id"))


def show_names(mailbox_id: int) -> None:
    """Give every folder the path that it has once the open renames are done."""
    renames = _renames(open_changes(mailbox_id))
    for folder in Folder.objects.filter(mailbox=mailbox_id):
        path = path_of(_wished(folder, renames))
        if path != folder.path:
            Folder.objects.filter(pk=folder.pk).update(path=path)


class _Known:
    """The folders of a mailbox and what is wished of them; the mailbox is locked until the commit."""

    def __init__(self, mailbox: Mailbox) -> None:
        schedule.lock([mailbox.pk])
        self.mailbox = mailbox
        self.rows = list(Folder.objects.filter(mailbox=mailbox).order_by("id"))
        self.changes = open_changes(mailbox.pk)
        self._renames = _renames(self.changes)

    @property
    def delimiter(self) -> str:
        return next((folder.delimiter for folder in self.rows if folder.delimiter), "")

    @property
    def root(self) -> bytes:
        """What stands before a folder at the top: some servers keep every folder below INBOX."""
        below = INBOX + self.delimiter.encode()
        others = [bytes(folder.name) for folder in self.rows if bytes(folder.name).upper() != INBOX]
        return below if others and all(name.startswith(below) for name in others) and self.delimiter else b""

    def inside(self, parent: Folder | None, name: str) -> bytes:
        """The whole name of a folder in another, or at the top. Raises CannotChange."""
        if parent and not parent.delimiter:
            raise CannotChange(_("This mail server has no folders inside folders."))
        return (self.wished(parent) + parent.delimiter.encode() if parent else self.root) + encode(name)

    def wished(self, folder: Folder) -> bytes:
        """Its name when everything that is open is done."""
        return _wished(folder, self._renames)

    def refuse_taken(self, raw: bytes, *, renaming: Folder | None = None) -> None:
        """Raises CannotChange where the name exists here, or still exists there, or is nested too deep or too long.

        A folder that is renamed may not take over what lies below its new name either.
        """
        if self.delimiter and raw.count(self.delimiter.encode()) >= MOST_LEVELS:
            raise CannotChange(
                ngettext(
                    "Folders can be nested %(n)s level deep.",
                    "Folders can be nested %(n)s levels deep.",
                    MOST_LEVELS,
                )
                % {"n": MOST_LEVELS}
            )
        self._refuse_if_too_long(raw, renaming)
        path = path_of(raw)
        if raw.upper() == INBOX:
            raise CannotChange(_("The name “%(folder)s” belongs to the inbox.") % {"folder": path})
        for folder in self.rows:
            if renaming is None or folder.pk != renaming.pk:
                self._refuse_if_taken(raw, path, folder, and_below=renaming is not None)

    def _refuse_if_too_long(self, raw: bytes, renaming: Folder | None) -> None:
        """What the server has that is longer already may still be made shorter."""
        old, delimiter = (self.wished(renaming), renaming.delimiter) if renaming else (b"", "")
        inside = (
            len(name) - len(old) for name in map(self.wished, self.rows) if within(name, old, delimiter)
        )
        if len(raw) > len(old) and len(raw) + max(inside, default=0) > LONGEST_NAME:
            raise CannotChange(
                _("Together with the folders above and inside, this name is too long. Choose a shorter one.")
            )

    def _refuse_if_taken(self, raw: bytes, path: str, folder: Folder, *, and_below: bool) -> None:
        wished = self.wished(folder)
        if not folder.deleting and (wished == raw or (and_below and within(wished, raw, folder.delimiter))):
            if not folder.syncing:
                raise CannotChange(
                    _("There is a folder “%(folder)s” already; it is switched off in the mailbox's settings.")
                    % {"folder": path}
                )
            raise CannotChange(_("There is a folder “%(folder)s” already.") % {"folder": path})
        if bytes(folder.name) == raw:
            raise CannotChange(
                _("On the mail server the name “%(folder)s” is still in use. Try again in a moment.")
                % {"folder": path}
            )

    def write_down(
        self,
        kind: OperationKind,
        folder: Folder,
        by: Employee,
        *,
        old: bytes | None = None,
        new: bytes | None = None,
    ) -> None:
        Operation.objects.create(
            account_id=folder.account_id,
            mailbox_id=folder.mailbox_id,
            kind=kind,
            folder=folder,
            uidvalidity=folder.uidvalidity if kind == OperationKind.DELETE else None,
            old_name=old,
            new_name=new,
            by=by,
        )
        schedule.wake(folder.mailbox_id)


def _rename(known: _Known, folder: Folder, new: bytes, by: Employee) -> Act:
    old = known.wished(folder)
    _refuse_special([each for each in known.rows if within(known.wished(each), old, folder.delimiter)])
    if new == old:
        return _act(RENAMED, by)
    known.refuse_taken(new, renaming=folder)
    last = known.changes[-1] if known.changes else None
    if last and last.kind == OperationKind.RENAME and last.folder_id == folder.pk and _is_unsent(last):
        _redirect(last, new)
        schedule.wake(folder.mailbox_id)
    else:
        known.write_down(OperationKind.RENAME, folder, by, old=old, new=new)
    show_names(folder.mailbox_id)
    return _act(RENAMED, by, folder=folder.pk, was=old.decode("latin-1"), now=new.decode("latin-1"))


def _parts(name: bytes, delimiter: str) -> tuple[bytes, bytes, bytes]:
    """What is above, the delimiter, and the last part."""
    return name.rpartition(delimiter.encode()) if delimiter else (b"", b"", name)


def _renames(changes: Sequence[Operation]) -> list[tuple[bytes, bytes]]:
    return [
        (bytes(change.old_name), bytes(change.new_name))
        for change in changes
        if change.old_name is not None and change.new_name is not None
    ]


def _wished(folder: Folder, renames: Sequence[tuple[bytes, bytes]]) -> bytes:
    name = bytes(folder.name)
    for old, new in renames:
        name = moved(name, old, new, folder.delimiter)
    return name


def _checked(name: str, delimiter: str) -> str:
    """The name as it is sent (NFC), if it is one. Raises CannotChange."""
    name = unicodedata.normalize("NFC", name)
    if not name.strip():
        raise CannotChange(_("Type a name for the folder."))
    if name != name.strip():
        raise CannotChange(_("A folder's name neither begins nor ends with a blank."))
    if any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in name):
        raise CannotChange(_("A folder's name is one line without control characters."))
    if delimiter and delimiter in name:
        raise CannotChange(
            _("“%(sign)s” cannot be part of a name: the mail server parts folders with it.")
            % {"sign": delimiter}
        )
    if len(name) > MOST_LETTERS:
        raise CannotChange(_("A folder's name has at most %(n)s letters.") % {"n": MOST_LETTERS})
    return name


def _refuse_special(folders: Sequence[Folder]) -> None:
    for folder in folders:
        if folder.special_use or bytes(folder.name).upper() == INBOX:
            raise CannotChange(
                _("“%(folder)s” has a task of its own: it is neither renamed nor deleted.")
                % {"folder": folder.path}
            )


def _empty(folder: Folder, by: Employee) -> int:
    """Everything that is shown in it, to the Trash; how many that were."""
    ids = list(folder.placements.values_list("pk", flat=True))
    if not ids:
        return 0
    try:
        trashed = actions.trash(ids, by=by)
    except actions.CannotMove as refusal:
        raise CannotChange(str(refusal)) from refusal
    # It could only be undone into a folder that is no more.
    Act.objects.filter(pk=trashed.pk).delete()
    if folder.placements.exists():
        raise CannotChange(
            _("Messages are still on their way into “%(folder)s”. Try again in a moment.")
            % {"folder": folder.path}
        )
    return trashed.count


def _is_unsent(change: Operation) -> bool:
    return change.state == OperationState.PENDING and change.tries == 0


def _redirect(rename: Operation, new: bytes) -> None:
    """A rename that the server has not heard of goes to another name, or never was."""
    if bytes(rename.old_name or b"") == new:
        rename.state, rename.finished_at = OperationState.VOID, timezone.now()
    rename.new_name = new
    rename.save(update_fields=["state", "finished_at", "new_name"])


def _forget_unsent(folder: Folder) -> None:
    """Made and deleted before the server heard of it: it need not hear of it at all."""
    now = timezone.now()
    touching = Operation.objects.filter(Q(folder=folder) | Q(target=folder), state__in=OPEN)
    touching.update(state=OperationState.VOID, finished_at=now)
    folder.delete()


def _act(verb: str, by: Employee, *, count: int = 1, **how: object) -> Act:
    return Act.objects.create(account_id=by.account_id, by=by, verb=verb, count=count, undo=how)
