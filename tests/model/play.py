"""So many random histories of a state machine, the same ones for the same seed."""

import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, get_state_machine_test

from tests.model.mishaps import HANGS


def play(history: Callable[[], RuleBasedStateMachine], *, examples: int, steps: int, first: int) -> None:
    """With MODEL_SHRINK a history that failed is made shorter."""
    test = get_state_machine_test(
        history,  # type: ignore[arg-type]  # any factory will do
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
    hangs = len(HANGS)
    try:
        seed(first)(test)()
    except Flaky:
        if len(HANGS) == hangs:
            raise
        # The same beginning ended otherwise than before, as Dovecot hung once: others are played.
        play(history, examples=examples, steps=steps, first=first + 1_000_000)


def at_length(history: Callable[[], RuleBasedStateMachine]) -> None:
    """5 000 histories of 60 steps, or as MODEL_EXAMPLES, MODEL_STEPS and MODEL_SEED say."""
    examples, steps = (
        int(os.environ.get(f"MODEL_{n}", m)) for n, m in (("EXAMPLES", "5000"), ("STEPS", "60"))
    )
    first = int(os.environ.get("MODEL_SEED", "0")) or int.from_bytes(os.urandom(4))
    print(f"MODEL_SEED={first}")
    play(history, examples=examples, steps=steps, first=first)
