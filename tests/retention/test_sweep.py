"""Bodies go when nobody has needed them for a day; tombstones and operations when their time is over."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mailsync.models import Blob, Message, Operation, Placement, Tombstone
from retention.models import LooseBlob
from retention.purge import purge
from retention.sweep import sweep
from tests.retention.scenes import bind_to_client, mail
from tests.test_blobs import LARGE, file_of
from tests.world import World, place

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def bodies(world: World) -> set[int]:
    with world.acting():
        return set(Blob.objects.values_list("pk", flat=True))


def age(file: Path) -> None:
    """It was written long ago."""
    written = (timezone.now() - 100 * DAY).timestamp()
    os.utime(file, (written, written))


def test_a_body_goes_with_its_file_when_it_was_loose_for_a_day(world: World) -> None:
    now = timezone.now()
    small = mail(world, age=95 * DAY, at=now, text="Small.")
    large = mail(world, age=95 * DAY, at=now, text=LARGE)
    with_client = mail(world, age=95 * DAY, at=now, text="Dear Zoe.")
    twice = [mail(world, age=days * DAY, at=now, text="The same.") for days in (95, 1)]
    bind_to_client(world, with_client)
    assert twice[0].body_id == twice[1].body_id
    with world.acting():
        file = file_of(Blob.objects.get(pk=large.body_id))
    age(file)
    purge(world.acme.pk, now)

    sweep(world.acme.pk, now)
    sweep(world.acme.pk, now + DAY / 2)
    assert {small.body_id, large.body_id} <= bodies(world)
    assert file.exists()
    assert sweep(world.acme.pk, now + DAY).blobs == 2
    assert bodies(world) == {with_client.body_id, twice[1].body_id}
    assert not file.exists()
    with world.acting():
        assert not LooseBlob.objects.exists()


def test_a_body_that_somebody_needs_again_stays_with_its_file(world: World) -> None:
    now = timezone.now()
    placement = world.message(world.folder(world.ann_box), text=LARGE)
    with world.acting():
        raw = bytes(placement.message.header) + LARGE.encode()
        blob = Blob.objects.get()
        Placement.objects.all().delete()
        Message.objects.all().delete()
    age(file_of(blob))
    sweep(world.acme.pk, now)
    with world.acting():
        again = place(world.folder(world.ann_box), raw, received_at=now)
    sweep(world.acme.pk, now + 2 * DAY)
    assert bodies(world) == {again.message.body_id}
    with world.acting():
        assert file_of(Blob.objects.get(pk=again.message.body_id)).exists()


def test_a_file_that_is_being_stored_again_is_not_taken_away(world: World) -> None:
    """Its row is gone, its bytes are wanted at this moment by a transaction that nobody sees yet."""
    now = timezone.now()
    placement = world.message(world.folder(world.ann_box), text=LARGE)
    with world.acting():
        blob = Blob.objects.get(pk=placement.message.body_id)
        Placement.objects.all().delete()
        Message.objects.all().delete()
    sweep(world.acme.pk, now - DAY)
    assert sweep(world.acme.pk, now).blobs == 1
    assert bodies(world) == set()
    assert file_of(blob).exists()  # it was renewed a moment ago


def test_tombstones_and_operations_whose_time_is_over_go(world: World) -> None:
    now = timezone.now().replace(microsecond=0)
    with world.acting():
        for days, micros in ((80, 0), (200, 0), (200, 7)):
            Tombstone.objects.create(
                account=world.acme, mailbox=world.ann_box, identity=bytes([days, micros]) * 16,
                header_hash=b"x" * 32, received_at=now - days * DAY + timedelta(microseconds=micros),
            )  # fmt: skip
        for past, state in ((10, "done"), (100, "done"), (100, "failed"), (None, "pending")):
            Operation.objects.create(
                account=world.acme, mailbox=world.ann_box, kind="expunge", state=state,
                finished_at=now - past * DAY if past else None,
            )  # fmt: skip
    swept = sweep(world.acme.pk, now)
    assert (swept.tombstones, swept.operations) == (1, 2)
    with world.acting():
        assert Operation.objects.filter(state="pending").exists()
