"""Random histories of drafts: Ann writes here, her phone works on the server's copies, workers die and are overtaken.

What must stand: what Ann saved last is in her letter here, and on the server once while that is a draft; what the phone
saved last is on the server once until it is sent or removed; what was sent arrived once, and lies in Sent once.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from imaplib import IMAP4

from django.utils import timezone
from hypothesis import strategies as st
from hypothesis.stateful import rule

from mailsync import access, composing, outbox
from mailsync.mime import draftmark
from mailsync.models import (
    GrantLevel,
    Outgoing,
    OutgoingState,
    Placement,
)
from tests.model import mishaps
from tests.model.history import History
from tests.rigs import smtp
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import Proxy
from tests.rigs.smtp import Fault
from tests.sending.conftest import ZOE, due_now, work
from tests.world import World

MOST_DRAFTS = 3
_WORDS = re.compile(rb"Words \d+\.+")
_NAME = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)
_DATE = re.compile(rb"^Date: [^\r]*", re.MULTILINE)
_FIELD = re.compile(rb"^" + draftmark.FIELD.encode() + rb": .*\r\n", re.MULTILINE)


@dataclass
class Written:
    """A letter of Ann's. `may_leave`: she threw it away, or the phone did something to the copy with these words."""

    pk: int
    words: str
    may_leave: bool = False


@dataclass(frozen=True)
class Copy:
    """A letter in a folder of the server."""

    uid: int
    words: str
    message_id: str
    raw: bytes


Acts = list[tuple[str, int, bool]]
ANN = [
    "ann_writes",
    *3 * ["ann_saves"],
    *2 * ["ann_sends"],
    "ann_throws_away",
    "ann_has_back",
    "ann_opens_theirs",
]
PHONE = [*3 * ["phone_edits"], "phone_removes", "phone_sends"]
SERVER = ["server_rebuilds", "server_changes_its_abilities"]


def _acts(names: list[str], least: int, most: int) -> st.SearchStrategy[Acts]:
    act = st.tuples(st.sampled_from(names), st.integers(0, 11), st.booleans())
    return st.lists(act, min_size=least, max_size=most)


class Drafts(History):
    """What Ann and her phone write, and what is sent."""

    def __init__(self, world: World, dovecot: MailServer, line: Proxy, post: smtp.Outgoing) -> None:
        super().__init__(
            world, dovecot, line, smtp_host="127.0.0.1", smtp_port=post.port, smtp_security="none"
        )
        self.post = post
        post.delivered.clear()
        self.written: list[Written] = []
        self.theirs: set[str] = set()  # what the phone wrote
        self.sent_by_phone: list[str] = []
        # What Ann took over; its copy may have been kept from going to the Trash.
        self.opened: set[str] = set()
        self.count = self.minutes = 0
        self.case.sync(thorough=False)

    def act(self, acts: Acts) -> None:
        for name, choice, way in acts:
            getattr(self, name)(choice, way)

    def new_words(self) -> str:
        """Never two of one length (see takes_its_time)."""
        self.count += 1
        return f"Words {self.count}{'.' * (self.count % 40 + 1)}"

    # Ann.

    def letters(self, *states: str) -> list[tuple[Written, Outgoing]]:
        rows = Outgoing.objects.in_bulk([letter.pk for letter in self.written])
        return [(each, rows[each.pk]) for each in self.written if rows[each.pk].state in states]

    @contextmanager
    def one_of(self, choice: int, *states: str) -> Iterator[tuple[Written, Outgoing] | None]:
        with self.case.acting():
            there = self.letters(*states)
            chosen = there[choice % len(there)] if there else None
            yield chosen
            if chosen:
                self.takes_its_time(chosen[0].pk)

    def takes_its_time(self, pk: int) -> None:
        """People do not save twice in a second: what has one name, size and date is one mail to whoever finds it."""
        self.minutes += 1
        at = timezone.now() - timedelta(minutes=self.minutes)
        Outgoing.objects.filter(pk=pk).update(updated_at=at)

    def ann_writes(self, _choice: int, _way: bool) -> None:
        words = self.new_words()
        with self.case.acting():
            if len(self.letters(OutgoingState.DRAFT)) < MOST_DRAFTS:
                begun = outbox.start(
                    self.case.mailbox, by=self.case.world.ann, to=[ZOE], html=f"<p>{words}</p>"
                )
                self.written.append(Written(begun.pk, words))
                self.takes_its_time(begun.pk)

    def ann_saves(self, choice: int, _way: bool) -> None:
        with self.one_of(choice, OutgoingState.DRAFT) as chosen:
            if chosen:
                letter, row = chosen
                letter.words, letter.may_leave = self.new_words(), False
                outbox.save(row, revision=row.revision, html=f"<p>{letter.words}</p>")

    def ann_throws_away(self, choice: int, _way: bool) -> None:
        with self.one_of(choice, OutgoingState.DRAFT) as chosen:
            if chosen:
                outbox.discard(chosen[1])
                chosen[0].may_leave = True

    def ann_has_back(self, choice: int, _way: bool) -> None:
        """What she threw away, or what was refused."""
        with self.one_of(choice, OutgoingState.DISCARDED, OutgoingState.REFUSED) as chosen:
            if chosen:
                letter, row = chosen
                (outbox.undo if row.state == OutgoingState.REFUSED else outbox.restore)(row)
                letter.may_leave = False

    def ann_sends(self, choice: int, _way: bool) -> None:
        with self.one_of(choice, OutgoingState.DRAFT) as chosen:
            if chosen:
                self.post.faults = [Fault.DOT_REFUSED] if choice > 9 else []
                work(due_now(outbox.queue(chosen[1], by=self.case.world.ann, key="")))

    def ann_opens_theirs(self, choice: int, _way: bool) -> None:
        """What the phone wrote is a letter of hers then."""
        with self.case.acting():
            rows = Placement.objects.filter(
                folder__mailbox=self.case.mailbox, folder__path="Drafts", uid__isnull=False
            )
            ids = list(rows.order_by("pk").values_list("pk", flat=True))
            if not ids:
                return
            letter = access.get_letter(self.case.world.ann, ids[choice % len(ids)], GrantLevel.REPLY)
            words = _words(letter.body)
            if words not in self.theirs:
                return
            begun = composing.resume(letter, by=self.case.world.ann)
        if begun.pk not in {each.pk for each in self.written}:
            self.written.append(Written(begun.pk, words))
            with self.case.acting():
                self.takes_its_time(begun.pk)
            self.theirs.discard(words)
            self.opened.add(words)

    # The phone.

    def copies(self, folder: str) -> list[Copy]:
        """What people see of a folder."""
        with self.server.imap(self.case.login) as client:
            assert client.select(folder, readonly=True)[0] == "OK"
            _, parts = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        found = [part for part in parts if isinstance(part, tuple) and b"\\Deleted" not in part[0]]
        return [_copy(int(about.partition(b"UID ")[2].split()[0]), raw) for about, raw in found]

    def phone_edits(self, choice: int, keeps: bool) -> None:
        """As a new mail, and the one before is removed. Some programs keep fields that they do not know."""
        if old := self.draft(choice):
            words = self.new_words()
            date = b"Date: Mon, 02 Nov 2026 10:%02d:%02d +0000" % divmod(self.count, 60)
            raw = _DATE.sub(date, old.raw.replace(old.words.encode(), words.encode()))
            if not keeps:
                raw = _FIELD.sub(b"", raw)
            self.server.append(self.case.login, raw, folder="Drafts", flags="\\Draft \\Seen")
            self.theirs.add(words)
            self.remove(old)

    def phone_removes(self, choice: int, _way: bool) -> None:
        if old := self.draft(choice):
            self.remove(old)

    def phone_sends(self, choice: int, _way: bool) -> None:
        """What it wrote under a new name, as programs do; what it only opened is moved by some of them."""
        if old := self.draft(choice):
            if old.words in self.theirs:
                self.count += 1
                raw = _NAME.sub(b"Message-ID: <sent%d@phone.example>" % self.count, _FIELD.sub(b"", old.raw))
                self.server.append(self.case.login, raw, folder="Sent", flags="\\Seen")
                self.remove(old)
            else:
                self.case.on_server("MOVE", str(old.uid), "Sent", folder="Drafts")
                self.is_gone(old)
            self.sent_by_phone.append(old.words)

    def draft(self, choice: int) -> Copy | None:
        there = self.copies("Drafts")
        return there[choice % len(there)] if there else None

    def remove(self, copy: Copy) -> None:
        self.case.on_server("STORE", str(copy.uid), "+FLAGS", "(\\Deleted)", folder="Drafts")
        self.case.on_server("EXPUNGE", str(copy.uid), folder="Drafts")
        self.is_gone(copy)

    def is_gone(self, copy: Copy) -> None:
        self.theirs.discard(copy.words)
        for letter in self.written:
            letter.may_leave |= letter.words == copy.words

    def server_rebuilds(self, _choice: int, _way: bool) -> None:
        self.count += 1
        validity = str(2_000_000_000 + self.count)
        self.server.doveadm("mailbox", "update", "-u", self.case.login, "--uid-validity", validity, "Drafts")
        with suppress(IMAP4.abort):  # Dovecot's first look after it: "session state is inconsistent"
            self.copies("Drafts")

    # Steps.

    @rule(acts=_acts(ANN, 1, 3))
    def ann_acts(self, acts: Acts) -> None:
        self.since += 1
        self.act(acts)

    @rule(acts=_acts(PHONE + SERVER, 1, 2))
    def the_phone_acts(self, acts: Acts) -> None:
        self.since += 1
        self.act(acts)

    @rule(acts=_acts(ANN, 0, 2))
    def sync(self, acts: Acts) -> None:
        self.since += 1
        self.act(acts)
        self.case.sync(thorough=False)
        self.nothing_is_lost()

    @rule(
        acts=_acts(ANN * 2 + PHONE, 0, 3),
        mishap=st.sampled_from(mishaps.NAMES),
        when=st.integers(1, 90),
        meanwhile=_acts(ANN + PHONE, 1, 2),
    )
    def sync_is(self, acts: Acts, mishap: str, when: int, meanwhile: Acts) -> None:
        """Cut or killed at some step, disturbed by somebody before some command, or overtaken by another worker."""
        self.since += 1
        self.act(acts)
        mishaps.befall(self.case, mishap, when, lambda: self.act(meanwhile))
        self.nothing_is_lost()

    # What is judged.

    def assert_right(self) -> None:
        """Each is where it must be, once."""
        self.nothing_is_lost()
        self.each_is_there_once()

    def nothing_is_lost(self) -> None:
        there = {copy.words for copy in self.copies("Drafts")}
        assert self.theirs <= there, f"the phone's {self.theirs - there} are lost"
        with self.case.acting():
            for letter, row in self.letters(*OutgoingState.values):
                assert letter.words in row.html, f"{letter} is {row.html}"
                assert row.state != OutgoingState.DISCARDED or letter.may_leave, f"{letter} is thrown away"

    def each_is_there_once(self) -> None:
        with self.case.acting():
            drafts, sent = self.letters(OutgoingState.DRAFT), self.letters(OutgoingState.SENT)
            refused = {row.message_id for _letter, row in self.letters(OutgoingState.REFUSED)}
        self._drafts_are_there(drafts, refused)
        self._sent_is_there([letter.words for letter, _row in sent])
        self.both_sides_are_equal()

    def _drafts_are_there(self, drafts: list[tuple[Written, Outgoing]], refused: set[str]) -> None:
        """What was `refused` lies there as it was last, until Ann decides what becomes of it."""
        copies = self.copies("Drafts")
        there = [copy for copy in copies if copy.message_id not in refused or copy.words in self.theirs]
        expected = Counter([*self.theirs, *(letter.words for letter, _row in drafts)])
        _compare("Drafts", Counter(copy.words for copy in there), expected, self.opened)
        names = {(copy.words, copy.message_id) for copy in there}
        assert {(letter.words, row.message_id) for letter, row in drafts} <= names

    def _sent_is_there(self, words: list[str]) -> None:
        there = Counter(copy.words for copy in self.copies("Sent"))
        _compare("Sent", there, Counter([*self.sent_by_phone, *words]))
        arrived = Counter(_words(delivery.raw) for delivery in self.post.delivered)
        assert arrived == Counter(words), f"{arrived} arrived"


def _compare(folder: str, there: Counter[str], expected: Counter[str], perhaps: Collection[str] = ()) -> None:
    """`perhaps` may be there once more."""
    assert not expected - there, f"not in {folder}: {expected - there}"
    assert {*(there - expected)} <= {*perhaps}, f"too many in {folder}: {there - expected}"


def _words(raw: bytes) -> str:
    found = _WORDS.search(raw)
    assert found, raw
    return found[0].decode()


def _copy(uid: int, raw: bytes) -> Copy:
    name = _NAME.search(raw)
    assert name, raw
    return Copy(uid, _words(raw), name[1].decode(), raw)
