"""Whatever goes wrong at the outgoing server or in the worker: once, or not known to be, and never twice."""

import random
from collections import Counter
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from mailsync import dispatch, outbox, quota, sender
from mailsync.models import Dispatch, Outgoing, OutgoingState
from tests.rigs.smtp import Fault
from tests.rigs.smtp import Outgoing as Post
from tests.sending.conftest import due_now, queued, work
from tests.world import World

SENT, REFUSED, UNSURE, WAITS = "sent", "refused", "unsure", "queued"
TABLE = {
    Fault.NONE: SENT, Fault.QUIT: SENT,
    Fault.CONNECT: WAITS, Fault.BUSY: WAITS, Fault.EHLO: WAITS, Fault.LOGIN: WAITS, Fault.LOGIN_LATER: WAITS,
    Fault.LOGIN_REPEATED: WAITS,
    Fault.MAIL_LATER: WAITS, Fault.RCPT_LATER: WAITS, Fault.RCPT_CLOSED: WAITS, Fault.DATA_CLOSED: WAITS,
    Fault.DATA_LATER: WAITS, Fault.DATA_NONSENSE: WAITS, Fault.DOT_LATER: WAITS,
    Fault.MAIL_REFUSED: REFUSED, Fault.RCPT_REFUSED: REFUSED, Fault.DATA_REFUSED: REFUSED, Fault.DOT_REFUSED: REFUSED,
    # A short text and its dot are on the wire before we hear that nobody reads them.
    Fault.IN_TEXT: UNSURE, Fault.DOT_LOST: UNSURE, Fault.DOT_TAKEN: UNSURE, Fault.DOT_NONSENSE: UNSURE,
}  # fmt: skip


def test_the_table_names_every_fault() -> None:
    assert set(TABLE) == set(Fault)


def test_each_fault_ends_as_the_table_says(writing: World, post: Post) -> None:
    for fault, state in TABLE.items():
        post.faults = [fault]
        letter = work(queued(writing, subject=fault.value, origin="crm"))
        assert letter.state == state, fault
        assert bool(letter.error) == (state != SENT), fault
        times = Counter(each.message_id for each in post.delivered)[letter.message_id]
        assert times == {SENT: 1, REFUSED: 0, WAITS: 0}.get(state, times), fault
        if state == WAITS:
            assert work(due_now(letter)).state == SENT, fault
        elif state == UNSURE:
            assert work(due_now(letter)).state == UNSURE, fault
        times = Counter(each.message_id for each in post.delivered)[letter.message_id]
        assert times <= 1, fault
        assert (times == 1) or letter.state in (REFUSED, UNSURE), fault
        now = letter.ledger.model.objects.filter(outgoing=letter)
        assert sum(now.values_list("count", flat=True)) == (0 if state == REFUSED else 1), fault


def test_a_wrong_key_lets_letters_wait_however_often_they_are_tried(
    writing: World, post: Post, settings: Any
) -> None:
    """An operator's slip of an hour refuses nobody's letters."""
    letter = queued(writing)
    key, settings.MAIL_SECRET_KEYS = settings.MAIL_SECRET_KEYS, [Fernet.generate_key().decode()]
    for _try in range(sender.MOST_LOGINS + 1):
        letter = work(due_now(letter))
        assert (letter.state, letter.error_kind) == (WAITS, "server")
    settings.MAIL_SECRET_KEYS = key
    assert work(due_now(letter)).state == SENT


def test_a_sender_gives_its_turn_back_in_time_and_the_rest_goes_with_the_next(
    writing: World, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job has an end, and that must not be between a final dot and the answer."""
    first, second = queued(writing, subject="One"), queued(writing, subject="Two")
    monkeypatch.setattr(sender, "RUN_SECONDS", -1.0)
    assert work(first).state == WAITS
    monkeypatch.setattr(sender, "RUN_SECONDS", 300.0)
    due_at = Dispatch.objects.get(mailbox=writing.ann_box).due_at
    assert due_at is not None
    assert due_at <= timezone.now()
    assert (work(first).state, work(second).state) == (SENT, SENT)


def test_what_a_sender_has_not_said_in_time_waits_and_nothing_about_it_is_unsure(
    writing: World, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "TEXT_SECONDS", -1.0)
    letter = work(queued(writing))
    assert (letter.state, letter.error_kind, letter.data_at) == (WAITS, "server", None)
    assert "too slowly" in letter.error
    assert post.delivered == []
    monkeypatch.undo()
    assert work(due_now(letter)).state == SENT


@pytest.mark.parametrize("ended", [SystemExit, RuntimeError])
def test_a_sender_that_ends_early_does_not_hold_up_the_other_letters_until_its_turn_is_over(
    writing: World, post: Post, ended: type[BaseException]
) -> None:
    """A deploy, or a mistake of ours, just before the final dot."""
    first, second = queued(writing, subject="One"), queued(writing, subject="Two")

    def end(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith('UPDATE "mailsync_outgoing" SET "data_at"'):
            raise ended
        return execute(sql, params, many, context)

    with connection.execute_wrapper(end), pytest.raises(ended):
        work(first)
    turn = dispatch.claim(writing.ann_box.pk, timezone.now() + sender.BACK_OFF)
    assert turn, "it waits until the turn of the ended one is over"
    sender.send(turn)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == (WAITS, SENT)
    assert work(due_now(first)).state == SENT
    assert len(post.delivered) == 2


class Killed(BaseException):
    """The worker is gone: nothing of its own code runs any more."""


class Scythe:
    """Kills the worker before its n-th statement for the database."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise Killed
        return execute(sql, params, many, context)


def reap(letter: Outgoing, at: int) -> bool:
    """Work until killed; whether the worker lived."""
    with connection.execute_wrapper(Scythe(at)):
        try:
            work(letter)
        except Killed:
            return False
    return True


@pytest.mark.parametrize(
    ("fault", "stride"),
    [
        (Fault.NONE, 7),
        pytest.param(Fault.NONE, 1, marks=pytest.mark.slow),
        pytest.param(Fault.RCPT_LATER, 1, marks=pytest.mark.slow),
        pytest.param(Fault.DOT_TAKEN, 1, marks=pytest.mark.slow),
    ],
)
def test_a_worker_killed_at_any_statement_sends_once_or_does_not_know(
    writing: World, post: Post, fault: Fault, stride: int
) -> None:
    step, lived, letters = 1 - stride, False, 0
    states: Counter[str] = Counter()
    while not lived:
        step, letters = step + stride, letters + 1
        letter = queued(writing, origin="crm", subject=f"Killed at {step}")
        post.faults = [fault]
        lived = reap(letter, step)
        letter.refresh_from_db()
        post.faults = []
        for _ in range(3):
            if letter.state not in (SENT, UNSURE):
                work(due_now(letter))
        times = Counter(each.message_id for each in post.delivered)[letter.message_id]
        states[letter.state] += 1
        assert (letter.state, times) in {(SENT, 1), (UNSURE, 1), (UNSURE, 0)}, f"killed at {step}"
    assert step > 20
    assert states[SENT]
    assert quota.usage(writing.acme, letter.created_at).used == letters


@pytest.mark.parametrize(
    ("seed", "letters"),
    [(0, 12), *(pytest.param(seed, 25, marks=pytest.mark.slow) for seed in range(1, 41))],
)
def test_a_bad_server_and_dying_workers_at_random(
    writing: World, post: Post, seed: int, letters: int
) -> None:
    """Each letter has its own bad day, up to its sixth try; then the server is well."""
    chance = random.Random(seed)
    ends: Counter[str] = Counter()
    for number in range(letters):
        letter = queued(writing, origin="crm", subject=f"Letter {number}")
        for day in range(8):
            if letter.state != WAITS and letter.state != OutgoingState.SENDING:
                break
            post.faults = [chance.choice(list(Fault))] if day < 6 else []
            reap(due_now(letter), chance.randrange(1, 120) if day < 6 else 10_000)
            letter.refresh_from_db()
        times = Counter(each.message_id for each in post.delivered)[letter.message_id]
        ends[f"{letter.state} {times}"] += 1
        post.delivered.clear()
    assert set(ends) <= {"sent 1", "refused 0", "unsure 0", "unsure 1"}, ends
    assert ends["sent 1"]
    held = letter.ledger.model.objects.aggregate(held=Sum("count"))["held"]
    assert held == quota.usage(writing.acme, letter.created_at).used == letters - ends["refused 0"]


def test_a_refused_sign_in_after_a_server_was_down_is_the_first_and_not_the_last(
    writing: World, post: Post
) -> None:
    letter = queued(writing)
    for fault in [Fault.CONNECT] * sender.MOST_LOGINS + [Fault.LOGIN] * (sender.MOST_LOGINS - 1):
        post.faults = [fault]
        letter = work(due_now(letter))
        assert letter.state == OutgoingState.QUEUED
    post.faults = [Fault.LOGIN]
    assert work(due_now(letter)).state == OutgoingState.REFUSED


def test_a_letter_that_has_failed_often_does_not_make_a_new_one_wait_as_long(
    writing: World, post: Post
) -> None:
    old, new = queued(writing, subject="Since yesterday"), queued(writing, subject="New")
    Outgoing.objects.filter(pk=old.pk).update(tries=20)
    post.faults = [Fault.MAIL_LATER]
    old = work(old)
    assert old.state == OutgoingState.QUEUED
    assert old.due_at is not None
    assert old.due_at > timezone.now() + sender.MOST_REST
    turn = dispatch.claim(new.mailbox_id, timezone.now() + sender.MOST_REST)
    assert turn, "it waits for the old one's turn"
    sender.send(turn)
    new.refresh_from_db()
    assert new.state == OutgoingState.SENT


def test_what_a_person_sends_again_after_days_is_not_given_up_at_the_first_try(
    writing: World, post: Post
) -> None:
    """Most servers ask those whom they do not know to come again in a minute."""
    post.faults = [Fault.RCPT_REFUSED]
    letter = work(queued(writing))
    assert letter.state == OutgoingState.REFUSED
    then = timezone.now() - 2 * sender.PATIENCE
    Outgoing.objects.filter(pk=letter.pk).update(queued_at=then, send_at=then)
    post.faults = [Fault.MAIL_LATER]
    letter = work(due_now(outbox.send_again(letter)))
    assert letter.state == OutgoingState.QUEUED
    assert work(due_now(letter)).state == OutgoingState.SENT


def test_who_cannot_be_written_to_does_not_keep_the_others_waiting(writing: World, post: Post) -> None:
    to = [["", f"{name}@elsewhere.example"] for name in ("zoe", "gone", "grey")]
    post.answers = {
        "gone@elsewhere.example": ["550 5.1.1 no such user"],
        "grey@elsewhere.example": ["450 later"],
    }
    letter = work(queued(writing, to=to, origin="crm"))
    assert (letter.state, letter.accepted) == (OutgoingState.QUEUED, ["zoe@elsewhere.example"])
    letter = work(due_now(letter))
    assert (letter.state, letter.accepted) == (
        OutgoingState.SENT,
        ["zoe@elsewhere.example", "grey@elsewhere.example"],
    )
    assert letter.refused == {"gone@elsewhere.example": "5.1.1 no such user"}
    assert [each.recipients for each in post.delivered] == [
        ("zoe@elsewhere.example",),
        ("grey@elsewhere.example",),
    ]
    assert quota.usage(writing.acme, letter.created_at).used == 2
