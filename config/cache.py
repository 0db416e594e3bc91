"""Django's cache in Redis with one client for the process, instead of a new one for each command.

Pages live without Redis: what cannot be read is not there, what cannot be kept is not kept. What counts or forgets
(limits of signing in, the end of a session) raises instead, for nobody may get in because Redis is away or full.
"""

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import redis
import structlog
from django.core.cache.backends.redis import RedisCache as DjangosRedisCache
from django.core.cache.backends.redis import RedisCacheClient

log = structlog.get_logger(__name__)
_FAILED = object()
REST_SECONDS = 2.0  # after Redis did not answer nobody waits for it, so that no threads pile up


class _OneClient(RedisCacheClient):
    """For one server. Clients of redis-py are thread-safe; making one took two thirds of what a `get` costs."""

    _rests_until = 0.0

    @cached_property
    def _only(self) -> Any:
        return super().get_client(write=True)

    def get_client(self, key: Any = None, *, write: bool = False) -> Any:  # noqa: ARG002
        return self._only

    def get(self, key: Any, default: Any) -> Any:
        return self._or(default, super().get, key, default)

    def set(self, key: Any, value: Any, timeout: Any) -> None:
        if self._or(_FAILED, super().set, key, value, timeout) is _FAILED:
            # A full Redis still forgets: what was kept before is no longer so.
            self._or(None, self.delete, key)

    def _or(self, otherwise: Any, ask: Callable[..., Any], *arguments: Any) -> Any:
        if time.monotonic() < self._rests_until:
            return otherwise
        try:
            return ask(*arguments)
        except redis.RedisError as error:
            log.error("cache_failed", error=type(error).__name__)
            if isinstance(error, redis.ConnectionError | redis.TimeoutError):
                self._rests_until = time.monotonic() + REST_SECONDS
            return otherwise


class RedisCache(DjangosRedisCache):
    def __init__(self, server: str, params: dict[str, object]) -> None:
        super().__init__(server, params)
        self._class = _OneClient
