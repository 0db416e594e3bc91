"""Bodies on their way: batches under way at once, and much mail taken apart in a process of its own."""

import itertools

import pytest
from django.utils import timezone

from mailsync import apart, engine, fetching, schedule
from mailsync.mime import process
from mailsync.models import Message, SkippedMessage
from tests.engine.conftest import Box
from tests.mime.test_process import HEAVY


def test_runs_that_end_between_any_two_batches_leave_the_rest_to_the_next(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "BATCH_MESSAGES", 3)
    for number in range(49):
        box.deliver(f"Mail {number}")
    ends = []
    for tries in itertools.count(1):
        lease = schedule.claim(box.mailbox.pk, timezone.now(), even_if_not_due=True)
        assert lease
        outcome = engine.synchronise(lease, seconds=tries / 30)
        assert not outcome.error
        ends.append(outcome.imported)
        if not outcome.again:
            break

    assert sum(ends) == 49
    assert len([imported for imported in ends if imported]) > 1
    box.assert_equal()


def test_mail_comes_the_same_by_way_of_the_process(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "MANY", 60)
    for number in range(80):
        box.deliver(f"Mail {number}", text="Large.\r\n" * (20_000 if number == 3 else 1))
    box.sync()

    box.assert_equal()
    with box.acting():
        assert {message.snippet for message in Message.objects.filter(subject__in=["Mail 1", "Mail 79"])} == {
            "Large."
        }


@pytest.mark.parametrize("old", [0, 8], ids=["much is here", "much is expected"])
def test_a_mail_over_which_the_process_dies_is_left_out_and_the_folder_goes_on(
    box: Box, monkeypatch: pytest.MonkeyPatch, old: int
) -> None:
    """Also where most of what the server counts is too old to come: what killed the process is not read in ours."""
    monkeypatch.setattr(apart, "MANY", 10 if old else 1)
    monkeypatch.setattr(process, "SECONDS", 0.02)
    for _number in range(old):
        box.deliver("Old", days_ago=200)
    box.deliver("Before")
    box.dovecot.append(box.login, b"".join(HEAVY))
    box.deliver("After")
    box.sync()

    assert box.subjects() == ["Before", "After"]
    with box.acting():
        assert [(noted.uid, noted.deadly) for noted in SkippedMessage.objects.all()] == [(old + 2, True)]
    box.sync()
    assert box.subjects() == ["Before", "After"]
