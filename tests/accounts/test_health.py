"""Load balancers and containers ask /healthz."""

from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from django.urls import reverse

from tests.world import PASSWORD

pytestmark = pytest.mark.django_db


def test_a_server_whose_database_and_redis_answer_is_healthy(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "database": "ok", "redis": "ok"}


def test_a_server_without_redis_says_so_and_tells_strangers_nothing_more(client, settings):
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "database": "ok", "redis": "down"}


@pytest.fixture
def full_redis(redis_url) -> Iterator[None]:
    with closing(redis.Redis.from_url(redis_url)) as server:
        server.config_set("maxmemory", 1)
        yield
        server.config_set("maxmemory", 0)


def test_a_server_whose_redis_is_full_raises_the_alarm(full_redis, client):
    assert client.get("/healthz").json() == {"ok": False, "database": "ok", "redis": "down"}


def test_x16_while_redis_is_full_people_read_and_nobody_guesses_passwords(world, full_redis, client):
    assert world.client(world.ann).get("/").status_code == 200
    client.raise_request_exception = False
    answer = client.post(reverse("account_login"), {"login": world.bob.email, "password": PASSWORD})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "in a few seconds" in answer.content.decode()
