"""What open pages are told: that something changed in a mailbox, and nothing more.

Redis carries it (publish and subscribe). A page that hears it asks for news as it does by itself now and then, so a
call that is lost or comes twice does no harm.
"""

import contextlib
import functools
import time
from collections.abc import Generator, Iterable

import redis
from django.conf import settings
from django.db import transaction
from redis.client import PubSub

HEARTBEAT = (
    15.0  # seconds of silence after which a stream shows that it lives, and learns that nobody listens
)


def tell(mailbox_id: int) -> None:
    """Tell the pages that show this mailbox, once the running transaction is committed."""
    transaction.on_commit(functools.partial(tell_now, mailbox_id))


def tell_now(mailbox_id: int) -> None:
    """The same at once. Redis being down is no error: pages ask by themselves."""
    _publish(_channel(mailbox_id))


def tell_reader(employee_id: int) -> None:
    """Tell the pages of one person alone, once the running transaction is committed."""
    transaction.on_commit(functools.partial(_publish, _channel_of_reader(employee_id)))


def calls(mailbox_ids: Iterable[int], *, reader: int, seconds: float) -> Generator[bool]:
    """True for each call that concerns one of the mailboxes or this person, False for each heartbeat of silence.

    Ends after so many seconds, or when Redis goes. The first True says that from now on nothing is missed.
    """
    channels = [_channel_of_reader(reader), *(_channel(mailbox_id) for mailbox_id in mailbox_ids)]
    end = time.monotonic() + seconds
    with contextlib.suppress(redis.RedisError), _listener() as calling:
        calling.subscribe(*channels)
        for _channel_name in channels:
            calling.get_message(timeout=HEARTBEAT)  # Redis confirms
        yield True
        while time.monotonic() < end:
            yield calling.get_message(timeout=HEARTBEAT) is not None


def _publish(channel: str) -> None:
    with contextlib.suppress(redis.RedisError):
        client().publish(channel, "")


def _listener() -> PubSub:
    calling: PubSub = client().pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
    return calling


def _channel(mailbox_id: int) -> str:
    return f"live:{mailbox_id}"


def _channel_of_reader(employee_id: int) -> str:
    return f"live:reader:{employee_id}"


@functools.cache
def client() -> redis.Redis:
    """The connection on which this process says and asks things; for presence, too."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
