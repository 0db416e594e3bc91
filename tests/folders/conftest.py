"""Ann's mailbox on a real Dovecot, and the words she uses for its folders."""

import imaplib
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from mailsync import folders
from mailsync.imap.answers import list_answers
from mailsync.models import Act, Folder, Operation, OperationKind, OperationState
from tests.engine.conftest import Box, box

__all__ = ["box"]  # a fixture

FOLDERS = ("create", "rename", "delete")


@dataclass
class Desk:
    """What Ann does to folders, and what a mail program other than ours sees of it."""

    box: Box

    def create(self, name: str, parent: str = "") -> Act:
        with self.box.acting():
            above = self._folder(parent) if parent else None
            return folders.create_folder(self.box.mailbox, name, above, by=self.box.world.ann)

    def rename(self, path: str, name: str) -> Act:
        with self.box.acting():
            return folders.rename_folder(self._folder(path), name, by=self.box.world.ann)

    def move(self, path: str, name: str, parent: str = "") -> Act:
        with self.box.acting():
            above = self._folder(parent) if parent else None
            return folders.move_folder(self._folder(path), name, above, by=self.box.world.ann)

    def delete(self, path: str) -> Act:
        with self.box.acting():
            return folders.delete_folder(self._folder(path), by=self.box.world.ann)

    def undo(self, act: Act) -> None:
        with self.box.acting():
            folders.undo(act, by=self.box.world.ann)

    def shown(self) -> list[str]:
        """The paths that Ann sees beside the usual folders."""
        with self.box.acting():
            rows = Folder.objects.filter(mailbox=self.box.mailbox, deleting=False, special_use="")
            return sorted(
                rows.exclude(path__in=["Sent", "Drafts", "Junk", "Trash", "Archive"]).values_list(
                    "path", flat=True
                )
            )

    def there(self) -> list[bytes]:
        """The names of all folders on the server, byte for byte, without the usual ones."""
        usual = {b"INBOX", b"Sent", b"Drafts", b"Junk", b"Trash", b"Archive"}
        return sorted(name for name in self._names("LIST") if name not in usual)

    def subscribed(self) -> set[bytes]:
        return self._names("LSUB")

    def on_server(self, what: Callable[[imaplib.IMAP4], tuple[str, list]]) -> None:
        with self.box.dovecot.imap(self.box.login) as client:
            kind, data = what(client)
        assert kind == "OK", data

    def changes(self) -> list[tuple[str, str, str]]:
        """Kind, state and error of what was asked of folders."""
        with self.box.acting():
            rows = Operation.objects.filter(mailbox=self.box.mailbox, kind__in=FOLDERS).order_by("id")
            return [(row.kind, row.state, row.error) for row in rows]

    def half_sent(self) -> None:
        """A worker took the changes, the server did them, and the worker died before it heard of it."""
        with self.box.acting():
            rows = Operation.objects.filter(kind__in=FOLDERS, state=OperationState.PENDING)
            assert rows.update(state=OperationState.SENDING, tries=1)

    def _folder(self, path: str) -> Folder:
        found = Folder.objects.select_related("mailbox")
        return found.get(mailbox=self.box.mailbox, path=path, deleting=False)

    def _names(self, command: str) -> set[bytes]:
        with self.box.dovecot.imap(self.box.login) as client:
            _, lines = client.list() if command == "LIST" else client.lsub()
        return {name.name for name in list_answers(line for line in lines if line)}


@pytest.fixture
def desk(box: Box) -> Desk:
    """A mailbox that was synchronised once, with a mail in its INBOX."""
    box.deliver("First")
    box.sync()
    return Desk(box)


assert set(FOLDERS) == {OperationKind.CREATE, OperationKind.RENAME, OperationKind.DELETE}
