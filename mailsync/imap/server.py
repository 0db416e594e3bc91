"""ImapServer: what the engine may ask and tell a mail server, in values. Correct without any extension."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from mailsync.imap.answers import (
    Answer,
    RemoteName,
    copied_uids,
    fetch_answers,
    found_spans,
    list_answers,
    number,
    parse_flags,
    status_answers,
    status_items,
    uid_of,
)
from mailsync.imap.errors import CommandRefused, FolderGone, NotUnderstood
from mailsync.imap.session import Sent, Session, flag_list, quoted, uid_set
from mailsync.sync.state import Flags, RemoteMessage

LINE_BYTES = 7_000  # command lines stay under 8 kB
COMMAND_UIDS = 5_000
SLICE = 5_000  # sequence numbers asked at once: an answer stays under 1 MB
SEARCHED = 50_000  # the same for ESEARCH, whose answer names every UID in the worst case
LISTED = b"UID FLAGS INTERNALDATE RFC822.SIZE"
AT_ONCE = 50  # folders that are looked into in one go
MOST_ARRIVING = 1_000  # messages that may come while a folder is searched; more is a server that invents
# strftime speaks the process's language
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


MOST_MESSAGES = 2**31 - 1  # in one folder; a server that counts more is wrong, and our counters hold no more


@dataclass(frozen=True, slots=True)
class Status:
    """STATUS of a folder; `modseq` is None where the server keeps none (or says 0: C10)."""

    uidvalidity: int
    uidnext: int
    messages: int
    unseen: int
    modseq: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A selected folder. `permanent` is None where the server did not say which flags it keeps."""

    uidvalidity: int
    uidnext: int
    exists: int
    modseq: int | None
    writable: bool
    permanent: Flags | None

    @property
    def lasting(self) -> Flags | None:
        """In lower case, the flags that the server keeps (RFC 9051 7.1, PERMANENTFLAGS); None where it keeps any
        keyword, did not say, or lets us only read."""
        if not self.writable or self.permanent is None or "\\*" in self.permanent:
            return None
        return frozenset(map(str.lower, self.permanent))


class Fetched(NamedTuple):
    """A whole message as the server gave it."""

    uid: int
    flags: Flags
    received_at: datetime
    raw: bytes
    server_id: int | None = None
    told_size: int | None = None  # where it told another than that of `raw`


class ImapServer:
    """One session, one open folder at a time. Raises the errors of imap.errors and nothing of imaplib."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.opened_name: bytes | None = None
        self._open_now: Opened | None = None
        self._told: dict[bytes, Status] = {}  # what was said of the folders, until somebody asks

    @property
    def condstore(self) -> bool:
        return self.session.can("CONDSTORE") or self.session.can("QRESYNC")

    @property
    def is_gmail(self) -> bool:
        """A message is one thing there, with one name, however many folders (labels) show it."""
        return self.session.can("X-GM-EXT-1")

    @property
    def _listed(self) -> bytes:
        """What is asked of each message of a list."""
        return b"(" + LISTED + (b" X-GM-MSGID)" if self.is_gmail else b")")

    def hang_up(self) -> None:
        """End the session, whichever thread is at it: see Session.hang_up."""
        self.session.hang_up()

    def folders(self) -> list[RemoteName]:
        """LIST, each folder once however often the server repeats it (K22); [] if it lists nothing (J13).

        With LIST-STATUS (RFC 5819) the answer to `statuses` comes along, in the same round trip.
        """
        listed = self._list_with_statuses() if self.session.can("LIST-STATUS") else None
        if listed is None:
            listed = self.session.command("LIST", b'""', b'"*"', answer="LIST")
        found = {folder.name: folder for folder in list_answers(listed)}
        return list(found.values())

    def _list_with_statuses(self) -> list[Any] | None:
        """LIST answers, or None from a server that does not obey what it offers."""
        roles = b"SPECIAL-USE " if self.session.can("SPECIAL-USE") else b""
        wish = b"(" + roles + b"STATUS " + self._status_items + b")"
        try:
            listed = self.session.command("LIST", b'""', b'"*"', b"RETURN", wish, answer="LIST")
        except CommandRefused:
            return None
        said = self.session.imap.untagged_responses.pop("STATUS", [])
        self._told = {name: status for name, items in status_answers(said) if (status := _status(items))}
        return listed

    @property
    def _status_items(self) -> bytes:
        return b"(MESSAGES UIDNEXT UIDVALIDITY UNSEEN" + (b" HIGHESTMODSEQ)" if self.condstore else b")")

    def create(self, name: bytes, *, role: bytes = b"") -> None:
        """CREATE (RFC 9051 6.3.4), with a role as b"\\Sent" where the server keeps such (RFC 6154 3). Raises
        CommandRefused."""
        if role and self.session.can("CREATE-SPECIAL-USE"):
            with suppress(CommandRefused):  # [USEATTR]: not this one, not for us, or given already
                self.session.command("CREATE", quoted(name), b"(USE (" + role + b"))")
                return
        self.session.command("CREATE", quoted(name))

    def rename(self, old: bytes, new: bytes) -> None:
        """RENAME: the folders below follow (RFC 9051 6.3.6). Raises CommandRefused."""
        self._leave()
        self.session.command("RENAME", quoted(old), quoted(new))

    def delete(self, name: bytes) -> None:
        """DELETE, with whatever is in it (RFC 9051 6.3.5). Raises CommandRefused."""
        self._leave()
        self.session.command("DELETE", quoted(name))

    def subscribed(self) -> set[bytes]:
        """What other programs show of the folders (LSUB); empty where the server keeps no such list."""
        try:
            listed = self.session.command("LSUB", b'""', b'"*"', answer="LSUB")
        except CommandRefused:
            return set()
        return {folder.name for folder in list_answers(listed)}

    def subscribe(self, *, add: Iterable[bytes] = (), remove: Iterable[bytes] = ()) -> None:
        """SUBSCRIBE and UNSUBSCRIBE (RFC 9051 6.3.7). A refusal harms nothing: the list only says what others show."""
        sent = [self.session.send("SUBSCRIBE", quoted(name)) for name in add]
        sent += [self.session.send("UNSUBSCRIBE", quoted(name)) for name in remove]
        with suppress(CommandRefused):
            self._settle(sent)

    def _leave(self) -> None:
        """Stand in the INBOX: what is done to a folder that is open, each server takes differently."""
        if self.opened_name is not None:
            self.open(b"INBOX")

    def statuses(self, names: Sequence[bytes]) -> dict[bytes, Status]:
        """STATUS of many folders, pipelined, as far as LIST did not say it; a folder that refuses is left out."""
        self.missing(names)
        return {name: self._told.pop(name) for name in names if name in self._told}

    def missing(self, names: Sequence[bytes]) -> set[bytes]:
        """Those that STATUS does not know, asked like `statuses`; not what is refused only for now (RFC 5530)."""
        asked = [name for name in names if name not in self._told]
        sent = [(name, self.session.send("STATUS", quoted(name), self._status_items)) for name in asked]
        missing = set()
        for name, tag in sent:
            try:
                status = _status(status_items(self.session.receive(tag, "STATUS")))
            except CommandRefused as refusal:
                if refusal.final and not isinstance(refusal, NotUnderstood):
                    missing.add(name)
                continue
            if status:
                self._told[name] = status
        return missing

    def open(self, name: bytes) -> Opened:
        """SELECT. Raises FolderGone when it does not open."""
        return self.opened(name, self.ask_to_open(name))

    def stay_in(self, name: bytes) -> Opened:
        """As `open`, without asking where this folder is open already: then how many messages it has may be old, but
        its UIDVALIDITY cannot have changed (RFC 9051 2.3.1.1)."""
        if self._open_now is not None and self.opened_name == name:
            return self._open_now
        return self.open(name)

    def meet(self, name: bytes, uids: Iterable[int]) -> tuple[Opened, dict[int, RemoteMessage]]:
        """`stay_in`, and with it, in the same round trip, flags, date and size of the UIDs that exist.

        Nothing where the server refuses that. Raises FolderGone when it does not open. The caller looks at the
        UIDVALIDITY before it believes the rest.
        """
        is_open = self._open_now is not None and self.opened_name == name
        select = None if is_open else self.ask_to_open(name)
        asked = self._ask_to_describe(uids)
        try:
            opened = self.stay_in(name) if select is None else self.opened(name, select)
        except FolderGone:
            with suppress(CommandRefused):
                self._collect(asked)
            raise
        try:
            return opened, self._described(asked)
        except CommandRefused:
            return opened, {}  # one mail that cannot be described is enough for some servers

    def open_since(
        self, name: bytes, *, after: int, known: int, changed_since: int | None
    ) -> tuple[Opened, list[RemoteMessage], dict[int, Flags]]:
        """SELECT, the messages above UID `after`, and the flags of UIDs up to `known` that changed after a
        mod-sequence, asked in one go: 40 ms from the server each round trip is felt.

        Raises FolderGone when it does not open. The caller looks at the UIDVALIDITY before it believes the rest.
        """
        select = self.ask_to_open(name)
        asked = [self.session.send("UID", b"FETCH", b"%d:*" % (after + 1), self._listed)]
        if changed_since is not None and known:
            asked.append(self._ask_changes(changed_since, known))
        try:
            opened = self.opened(name, select)
        except FolderGone:
            with suppress(CommandRefused):
                self._collect(asked)
            raise
        # In one list: a server may answer the second before it has finished with the first.
        answers = [*fetch_answers(self._collect(asked, "FETCH"))]
        news = self._remote_messages(answer for answer in answers if answer.uid > after)
        return opened, news, self._flags(answers, 1, known)

    def look_into(
        self, folders: Sequence[tuple[bytes, int]]
    ) -> dict[bytes, tuple[Opened, list[RemoteMessage]]]:
        """SELECT of each folder and its list from a sequence number to the end (0: none), all asked in one go.

        What does not open or cannot be listed is left out. At most AT_ONCE folders: what is asked must fit into the
        buffers on its way, for the server may wait with reading until its answers are read.
        """
        asked = []
        for name, first in folders:
            select = self.ask_to_open(name)
            asked.append(
                (name, select, [self.session.send("FETCH", b"%d:*" % first, self._listed)] if first else [])
            )
        found = {}
        for name, select, lists in asked:
            opened, listed = None, None
            with suppress(FolderGone):
                opened = self.opened(name, select)
            with suppress(CommandRefused):
                listed = self._collect(lists, "FETCH")
            if opened and listed is not None:
                numbers = range(min(first, opened.exists), MOST_MESSAGES)
                found[name] = opened, self._remote_messages(_of_places(fetch_answers(listed), numbers))
        return found

    def ask_to_open(self, name: bytes) -> Sent:
        """SELECT without waiting: commands about the folder may follow at once, and fail if it does not open."""
        self.opened_name = None
        return self.session.ask_select(name, condstore=self.condstore)

    def opened(self, name: bytes, select: Sent) -> Opened:
        """The answer to `ask_to_open`. Raises FolderGone when it does not open."""
        self.opened_name = None
        said = self.session.selected(select)
        self.opened_name = name
        permanent = said.get("PERMANENTFLAGS")
        self._open_now = Opened(
            uidvalidity=number(said.get("UIDVALIDITY")) or 0,
            uidnext=number(said.get("UIDNEXT")) or 0,
            exists=min(number(said.get("EXISTS")) or 0, MOST_MESSAGES),
            modseq=number(said.get("HIGHESTMODSEQ")) or None,
            writable="READ-ONLY" not in said,
            permanent=parse_flags(permanent[-1].strip(b"()")) if permanent else None,
        )
        return self._open_now

    def list_messages(self, first: int, last: int) -> list[RemoteMessage]:
        """UID, flags, date and size of a range of sequence numbers, ascending by UID.

        Numbers are only used inside one FETCH, where the server may not renumber (RFC 9051 7.5.1).
        """
        sent = self.session.send("FETCH", b"%d:%d" % (first, last), self._listed)
        answers = fetch_answers(self.session.receive(sent, "FETCH"))
        return self._remote_messages(_of_places(answers, range(first, last + 1)))

    def uids(self, exists: int) -> list[tuple[int, int]]:
        """Every UID of the open folder as ranges; SELECT said that there are `exists`.

        With ESEARCH they come as ranges; without, or where the ranges do not add up to what SELECT said, one by one.
        """
        if self._searches:
            spans = self._search(exists)
            if 0 <= sum(high - low + 1 for low, high in spans) - exists <= MOST_ARRIVING:
                return spans
        sent = [self.session.send("FETCH", numbers, b"(UID)") for numbers in _downwards(exists, SLICE)]
        return [(answer.uid, answer.uid) for answer in fetch_answers(self._collect(sent, "FETCH"))]

    def uids_before(self, day: date, exists: int) -> list[tuple[int, int]]:
        """UIDs whose INTERNALDATE, in whatever zone, is before a day; [] where the server has no ESEARCH."""
        return self._search(exists, b"BEFORE", imap_date(day)) if self._searches else []

    @property
    def _searches(self) -> bool:
        return self.session.can("ESEARCH") or self.session.can("IMAP4REV2")

    def _search(self, exists: int, *criteria: bytes) -> list[tuple[int, int]]:
        sent = [
            self.session.send("UID", b"SEARCH", b"RETURN", b"(ALL)", numbers, *criteria)
            for numbers in _downwards(exists, SEARCHED)
        ]
        return found_spans(self._collect(sent, "ESEARCH"))

    def describe(self, uids: Iterable[int]) -> dict[int, RemoteMessage]:
        """Flags, date and size of the UIDs that still exist."""
        return self._described(self._ask_to_describe(uids))

    def _ask_to_describe(self, uids: Iterable[int]) -> list[Sent]:
        return [self.session.send("UID", b"FETCH", chunk, self._listed) for chunk in uid_chunks(uids)]

    def _described(self, asked: list[Sent]) -> dict[int, RemoteMessage]:
        return {
            message.uid: message
            for message in self._remote_messages(fetch_answers(self._collect(asked, "FETCH")))
        }

    def existing(self, uids: Iterable[int]) -> set[int]:
        """Those of the UIDs that the open folder has, asked one by one and not by their place in it."""
        wanted = set(uids)
        sent = [self.session.send("UID", b"FETCH", chunk, b"(UID)") for chunk in uid_chunks(wanted)]
        return wanted & {answer.uid for answer in fetch_answers(self._collect(sent, "FETCH"))}

    def flags_of(self, low: int, high: int) -> dict[int, Flags]:
        """Flags of the UIDs in a range that exist."""
        sent = self.session.send("UID", b"FETCH", b"%d:%d" % (low, high), b"(UID FLAGS)")
        return self._flags(fetch_answers(self.session.receive(sent, "FETCH")), low, high)

    def _ask_changes(self, modseq: int, high: int) -> Sent:
        """Flags that changed after a mod-sequence, for UIDs up to `high` (RFC 7162 3.1.4.1)."""
        return self.session.send(
            "UID", b"FETCH", b"1:%d" % high, b"(UID FLAGS)", b"(CHANGEDSINCE %d)" % modseq
        )

    def headers(self, uids: Iterable[int]) -> dict[int, bytes]:
        """The header of each UID that still exists, blank line included, as BODY[] would begin."""
        return self._peek(uids, b"BODY.PEEK[HEADER]")

    def whole(self, uids: Iterable[int]) -> dict[int, bytes]:
        """All of each UID that still exists, read at once: for few and small ones."""
        return self._peek(uids, b"BODY.PEEK[]")

    def _peek(self, uids: Iterable[int], what: bytes) -> dict[int, bytes]:
        wanted = set(uids)
        sent = [
            self.session.send("UID", b"FETCH", chunk, b"(UID " + what + b")") for chunk in uid_chunks(wanted)
        ]
        found: dict[int, bytes] = {}
        for tag in sent:
            for answer in fetch_answers(self.session.receive(tag, "FETCH")):
                if answer.body is not None and answer.uid in wanted:
                    found[answer.uid] = answer.body
        return found

    def ask_messages(self, uids: Iterable[int]) -> list[Sent]:
        """Ask for whole messages without waiting; the answer is read by `take_messages`."""
        return [
            self.session.send("UID", b"FETCH", chunk, b"(UID FLAGS BODY.PEEK[])")
            for chunk in uid_chunks(uids)
        ]

    def take_messages(self, asked: Iterable[Sent], wanted: Mapping[int, RemoteMessage]) -> list[Fetched]:
        """Read what `ask_messages` asked for, and what comes along of a later request: a server may be at work on two.

        Bodies nobody wanted are ignored (K09); absent ones are absent.
        """
        found: dict[int, Fetched] = {}
        for tag in asked:
            for answer in fetch_answers(self.session.receive(tag, "FETCH")):
                remote = wanted.get(answer.uid)
                if remote is not None and answer.body is not None:
                    flags = remote.flags if answer.flags is None else answer.flags
                    found[answer.uid] = Fetched(
                        answer.uid,
                        flags,
                        answer.received_at or remote.received_at,
                        answer.body,
                        remote.server_id,
                        None if remote.size == len(answer.body) else remote.size,
                    )
        return list(found.values())

    def store(self, uids: Iterable[int], *, add: Iterable[str], remove: Iterable[str]) -> None:
        """+FLAGS and -FLAGS, never a replacement (F02); a UID that is gone is answered OK (RFC 9051 6.4.9)."""
        changes = [
            (sign + b"FLAGS.SILENT", flag_list(flags))
            for sign, flags in ((b"+", set(add)), (b"-", set(remove)))
            if flags
        ]  # all of them are looked at before any is sent
        sent = [
            self.session.send("UID", b"STORE", chunk, item, flags)
            for chunk in uid_chunks(uids)
            for item, flags in changes
        ]
        self._settle(sent)

    def move(self, uids: Sequence[int], target: bytes, uidvalidity: int | None) -> dict[int, int]:
        """Move to another folder, known by `uidvalidity` if it was ever read; the new UIDs where COPYUID tells them of
        that one.

        MOVE, else COPY + \\Deleted + UID EXPUNGE, else \\Deleted only: never a folder-wide EXPUNGE, which would
        remove what other programs marked (D13). Raises CommandRefused, which says whether a part was done.
        """
        new: dict[int, int] = {}
        begun = False
        try:
            for chunk in uid_chunks(uids):
                verb = b"MOVE" if self.session.can("MOVE") else b"COPY"
                new |= self._copying(verb, chunk, target, uidvalidity)
                begun = True
                if verb == b"COPY":
                    self._delete(chunk)
        except CommandRefused as error:
            error.half_done = begun
            raise
        return new

    def with_message_id(self, message_id: str, *, or_uid: int | None = None) -> list[int]:
        """UIDs of the open folder that are not deleted and whose Message-ID contains this text; or this UID."""
        named = [b"HEADER", b"Message-ID", quoted(message_id.encode())]
        wanted = named if or_uid is None else [b"OR", b"UID", b"%d" % or_uid, *named]
        found = self.session.command("UID", b"SEARCH", b"UNDELETED", *wanted, answer="SEARCH")
        return sorted(uid for line in found for word in (line or b"").split() if (uid := uid_of(word)))

    def append(self, name: bytes, raw: bytes, *, flags: Iterable[str], at: datetime | None) -> int | None:
        """Put a message into a folder; its UID where the server tells it (APPENDUID, RFC 4315 3).

        Raises CommandRefused. After Broken or Unreachable it may be there: look first.
        """
        when = [quoted(_date_time(at))] if at else []
        self.session.imap.untagged_responses.pop("APPENDUID", None)
        self.session.append(quoted(name), flag_list(flags), *when, raw=raw)
        told = self.session.imap.untagged_responses.pop("APPENDUID", None)
        words = (told[-1] or b"").split() if told else []
        return uid_of(words[1]) if len(words) == 2 else None

    def delete_copied(self, uids: Iterable[int]) -> None:
        """The second half of a move without MOVE, when the copy is known to be there."""
        for chunk in uid_chunks(uids):
            self._delete(chunk)

    def expunge(self, uids: Iterable[int]) -> None:
        """Remove for good: \\Deleted and UID EXPUNGE of exactly these; without UIDPLUS only \\Deleted."""
        self.delete_copied(uids)

    def _delete(self, chunk: bytes) -> None:
        sent = [self.session.send("UID", b"STORE", chunk, b"+FLAGS.SILENT", b"(\\Deleted)")]
        if self.session.can("UIDPLUS"):
            sent.append(self.session.send("UID", b"EXPUNGE", chunk))
        self._settle(sent)

    def _copying(self, verb: bytes, chunk: bytes, target: bytes, uidvalidity: int | None) -> dict[int, int]:
        self.session.imap.untagged_responses.pop("COPYUID", None)
        self.session.receive(self.session.send("UID", verb, chunk, quoted(target)))
        return copied_uids(self.session.imap.untagged_responses.pop("COPYUID", None), uidvalidity)

    def _settle(self, sent: Iterable[Sent]) -> None:
        """Read every answer, then raise the first refusal."""
        try:
            self._collect(sent)
        finally:
            self.session.imap.untagged_responses.pop("FETCH", None)

    def _collect(self, sent: Iterable[Sent], answer: str | None = None) -> list[Any]:
        """Every answer of a kind, then the first refusal: nothing of ours is left on the wire for the next command."""
        refused: CommandRefused | None = None
        found: list[Any] = []
        for each in sent:
            try:
                found += self.session.receive(each, answer)
            except CommandRefused as error:
                refused = refused or error
        if refused:
            raise refused
        return found

    def _remote_messages(self, answers: Iterable[Answer]) -> list[RemoteMessage]:
        found: dict[int, Answer] = {}
        for answer in answers:
            before = found.get(answer.uid)
            found[answer.uid] = before.with_news(answer) if before else answer
        now = datetime.now(UTC)
        return [
            RemoteMessage(
                uid=uid,
                flags=answer.flags or frozenset(),
                received_at=answer.received_at or now,
                size=answer.size or 0,
                server_id=answer.server_id,
            )
            for uid, answer in sorted(found.items())
        ]

    def _flags(self, answers: Iterable[Answer], low: int, high: int) -> dict[int, Flags]:
        # RFC 9051 6.4.9: "n:*" and swapped ranges answer messages outside the range; filter again.
        return {
            answer.uid: answer.flags
            for answer in answers
            if answer.flags is not None and low <= answer.uid <= high
        }


def _of_places(answers: Iterable[Answer], numbers: range) -> Iterator[Answer]:
    """Without what was not asked for: the flags of a message elsewhere in the folder, which just changed."""
    return (answer for answer in answers if not answer.is_news or answer.place in numbers)


def _downwards(exists: int, size: int) -> list[bytes]:
    """All sequence numbers in slices from the top, so that an expunge meanwhile hides nothing, and each answer stays
    below imaplib's longest line (I01)."""
    return [b"%d:%d" % (max(1, last - size + 1), last) for last in range(exists, 0, -size)]


def imap_date(day: date) -> bytes:
    """RFC 9051 9, date: 1-Feb-2026."""
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year:04}".encode()


def _date_time(at: datetime) -> bytes:
    """RFC 9051 9, date-time."""
    at = at.astimezone(UTC)
    return f"{at.day:02}-{_MONTHS[at.month - 1]}-{at.year:04} {at:%H:%M:%S} +0000".encode()


def _status(said: Mapping[str, int]) -> Status | None:
    """None where the server left out what tells whether anything changed."""
    if "UIDVALIDITY" not in said or "MESSAGES" not in said:
        return None
    return Status(
        said["UIDVALIDITY"],
        said.get("UIDNEXT", 0),
        min(said["MESSAGES"], MOST_MESSAGES),
        said.get("UNSEEN", 0),
        said.get("HIGHESTMODSEQ") or None,
    )


def uid_chunks(uids: Iterable[int]) -> Iterator[bytes]:
    """UID sets of at most 5 000 UIDs and 7 kB each (I02: longer lines are refused)."""
    ordered = sorted(set(uids))
    start = 0
    while start < len(ordered):
        size = min(COMMAND_UIDS, len(ordered) - start)
        chunk = uid_set(ordered[start : start + size])
        while len(chunk) > LINE_BYTES:
            size = size * LINE_BYTES // (len(chunk) + 1)
            chunk = uid_set(ordered[start : start + size])
        yield chunk
        start += size
