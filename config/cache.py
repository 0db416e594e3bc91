"""Django's cache in Redis with one client for the process, instead of a new one for each command."""

from functools import cached_property
from typing import Any

from django.core.cache.backends.redis import RedisCache as DjangosRedisCache
from django.core.cache.backends.redis import RedisCacheClient


class _OneClient(RedisCacheClient):
    """For one server. Clients of redis-py are thread-safe; making one took two thirds of what a `get` costs."""

    @cached_property
    def _only(self) -> Any:
        return super().get_client(write=True)

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:  # noqa: ARG002
        return self._only


class RedisCache(DjangosRedisCache):
    def __init__(self, server: str, params: dict[str, object]) -> None:
        super().__init__(server, params)
        self._class = _OneClient
