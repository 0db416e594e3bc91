"""Outgoing server, mail server, line and workers fail by turns: each letter arrives once and lies in Sent once."""

import random
import re
from collections import Counter

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from mailsync import outbox, quota, schedule
from mailsync.mime import parse
from mailsync.models import Operation, Outgoing
from tests.engine.conftest import Box
from tests.rigs.proxy import Proxy, Way
from tests.rigs.smtp import Fault
from tests.rigs.smtp import Outgoing as Post
from tests.sending.conftest import due_now
from tests.sending.test_faults import Killed, Scythe, reap
from tests.sending.test_filing import box, line, on_server, post, write  # noqa: F401 (fixtures)

DAYS = 6


def spoil(line: Proxy, chance: random.Random) -> None:  # noqa: F811
    """What may go wrong on the way to the Sent folder."""
    line.heal()
    line.forget()
    match chance.randrange(7):
        case 0:
            line.lost = re.compile(rb"APPEND", re.IGNORECASE)
        case 1:
            line.answers = {b"APPEND": b"NO [UNAVAILABLE] not now"}
        case 2:
            line.answers = {b"APPEND": b"NO [OVERQUOTA] Quota exceeded"}
        case 3:
            line.cut = {Way.TO_SERVER: chance.randrange(300, 6000)}
        case 4:
            line.cut = {Way.TO_US: chance.randrange(300, 9000)}
        case 5:
            line.refusing = True


def try_sync(box: Box, at: int) -> None:  # noqa: F811
    """A run that may be killed at its so-manieth statement."""
    with box.acting():
        schedule.wake(box.mailbox.pk)
    try:
        with connection.execute_wrapper(Scythe(at)):
            box.try_sync()
    except Killed:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE mailsync_schedule SET leased_until = NULL")


def file_some(box: Box, post: Post, filed: set[str], chance: random.Random) -> None:  # noqa: F811
    """Some providers put into Sent what went through them, before anybody else does."""
    for delivery in post.delivered:
        if delivery.message_id not in filed:
            filed.add(delivery.message_id)
            if chance.random() < 0.25:
                box.dovecot.append(box.login, delivery.raw, folder="Sent")


@pytest.mark.parametrize(
    ("seed", "letters"),
    [(0, 6), *(pytest.param(seed, 25, marks=pytest.mark.slow) for seed in range(1, 41))],
)
@pytest.mark.timeout(600)
def test_each_letter_arrives_once_and_lies_in_sent_once(
    box: Box,  # noqa: F811
    post: Post,  # noqa: F811
    line: Proxy,  # noqa: F811
    seed: int,
    letters: int,
) -> None:
    chance = random.Random(seed)
    filed: set[str] = set()
    written = [write(box, subject=f"Letter {number}", origin="crm") for number in range(letters)]
    with box.acting():
        for letter in written:
            outbox.queue(letter, by=box.world.ann, key="")
    for day in range(DAYS + 3):
        bad = day < DAYS
        post.faults = (
            [chance.choice([Fault.NONE, chance.choice(list(Fault))]) for _ in written] if bad else []
        )
        for letter in written:
            with box.acting():
                reap(due_now(letter), chance.randrange(1, 150) if bad else 10_000)
            file_some(box, post, filed, chance)
        line.heal()
        if bad:
            spoil(line, chance)
        with box.acting():
            Operation.objects.update(not_before=timezone.now())
        try_sync(box, chance.randrange(1, 400) if bad else 10_000)
    box.sync()

    arrived = Counter(each.message_id for each in post.delivered)
    copies = Counter(parse.message_id(parse.split(raw)[0]) for raw in on_server(box, "Sent"))
    ends: Counter[str] = Counter()
    with box.acting():
        for letter in Outgoing.objects.order_by("pk"):
            ends[f"{letter.state} {arrived[letter.message_id]} {copies[letter.message_id]}"] += 1
        assert set(ends) <= {"sent 1 1", "refused 0 0", "unsure 0 0", "unsure 1 0"}, ends
        held = letter.ledger.model.objects.aggregate(held=Sum("count"))["held"]
        used = quota.usage(box.world.acme, letter.created_at).used
        assert held == used == letters - ends["refused 0 0"]
    assert ends["sent 1 1"]
    print(dict(ends))
    box.assert_equal()
