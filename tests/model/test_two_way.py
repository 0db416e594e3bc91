"""The model (SYNC_CASES 7.4): whatever Ann, her phone and mishaps do to a mailbox, before and during runs, with copies,
renamed folders, tasks, a client's record, purges, a backup that is restored and a mailbox that is let go and taken
back, against a real Dovecot.

See worlds.py for what must stand in the end. CI plays 200 histories of 30 steps, the same ones each time (play.py says
how to play others). What it has found is in test_found.py.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.model.machine import TwoWay
from tests.model.play import at_length, play
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import line_to
from tests.world import World

PARTS, EXAMPLES, STEPS = 20, 10, 30  # parts, so that several processes share the work to its end


@pytest.fixture
def history(world: World, dovecot: MailServer) -> Iterator[Callable[[], TwoWay]]:
    with line_to(dovecot.host, dovecot.port) as line:
        yield lambda: TwoWay(world, dovecot, line)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_the_model(history: Callable[[], TwoWay], part: int) -> None:
    play(history, examples=EXAMPLES, steps=STEPS, first=part)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_the_model_at_length(history: Callable[[], TwoWay]) -> None:
    at_length(history)
