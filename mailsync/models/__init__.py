"""The tables of mail, one file a noun."""

from mailsync.models.act import Act
from mailsync.models.blob import Blob
from mailsync.models.connection import ConnectionTest
from mailsync.models.consent import Consent
from mailsync.models.enrolment import Enrolment, EnrolmentRow, EnrolmentState
from mailsync.models.event import Event, EventKind
from mailsync.models.folder import Folder, SpecialUse
from mailsync.models.ledger import FolderCheck
from mailsync.models.mailbox import (
    EmergencyAccess,
    GrantLevel,
    Mailbox,
    MailboxGrant,
    MailboxState,
    Schedule,
    Security,
    SentCopies,
)
from mailsync.models.message import Attachment, Message
from mailsync.models.operation import FOLDER_KINDS, OPEN, Operation, OperationKind, OperationState
from mailsync.models.outage import Outage
from mailsync.models.outgoing import (
    DeliveryReport,
    Dispatch,
    How,
    Origin,
    Outgoing,
    OutgoingAttachment,
    OutgoingState,
)
from mailsync.models.placement import Placement
from mailsync.models.skipped import SkippedMessage
from mailsync.models.team import Assignment, Note, Notice, NoticeKind, Unread
from mailsync.models.tombstone import Tombstone
from mailsync.models.usage import LedgerEntry, OutgoingUsage

__all__ = [
    "FOLDER_KINDS",
    "OPEN",
    "Act",
    "Assignment",
    "Attachment",
    "Blob",
    "ConnectionTest",
    "Consent",
    "DeliveryReport",
    "Dispatch",
    "EmergencyAccess",
    "Enrolment",
    "EnrolmentRow",
    "EnrolmentState",
    "Event",
    "EventKind",
    "Folder",
    "FolderCheck",
    "GrantLevel",
    "How",
    "LedgerEntry",
    "Mailbox",
    "MailboxGrant",
    "MailboxState",
    "Message",
    "Note",
    "Notice",
    "NoticeKind",
    "Operation",
    "OperationKind",
    "OperationState",
    "Origin",
    "Outage",
    "Outgoing",
    "OutgoingAttachment",
    "OutgoingState",
    "OutgoingUsage",
    "Placement",
    "Schedule",
    "Security",
    "SentCopies",
    "SkippedMessage",
    "SpecialUse",
    "Tombstone",
    "Unread",
]
