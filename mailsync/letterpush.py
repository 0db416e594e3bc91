"""Push, for letters: the server's copy of a draft is replaced, that of a sent letter is in Sent exactly once.

By effect: whatever happened before (a worker that died, an answer that was lost, a provider that files sent mail by
itself), the folder is looked through for the letter's Message-ID first. What another program made of a draft stands
beside ours, never below it.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Q
from django.utils import timezone

from mailsync import actions, filing, lettering, outbox, replica
from mailsync.foldernames import path_of
from mailsync.imap.errors import CommandRefused, FolderGone
from mailsync.mime import draftmark, parse
from mailsync.mime.build import Unfit
from mailsync.models import Folder, Operation, Outgoing, OutgoingState, Placement, SentCopies, SpecialUse
from mailsync.run import Run

# How long a provider that files sent mail by itself may take for it.
FILED_WITHIN = timedelta(minutes=5)
MOST_LOOKED_FOR = 10  # drafts a run
SENT = b"Sent"
DRAFTS_LIE_IN = (SpecialUse.DRAFTS, SpecialUse.ALL)  # Gmail shows each among all mail, too
PERHAPS = 0  # as copy_revision: a worker set out to make the first one


class NotFiledYet(CommandRefused):
    """The provider may still put the letter into Sent by itself: nothing is to be done about it before `until`."""

    def __init__(self, until: datetime) -> None:
        super().__init__("The provider has not put the letter into Sent yet.", final=False)
        self.until = until


@dataclass(frozen=True, slots=True)
class Copy:
    """A letter's copy in Drafts. `revision` is None where another program has written it."""

    uid: int
    revision: int | None


def send(run: Run, operation: Operation) -> None:
    """Make the server's copies as the letter is now. Raises CommandRefused, NotFiledYet among them, or FolderGone."""
    with replica.writing(run.lease):
        letters = Outgoing.objects.select_related("mailbox", "body", "copy_folder")
        letter = letters.prefetch_related("attachments__blob").filter(operations=operation).first()
        folders = {folder.special_use: folder for folder in Folder.objects.filter(mailbox=run.mailbox_id)}
    if letter is None:
        return
    drafts, sent = folders.get(SpecialUse.DRAFTS), folders.get(SpecialUse.SENT)
    name = bytes(sent.name) if sent else None
    before = letter.copy_folder
    lies_in = before if before and before.selectable else drafts
    if letter.state == OutgoingState.SENT and (until := _file_sent(run, letter, name)):
        if lies_in is not None:
            with suppress(CommandRefused, FolderGone):  # it has its turn once more when the wait is over
                _remove_draft(run, letter, lies_in)
        raise NotFiledYet(until)
    if letter.state in (OutgoingState.SENT, OutgoingState.DISCARDED) and lies_in is not None:
        _remove_draft(run, letter, lies_in)
    if letter.state == OutgoingState.DRAFT and drafts is not None:
        if lies_in and lies_in != drafts:
            _remove_draft(run, letter, lies_in)
        _file_draft(run, letter, drafts)


def look(run: Run) -> list[tuple[Outgoing, Folder]]:
    """After the pull, in the running transaction: settle letters that are unsure by what the server's folders tell, and
    look after drafts whose folder was rebuilt; returns those that seem not to be there, for `ask_about`."""
    open_ones = Outgoing.objects.filter(
        Q(state=OutgoingState.UNSURE) | Q(state=OutgoingState.DRAFT, copy_uid__isnull=False),
        mailbox=run.mailbox_id,
    )
    states = set(open_ones.values_list("state", flat=True))
    if OutgoingState.UNSURE in states:
        _settle_unsure(run)
    return _look_after_drafts(run) if OutgoingState.DRAFT in states else []


def ask_about(run: Run, lost: list[tuple[Outgoing, Folder]]) -> None:
    """The server is asked before a draft is given up."""
    for letter, folder in lost:
        uidvalidity, copies = _copies(run, letter, bytes(folder.name))
        if uidvalidity != letter.copy_uidvalidity or letter.copy_uid in {copy.uid for copy in copies}:
            continue
        if all(copy.revision is None for copy in copies):
            _given_up_elsewhere(run, letter, takes_name=bool(copies))
        else:
            with replica.writing(run.lease):
                filing.ask(letter)


def _file_sent(run: Run, letter: Outgoing, name: bytes | None) -> datetime | None:
    """Returns until when the provider is waited for; None where there is nothing more to be done."""
    if letter.mailbox.sent_copies == SentCopies.SERVER:
        return None
    if name is None:
        if filing.server_files(letter.mailbox):
            return None
        name = _make_sent(run)
    run.server.open(name)
    # A draft that another program took there is not what left.
    if any(draftmark.revision(header) is None for header in _named(run, letter).values()):
        return None
    assert letter.sent_at is not None, "what is sent says when"
    until = letter.sent_at + FILED_WITHIN
    if filing.server_files(letter.mailbox) and timezone.now() < until:
        return until
    with replica.writing(run.lease):  # whoever was overtaken has looked too early
        raw = lettering.sent(letter)
    run.server.append(name, raw, flags=["\\Seen"], at=letter.sent_at)
    return None


def _make_sent(run: Run) -> bytes:
    """No folder is for sent mail: one is made where the others are, and known as that to every mail program."""
    with replica.writing(run.lease):
        known = {bytes(one.name): one for one in Folder.objects.filter(mailbox=run.mailbox_id)}
    delimiter = next((one.delimiter for one in known.values() if one.delimiter), "")
    below = b"INBOX" + delimiter.encode() if delimiter else b""
    others = [name for name in known if name.upper() != b"INBOX"]
    first = below if below and others and all(name.startswith(below) for name in others) else b""
    name = _made(run, [first + SENT, below + SENT])
    with replica.writing(run.lease):
        folder, _made_here = Folder.objects.get_or_create(
            mailbox_id=run.mailbox_id,
            name=name,
            defaults={"account_id": run.lease.account_id, "path": path_of(name), "delimiter": delimiter},
        )
        Folder.objects.filter(pk=folder.pk, special_use="").update(special_use=SpecialUse.SENT)
    return name


def _made(run: Run, names: list[bytes]) -> bytes:
    """The first of the names that the server has, or makes. Some take folders only below INBOX."""
    listed = {remote.name for remote in run.server.folders()}
    for name in dict.fromkeys(names):
        try:
            if name not in listed:
                run.server.create(name, role=b"\\Sent")
        except CommandRefused as error:
            refused = error
        else:
            run.server.subscribe(add=[name])
            return name
    raise CommandRefused(
        f"There is no folder for sent mail, and the server lets us make none: {refused.sentence}", final=True
    )


def _remove_draft(run: Run, letter: Outgoing, lies_in: Folder) -> None:
    if letter.copy_revision is None:
        return
    uidvalidity, copies = _copies(run, letter, bytes(lies_in.name))
    _remove(run, lies_in, uidvalidity, [copy.uid for copy in copies if _is_ours(letter, copy, uidvalidity)])
    _note(run, letter, copy_folder=None, copy_uidvalidity=None, copy_uid=None, copy_revision=None)


def _file_draft(run: Run, letter: Outgoing, drafts: Folder) -> None:
    name = bytes(drafts.name)
    uidvalidity, copies = _copies(run, letter, name)
    ours = [copy for copy in copies if _is_ours(letter, copy, uidvalidity)]
    is_alone = len(ours) == len(copies) and not _is_used_elsewhere(run, letter)
    if not is_alone and not _part_ways(run, letter):
        return
    if letter.copy_revision is None:
        _note(run, letter, copy_folder=drafts, copy_revision=PERHAPS)
    current = [copy.uid for copy in ours if copy.revision == letter.revision and is_alone]
    uid = max(current) if current else _append_draft(run, letter, name)
    _remove(run, drafts, uidvalidity, [copy.uid for copy in ours if copy.uid != uid])
    noted = {"copy_uidvalidity": uidvalidity, "copy_uid": uid, "copy_revision": letter.revision}
    _note(run, letter, copy_folder=drafts, **noted)


def _remove(run: Run, lies_in: Folder, uidvalidity: int, uids: list[int]) -> None:
    """There and here: a server without UIDPLUS keeps what is marked \\Deleted."""
    if not uids:
        return
    run.server.expunge(uids)
    with replica.writing(run.lease, lies_in.pk) as folder:
        if folder is not None and folder.uidvalidity == uidvalidity:
            gone = Placement.objects.filter(folder=folder, uid__in=uids)
            actions.remove_placements(list(gone.values_list("pk", flat=True)))


def _append_draft(run: Run, letter: Outgoing, name: bytes) -> int | None:
    try:
        raw = lettering.draft(letter)
    except Unfit as error:
        raise CommandRefused(str(error), final=True) from None
    told = run.server.append(name, raw, flags=["\\Draft", "\\Seen"], at=letter.updated_at)
    if told is not None:
        return told
    # By the field alone: what the server has made of the rest does not matter in this moment.
    run.server.open(name)
    revisions = {uid: draftmark.revision(header) for uid, header in _named(run, letter).items()}
    return max((uid for uid, revision in revisions.items() if revision == letter.revision), default=None)


def _part_ways(run: Run, letter: Outgoing) -> bool:
    """Another program has edited the draft: theirs keeps the name, ours goes on under a new one. Both stay."""
    with replica.writing(run.lease):
        letter.message_id = outbox.new_message_id(letter.from_address)
        mine = Outgoing.objects.filter(pk=letter.pk, state=OutgoingState.DRAFT)
        return bool(mine.update(message_id=letter.message_id))


def _is_used_elsewhere(run: Run, letter: Outgoing) -> bool:
    """Another program has sent it, or put it away: two letters of one name are one to whoever receives them."""
    with replica.writing(run.lease):
        named = Placement.objects.filter(
            message__mailbox=run.mailbox_id, message__message_id=letter.message_id
        )
        return named.exclude(folder__special_use__in=DRAFTS_LIE_IN).exists()


def _copies(run: Run, letter: Outgoing, name: bytes) -> tuple[int, list[Copy]]:
    """The folder's UIDVALIDITY, and what lies in it of the letter: under its Message-ID, or where we noted it."""
    uidvalidity = run.server.open(name).uidvalidity
    noted = letter.copy_uid if letter.copy_uidvalidity == uidvalidity else None
    revisions = {uid: draftmark.revision(header) for uid, header in _named(run, letter, noted).items()}
    unsure = [uid for uid, revision in revisions.items() if revision is not None and uid != noted]
    theirs = {uid for uid, raw in run.server.whole(unsure).items() if not draftmark.is_ours(raw)}
    found = [Copy(uid, None if uid in theirs else revision) for uid, revision in sorted(revisions.items())]
    return uidvalidity, found


def _named(run: Run, letter: Outgoing, noted: int | None = None) -> dict[int, bytes]:
    """By UID the headers in the open folder that have the letter's Message-ID, and the one that was `noted`, if that
    still is the copy that we put there."""
    headers = run.server.headers(run.server.with_message_id(letter.message_id, or_uid=noted))
    return {
        uid: header
        for uid, header in headers.items()
        if parse.message_id(header) == letter.message_id
        or (uid == noted and _has_old_name(run, letter, header))
    }


def _has_old_name(run: Run, letter: Outgoing, header: bytes) -> bool:
    """A copy from before ways were parted: marked by us, under a name that is no letter's now. Of a server that was
    restored the UID that we noted may be another draft's."""
    if draftmark.revision(header) is None:
        return False
    with replica.writing(run.lease):
        named = Outgoing.objects.filter(account=letter.account_id, message_id=parse.message_id(header))
        return not named.exists()


def _is_ours(letter: Outgoing, copy: Copy, uidvalidity: int) -> bool:
    """By our field, or by the place that we noted."""
    return copy.revision is not None or (letter.copy_uidvalidity, letter.copy_uid) == (uidvalidity, copy.uid)


def _note(run: Run, letter: Outgoing, **columns: Folder | int | None) -> None:
    with replica.writing(run.lease):
        Outgoing.objects.filter(pk=letter.pk).update(**columns)
    for name, value in columns.items():
        setattr(letter, name, value)


def _settle_unsure(run: Run) -> None:
    """A mail of this name, in whatever mailbox of the company, has been through a server, unless it is a draft."""
    unsure = Outgoing.objects.filter(mailbox=run.mailbox_id, state=OutgoingState.UNSURE)
    for letter in unsure:
        named = Placement.objects.filter(
            message__mailbox__account=letter.account_id, message__message_id=letter.message_id
        )
        places = named.exclude(folder__special_use__in=DRAFTS_LIE_IN).select_related("message")
        for seen in places.order_by("received_at"):
            if not _is_draft(seen):
                outbox.it_arrived(letter, at=seen.received_at)
                break


def _is_draft(place: Placement) -> bool:
    """Wherever it was taken: a phone throws ours into the Trash, another mailbox of this login shows it in a folder
    that is not known to be for drafts."""
    return "\\Draft" in place.flags or draftmark.revision(bytes(place.message.header)) is not None


def _look_after_drafts(run: Run) -> list[tuple[Outgoing, Folder]]:
    """Wish anew for drafts whose folder was rebuilt, or is for drafts no longer; returns those that the server had as
    they are now, and whose place in the Drafts folder is gone from here."""
    folder = Folder.objects.filter(mailbox=run.mailbox_id, special_use=SpecialUse.DRAFTS).first()
    if folder is None or folder.full_at is None or not folder.syncing:
        return []
    filed = Outgoing.objects.select_related("mailbox").filter(
        mailbox=run.mailbox_id, state=OutgoingState.DRAFT, copy_uid__isnull=False
    )
    # The folder besides: some servers give all of them one UIDVALIDITY.
    here = Q(copy_uidvalidity=folder.uidvalidity) & (Q(copy_folder=folder) | Q(copy_folder=None))
    for letter in filed.exclude(here)[:MOST_LOOKED_FOR]:
        Outgoing.objects.filter(pk=letter.pk).update(copy_uidvalidity=None, copy_uid=None)
        filing.ask(letter)
    there = Placement.objects.filter(folder=folder).values("uid")
    lost = filed.filter(here, copy_revision=F("revision"))
    return [(letter, folder) for letter in lost.exclude(copy_uid__in=there)[:MOST_LOOKED_FOR]]


def _given_up_elsewhere(run: Run, letter: Outgoing, *, takes_name: bool) -> None:
    """Deleted, sent or edited by another program, and not touched here since: here it can still be had back."""
    with replica.writing(run.lease):
        same = Outgoing.objects.filter(pk=letter.pk, state=OutgoingState.DRAFT, revision=letter.revision)
        same.update(
            state=OutgoingState.DISCARDED,
            copy_folder=None,
            copy_uidvalidity=None,
            copy_uid=None,
            copy_revision=None,
            updated_at=timezone.now(),
            **{"message_id": outbox.new_message_id(letter.from_address)} if takes_name else {},
        )
