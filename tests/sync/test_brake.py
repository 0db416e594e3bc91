"""A server that stutters must not empty a mailbox; a person who empties a folder is asked once."""

import pytest

from mailsync.sync.brake import Brake, Verdict, judge

FOLLOW, LOOK_AGAIN, HOLD = Verdict.FOLLOW, Verdict.LOOK_AGAIN, Verdict.HOLD


def said(
    vanishing: int,
    placements: int = 1_000,
    *,
    before: int = 0,
    brake: Brake = Brake.USUAL,
    ordinary: bool = False,
) -> Verdict:
    return judge(vanishing, placements, before=before, brake=brake, ordinary=ordinary)


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
    assert said(vanishing, placements) is (LOOK_AGAIN if stops else FOLLOW)


def test_a_number_that_the_server_says_twice_is_put_to_a_person() -> None:
    assert said(900) is LOOK_AGAIN
    assert said(900, before=900) is HOLD


def test_a_number_that_still_moves_is_looked_at_again() -> None:
    assert said(950, before=900) is LOOK_AGAIN


def test_what_comes_back_ends_it_without_anybody() -> None:
    assert said(0, before=900) is FOLLOW
    assert said(3, before=900) is FOLLOW


def test_trash_and_spam_are_emptied_without_asking_when_the_server_says_it_twice() -> None:
    assert said(900, ordinary=True) is LOOK_AGAIN
    assert said(900, before=900, ordinary=True) is FOLLOW


def test_a_person_who_says_follow_means_what_they_were_told_and_no_more() -> None:
    assert said(900, before=900, brake=Brake.FOLLOW) is FOLLOW
    assert said(850, before=900, brake=Brake.FOLLOW) is FOLLOW
    assert said(990, before=900, brake=Brake.FOLLOW) is LOOK_AGAIN


def test_a_person_who_says_keep_is_not_asked_again() -> None:
    assert said(950, before=900, brake=Brake.KEEP) is HOLD
    assert said(1, before=900, brake=Brake.KEEP) is HOLD
    assert said(0, before=900, brake=Brake.KEEP) is FOLLOW


def test_after_an_exchange_of_the_server_every_loss_waits_for_a_person() -> None:
    for ordinary in (False, True):
        assert said(1, before=0, brake=Brake.WARY, ordinary=ordinary) is LOOK_AGAIN
        assert said(1, before=1, brake=Brake.WARY, ordinary=ordinary) is HOLD
    assert said(0, brake=Brake.WARY) is FOLLOW
