"""The model (SYNC_CASES 7.4): whatever Ann, her phone and mishaps do to a mailbox, before and during runs, with copies,
renamed folders, tasks, purges, a backup that is restored and a mailbox that is let go and taken back, against a real
Dovecot.

See worlds.py for what must stand in the end. CI plays 200 histories of 30 steps, the same ones each time; at length
MODEL_EXAMPLES, MODEL_STEPS and MODEL_SEED say how many, and which; with MODEL_SHRINK a history that failed is made
shorter. What it has found is in test_found.py.
"""

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from tests.model.machine import TwoWay
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import line_to
from tests.world import World

PARTS, EXAMPLES, STEPS = 20, 10, 30  # parts, so that several processes share the work to its end


def play(world: World, dovecot: MailServer, *, examples: int, steps: int, first: int) -> None:
    with line_to(dovecot.host, dovecot.port) as line:
        test = get_state_machine_test(
            lambda: TwoWay(world, dovecot, line),  # type: ignore[arg-type]  # any factory will do
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.generate, *[Phase.shrink] * ("MODEL_SHRINK" in os.environ)],
                report_multiple_bugs=False,
                print_blob=False,
            ),
        )
        seed(first)(test)()


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_the_model(world: World, dovecot: MailServer, part: int) -> None:
    play(world, dovecot, examples=EXAMPLES, steps=STEPS, first=part)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_the_model_at_length(world: World, dovecot: MailServer) -> None:
    examples, steps = (
        int(os.environ.get(f"MODEL_{n}", m)) for n, m in (("EXAMPLES", "5000"), ("STEPS", "60"))
    )
    first = int(os.environ.get("MODEL_SEED", "0")) or int.from_bytes(os.urandom(4))
    print(f"MODEL_SEED={first}")
    play(world, dovecot, examples=examples, steps=steps, first=first)
