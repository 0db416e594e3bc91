"""PURE: hold a plan that would drop too much at once; a lying server must not empty a mailbox."""

from enum import Enum, StrEnum, auto


class Brake(StrEnum):
    """What counts for a folder beside the usual rule."""

    USUAL = ""
    WARY = "wary"  # its server was exchanged: whatever is not there waits for a person
    KEEP = "keep"  # a person said: keep it until the server has it again
    FOLLOW = "follow"  # a person said: it was removed on purpose


class Verdict(Enum):
    FOLLOW = auto()  # drop what the server no longer has
    LOOK_AGAIN = auto()  # keep it, and see whether the server says the same once more
    HOLD = auto()  # keep it until a person says what to do


def judge(vanishing: int, placements: int, *, before: int, brake: Brake, ordinary: bool) -> Verdict:
    """What to do about messages that are suddenly gone, of so many that we have.

    `before` is what was held back the last time: only a number that the server says twice counts (SYNC_CASES D07).
    `ordinary`: the folder is emptied in the course of things (Trash, Spam), so then nobody is asked.
    """
    if not vanishing or (brake == Brake.FOLLOW and vanishing <= before):
        return Verdict.FOLLOW
    if brake == Brake.KEEP:
        return Verdict.HOLD
    if brake != Brake.WARY and not _is_large(vanishing, placements):
        return Verdict.FOLLOW
    if vanishing != before:
        return Verdict.LOOK_AGAIN
    return Verdict.FOLLOW if ordinary and brake != Brake.WARY else Verdict.HOLD


def _is_large(vanishing: int, placements: int) -> bool:
    """More than 500 and a fifth, or more than half of 100 and more."""
    return (vanishing > 500 and vanishing * 5 > placements) or (
        placements > 100 and vanishing * 2 > placements
    )
