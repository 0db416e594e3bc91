"""What several acts cost: a folder is opened once for all of them."""

from mailsync import actions
from tests.engine.conftest import Box, Talk


def test_acts_on_one_folder_open_it_once(box: Box, talk: Talk) -> None:
    """Whom their UIDs belong to is asked for with SELECT, in one trip.

    LIST with STATUS waits for the answer of MOVE: sent right behind it, Dovecot tells how the folder was before."""
    for number in range(4):
        box.deliver(f"Mail {number}")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Mail 0"), add=["\\Seen"], by=box.world.ann)
        actions.set_flags(box.chosen("Mail 1"), add=["\\Flagged"], by=box.world.ann)
        actions.archive(box.chosen("Mail 2"), by=box.world.ann)
    talk.clear()
    box.sync(thorough=False)
    pushed = talk[: talk.index(("hear", "LIST")) + 1]
    assert pushed == [
        ("ask", "SELECT"), ("ask", "FETCH"), ("hear", "SELECT"), ("hear", "UID"),
        ("ask", "STORE"), ("hear", "UID"),
        ("ask", "STORE"), ("hear", "UID"),
        ("ask", "MOVE"), ("hear", "UID"),
        ("ask", "LIST"), ("hear", "LIST"),
    ]  # fmt: skip
    assert box.subjects("Archive") == ["Mail 2"]
    box.assert_equal()
