"""An open page is told at once that something changed, and only what its employee may know."""

import gc
from collections.abc import Callable, Iterator
from typing import Any, Self, cast

import pytest
from django.http import StreamingHttpResponse
from django.urls import reverse

from accounts.middleware import TenancyMiddleware
from mailsync import emergencies, live
from mailsync.views.live import _places
from tests.engine.conftest import Box, box
from tests.world import World

__all__ = ["box"]  # a fixture

NEWS, SILENCE = b"event: news\ndata: 1\n\n", b": still here\n\n"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailsync.live.HEARTBEAT", 0.5)


class Stream:
    """A page's connection, read line by line."""

    def __init__(self, world: World, employee) -> None:
        response = world.client(employee).get(reverse("mail:events"))
        assert response.status_code == 200
        self.response = cast(StreamingHttpResponse, response)
        self.lines: Iterator[bytes] = iter(self.response)
        assert next(self.lines).startswith(b"retry:")
        assert next(self.lines) == NEWS  # whatever came before it listened

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.response.close()

    def hears(self) -> bytes:
        return next(self.lines)


def test_ann_hears_of_her_own_mailbox_and_of_silence(world: World, impatient: None) -> None:
    with Stream(world, world.ann) as ann:
        live.tell_now(world.ann_box.pk)

        assert ann.hears() == NEWS
        assert ann.hears() == SILENCE


def test_bob_hears_of_the_mailbox_he_was_given_and_cyd_of_neither(world: World, impatient: None) -> None:
    with Stream(world, world.bob) as bob:
        live.tell_now(world.team_box.pk)
        assert bob.hears() == NEWS

        live.tell_now(world.ann_box.pk)
        live.tell_now(world.eve_box.pk)
        assert bob.hears() == SILENCE


def test_eve_of_another_company_hears_nothing_of_acme_and_an_admin_only_of_what_they_opened(
    world: World, impatient: None
) -> None:
    with Stream(world, world.eve) as eve:
        live.tell_now(world.ann_box.pk)
        live.tell_now(world.team_box.pk)
        assert eve.hears() == SILENCE
        live.tell_now(world.eve_box.pk)
        assert eve.hears() == NEWS
    assert world.client(world.adm).get(reverse("mail:events")).status_code == 204
    with world.acting():
        emergencies.begin(world.ann_box, by=world.adm, reason="Ann is ill, an order waits")
    with Stream(world, world.adm) as adm:
        live.tell_now(world.ann_box.pk)
        assert adm.hears() == NEWS
        live.tell_now(world.team_box.pk)
        assert adm.hears() == SILENCE


def test_who_reads_no_mailbox_gets_no_stream(world: World) -> None:
    assert world.client(world.cyd).get(reverse("mail:events")).status_code == 204


def test_when_all_places_are_taken_a_page_is_sent_away_until_one_is_free(world: World) -> None:
    taken = 0
    while _places.acquire(blocking=False):
        taken += 1
    try:
        assert world.client(world.ann).get(reverse("mail:events")).status_code == 204
        _places.release()
        with Stream(world, world.ann):
            assert world.client(world.ann).get(reverse("mail:events")).status_code == 204
        with Stream(world, world.ann):
            pass
        taken -= 1
    finally:
        for _ in range(taken):
            _places.release()


def test_a_page_that_left_before_it_read_a_line_gives_its_place_back(world: World) -> None:
    before = _places._value

    response = world.client(world.ann).get(reverse("mail:events"))
    assert _places._value == before - 1
    response.close()

    assert _places._value == before


def test_a_response_that_is_never_sent_gives_its_place_back(world: World) -> None:
    """A middleware that raises after the view leaves nobody who would close it."""
    before = _places._value
    client = world.client(world.ann)
    client.raise_request_exception = False
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TenancyMiddleware, "__call__", _broken_after(TenancyMiddleware.__call__))
        assert client.get(reverse("mail:events")).status_code == 500
    gc.collect()
    assert _places._value == before


def _broken_after(call: Callable[..., Any]) -> Callable[..., Any]:
    def broken(*args: Any) -> Any:
        call(*args)
        raise RuntimeError("after the view")

    return broken


def test_a_sync_that_brings_mail_tells_and_one_that_brings_none_is_silent(box: Box, impatient: None) -> None:
    box.sync()
    calls = live.calls([box.mailbox.pk], reader=0, seconds=30)
    next(calls)

    box.sync(thorough=False)
    assert next(calls) is False
    box.deliver("News")
    box.sync(thorough=False)
    assert next(calls) is True
    calls.close()


def test_without_redis_a_stream_ends_and_a_sync_does_not_mind(
    world: World, settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    live.client.cache_clear()
    try:
        live.tell_now(world.ann_box.pk)
        assert list(live.calls([world.ann_box.pk], reader=0, seconds=5)) == []
    finally:
        live.client.cache_clear()
