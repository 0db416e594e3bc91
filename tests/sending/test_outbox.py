"""What people do with letters before a server hears of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from accounts import tenancy
from mailsync import outbox, quota
from mailsync.models import Dispatch, Operation, Outgoing, OutgoingState
from mailsync.outbox import CannotSend, SavedElsewhere
from tests.sending.conftest import draft
from tests.world import World


def test_ann_writes_sends_and_takes_back_within_ten_seconds(writing: World) -> None:
    with writing.acting():
        letter = draft(writing, bcc=[["", "Secret@elsewhere.example"]], html="<p>Hi</p><script>x</script>")
        queued = outbox.queue(letter, by=writing.ann, key="k1")
        assert queued.due_at
        raw = bytes(queued.header or b"")
        assert queued.state == OutgoingState.QUEUED
        assert timedelta(seconds=5) < queued.due_at - timezone.now() <= timedelta(seconds=10)
        assert b"secret" not in raw.lower()
        assert f"Message-ID: <{letter.message_id}>".encode() in raw.replace(b"\r\n ", b" ")
        assert quota.usage(writing.acme, timezone.now()).webmail == 2
        assert Dispatch.objects.get(mailbox=writing.ann_box).due_at == queued.due_at
        back = outbox.undo(queued)
        assert (back.state, back.body, back.message_id) == (OutgoingState.DRAFT, None, letter.message_id)
        assert quota.usage(writing.acme, timezone.now()).webmail == 0
        planned = outbox.queue(back, by=writing.ann, key="k2", send_at=timezone.now() + timedelta(days=1))
        assert planned.planned


def test_the_tab_that_was_left_open_does_not_overwrite_the_newer_draft(writing: World) -> None:
    with writing.acting():
        letter = draft(writing)
        newer = outbox.save(letter, revision=1, subject="From the new tab")
        with pytest.raises(SavedElsewhere) as told:
            outbox.save(letter, revision=1, subject="From the old tab")
        assert told.value.current.subject == "From the new tab"
        assert newer.revision == 2
        # One wish for the server, however often it is saved, and none for a draft without a word.
        outbox.save(newer, revision=2, subject="More")
        outbox.start(writing.ann_box, by=writing.ann)
        assert Operation.objects.filter(kind="append").count() == 1


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"to": []}, "Nobody is named"),
        ({"to": [["", "no address"]]}, "no mail address"),
        ({"subject": "a\r\nBcc: x@y.example"}, "line break"),
        ({"to": [["", f"z{n}@elsewhere.example"] for n in range(501)]}, "at most 500"),
    ],
)
def test_what_cannot_be_sent_stays_a_draft(writing: World, fields: dict[str, object], sentence: str) -> None:
    with writing.acting():
        letter = draft(writing, **fields)
        with pytest.raises(CannotSend, match=sentence):
            outbox.queue(letter, by=writing.ann, key="k")
        letter.refresh_from_db()
        assert letter.state == OutgoingState.DRAFT
        assert quota.usage(writing.acme, timezone.now()).webmail == 0


def test_a_draft_that_was_thrown_away_can_be_had_back(writing: World) -> None:
    with writing.acting():
        letter = outbox.discard(draft(writing))
        with pytest.raises(SavedElsewhere):
            outbox.save(letter, revision=letter.revision, subject="x")
        assert outbox.restore(letter).state == OutgoingState.DRAFT
        outbox.discard(letter)
        kept = draft(writing)
        assert outbox.forget_discarded(timezone.now() + timedelta(days=6)) == 0
        assert outbox.forget_discarded(timezone.now() + timedelta(days=8)) == 1
        assert list(Outgoing.objects.all()) == [kept]


def at_once(count: int, verb: Callable[[int], object]) -> list[object]:
    def one(number: int) -> object:
        try:
            return verb(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("clicks", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_each_double_click_is_one_letter(writing: World, clicks: int) -> None:
    """Two requests with one key each: for the same draft, and for drafts that each of them has made."""

    def click(number: int) -> int:
        with tenancy.acting_for(writing.acme.pk):
            pair = number // 2
            same = drafts[pair] if pair % 2 else draft(writing, subject=f"Letter {pair}")
            return outbox.queue(same, by=writing.ann, key=f"click {pair}").pk

    with writing.acting():
        drafts = [draft(writing, subject=f"Letter {n}") for n in range(clicks)]

    def add(first: int, number: int) -> int:
        return click(first + number)

    answered: list[object] = []
    for first in range(0, 2 * clicks, 8):
        answered += at_once(8, partial(add, first))
    assert all(answered[2 * n] == answered[2 * n + 1] for n in range(clicks))
    with writing.acting():
        assert Outgoing.objects.filter(state="queued").count() == clicks
        assert quota.usage(writing.acme, timezone.now()).webmail == clicks
