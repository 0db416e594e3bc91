"""PURE: refuse a plan that would drop too much at once; a lying server must not empty a mailbox."""


def held(vanishing: int, placements: int, held_before: int) -> bool:
    """Whether to hold this many back. Large is more than 500 and a fifth, or more than half of 100 and more.

    Two runs that agree on the number pass (SYNC_CASES D07): a person emptied the folder, no server stuttered.
    """
    large = (vanishing > 500 and vanishing * 5 > placements) or (
        placements > 100 and vanishing * 2 > placements
    )
    return large and vanishing != held_before
