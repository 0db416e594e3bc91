"""The purge goes on in bursts and waits while a page is being made, but nobody who waits for the purge waits longer."""

import os
import runpy
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
import pytest
from django.db import connection, transaction

from mailsync import giving_way
from mailsync.giving_way import give_way

PATIENCE = 0.3


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(giving_way, "BURST", 0)
    monkeypatch.setattr(giving_way, "PATIENCE", PATIENCE)


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


def seconds() -> float:
    began = time.monotonic()
    give_way()
    return time.monotonic() - began


@pytest.mark.django_db
def test_who_makes_a_page_is_given_time_and_nobody_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PGAPPNAME"}
    monkeypatch.setattr(os, "environ", environment)
    runpy.run_module("config.wsgi")
    with session(environment["PGAPPNAME"]) as page, session("a worker") as worker:
        worker.execute("SELECT 1")
        assert seconds() < PATIENCE / 2, "a worker's transaction"
        page.execute("SELECT 1")
        assert seconds() >= PATIENCE, "a page's transaction"
        threading.Timer(PATIENCE / 3, page.connection.rollback).start()
        assert PATIENCE / 4 < seconds() < PATIENCE, "a page that is ready meanwhile"
        assert seconds() < PATIENCE / 2, "a page that is ready"


@pytest.mark.django_db
def test_nobody_who_waits_for_a_lock_is_made_to_wait_longer() -> None:
    with session(giving_way.PAGES) as first, session(giving_way.PAGES) as second:
        first.execute("SELECT pg_advisory_xact_lock(5, 5)")
        waiting = threading.Thread(target=second.execute, args=["SELECT pg_advisory_xact_lock(5, 5)"])
        waiting.start()
        time.sleep(PATIENCE / 3)
        try:
            assert seconds() < PATIENCE / 2
        finally:
            first.connection.rollback()
            waiting.join()


@pytest.mark.django_db
def test_a_page_that_purges_does_not_wait_for_itself() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL application_name = %s", [giving_way.PAGES])
        assert seconds() < PATIENCE / 2


@pytest.mark.django_db
def test_in_a_transaction_each_look_is_a_new_one() -> None:
    with transaction.atomic(), session(giving_way.PAGES) as page:
        assert seconds() < PATIENCE / 2
        page.execute("SELECT 1")
        assert seconds() >= PATIENCE
