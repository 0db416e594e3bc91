"""H08: Exchange estimates RFC822.SIZE unless it is told to count (EnableExactRFC822Size), and goes on doing so."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import actions
from mailsync.models import Mailbox
from tests.catalogue.conftest import Case
from tests.engine.conftest import dying_before_store

AS_BEFORE, ANOTHER = 17, 23


def estimate(case: Case, off: int = AS_BEFORE) -> None:
    """From now on each size is told so many bytes too large."""
    case.line.rewritten.clear()
    case.line.rewrite(rb"RFC822\.SIZE (\d+)", lambda found: b"RFC822.SIZE %d" % (int(found[1]) + off))


def deliver_long_ago(case: Case, subject: str) -> None:
    """It stays, and what is as old and not known would not be fetched any more."""
    case.deliver(subject, days_ago=5)
    case.sync()
    with case.acting():
        Mailbox.objects.filter(pk=case.mailbox.pk).update(purged_until=timezone.now() - timedelta(days=2))


@pytest.mark.parametrize("later", [AS_BEFORE, ANOTHER], ids=["told as before", "told anew"])
def test_h08_a_mail_with_two_dates_is_read_once(case: Case, later: int) -> None:
    """APPEND gives a copy a date of its own, and we hold the one that came first."""
    estimate(case)
    raw = case.deliver("Twice", days_ago=1)
    case.give(raw, "Twice", folder="Archive", at=timezone.now() - timedelta(days=3))
    case.until_quiet()
    estimate(case, later)
    case.line.forget()
    for _run in range(2):
        outcome = case.sync(thorough=True)
        assert (outcome.imported, outcome.changed, outcome.again) == (0, 0, False)
    assert case.bodies_asked() == []


@pytest.mark.parametrize("later", [AS_BEFORE, ANOTHER], ids=["told as before", "told anew"])
def test_h08_what_is_older_than_the_window_and_changes_its_place_stays(case: Case, later: int) -> None:
    estimate(case)
    deliver_long_ago(case, "Old")
    estimate(case, later)
    case.phone_moves("Old", "Archive")
    case.until_quiet()
    assert case.subjects("Archive") == ["Old"]


def test_h08_what_changes_its_place_is_known_by_the_size_that_was_told(case: Case) -> None:
    estimate(case)
    case.deliver("Filed")
    case.sync()
    case.phone_moves("Filed", "Archive")
    case.line.forget()
    case.until_quiet()
    assert case.subjects("Archive") == ["Filed"]
    assert case.bodies_asked() == []


def test_h08_a_copy_half_made_is_known_again(case: Case) -> None:
    estimate(case)
    case.deliver("Once")
    case.sync()
    with case.acting():
        actions.archive(case.chosen("Once"), by=case.world.ann)
    with dying_before_store():
        case.try_sync()
    case.until_quiet()
    assert case.subjects("Archive") == ["Once"]


def test_h08_what_is_asked_of_a_copy_with_a_date_of_its_own_is_done_although_its_size_is_told_anew(
    case: Case,
) -> None:
    estimate(case)
    raw = case.deliver("Twice", days_ago=1)
    case.give(raw, "Twice", folder="Archive", at=timezone.now() - timedelta(days=3))
    case.until_quiet()
    estimate(case, ANOTHER)
    with case.acting():
        actions.trash(case.chosen("Twice", path="Archive"), by=case.world.ann)
    case.until_quiet()
    assert (case.subjects("Archive"), case.subjects("Trash")) == ([], ["Twice"])
