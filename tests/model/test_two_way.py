"""The model: random histories of a mailbox that a person, a phone and mishaps change, against a real Dovecot.

SYNC_CASES 7.4. What must stand when both sides changed the same thing (docs/conflicts.md, as code in `Letter`):

| here                  | on the server                     | what stands                             |
|-----------------------|-----------------------------------|-----------------------------------------|
| a flag                | the same flag                     | ours                                    |
| a flag                | another flag                      | both                                    |
| a flag                | moved or removed                  | the server's place and flags            |
| moved or trashed      | moved                             | the server's move                       |
| moved or trashed      | flags                             | both                                    |
| moved, removed        | removed                           | removed                                 |
| removed for good      | moved out of the Trash            | the server's move                       |
| moved or removed      | UIDVALIDITY changed               | taken back                              |
| a flag                | UIDVALIDITY changed               | ours                                    |

After a run that was cut or killed nobody knows what the server has heard: of the letters that waited then only their
number is judged until the next time that all is quiet. CI plays sixty examples of thirty steps; with
-m slow MODEL_EXAMPLES and MODEL_STEPS say how many.
"""

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from mailsync import actions
from mailsync.models import Act, Operation, OperationState, Schedule
from mailsync.schedule import LeaseLost
from tests.catalogue.conftest import Case, make
from tests.catalogue.rehearsal import Fate, killed_at, run
from tests.consistency import assert_consistent
from tests.model.machine import before_command
from tests.rigs import judge
from tests.rigs.mailserver import MailServer, SignedInServer
from tests.rigs.proxy import FULL, NOCOND, Proxy, Way, line_to
from tests.world import World

FOLDERS = ("INBOX", "Archive", "Sent", "Trash")
FLAGS = ("\\Seen", "\\Flagged", "$Work")
PHONE_FLAGS = (*FLAGS, "\\Deleted")  # marked and never expunged by whoever did it: nor by us
MOST_LETTERS = 8
GONE = "gone"
number = st.integers(0, 11)


@dataclass
class Letter:
    """What the server must hold. `wish_*`: what Ann asked for and the server has not heard of."""

    subject: str
    place: str
    flags: set[str] = field(default_factory=set)
    wish_flags: dict[str, bool] = field(default_factory=dict)
    wish_place: str = ""
    elsewhere: bool = False  # its UID has changed there since we last looked: what waits comes too late
    unsure: bool = False

    @property
    def waits(self) -> bool:
        return bool(self.wish_flags or self.wish_place)

    def heard(self) -> None:
        """A whole run has told the server everything, and we know how it is there."""
        if not self.elsewhere:
            for flag, wanted in self.wish_flags.items():
                (self.flags.add if wanted else self.flags.discard)(flag)
            self.place = self.wish_place or self.place
        self.forget_wishes()
        self.elsewhere = False

    def forget_wishes(self) -> None:
        self.wish_flags, self.wish_place = {}, ""

    def rebuilt(self) -> None:
        """The folder has a new UIDVALIDITY: flags wait for the message, everything else is taken back."""
        self.wish_place = ""


class TwoWay(RuleBasedStateMachine):
    """One example = one login and one savepoint."""

    def __init__(self, world: World, dovecot: MailServer, line: Proxy) -> None:
        super().__init__()
        line.heal()
        line.profile = FULL
        self.beginning = transaction.savepoint()
        self.server = SignedInServer.of(dovecot)
        self.case: Case = make(world, self.server, line)
        self.letters: list[Letter] = []
        self.last: tuple[Act, Letter, str] | None = None  # what Ann did, to which, and what its undoing is
        self.count = 0

    def teardown(self) -> None:
        try:
            self.quiesce()
            self.case.judge()
            with self.case.acting():
                assert_consistent(self.case.world.acme)
        finally:
            self.server.sign_out()
            transaction.savepoint_rollback(self.beginning)
            transaction.savepoint_commit(self.beginning)  # else thousands of them lie in each other

    def letter(self, choice: int) -> Letter | None:
        there = [each for each in self.letters if each.place != GONE]
        return there[choice % len(there)] if there else None

    def movable(self, choice: int) -> Letter | None:
        """On the server's side: one of which we know where it is."""
        letter = self.letter(choice)
        return None if letter is None or letter.unsure else letter

    # The server's side.

    @precondition(lambda self: len(self.letters) < MOST_LETTERS)
    @rule(folder=number)
    def deliver(self, folder: int) -> None:
        self.count += 1
        letter = Letter(f"Letter {self.count}", FOLDERS[folder % len(FOLDERS)])
        self.case.deliver(letter.subject, folder=letter.place)
        self.letters.append(letter)

    @rule(choice=number, flag=st.sampled_from(PHONE_FLAGS), on=st.booleans())
    def phone_flags(self, choice: int, flag: str, on: bool) -> None:
        if letter := self.movable(choice):
            self.case.phone_flags("+" if on else "-", flag, letter.subject, folder=letter.place)
            (letter.flags.add if on else letter.flags.discard)(flag)

    @rule(choice=number, to=number)
    def phone_moves(self, choice: int, to: int) -> None:
        letter, target = self.movable(choice), FOLDERS[to % len(FOLDERS)]
        if letter and letter.place != target:
            self.case.phone_moves(letter.subject, target, folder=letter.place)
            letter.place, letter.elsewhere = target, True

    @rule(choice=number)
    def phone_removes(self, choice: int) -> None:
        if letter := self.movable(choice):
            self.case.phone_removes(letter.subject, folder=letter.place)
            letter.place, letter.elsewhere = GONE, True

    @rule(folder=number)
    def server_rebuilds(self, folder: int) -> None:
        name = FOLDERS[folder % len(FOLDERS)]
        self.count += 1
        validity = str(2_000_000_000 + self.count)
        self.case.dovecot.doveadm(
            "mailbox", "update", "-u", self.case.login, "--uid-validity", validity, name
        )
        for letter in self.letters:
            if letter.place == name:
                letter.rebuilt()

    @rule(folder=number, gap=st.integers(1, 1_000))
    def server_skips_uids(self, folder: int, gap: int) -> None:
        name = FOLDERS[folder % len(FOLDERS)]
        with self.server.imap(self.case.login) as client:
            _, [said] = client.status(name, "(UIDNEXT)")
        uidnext = int(said.split()[-1].strip(b")"))
        self.case.dovecot.doveadm(
            "mailbox", "update", "-u", self.case.login, "--min-next-uid", str(uidnext + gap), name
        )

    @rule(profile=st.sampled_from([FULL, NOCOND]))
    def server_changes_its_abilities(self, profile) -> None:
        self.case.line.profile = profile

    # Ann's side.

    def shown(self, letter: Letter):
        return self.case.chosen(letter.subject, path=letter.wish_place or letter.place)

    @rule(choice=number, flag=st.sampled_from(FLAGS), on=st.booleans())
    def ann_flags(self, choice: int, flag: str, on: bool) -> None:
        letter = self.movable(choice)
        if letter is None or letter.elsewhere:
            return
        with self.case.acting():
            act = actions.set_flags(
                self.shown(letter),
                add=[flag] if on else [],
                remove=[] if on else [flag],
                by=self.case.world.ann,
            )
        if act.count:
            letter.wish_flags[flag] = on
            self.last = act, letter, ("-" if on else "+") + flag

    @rule(choice=number, to=number)
    def ann_moves(self, choice: int, to: int) -> None:
        letter, target = self.movable(choice), FOLDERS[to % len(FOLDERS)]
        if letter is None or letter.elsewhere or (letter.wish_place or letter.place) == target:
            return
        with self.case.acting():
            folder = self.case.mailbox.folders.get(path=target)
            act = actions.move(self.shown(letter), folder, by=self.case.world.ann)
        if act.count:
            self.last = act, letter, letter.wish_place or letter.place
            letter.wish_place = "" if target == letter.place else target

    @rule()
    def ann_undoes(self) -> None:
        if self.last is None:
            return
        act, letter, undoing = self.last
        self.last = None
        if letter.unsure or letter.elsewhere or GONE in (letter.place, letter.wish_place):
            return
        with self.case.acting():
            count = actions.undo(act, by=self.case.world.ann).count
        if count and act.verb == "flag":
            letter.wish_flags[undoing[1:]] = undoing[0] == "+"
        elif count:
            letter.wish_place = "" if undoing == letter.place else undoing

    @rule(choice=number)
    def ann_removes_for_good(self, choice: int) -> None:
        letter = self.movable(choice)
        if letter is None or letter.elsewhere or (letter.wish_place or letter.place) != "Trash":
            return
        with self.case.acting():
            count = actions.expunge(self.shown(letter), by=self.case.world.ann).count
        if count:
            letter.wish_place = GONE

    # Machinery.

    @rule()
    def sync(self) -> None:
        self.case.sync(thorough=False)
        for letter in self.letters:
            self.settle(letter)

    def settle(self, letter: Letter) -> None:
        letter.heard()
        if letter.place == GONE and self.case.copies[self.case.shas[letter.subject]] and not letter.unsure:
            self.case.removed(letter.subject)

    @rule(way=st.sampled_from(list(Way)), after=st.integers(1, 6_000))
    def sync_is_cut(self, way: Way, after: int) -> None:
        self.case.line.forget()
        self.case.line.cut[way] = after
        run(self.case)
        self.case.line.heal()
        self.nobody_knows()

    @rule(step=st.integers(1, 300))
    def sync_is_killed(self, step: int) -> None:
        with killed_at(self.case, Fate(step)):
            run(self.case)
        self.nobody_knows()

    @rule(number=st.integers(1, 25))
    def sync_is_overtaken(self, number: int) -> None:
        """Before its n-th command a worker falls asleep until its lease is over; another does all, then it goes on."""

        def what() -> None:
            Schedule.objects.filter(mailbox=self.case.mailbox).update(leased_until=None)
            self.case.sync(thorough=False)

        with before_command(number, what), suppress(LeaseLost):
            run(self.case)
        for letter in self.letters:
            self.settle(letter)

    def nobody_knows(self) -> None:
        for letter in self.letters:
            letter.unsure |= letter.waits or letter.elsewhere

    @rule()
    def quiesce(self) -> None:
        """All calm: three rounds at most, then database = server = model."""
        self.case.line.heal()
        self.case.sync(thorough=False)
        for letter in self.letters:
            self.settle(letter)
        self.case.until_quiet()
        self.find_out()
        self.compare()
        with self.case.acting():
            waiting = Operation.objects.filter(
                mailbox=self.case.mailbox, state__in=[OperationState.PENDING, OperationState.SENDING]
            )
            assert not waiting.exists()
            assert not Operation.objects.filter(state=OperationState.FAILED, error="").exists()

    def find_out(self) -> None:
        """What became of those of which nobody knew; each must be there once, or Ann wished it gone."""
        view = judge.server_view(self.case.dovecot, self.case.login)
        for letter in [each for each in self.letters if each.unsure]:
            sha = self.case.shas[letter.subject]
            found = [
                (name.decode(), row)
                for name, each in view.items()
                for row in each.rows.values()
                if row.sha256 == sha
            ]
            if not found:
                assert letter.place == GONE or letter.wish_place == GONE, f"{letter.subject} is lost"
                self.case.copies -= Counter([sha])
                letter.place = GONE
            else:
                (place, row) = found[0]
                if letter.place == GONE:
                    assert place
                letter.place, letter.flags = place, set(row.flags)
            letter.unsure, letter.elsewhere = False, False
            letter.forget_wishes()

    def compare(self) -> None:
        view = judge.server_view(self.case.dovecot, self.case.login)
        for letter in self.letters:
            sha = self.case.shas[letter.subject]
            found = {
                (name.decode(), row.flags)
                for name, each in view.items()
                for row in each.rows.values()
                if row.sha256 == sha
            }
            expected = set() if letter.place == GONE else {(letter.place, frozenset(letter.flags))}
            assert found == expected, letter
        self.letters = [each for each in self.letters if each.place != GONE]


def play(world: World, dovecot: MailServer, *, examples: int, steps: int) -> None:
    with line_to(dovecot.host, dovecot.port) as line:
        run_state_machine_as_test(
            lambda: TwoWay(world, dovecot, line),  # type: ignore[arg-type]  # any factory will do
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                derandomize="MODEL_EXAMPLES" not in os.environ,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, Phase.shrink],
            ),
        )


@pytest.mark.timeout(1200)
def test_the_model(world: World, dovecot: MailServer) -> None:
    play(world, dovecot, examples=60, steps=30)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_the_model_at_length(world: World, dovecot: MailServer) -> None:
    play(
        world,
        dovecot,
        examples=int(os.environ.get("MODEL_EXAMPLES", "200")),
        steps=int(os.environ.get("MODEL_STEPS", "30")),
    )
