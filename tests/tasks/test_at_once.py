"""Two people at the same message in the same moment: one binds it while the other lets it go."""

import itertools
import threading
import time
from collections.abc import Callable, Sequence

import pytest
from django.db import connection

from accounts import tenancy
from mailsync import discarding
from mailsync.models import Message
from tasks import actions, binding, telling
from tasks.models import Task, TaskMessage
from tests.reading.factory import fill
from tests.world import World

pytestmark = pytest.mark.django_db(transaction=True)
# Seconds that one side waits in its turns, and the other in the reverse order: so that each comes first at times.
LATER = (0.0, 0.001, 0.003, 0.01, 0.03)


@pytest.mark.parametrize(
    "races", [60, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_a_link_and_a_discard_race_and_no_bound_message_is_lost(world: World, races: int) -> None:
    with world.acting():
        fill(world.folder(world.ann_box), races)
        task = actions.create("Answer", by=world.ann)
        messages = list(Message.objects.order_by("pk").values_list("pk", flat=True))
    start = threading.Barrier(2)
    outcomes: dict[str, set[int]] = {"bound": set(), "gone": set()}

    def bind(message_id: int) -> None:
        with tenancy.acting_for(world.acme.pk):
            binding.bind(task, [message_id], by=world.ann)
        outcomes["bound"].add(message_id)

    def discard(message_id: int) -> None:
        with tenancy.acting_for(world.acme.pk):
            gone = discarding.discard([message_id], reason="purged")
        outcomes["gone"].update(gone)

    racers = [
        threading.Thread(target=_each, args=(act, messages, start, steps))
        for act, steps in ((bind, LATER), (discard, LATER[::-1]))
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    with world.acting():
        here = set(Message.objects.values_list("pk", flat=True))
        linked = set(TaskMessage.objects.filter(task=task).values_list("message_id", flat=True))
        assert Task.objects.get() == task
    assert linked == outcomes["bound"] == here
    assert outcomes["gone"] == set(messages) - here
    assert outcomes["bound"], "no link won: this was no race"
    assert outcomes["gone"], "no discard won: this was no race"


def _each(
    act: Callable[[int], None], messages: list[int], start: threading.Barrier, later: Sequence[float]
) -> None:
    try:
        for message_id, seconds in zip(messages, itertools.cycle(later), strict=False):
            start.wait(timeout=60)
            time.sleep(seconds)
            try:
                act(message_id)
            except telling.CannotDo:
                continue
    finally:
        connection.close()
