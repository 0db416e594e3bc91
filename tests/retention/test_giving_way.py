"""The purge goes on in bursts and waits while a page is being made, but nobody who waits for the purge waits longer."""

import os
import runpy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from django.db import connection, transaction

from mailsync import giving_way
from mailsync.giving_way import give_way

NEARLY_ALL = giving_way.PATIENCE - giving_way.LOOK_EVERY


class Clock:
    """In place of the module's `time`: it goes on by sleeping only, so that no slow machine is taken for waiting."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.plans: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.plans:
            self.plans.pop(0)()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(giving_way, "BURST", 0)
    monkeypatch.setattr(giving_way, "time", clock)
    monkeypatch.setattr(give_way, "_since", 0.0)
    return clock


@contextmanager
def session(name: str) -> Iterator["psycopg2.extensions.cursor"]:
    """A connection of the product's role under a process's name."""
    there = psycopg2.connect(
        **connection.get_connection_params() | {"application_name": name, "cursor_factory": None}
    )
    try:
        with there.cursor() as cursor:
            yield cursor
    finally:
        there.close()


def waited(clock: Clock) -> float:
    began = clock.now
    give_way()
    return clock.now - began


@pytest.mark.django_db
def test_who_makes_a_page_is_given_time_and_nobody_else_is(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PGAPPNAME"}
    monkeypatch.setattr(os, "environ", environment)
    runpy.run_module("config.wsgi")
    with session(environment["PGAPPNAME"]) as page, session("a worker") as worker:
        worker.execute("SELECT 1")
        assert waited(clock) == 0, "a worker's transaction"
        page.execute("SELECT 1")
        assert waited(clock) >= NEARLY_ALL, "a page's transaction"
        clock.plans = [lambda: None, page.connection.rollback]
        assert waited(clock) == pytest.approx(2 * giving_way.LOOK_EVERY), "a page that is ready meanwhile"
        assert waited(clock) == 0, "a page that is ready"


@pytest.mark.django_db
def test_nobody_who_waits_for_a_lock_is_made_to_wait_longer(clock: Clock) -> None:
    with session(giving_way.PAGES) as first, session(giving_way.PAGES) as second:
        first.execute("SELECT pg_advisory_xact_lock(5, 5)")
        assert waited(clock) >= NEARLY_ALL
        waiting = threading.Thread(target=second.execute, args=["SELECT pg_advisory_xact_lock(5, 5)"])
        waiting.start()
        try:
            _until_somebody_waits()
            assert waited(clock) == 0
        finally:
            first.connection.rollback()
            waiting.join()


def _until_somebody_waits() -> None:
    with connection.cursor() as cursor:
        for _look in range(1_000):
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'")
            if cursor.fetchone() == (1,):
                return
            time.sleep(0.02)
    raise AssertionError("nobody waits")


@pytest.mark.django_db
def test_a_page_that_purges_does_not_wait_for_itself(clock: Clock) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL application_name = %s", [giving_way.PAGES])
        assert waited(clock) == 0


@pytest.mark.django_db
def test_in_a_transaction_each_look_is_a_new_one(clock: Clock) -> None:
    with transaction.atomic(), session(giving_way.PAGES) as page:
        assert waited(clock) == 0
        page.execute("SELECT 1")
        assert waited(clock) >= NEARLY_ALL
