"""X19: nobody heard whether a COMMIT was carried out. The next run looks, and assumes nothing."""

import pytest
from django.db import InterfaceError, OperationalError, connection

from mailsync import actions
from tests.catalogue.rehearsal import run
from tests.engine.conftest import Box
from tests.engine.test_interruption import abandon_lease
from tests.rigs.commits import line_to_database


def a_busy_morning(box: Box) -> None:
    """Everything at once: arrivals, flags, a move and a deletion there; flags, a move and a removal here."""
    for number in range(6):
        box.deliver(f"Mail {number}")
    box.deliver("Thrown away", folder="Trash")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Mail 0"), add=["\\Seen"], by=box.world.ann)
        actions.archive(box.chosen("Mail 1"), by=box.world.ann)
        actions.expunge(box.chosen(path="Trash"), by=box.world.ann)
    box.on_server("MOVE", "4", "Sent")
    box.on_server("STORE", "5", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "5")
    box.on_server("STORE", "6", "+FLAGS", "(\\Flagged)")
    for number in range(6, 9):
        box.deliver(f"Mail {number}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_x19_a_line_to_the_database_that_is_cut_at_each_commit(box: Box, done: bool) -> None:
    """One worker after the other loses it, the first at its first COMMIT, the second at its second."""
    a_busy_morning(box)
    number = 0
    with line_to_database() as line:
        while number == 0 or line.was_cut:
            number += 1
            line.cut(number, done=done)
            try:
                run(box)
            except (OperationalError, InterfaceError):
                connection.close()
            abandon_lease(box)
    assert number > 5
    box.sync()
    box.assert_equal()
    assert box.subjects("Archive") == ["Mail 1"]
    assert box.subjects("Sent") == ["Mail 3"]
    assert sorted(box.subjects()) == ["Mail 0", "Mail 2", "Mail 5", "Mail 6", "Mail 7", "Mail 8"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_x19_a_click_whose_commit_nobody_heard_of_is_there_whole_or_not_at_all(box: Box, done: bool) -> None:
    box.deliver("Hello")
    box.sync()
    with line_to_database() as line:
        line.cut(1, done=done)
        with pytest.raises(OperationalError), box.acting():
            actions.archive(box.chosen("Hello"), by=box.world.ann)
        connection.close()
    assert len(box.operations()) == done
    box.sync()
    box.assert_equal()
    assert box.subjects("Archive" if done else "INBOX") == ["Hello"]
