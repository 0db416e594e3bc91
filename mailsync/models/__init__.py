"""The tables of mail, one file a noun."""

from mailsync.models.act import Act
from mailsync.models.blob import Blob
from mailsync.models.connection import ConnectionTest
from mailsync.models.consent import Consent
from mailsync.models.event import Event, EventKind
from mailsync.models.folder import Folder, SpecialUse
from mailsync.models.ledger import FolderCheck
from mailsync.models.mailbox import GrantLevel, Mailbox, MailboxGrant, MailboxState, Schedule, Security
from mailsync.models.message import Attachment, Message
from mailsync.models.operation import FOLDER_KINDS, Operation, OperationKind, OperationState
from mailsync.models.placement import Placement
from mailsync.models.skipped import SkippedMessage
from mailsync.models.tombstone import Tombstone

__all__ = [
    "FOLDER_KINDS",
    "Act",
    "Attachment",
    "Blob",
    "ConnectionTest",
    "Consent",
    "Event",
    "EventKind",
    "Folder",
    "FolderCheck",
    "GrantLevel",
    "Mailbox",
    "MailboxGrant",
    "MailboxState",
    "Message",
    "Operation",
    "OperationKind",
    "OperationState",
    "Placement",
    "Schedule",
    "Security",
    "SkippedMessage",
    "SpecialUse",
    "Tombstone",
]
