"""A process that is killed and connections that are cut in the middle of a run: the next one puts it right, once.

At every step a worker dies in tests/catalogue/test_e_interruption.py.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import psycopg2
import pytest
from django.db import connection
from django.utils import timezone

from demo.services import Postgres
from mailsync import discarding, engine, importing, schedule
from mailsync.importing import Prepared, Stored
from mailsync.models import Folder, Placement, Schedule
from tests.catalogue.conftest import Case, full
from tests.engine.conftest import Box
from tests.rigs.filling import fill

__all__ = ["full"]  # a fixture

ROOT = Path(__file__).resolve().parent.parent.parent


def abandon_lease(box: Box) -> None:
    """Time passes until the dead worker's lease is over. The death is not counted: so many in a row would have the
    mailbox set aside (tests/faults/test_deaths.py)."""
    Schedule.objects.filter(mailbox=box.mailbox).update(leased_until=None)


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
def test_x01_kill_9_of_the_worker_in_mid_sync(full: Case) -> None:
    fill(full.dovecot, full.login, 4_000)
    full.count_what_is_there()
    full.line.late = 0.0002  # each message: else it may be done before the test sees that it is in the middle
    for already in (50, 500, 1_000):
        more = max(already, len(full.placements()) + 1)  # what is there may be enough before it has begun
        worker = start_sync(full)
        wait_for_messages(full, more)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
        left = Schedule.objects.get(mailbox=full.mailbox)
        assert left.leased_until
        assert left.leased_until - timezone.now() < timedelta(seconds=55), "it is due again too late"
        abandon_lease(full)
    there = len(full.placements())
    assert 1_000 <= there < 4_000, "the worker was not killed in the middle"
    assert full.sync().imported == 4_000 - there
    assert len(full.placements()) == 4_000
    full.assert_equal()


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


@pytest.mark.django_db(transaction=True)
def test_mail_that_leaves_while_it_is_placed_elsewhere_is_planned_anew(
    full: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A purge takes what a batch has just found to be here: of two that resemble each other only bodies tell."""
    header = b"Subject: Twin\r\nMessage-ID: <twin@example.org>\r\n\r\n"
    full.give(header + b"one\r\n", "one", at=full.moment)
    full.sync()
    leaving = full.placements()[0].message_id
    full.phone_moves("one", "Archive")
    full.give(header + b"two\r\n", "two", folder="Archive", at=full.moment)
    real, went = importing.store_messages, []

    def purge() -> None:
        with full.acting():
            went.append(discarding.drop([leaving]))
        connection.close()

    def store_messages(folder: Folder, batch: Sequence[Prepared]) -> dict[bytes, Stored]:
        fresh = real(folder, batch)
        if not went:
            purging = threading.Thread(target=purge)
            purging.start()
            purging.join()
        return fresh

    monkeypatch.setattr(importing, "store_messages", store_messages)
    outcome = full.sync(thorough=False)
    assert (outcome.again, went) == (True, [1])
    full.until_quiet()
    assert len(full.placements("Archive")) == 2


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
