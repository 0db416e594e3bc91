"""A server that stutters must not empty a mailbox; a person who empties a folder must."""

import pytest

from mailsync.sync.brake import held


@pytest.mark.parametrize(
    ("vanishing", "placements", "stops"),
    [
        (0, 0, False),
        (0, 10_000, False),
        (100, 100, False),  # a small folder may be emptied at once
        (51, 101, True),  # more than half of more than 100 (D07)
        (50, 101, False),
        (101, 101, True),
        (500, 1_000, False),
        (500, 999, True),
        (500, 2_000, False),  # exactly 500 is not large
        (501, 2_000, True),  # a quarter
        (501, 2_505, False),  # exactly a fifth
        (501, 2_504, True),
        (5_000, 10_000, True),
        (2_000, 10_000, False),
        (2_001, 10_000, True),
    ],
)
def test_what_counts_as_too_much(vanishing: int, placements: int, stops: bool) -> None:
    assert held(vanishing, placements, held_before=0) is stops


def test_two_runs_that_agree_pass() -> None:
    assert held(900, 1_000, held_before=0)
    assert not held(900, 1_000, held_before=900)


def test_two_runs_that_disagree_are_held_again() -> None:
    """The number still moves: the server has not come to rest."""
    assert held(950, 1_000, held_before=900)


def test_a_small_loss_needs_no_second_run() -> None:
    assert not held(3, 1_000, held_before=900)
