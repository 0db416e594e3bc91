"""What stands above every page of mail: trouble, what is held back, what was missing, what the server refused, and
what colleagues have done that concerns the reader."""

from dataclasses import dataclass

from accounts.models import Employee
from mailsync import failures, health, notices
from mailsync.failures import Failure
from mailsync.health import Health
from mailsync.models import GrantLevel
from mailsync.notices import Told
from mailsync.sync.brake import Brake
from mailsync.trees import FolderLine, MailboxLine, Tree


@dataclass(frozen=True, slots=True)
class Trouble:
    """A mailbox that does not work, and whether the reader may repair it."""

    mailbox: MailboxLine
    health: Health

    @property
    def may_repair(self) -> bool:
        return self.mailbox.may(GrantLevel.MANAGE)


@dataclass(frozen=True, slots=True)
class Held:
    """A folder in which messages are kept that the server no longer shows."""

    mailbox: MailboxLine
    folder: FolderLine

    @property
    def may_decide(self) -> bool:
        return self.mailbox.may(GrantLevel.MANAGE)

    @property
    def is_kept(self) -> bool:
        """Somebody has decided to keep them: said in the folder itself and no longer everywhere."""
        return self.folder.brake == Brake.KEEP


@dataclass(frozen=True, slots=True)
class Strips:
    """Equal as long as the page says the same."""

    troubles: tuple[Trouble, ...]
    held: tuple[Held, ...]
    missing: tuple[MailboxLine, ...]
    failed: tuple[Failure, ...]
    told: tuple[Told, ...]


def strips(employee: Employee, tree: Tree) -> Strips:
    """Where all is well this costs two queries."""
    lines = {line.id: line for line in tree.troubled}
    troubles = tuple(Trouble(lines[each.mailbox_id], each) for each in health.of_ids(lines))
    held = [
        Held(mailbox, folder)
        for mailbox in tree.mailboxes
        for folder in mailbox.folders
        if folder.held_back and folder.brake != Brake.FOLLOW
    ]
    missing = [mailbox for mailbox in tree.mailboxes if mailbox.missing and mailbox.may(GrantLevel.MANAGE)]
    failed = tuple(failures.unseen(employee))
    return Strips(troubles, tuple(held), tuple(missing), failed, notices.unseen(employee.pk))
