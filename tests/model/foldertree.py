"""Random histories of folders: Ann and her phone make, rename, move and delete them, and workers die in between.

What must stand: no mail in them is lost or doubled, but for what the phone deletes with its folder; where nobody else
changed folders, the server has those that Ann was shown; and in the end both sides are the same.
"""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import rule

from mailsync import actions, folders
from mailsync.models import Act, Folder, Placement
from tests.model import mishaps
from tests.model.history import History
from tests.model.mishaps import unless_dovecot_hangs
from tests.rigs import judge
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import Proxy
from tests.world import FOLDERS as ROLES
from tests.world import World

MOST_FOLDERS, MOST_MAILS = 6, 8
Acts = list[tuple[str, int, int]]
ANN = [
    *2 * ["ann_makes"], *2 * ["ann_renames"], *2 * ["ann_moves_folder"], *2 * ["ann_deletes"], "ann_undoes",
    *2 * ["ann_moves_mail"],
]  # fmt: skip
PHONE = [*3 * ["deliver"], "phone_makes", *2 * ["phone_renames"]]
APART = ["phone_deletes", "server_changes_its_abilities"]  # not in the middle of a run: Dovecot keeps a lock


def _acts(names: list[str], least: int, most: int) -> st.SearchStrategy[Acts]:
    act = st.tuples(st.sampled_from(names), st.integers(0, 11), st.integers(0, 11))
    return st.lists(act, min_size=least, max_size=most)


class FolderTree(History):
    """Folders, and mail in them."""

    def __init__(self, world: World, dovecot: MailServer, line: Proxy) -> None:
        super().__init__(world, dovecot, line)
        self.last: Act | None = None
        self.alone = True  # nobody but Ann has changed folders since all was quiet
        self.half_done = False  # a move by COPY may be
        self.count = 0
        self.shown: set[str] = set()
        self.case.sync(thorough=False)

    def act(self, acts: Acts) -> None:
        with unless_dovecot_hangs():
            for name, choice, other in acts:
                getattr(self, name)(choice, other)

    def new_name(self, who: str) -> str:
        self.count += 1
        return f"{who} {self.count}"

    # Ann.

    def ours(self) -> list[Folder]:
        """Those that have no task of their own."""
        rows = Folder.objects.filter(mailbox=self.case.mailbox, deleting=False, selectable=True)
        return list(rows.exclude(path__in=ROLES).select_related("mailbox").order_by("path"))

    def ann_does(self, verb: str, *arguments: object) -> None:
        try:
            self.last = getattr(folders, verb)(*arguments, by=self.case.world.ann)
        except folders.CannotChange:
            return

    def ann_makes(self, choice: int, _other: int) -> None:
        with self.case.acting():
            there = self.ours()
            if len(there) < MOST_FOLDERS:
                parent = [*there, None][choice % (len(there) + 1)]
                self.ann_does("create_folder", self.case.mailbox, self.new_name("Ann's"), parent)

    def ann_renames(self, choice: int, _other: int) -> None:
        with self.case.acting():
            if there := self.ours():
                self.ann_does("rename_folder", there[choice % len(there)], self.new_name("Ann's"))

    def ann_moves_folder(self, choice: int, other: int) -> None:
        with self.case.acting():
            if there := self.ours():
                parent = [*there, None][other % (len(there) + 1)]
                self.ann_does("move_folder", there[choice % len(there)], self.new_name("Ann's"), parent)

    def ann_deletes(self, choice: int, _other: int) -> None:
        with self.case.acting():
            if there := self.ours():
                self.ann_does("delete_folder", there[choice % len(there)])
                self.last = None

    def ann_undoes(self, _choice: int, _other: int) -> None:
        if (act := self.last) is not None:
            self.last = None
            with self.case.acting():
                try:
                    folders.undo(act, by=self.case.world.ann)
                except folders.CannotChange:
                    return

    def ann_moves_mail(self, choice: int, other: int) -> None:
        with self.case.acting():
            rows = Placement.objects.filter(folder__mailbox=self.case.mailbox).order_by("pk")
            ids = list(rows.values_list("pk", flat=True))
            targets = Folder.objects.filter(mailbox=self.case.mailbox, deleting=False, selectable=True)
            if ids:
                target = list(targets.select_related("mailbox").order_by("path"))
                try:
                    actions.move(
                        [ids[choice % len(ids)]], target[other % len(target)], by=self.case.world.ann
                    )
                except actions.CannotMove:
                    return

    # The phone.

    def theirs(self) -> list[str]:
        with self.server.imap(self.case.login) as client:
            return sorted({name.decode() for name in judge.folder_names(client)} - {*ROLES})

    def deliver(self, choice: int, _other: int) -> None:
        if sum(self.case.copies.values()) < MOST_MAILS:
            there = [*self.theirs(), "INBOX"]
            self.case.deliver(self.new_name("Mail"), folder=there[choice % len(there)])

    def phone_makes(self, choice: int, _other: int) -> None:
        there = [*self.theirs(), None]
        if len(there) <= MOST_FOLDERS:
            above = there[choice % len(there)]
            self.on_folders("create", f"{above}/" * bool(above) + self.new_name("Phone's"))

    def phone_renames(self, choice: int, _other: int) -> None:
        if there := self.theirs():
            old = there[choice % len(there)]
            head, parted, _last = old.rpartition("/")
            self.on_folders("rename", old, head + parted + self.new_name("Phone's"))

    def phone_deletes(self, choice: int, _other: int) -> None:
        """With all that is in it, but not with the folders inside: then Dovecot goes on listing its name."""
        if there := self.theirs():
            name = there[choice % len(there)]
            with self.server.imap(self.case.login) as client:
                going = judge.folder_view(client, name.encode()).rows.values()
            gone = Counter(row.sha256 for row in going if "\\Deleted" not in row.flags)
            self.on_folders("delete", name)
            self.case.copies -= gone

    def on_folders(self, command: str, *names: str) -> None:
        self.alone = False
        with self.server.imap(self.case.login) as client:
            kind, said = getattr(client, command)(*(f'"{name}"' for name in names))
        if kind != "OK":
            raise AssertionError(said)

    # Steps.

    @rule(acts=_acts(ANN, 1, 3))
    def ann_acts(self, acts: Acts) -> None:
        self.since += 1
        self.act(acts)

    @rule(acts=_acts(PHONE + APART, 1, 2))
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
        when=st.integers(1, 120),
        meanwhile=_acts(ANN + PHONE, 1, 2),
    )
    def sync_is(self, acts: Acts, mishap: str, when: int, meanwhile: Acts) -> None:
        self.since += 1
        self.half_done = True
        self.act(acts)
        mishaps.befall(self.case, mishap, when, lambda: self.act(meanwhile))
        self.nothing_is_lost()

    def before_rest(self) -> None:
        with self.case.acting():
            self.shown = {folder.path for folder in self.ours()}

    # What is judged.

    def assert_right(self) -> None:
        self.half_done = False
        self.nothing_is_lost()
        with self.case.acting():
            ours = {folder.path for folder in self.ours()}
        theirs = set(self.theirs())
        assert ours == theirs, f"here {ours}, there {theirs}"
        if self.alone:
            assert self.shown == theirs, f"Ann was shown {self.shown}, and there are {theirs}"
        self.both_sides_are_equal()
        self.alone = True

    def nothing_is_lost(self) -> None:
        """Nor doubled, but for what a server without UIDPLUS keeps marked."""
        rows = [row for folder in self.server_view().values() for row in folder.rows.values()]
        there = Counter(row.sha256 for row in rows if "\\Deleted" not in row.flags)
        subjects = {sha: subject for subject, sha in self.case.shas.items()}
        assert not (lost := self.case.copies - there), f"{[subjects[sha] for sha in lost]} lost"
        if not self.half_done:
            assert not (doubled := there - self.case.copies), f"{[subjects[sha] for sha in doubled]} doubled"
