"""What stands above every page of mail: trouble with a mailbox, and what the server refused."""

from dataclasses import dataclass

from accounts.models import Employee
from mailsync import health, reading
from mailsync.health import Health
from mailsync.models import GrantLevel
from mailsync.reading import Failure, MailboxLine, Tree


@dataclass(frozen=True, slots=True)
class Trouble:
    """A mailbox that does not work, and whether the reader may repair it."""

    mailbox: MailboxLine
    health: Health

    @property
    def may_repair(self) -> bool:
        return self.mailbox.may(GrantLevel.MANAGE)


@dataclass(frozen=True, slots=True)
class Strips:
    """Equal as long as the page says the same."""

    troubles: tuple[Trouble, ...]
    failed: tuple[Failure, ...]


def strips(employee: Employee, tree: Tree) -> Strips:
    """Where all is well this costs one query."""
    lines = {line.id: line for line in tree.troubled}
    troubles = tuple(Trouble(lines[each.mailbox_id], each) for each in health.of_ids(lines))
    return Strips(troubles, tuple(reading.failed_operations(employee)))
