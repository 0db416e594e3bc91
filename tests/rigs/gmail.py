"""Gmail as Google documents its IMAP: one store of messages, of which folders are labels (X-GM-EXT-1).

A message is in All Mail unless it is in Spam or Trash; INBOX, Sent and every folder a person made are labels on it.
Moving out of a label takes that label, moving into one gives it; moving to Trash or Spam takes all of them.
Sources: developers.google.com/gmail/imap/imap-extensions, support.google.com/mail/answer/78755.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.rigs.scripted import Conversation, Reply, scripted

ALL, TRASH, SPAM = "[Gmail]/Alle Nachrichten", "[Gmail]/Papierkorb", "[Gmail]/Spam"
SENT, STARRED, IMPORTANT = "[Gmail]/Gesendet", "[Gmail]/Markiert", "[Gmail]/Wichtig"
SPECIAL = {
    ALL: "\\All",
    TRASH: "\\Trash",
    SPAM: "\\Junk",
    SENT: "\\Sent",
    STARRED: "\\Flagged",
    IMPORTANT: "\\Important",
}
_TARGET = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@dataclass
class Mail:
    id: int
    raw: bytes
    at: datetime
    modseq: int
    flags: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    place: str = ALL  # or TRASH, SPAM


@dataclass
class Gmail:
    """The person's side of it; `asked` counts headers and bodies that were handed out. `extended`: X-GM-EXT-1."""

    extended: bool = True
    mails: list[Mail] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    uids: dict[str, dict[int, Mail]] = field(default_factory=dict)
    next_uid: dict[str, int] = field(default_factory=dict)
    modseq: int = 10
    asked: dict[str, int] = field(default_factory=lambda: {"HEADER": 0, "BODY": 0})
    port: int = 0
    _selected: dict[int, str] = field(default_factory=dict)

    def deliver(self, subject: str, *labels: str, text: str = "Hi\r\n") -> Mail:
        """A new mail with these labels (INBOX among them or not)."""
        number = len(self.mails) + 1
        raw = f"Subject: {subject}\r\nMessage-ID: <{number}@gmail>\r\n\r\n{text}".encode()
        at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1) + timedelta(seconds=number)
        mail = Mail(1278455344230334000 + number, raw, at, self._tick(), labels=set(labels))
        self.mails.append(mail)
        self._number()
        return mail

    def change(self, mail: Mail, *, add: str = "", remove: str = "", place: str = "", flag: str = "") -> None:
        """What the person does in Gmail's own pages."""
        if place:
            mail.place, mail.labels = place, mail.labels if place == ALL else set()
        mail.labels = (mail.labels | {add}) - {remove, ""}
        mail.flags |= {flag} - {""}
        mail.modseq = self._tick()
        self._number()

    @property
    def folders(self) -> list[str]:
        return ["INBOX", *SPECIAL, *self.made]

    def shows(self, folder: str) -> list[Mail]:
        return [mail for mail in self.mails if self._is_in(mail, folder)]

    def _is_in(self, mail: Mail, folder: str) -> bool:
        if folder in (ALL, TRASH, SPAM):
            return mail.place == folder
        if folder == STARRED:
            return "\\Flagged" in mail.flags
        return mail.place == ALL and folder in mail.labels

    def _tick(self) -> int:
        self.modseq += 1
        return self.modseq

    def _number(self) -> None:
        """A message gets a UID where it is new, and loses it where it is no more."""
        for folder in self.folders:
            known = self.uids.setdefault(folder, {})
            shown = self.shows(folder)
            for uid in [uid for uid, mail in known.items() if mail not in shown]:
                del known[uid]
            for mail in shown:
                if mail not in known.values():
                    self.next_uid[folder] = self.next_uid.get(folder, 0) + 1
                    known[self.next_uid[folder]] = mail

    # The protocol

    @property
    def replies(self) -> dict[str, Reply]:
        extension = " X-GM-EXT-1" if self.extended else ""
        offers = (
            f"* CAPABILITY IMAP4rev1 UNSELECT IDLE NAMESPACE UIDPLUS MOVE CONDSTORE AUTH=PLAIN{extension}\r\n"
        )
        return {
            "CAPABILITY": offers.encode() + b"{tag} OK Thats all she wrote!\r\n",
            "LIST": self._list, "STATUS": self._status, "SELECT": self._select, "FETCH": self._fetch,
            "UID FETCH": self._fetch, "UID STORE": self._store, "UID MOVE": self._move, "UID EXPUNGE": self._expunge,
        }  # fmt: skip

    def _list(self, talk: Conversation, words: list[bytes]) -> None:
        lines = ['* LIST (\\HasChildren \\NonExistent) "/" "[Gmail]"']
        lines += [
            f'* LIST (\\HasNoChildren {SPECIAL.get(name, "")}) "/" {_quoted(name)}' for name in self.folders
        ]
        talk.send("\r\n".join([*lines, f"{words[0].decode()} OK Success\r\n"]).encode())

    def _status(self, talk: Conversation, words: list[bytes]) -> None:
        name = self._named(words)
        if name is None:
            talk.send(words[0] + b" NO [NONEXISTENT] Unknown Mailbox (Failure)\r\n")
            return
        validity, exists, uid_next = self._facts(name)
        talk.send(
            f"* STATUS {_quoted(name)} (MESSAGES {exists} UIDNEXT {uid_next} UIDVALIDITY {validity} UNSEEN 0 "
            f"HIGHESTMODSEQ {self.modseq})\r\n{words[0].decode()} OK Success\r\n".encode()
        )

    def _select(self, talk: Conversation, words: list[bytes]) -> None:
        name = self._named(words)
        assert name
        self._selected[id(talk)] = name
        validity, exists, uid_next = self._facts(name)
        talk.send(
            f"* {exists} EXISTS\r\n* OK [UIDVALIDITY {validity}] UIDs valid.\r\n* OK [UIDNEXT {uid_next}] next.\r\n"
            f"* OK [HIGHESTMODSEQ {self.modseq}]\r\n{words[0].decode()} OK [READ-WRITE] selected.\r\n".encode()
        )

    def _fetch(self, talk: Conversation, words: list[bytes]) -> None:
        by_uid = words[1].upper() == b"UID"
        wanted, items = words[2 + by_uid].decode(), b" ".join(words[3 + by_uid :]).decode().upper()
        if "X-GM" in items and not self.extended:
            talk.send(words[0] + b" BAD Could not parse command\r\n")
            return
        since = re.search(r"CHANGEDSINCE (\d+)", items)
        numbered = list(enumerate(sorted(self._here(talk).items()), 1))
        last = (max(self._here(talk), default=0)) if by_uid else len(numbered)
        for number, (uid, mail) in numbered:
            if not _in_set(uid if by_uid else number, wanted, last) or (
                since and mail.modseq <= int(since[1])
            ):
                continue
            talk.send(self._answer(number, uid, mail, items))
        talk.send(words[0] + b" OK Success\r\n")

    def _answer(self, number: int, uid: int, mail: Mail, items: str) -> bytes:
        """In an order of its own, as big servers have it."""
        said = [f"X-GM-MSGID {mail.id}"] if "X-GM-MSGID" in items else []
        said += [f"UID {uid}", f"MODSEQ ({mail.modseq})", f"FLAGS ({' '.join(sorted(mail.flags))})"]
        if "SIZE" in items:
            said += [f"RFC822.SIZE {len(mail.raw)}"]
        if "INTERNALDATE" in items:
            said += [f'INTERNALDATE "{mail.at:%d-%b-%Y %H:%M:%S +0000}"']
        text = f"* {number} FETCH (" + " ".join(said)
        for part, content in (
            ("HEADER", mail.raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"),
            ("BODY", mail.raw),
        ):
            if ("BODY.PEEK[HEADER]" if part == "HEADER" else "BODY.PEEK[]") in items:
                self.asked[part] += 1
                name = "BODY[HEADER]" if part == "HEADER" else "BODY[]"
                return f"{text} {name} {{{len(content)}}}\r\n".encode() + content + b")\r\n"
        return f"{text})\r\n".encode()

    def _store(self, talk: Conversation, words: list[bytes]) -> None:
        flags = set(re.findall(r"[^\s()]+", b" ".join(words[5:]).decode()))
        for uid, mail in list(self._here(talk).items()):
            if _in_set(uid, words[3].decode(), 0):
                mail.flags = mail.flags | flags if words[4].startswith(b"+") else mail.flags - flags
                mail.modseq = self._tick()
        self._number()
        talk.send(words[0] + b" OK Success\r\n")

    def _move(self, talk: Conversation, words: list[bytes]) -> None:
        source, target = self._selected[id(talk)], self._named(words)
        if target is None:
            talk.send(words[0] + b" NO [TRYCREATE] No folder (Failure)\r\n")
            return
        moved = [(uid, mail) for uid, mail in self._here(talk).items() if _in_set(uid, words[3].decode(), 0)]
        for _uid, mail in moved:
            if target in (TRASH, SPAM):
                self.change(mail, place=target)
            else:
                mail.place = ALL
                self.change(mail, add="" if target == ALL else target, remove=source)
        pairs = [(uid, next(u for u, m in self.uids[target].items() if m is mail)) for uid, mail in moved]
        if pairs:
            old, new = (",".join(str(pair[side]) for pair in pairs) for side in (0, 1))
            talk.send(f"* OK [COPYUID {self._facts(target)[0]} {old} {new}] (Success)\r\n".encode())
        talk.send(words[0] + b" OK (Success)\r\n")

    def _expunge(self, talk: Conversation, words: list[bytes]) -> None:
        """In Trash and Spam for good; elsewhere it takes the label (auto-expunge as Google sets it)."""
        source = self._selected[id(talk)]
        for uid, mail in list(self._here(talk).items()):
            if _in_set(uid, words[3].decode(), 0) and "\\Deleted" in mail.flags:
                if source in (TRASH, SPAM):
                    self.mails.remove(mail)
                else:
                    mail.labels.discard(source)
        self._number()
        talk.send(words[0] + b" OK Success\r\n")

    def _here(self, talk: Conversation) -> dict[int, Mail]:
        return self.uids.get(self._selected[id(talk)], {})

    def _facts(self, name: str) -> tuple[int, int, int]:
        return self.folders.index(name) + 1, len(self.uids.get(name, {})), self.next_uid.get(name, 0) + 1

    def _named(self, words: list[bytes]) -> str | None:
        found = _TARGET.search(b" ".join(words[2:]))
        name = re.sub(r"\\(.)", r"\1", found[1].decode()) if found else ""
        return name if name in self.folders else None


@contextmanager
def gmail(*labels: str, extended: bool = True) -> Iterator[Gmail]:
    """A running Gmail with the folders that a person made."""
    box = Gmail(extended=extended, made=list(labels))
    box._number()
    with scripted(box.replies) as server:
        box.port = server.port
        yield box


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_set(number: int, wanted: str, last: int) -> bool:
    for part in wanted.split(","):
        low, _, high = part.partition(":")
        first, final = (last if end == "*" else int(end) for end in (low, high or low))
        if min(first, final) <= number <= max(first, final):
            return True
    return False
