"""Random histories of one mailbox: what Ann and her phone do to it, and what befalls the workers."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.crm.conftest import Clients
from tests.model import mishaps, worlds
from tests.model.history import History
from tests.model.mailbox import PLANS, ModelBox
from tests.model.mishaps import before_command, unless_dovecot_hangs, until_overtaken
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import Proxy
from tests.world import World

_Box = ModelBox
PHONE = [
    *3 * [_Box.deliver], *4 * [_Box.phone_flags], *4 * [_Box.phone_moves], *2 * [_Box.phone_removes], _Box.phone_copies,
    _Box.phone_renames, _Box.phone_deletes_folder, _Box.server_rebuilds, _Box.server_skips_uids,
    _Box.server_changes_its_abilities,
]  # fmt: skip
ANN = [
    *6 * [_Box.ann_flags], *6 * [_Box.ann_moves], *2 * [_Box.ann_undoes], *3 * [_Box.ann_removes_for_good],
    _Box.ann_renames, _Box.ann_binds, _Box.ann_unlinks, _Box.a_month_passes, _Box.ann_connects_again,
]  # fmt: skip


def _acts(what: list[Any], least: int, most: int) -> st.SearchStrategy[list[tuple[str, int, int, bool]]]:
    """By name, so that a history can be read and repeated."""
    number = st.integers(0, 11)
    names = st.sampled_from([each.__name__ for each in what])
    return st.lists(st.tuples(names, number, number, st.booleans()), min_size=least, max_size=most)


Acts = list[tuple[str, int, int, bool]]
somebody = _acts(ANN + PHONE, 1, 3)
ann_first = _acts(ANN * 2 + PHONE, 0, 3)
phone = _acts(PHONE, 0, 2)


class TwoWay(History):
    """Mail, folders, tasks and a client."""

    def __init__(self, world: World, dovecot: MailServer, line: Proxy) -> None:
        super().__init__(world, dovecot, line)
        clients = Clients(world)
        client = clients.contact("Zoe", "zoe@elsewhere.example")
        self.box = ModelBox(self.case, self.server, client)
        clients.feed(self.case.mailbox)

    def act(self, acts: Acts) -> None:
        self.since += 1
        with unless_dovecot_hangs():
            for name, *how in acts:
                getattr(self.box, name)(*how)

    def act_meanwhile(self, acts: Acts) -> None:
        """In the middle of a run; there is one thing that Dovecot cannot do then without leaving a lock behind."""
        self.act([each for each in acts if each[0] != ModelBox.phone_deletes_folder.__name__])

    @initialize(places=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=4))
    def begin(self, places: list[tuple[int, bool]]) -> None:
        with self.server.imap(self.case.login) as client:
            client.create(PLANS)
        for place, is_old in places:
            self.box.deliver(place, 0, is_old)
        self.case.sync(thorough=False)

    @rule(acts=somebody)
    def somebody_acts(self, acts: Acts) -> None:
        self.act(acts)

    @rule(acts=_acts(ANN, 1, 3))
    def ann_acts(self, acts: Acts) -> None:
        self.act(acts)

    @rule(acts=_acts(PHONE, 1, 2))
    def the_phone_acts(self, acts: Acts) -> None:
        self.act(acts)

    @rule(makes_one=st.booleans())
    def the_operator_acts(self, makes_one: bool) -> None:
        """Makes a backup of our database, or restores it."""
        self.act([("backup_is_made" if makes_one else "backup_is_restored", 0, 0, False)])

    @rule(acts=ann_first)
    def sync(self, acts: Acts) -> None:
        self.act(acts)
        self.case.sync(thorough=False)
        self.a_run_is_over()

    @rule(
        acts=ann_first,
        mishap=st.sampled_from(["cut", "killed", "killed", "late", "disturbed", "disturbed", "overtaken"]),
        when=st.integers(1, 130),
        meanwhile=somebody,
        after=phone,
    )
    def sync_is(self, acts: Acts, mishap: str, when: int, meanwhile: Acts, after: Acts) -> None:
        """Cut or killed at some step, out of time, disturbed by somebody before some command, or overtaken by
        another worker."""
        self.act(acts)
        if mishap == "cut":
            self.a_run_is_over(whole=mishaps.cut(self.case, when))
        elif mishap == "killed":
            self.a_run_is_over(whole=mishaps.killed(self.case, when))
        elif mishap == "late":
            self.a_run_is_over(whole=mishaps.late(self.case, when))
        elif mishap == "disturbed":
            self._disturbed(when % 12 + 1, meanwhile)
        else:
            self._overtaken(when % 12 + 1, meanwhile, after)

    def _disturbed(self, number: int, meanwhile: Acts) -> None:
        def what() -> None:
            self.box.all_meet(worlds.World.perhaps)
            self.act_meanwhile(meanwhile)

        with before_command(number, what) as happened:
            whole = not until_overtaken(self.case)
        if happened:
            self.box.all_meet(worlds.goes_on)
        self.a_run_is_over(whole=whole, undisturbed=not happened)

    def _overtaken(self, number: int, meanwhile: Acts, after: Acts) -> None:
        """Before its n-th command a worker falls asleep until its lease is over; another does all, then it goes on: it
        neither tells the server anything more nor writes a row."""

        def what() -> None:
            self.box.all_meet(worlds.World.perhaps)
            self.act_meanwhile(meanwhile)
            assert not mishaps.overtake(self.case).error
            self.a_run_is_over(undisturbed=False)
            self.act(after)

        with before_command(number, what) as happened:
            lost = until_overtaken(self.case)
        if not happened:
            self.a_run_is_over(whole=not lost)
            return
        assert lost, "a worker that was overtaken went on"
        self.case.line.settle()

    def a_run_is_over(self, *, whole: bool = True, undisturbed: bool = True) -> None:
        if not whole or self.case.waits():
            self.box.all_meet(worlds.World.perhaps)
        elif undisturbed:
            self.box.all_meet(worlds.settles)
            self.box.is_stale = False
        else:
            self.box.all_meet(worlds.settles_but_perhaps_unseen)
        self.box.shows_what_waits()
        with unless_dovecot_hangs():
            self.box.look()

    def assert_right(self) -> None:
        """Database = server = model."""
        self.a_run_is_over()
        self.box.compare()
