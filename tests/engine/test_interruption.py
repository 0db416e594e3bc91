"""Killed at any point it resumes by itself: after two quiet rounds rows = server, and nothing is doubled."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.db import connection
from django.utils import timezone

from accounts import tenancy
from demo.services import Postgres
from mailsync import actions, engine, replica, schedule
from mailsync.models import Placement, Schedule
from tests.engine.conftest import Box
from tests.rigs.filling import fill

ROOT = Path(__file__).resolve().parent.parent.parent


class Crash(BaseException):
    """The worker is gone: nothing of its own code runs any more."""


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int, *, after: bool) -> list[int]:
    """The n-th transaction of the engine never begins (or commits, and then the worker dies)."""
    count = [0]
    real = replica.writing

    @contextmanager
    def writing(*arguments: Any, **options: Any) -> Iterator[object]:
        count[0] += 1
        if count[0] == step and not after:
            raise Crash
        with real(*arguments, **options) as value:
            yield value
        if count[0] == step and after:
            raise Crash

    monkeypatch.setattr(replica, "writing", writing)
    return count


def run(box: Box) -> None:
    with tenancy.acting_for(box.mailbox.account_id):
        lease = schedule.claim(box.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    engine.synchronise(lease, seconds=60)


def abandon_lease(box: Box) -> None:
    """Time passes until the dead worker's lease is over. The death is not counted: so many in a row would have the
    mailbox set aside (tests/faults/test_deaths.py)."""
    Schedule.objects.filter(mailbox=box.mailbox).update(leased_until=None)


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


def kill_points() -> list[object]:
    """Every step, before and after its commit; in the quick suite the odd ones before and the even ones after."""
    points = [(step, after) for step in range(1, 24) for after in (False, True)]
    return [
        pytest.param(step, after, marks=[] if step % 2 == (not after) else pytest.mark.slow)
        for step, after in points
    ]


@pytest.mark.parametrize(("step", "after"), kill_points())
def test_e04_a_worker_that_dies_at_any_step_leaves_nothing_wrong(
    box: Box, monkeypatch: pytest.MonkeyPatch, step: int, after: bool
) -> None:
    a_busy_morning(box)
    with monkeypatch.context() as patched:
        count = crash_at(patched, step, after=after)
        try:
            run(box)
        except Crash:
            abandon_lease(box)
        else:
            assert count[0] < step or after
    box.sync()
    box.sync()
    box.assert_equal()
    assert sorted(box.subjects("Archive")) == ["Mail 1"]
    assert sorted(box.subjects("Sent")) == ["Mail 3"]
    assert sorted(box.subjects()) == ["Mail 0", "Mail 2", "Mail 5", "Mail 6", "Mail 7", "Mail 8"]


def start_sync(box: Box) -> "subprocess.Popen[bytes]":
    """A worker of its own: a process that synchronises this mailbox."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "sync_mailbox", box.login],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_messages(box: Box, count: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with box.acting():
            if Placement.objects.filter(folder__mailbox=box.mailbox).count() >= count:
                return
        time.sleep(0.02)
    raise AssertionError(f"fewer than {count} messages came")


@pytest.mark.django_db(transaction=True)
def test_x01_kill_9_of_the_worker_in_mid_sync(box: Box) -> None:
    fill(box.dovecot, box.login, 4_000)
    for already in (50, 500, 1_000):
        worker = start_sync(box)
        wait_for_messages(box, already)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        left = Schedule.objects.get(mailbox=box.mailbox)
        assert left.leased_until
        assert left.leased_until - timezone.now() < timedelta(seconds=55), "it is due again too late"
        abandon_lease(box)
    there = len(box.placements())
    assert 1_000 <= there < 4_000, "the worker was not killed in the middle"
    assert box.sync().imported == 4_000 - there
    assert len(box.placements()) == 4_000
    box.assert_equal()


@pytest.mark.django_db(transaction=True)
def test_x18_the_database_cuts_the_worker_off_in_mid_sync(box: Box, postgres: Postgres) -> None:
    fill(box.dovecot, box.login, 1_000)
    worker = start_sync(box)
    wait_for_messages(box, 50)
    with psycopg2.connect(postgres.owner_url) as owner, owner.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid NOT IN (pg_backend_pid(), %s)"
            " AND usename = 'mailbound_app'",
            [_own_backend()],
        )
    owner.close()
    worker.communicate()
    assert worker.returncode != 0
    abandon_lease(box)
    box.sync()
    assert len(box.placements()) == 1_000
    box.assert_equal()


@pytest.mark.django_db(transaction=True)
def test_x26_the_mail_server_cuts_the_session_in_mid_sync(box: Box) -> None:
    fill(box.dovecot, box.login, 1_000)
    kicker = threading.Thread(target=_kick_soon, args=(box,))
    kicker.start()
    outcome = box.try_sync()
    kicker.join()
    if outcome.error:
        assert "connection" in outcome.error.lower()
        assert box.reload().state == "unreachable"
        assert box.mailbox.troubled_since is not None
    box.sync()
    assert box.reload().state == "ok"
    assert len(box.placements()) == 1_000
    box.assert_equal()


@pytest.mark.django_db(transaction=True)
def test_x08_a_worker_that_slept_through_its_lease_writes_nothing_more(box: Box) -> None:
    box.deliver("Once")
    with box.acting():
        sleeper = schedule.claim(box.mailbox.pk, timezone.now())
    assert sleeper
    abandon_lease(box)
    box.sync()
    with pytest.raises(schedule.LeaseLost):
        engine.synchronise(sleeper, seconds=60)
    assert box.subjects() == ["Once"]
    box.assert_equal()


def _own_backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        row = cursor.fetchone()
    assert row
    return int(row[0])


def _kick_soon(box: Box) -> None:
    time.sleep(0.4)
    for line in box.dovecot.doveadm("who", "-1", box.login).splitlines()[1:]:
        pid = int(line.split()[2]) if len(line.split()) > 2 and line.split()[2].isdigit() else 0
        if pid:
            os.kill(pid, signal.SIGKILL)
