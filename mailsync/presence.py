"""Who is answering which conversation at this moment. Lives in Redis for as long as its page says so, and no longer.

A hint among colleagues: nothing depends on it, and Redis being down is nobody answering.
"""

import contextlib
import hashlib
import time

import redis

from mailsync import live

SECONDS = 45  # a page says it every 20


def here(mailbox_id: int, root: str, employee_id: int) -> None:
    """The employee is writing an answer in the conversation (conversation.root). Tells the open pages if it is news."""
    with contextlib.suppress(redis.RedisError):
        key, now = _key(mailbox_id, root), time.time()
        before = live.client().hget(key, str(employee_id))
        live.client().hset(key, str(employee_id), str(now + SECONDS))
        live.client().expire(key, SECONDS)
        if before is None or float(before) < now:
            live.tell_now(mailbox_id)


def gone(mailbox_id: int, root: str, employee_id: int) -> None:
    """They stopped: sent, thrown away, closed."""
    with contextlib.suppress(redis.RedisError):
        if live.client().hdel(_key(mailbox_id, root), str(employee_id)):
            live.tell_now(mailbox_id)


def others(mailbox_id: int, root: str, employee_id: int) -> list[int]:
    """Who else is answering it: ids of employees."""
    with contextlib.suppress(redis.RedisError):
        found = live.client().hgetall(_key(mailbox_id, root))
        now = time.time()
        return sorted(
            int(who) for who, until in found.items() if float(until) > now and int(who) != employee_id
        )
    return []


def _key(mailbox_id: int, root: str) -> str:
    return f"answering:{mailbox_id}:{hashlib.sha256(root.encode()).hexdigest()[:32]}"
