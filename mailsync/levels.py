"""What each level on a mailbox opens: one table, which the doors go by, the help page shows and a test walks.

`verbs` are those of mail/act/; `doors` the names of URLs, each tried in tests/sharing/test_levels.py.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailsync.models import GrantLevel


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that people do in a mailbox, and the lowest level at which they may."""

    words: Promise
    level: GrantLevel
    doors: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()

    def at(self, level: str) -> bool:
        """Whether who has this level may do it."""
        ladder = GrantLevel.values
        return ladder.index(level) >= ladder.index(self.level)


READ, REPLY, DELETE, MANAGE = GrantLevel.READ, GrantLevel.REPLY, GrantLevel.DELETE, GrantLevel.MANAGE

TABLE = (
    Deed(
        _("See folders and lists, open messages, files, originals and headers"),
        READ,
        doors=("folder", "message", "body", "attachment", "original", "headers"),
    ),
    Deed(_("See what happened to a message, and who did it"), READ, doors=("history",)),
    Deed(_("Read and write notes for colleagues"), READ, doors=("team", "note")),
    Deed(_("Compare the folders with the server"), READ, doors=("completeness",)),
    Deed(_("Mark as read and unread, where each person has their own"), READ),
    Deed(_("Mark as read and unread, star"), REPLY, verbs=("read", "unread", "star", "unstar")),
    Deed(_("Make a message of a shared mailbox somebody's work"), REPLY, verbs=("assign",)),
    Deed(_("Put tags on messages and take them away"), REPLY, doors=("tags",)),
    Deed(_("Answer and forward, write and send from this address"), REPLY, doors=("answer",)),
    Deed(
        _("Archive, move to folders and Trash, mark as spam or not"),
        DELETE,
        verbs=("archive", "trash", "spam", "not-spam", "move"),
    ),
    Deed(_("Delete for good from Trash and Spam"), DELETE, verbs=("expunge",)),
    Deed(_("Make, rename and delete folders"), MANAGE, doors=("folder-new",)),
    Deed(
        _("Settings: folders, sender and signature, server and password"),
        MANAGE,
        doors=("mailbox-settings", "mailbox-folders", "mailbox-sender", "mailbox-repair", "mailbox-check"),
    ),
    Deed(_("Decide who else has access"), MANAGE, doors=("mailbox-sharing",)),
    Deed(
        _("Decide whether each person has read and unread of their own"), MANAGE, doors=("mailbox-reading",)
    ),
    Deed(_("Disconnect the mailbox"), MANAGE, doors=("mailbox-disconnect",)),
)

LEVEL_OF = {verb: deed.level for deed in TABLE for verb in deed.verbs}
