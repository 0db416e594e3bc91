"""Load balancers and containers ask /healthz."""

import pytest

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
