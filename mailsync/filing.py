"""Wishes for the copies of letters on the mail server: a draft's in Drafts, a sent letter's in Sent. Rows only; the
push carries them out (mailsync.letterpush)."""

from collections.abc import Iterable

from mailsync import presets, schedule
from mailsync.mime import draftmark, parse, writing
from mailsync.models import (
    Folder,
    Mailbox,
    Operation,
    OperationKind,
    OperationState,
    Outgoing,
    OutgoingState,
    SentCopies,
    SpecialUse,
)


def ask(letter: Outgoing) -> None:
    """Have the server's copy follow the letter, in the running transaction, which has locked the mailbox's schedule.

    Drafts go with the next poll, however often they are saved until then; the rest at once.
    """
    # Where there is no Sent yet, it is made on the way (letterpush): the wish needs a folder to stand at meanwhile.
    instead = [SpecialUse.SENT, SpecialUse.INBOX] if letter.state == OutgoingState.SENT else []
    roles = [*instead[:1], SpecialUse.DRAFTS, *instead[1:]]
    found = Folder.objects.filter(mailbox=letter.mailbox_id, special_use__in=roles, selectable=True)
    folder = min(found, key=lambda one: roles.index(SpecialUse(one.special_use)), default=None)
    if folder is None or not _has_work(letter):
        return
    pending = Operation.objects.filter(
        outgoing=letter, kind=OperationKind.APPEND, state=OperationState.PENDING
    )
    if not pending.update(folder=folder, tries=0, not_before=None, error=""):
        Operation.objects.create(
            account_id=letter.account_id,
            mailbox_id=letter.mailbox_id,
            kind=OperationKind.APPEND,
            folder=folder,
            outgoing=letter,
            by_id=letter.by_id,
        )
    if letter.state != OutgoingState.DRAFT:
        schedule.wake(letter.mailbox_id)


def recognize(folder: Folder, arrived: Iterable[tuple[int, bytes, bytes | memoryview]]) -> None:
    """Look through UID, header and body of what is being stored, in that transaction: where it is a draft as we made
    it, and not the copy that we know (whoever put it there was overtaken, or it was moved away and back), the
    push sees to it that one is left. What was given up here meanwhile is left alone: somebody wants it there."""
    if folder.special_use != SpecialUse.DRAFTS:
        return
    for uid, header, body in arrived:
        if draftmark.revision(header) is None or not draftmark.is_ours(header + bytes(body)):
            continue
        drafts = Outgoing.objects.select_related("mailbox").filter(
            mailbox=folder.mailbox_id, message_id=parse.message_id(header), state=OutgoingState.DRAFT
        )
        for letter in drafts.exclude(copy_uidvalidity=folder.uidvalidity, copy_uid=uid):
            ask(letter)


def _has_work(letter: Outgoing) -> bool:
    """An empty draft is not put on the server; what is not there need not be removed."""
    if letter.state == OutgoingState.DRAFT:
        written = (letter.text, letter.subject, letter.to, letter.cc, letter.bcc)
        if letter.copy_revision is not None or any(written) or not writing.is_unwritten(letter.html):
            return True
        return letter.attachments.exists()
    return letter.state == OutgoingState.SENT or letter.copy_revision is not None


def server_files(mailbox: Mailbox) -> bool:
    """Whether the provider is known to put sent mail into Sent by itself, sooner or later."""
    if mailbox.sent_copies != SentCopies.KNOWN:
        return mailbox.sent_copies == SentCopies.SERVER
    preset = presets.for_host(mailbox.imap_host)
    return bool(preset and preset.files_sent)
