"""The laws of mailsync/sync/__init__.py over random histories of a mailbox that three parties change.

A history is a list of steps; each step picks its letter and folder by number, so that Hypothesis can shrink it.
"""

import copy
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsync.sync.plan import plan_folder
from mailsync.sync.state import Advance
from tests.sync.model import FOLDERS, NOW, WINDOW, Interrupted, Letter, Replica, Server, Spot

FLAGS = ("\\Seen", "\\Flagged", "$Work")
Step = tuple[str, int, int]
DAYS = (1, 30, 89, 91, 400)


class Mailbox:
    """Plays a history and keeps count of the letters made."""

    def __init__(self) -> None:
        self.server = Server()
        self.replica = Replica(self.server)
        self.made: list[Letter] = []

    def play(self, history: list[Step]) -> "Mailbox":
        for name, a, b in history:
            STEPS[name](self, a, b)
        return self

    def quiet(self, cycles: int = 2) -> "Mailbox":
        """Nobody does anything; the worker runs."""
        for _ in range(cycles):
            self.replica.push()
            for name in FOLDERS:
                self.replica.pull(name)
        return self

    def letter(self, a: int) -> tuple[str, int] | None:
        there = [(name, uid) for name, uid, _, _ in self.server.whole()]
        return there[a % len(there)] if there else None

    def spot(self, a: int) -> Spot | None:
        spots = list(self.replica.spots.values())
        return spots[a % len(spots)] if spots else None

    def expected(self) -> list[tuple[str, int, bytes, frozenset[str]]]:
        """Law 1: the server, less tombstones and what is older than the window and was never here."""
        dates = {letter.identity: letter.received_at for letter in self.made}
        return [
            row
            for row in self.server.whole()
            if row[2] in self.replica.messages
            or (row[2] not in self.replica.tombstones and dates[row[2]] >= WINDOW)
        ]


def deliver(box: Mailbox, a: int, b: int) -> None:
    number = len(box.made)
    at = NOW - timedelta(days=DAYS[b % len(DAYS)], seconds=number // 2)  # some share their date
    letter = Letter(b"letter %03d" % number, frozenset(FLAGS[: b % 3]), at)
    box.made.append(letter)
    box.server.deliver(FOLDERS[a % 3], letter)


def phone_copies(box: Mailbox, a: int, b: int) -> None:
    if found := box.letter(a):
        box.server.deliver(FOLDERS[b % 3], box.server.boxes[found[0]].letters[found[1]])


def phone_moves(box: Mailbox, a: int, b: int) -> None:
    if found := box.letter(a):
        box.server.move(*found, FOLDERS[b % 3])


def phone_flags(box: Mailbox, a: int, b: int) -> None:
    if found := box.letter(a):
        box.server.store(*found, add=frozenset({FLAGS[b % 3]}), remove=frozenset())


def phone_unflags(box: Mailbox, a: int, b: int) -> None:
    if found := box.letter(a):
        box.server.store(*found, add=frozenset(), remove=frozenset({FLAGS[b % 3]}))


def phone_expunges(box: Mailbox, a: int, b: int) -> None:
    if found := box.letter(a):
        box.server.expunge(*found)


def server_rebuilds(box: Mailbox, a: int, b: int) -> None:
    box.server.rebuild(FOLDERS[a % 3], renumber=bool(b % 2))


def we_flag(box: Mailbox, a: int, b: int) -> None:
    if spot := box.spot(a):
        box.replica.flag(spot, add=frozenset({FLAGS[b % 3]}))


def we_unflag(box: Mailbox, a: int, b: int) -> None:
    if spot := box.spot(a):
        box.replica.flag(spot, remove=frozenset({FLAGS[b % 3]}))


def we_move(box: Mailbox, a: int, b: int) -> None:
    if spot := box.spot(a):
        box.replica.move(spot, FOLDERS[b % 3])


def we_expunge(box: Mailbox, a: int, b: int) -> None:
    if spot := box.spot(a):
        box.replica.expunge(spot)


def we_discard(box: Mailbox, a: int, b: int) -> None:
    if spot := box.spot(a):
        box.replica.discard(spot)


def push(box: Mailbox, a: int, b: int) -> None:
    box.replica.push()


def pull(box: Mailbox, a: int, b: int) -> None:
    box.replica.pull(FOLDERS[a % 3])


def die_while_pushing(box: Mailbox, a: int, b: int) -> None:
    with suppress(Interrupted):
        box.replica.push(killed_at=a % 6)


def die_while_pulling(box: Mailbox, a: int, b: int) -> None:
    with suppress(Interrupted):
        box.replica.pull(FOLDERS[a % 3], killed_at=b % 6)


STEPS: dict[str, Callable[[Mailbox, int, int], None]] = {
    step.__name__: step
    for step in (
        deliver, phone_copies, phone_moves, phone_flags, phone_unflags, phone_expunges, server_rebuilds,
        we_flag, we_unflag, we_move, we_expunge, we_discard, push, pull, die_while_pushing, die_while_pulling,
    )
}  # fmt: skip
OFTEN = ("deliver", "pull", "we_move", "we_flag")
number = st.integers(0, 11)
histories = st.lists(st.tuples(st.sampled_from([*STEPS, *OFTEN, *OFTEN]), number, number), max_size=30)
laws = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@laws
@given(histories)
def test_law_1_after_two_quiet_cycles_both_sides_are_equal(history: list[Step]) -> None:
    box = Mailbox().play(history).quiet()

    assert box.replica.shown() == box.expected()
    assert [wish for wish in box.replica.wishes if wish.spot in box.replica.spots] == []


@laws
@given(histories)
def test_law_1_and_then_nothing_is_left_to_do(history: list[Step]) -> None:
    box = Mailbox().play(history).quiet()
    changes = box.server.changes

    for name in FOLDERS:
        (cursor,) = plan_folder(box.replica.remote(name), box.replica.local(name))
        assert isinstance(cursor, Advance)
    box.quiet()

    assert box.server.changes == changes


@laws
@given(histories, number)
def test_law_2_a_pull_before_a_push_changes_nothing_that_the_employee_did(
    history: list[Step], a: int
) -> None:
    box = Mailbox().play(history)
    # From a quiet state: a rebuilt folder takes moves back on purpose (C05), and a move of what a phone has moved
    # already comes too late; neither is meant here.
    box.quiet()
    for _, spot in zip(range(3), list(box.replica.spots.values()), strict=False):
        box.replica.flag(spot, add=frozenset({FLAGS[a % 3]}))
        box.replica.move(spot, FOLDERS[a % 3])
    before, shown = box.replica.intentions(), box.replica.shown()

    for name in FOLDERS:
        box.replica.pull(name)

    assert box.replica.intentions() == before
    assert box.replica.shown() == shown


@laws
@given(histories)
def test_law_2_whatever_happens_on_the_server_what_the_employee_did_stays(history: list[Step]) -> None:
    box = Mailbox().play(history)

    for name in FOLDERS:
        box.replica.pull(name)

    assert_kept(box.replica)


@laws
@given(histories, number)
def test_law_2_holds_for_what_was_stored_before_a_crash(history: list[Step], a: int) -> None:
    box = Mailbox().play(history).quiet(1).play([("deliver", 0, 0), ("deliver", 0, 1)])
    die_while_pulling(box, 0, 1 + a % 2)
    for spot in list(box.replica.spots.values())[-2:]:
        box.replica.move(spot, FOLDERS[1 + a % 2])

    for name in FOLDERS:
        box.replica.pull(name)

    assert_kept(box.replica)


def assert_kept(replica: Replica) -> None:
    """What the employee asked for and the server has not heard of is still on screen."""
    shown = {(spot.folder, spot.uid) for spot in replica.spots.values()}
    for wish in replica.wishes:
        assert wish.kind == "flag" or (wish.folder, wish.uid) not in shown
        spot = replica.spots.get(wish.spot or 0)
        if wish.kind == "flag" and spot:
            assert wish.add <= spot.flags
            assert not wish.remove & spot.flags


@laws
@given(histories)
def test_law_3_no_body_that_we_hold_or_let_go_is_downloaded(history: list[Step]) -> None:
    """Two copies that arrive in one reading of a folder are fetched together (a first fetch asks for no headers)."""
    box = Mailbox().play(history).quiet()

    assert box.server.read_again == []


@laws
@given(histories, number)
def test_law_4_any_part_of_a_plan_and_then_anew_ends_the_same(history: list[Step], a: int) -> None:
    whole = Mailbox().play(history)
    name = FOLDERS[a % 3]
    actions = len(plan_folder(whole.replica.remote(name), whole.replica.local(name)))

    for part in range(actions + 1):
        killed = copy.deepcopy(whole)
        die_while_pulling(killed, a, part) if part < 6 else killed.replica.pull(name)
        killed.quiet()
        assert killed.replica.shown() == killed.expected()

    assert copy.deepcopy(whole).quiet().replica.shown() == whole.quiet().expected()


@laws
@given(histories)
def test_law_5_only_an_operation_changes_the_server(history: list[Step]) -> None:
    box = Mailbox().play(history)
    before = box.server.whole()

    for name in FOLDERS:
        box.replica.pull(name)
    assert box.server.whole() == before

    box.replica.wishes.clear()
    box.replica.push()
    assert box.server.whole() == before


@laws
@given(histories)
def test_no_two_places_of_a_folder_share_a_uid(history: list[Step]) -> None:
    box = Mailbox()
    for step in history:
        box.play([step])
        uids = [(s.folder, s.uid) for s in box.replica.spots.values() if s.uid is not None]
        assert len(uids) == len(set(uids))
