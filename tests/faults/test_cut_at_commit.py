"""X19: nobody heard whether a COMMIT was carried out. The next run looks, and assumes nothing."""

import pytest
from django.db import InterfaceError, OperationalError, connection

from mailsync import actions
from tests.catalogue.conftest import Case
from tests.catalogue.mornings import BUSY
from tests.catalogue.rehearsal import run
from tests.engine.conftest import Box
from tests.engine.test_interruption import abandon_lease
from tests.rigs.commits import line_to_database


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_x19_a_line_to_the_database_that_is_cut_at_each_commit(full: Case, done: bool) -> None:
    """One worker after the other loses it, the first at its first COMMIT, the second at its second."""
    BUSY.begin(full)
    number = 0
    with line_to_database() as line:
        while number == 0 or line.was_cut:
            number += 1
            line.cut(number, done=done)
            try:
                run(full)
            except (OperationalError, InterfaceError):
                connection.close()
            abandon_lease(full)
    assert number > 5
    full.until_quiet()
    shown = full.assert_equal_to_server()
    assert {path: shown[path] for path in BUSY.subjects} == BUSY.subjects


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
