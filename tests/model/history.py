"""What the models share: one example is one login and one savepoint, and in its end all comes to rest."""

import sys

from django.db import transaction
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from mailsync.models import Operation, OperationState
from tests.catalogue.conftest import make
from tests.consistency import assert_consistent
from tests.model.mishaps import unless_dovecot_hangs
from tests.rigs import judge
from tests.rigs.mailserver import MailServer, SignedInServer
from tests.rigs.proxy import BARE, FULL, NOCOND, NOPLUS, Proxy
from tests.world import World

MOST_ROUNDS = 4


class History(RuleBasedStateMachine):
    """Of one mailbox. `since` counts the steps since all was quiet."""

    def __init__(self, world: World, dovecot: MailServer, line: Proxy, **fields: object) -> None:
        super().__init__()
        line.heal()
        line.profile = FULL
        self.beginning = transaction.savepoint()
        self.server = SignedInServer.of(dovecot)
        self.case = make(world, self.server, line, **fields)
        self.since = 0

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:
                self.all_is_quiet()
                with self.case.acting():
                    assert_consistent(self.case.world.acme)
        finally:
            self.server.sign_out()
            transaction.savepoint_rollback(self.beginning)
            transaction.savepoint_commit(self.beginning)  # else thousands of them lie in each other

    @precondition(lambda self: self.since > 5)
    @rule()
    def all_is_quiet(self) -> None:
        """Some rounds at most, the last of which writes nothing; then all is as it must be."""
        self.case.line.heal()
        self.before_rest()
        for _round in range(MOST_ROUNDS):
            before = judge.snapshot(self.case.mailbox)
            outcome = self.case.sync(thorough=False)
            busy = outcome.imported or outcome.changed or outcome.again or self.case.waits()
            if not busy and judge.snapshot(self.case.mailbox) == before:
                break
        else:
            raise AssertionError("it does not come to rest")
        with self.case.acting():
            assert not Operation.objects.filter(state=OperationState.FAILED, error="").exists()
        with unless_dovecot_hangs():
            self.assert_right()
        self.since = 0

    def server_changes_its_abilities(self, choice: int, _other: int) -> None:
        """For models that act by name."""
        self.case.line.profile = (FULL, NOCOND, NOPLUS, BARE)[choice % 4]

    def server_view(self) -> dict[bytes, judge.FolderView]:
        with unless_dovecot_hangs():
            return judge.server_view(self.server, self.case.login)

    def both_sides_are_equal(self) -> None:
        """But for what a server without UIDPLUS keeps marked."""
        server = self.server_view()
        for name, view in judge.our_view(self.case.mailbox).items():
            differing = {*view.rows.items()} ^ {*server[name].rows.items()}
            wrong = {(uid, row) for uid, row in differing if "\\Deleted" not in row.flags}
            assert not wrong, f"{name!r} here or there only: {wrong}"

    def before_rest(self) -> None:
        """What is to be known of the time before."""

    def assert_right(self) -> None:
        """What is as it must be, now that all is quiet."""
        raise NotImplementedError
