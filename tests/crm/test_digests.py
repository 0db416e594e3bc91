"""Bodies were known by SHA-256 once: a database of that time is brought to BLAKE3 and nothing in it is lost."""

import hashlib
import importlib
from pathlib import Path

import pytest
from django.db import connection

from crm.letters import fingerprint
from crm.models import Activity, Ruling
from mailsync import access, blobs
from mailsync.consistency import BYTES_RULE, violations
from mailsync.models import Blob, GrantLevel, Message, Placement
from tests.crm.conftest import Clients
from tests.test_blobs import file_of
from tests.world import World

bodies = importlib.import_module("mailsync.migrations.0028_know_bodies_by_blake3")
activities = importlib.import_module("crm.migrations.0007_know_mail_by_its_new_digest")

HEADER = b"From: Zoe <zoe@elsewhere.example>\r\nTo: ann@acme.example\r\nSubject: Hello\r\n\r\n"
TEXTS = [b"Short.\r\n", b"Large.\r\n" * 20_000]


class Editor:
    """What a migration gets, as far as it is needed."""

    connection = connection


def migrate() -> None:
    bodies.rehash(None, Editor)
    activities.renew(None, Editor)


def take_back(world: World) -> None:
    """Everything as it was while SHA-256 was the hash of bodies."""
    with world.acting():
        for activity in Activity.objects.select_related("body"):
            assert activity.body
            sha256 = hashlib.sha256(blobs.body_of(activity.body)).digest()
            old = fingerprint(bytes(activity.header or b""), activity.message_id, sha256)
            Activity.objects.filter(pk=activity.pk).update(fingerprint=old, thread=old.hex())
            Ruling.objects.create(account=world.acme, thread=old.hex(), by=world.ann)
        for message in Message.objects.select_related("body"):
            blob = message.body
            sha256 = hashlib.sha256(blobs.body_of(blob)).digest()
            identity = hashlib.sha256(bytes(message.header) + sha256).digest()
            Message.objects.filter(pk=message.pk).update(identity=identity)
            Blob.objects.filter(pk=blob.pk).update(digest=sha256)
            if blob.content is None:
                digits = sha256.hex()
                old_file = file_of(blob).parent.parent / digits[:2] / digits[2:]
                old_file.parent.mkdir(exist_ok=True)
                file_of(blob).rename(old_file)


def everything(world: World) -> list[object]:
    with world.acting():
        rows = (model._default_manager.order_by("pk") for model in (Blob, Message, Activity, Ruling))
        return [list(each.values()) for each in rows]


def files_beside(blob: Blob) -> set[Path]:
    """The account's files, with what other tests left there."""
    return {each for each in file_of(blob).parent.parent.rglob("*") if each.is_file()}


def opened(world: World, placement: Placement) -> bytes:
    with world.acting():
        return access.get_letter(world.ann, placement.pk, GrantLevel.READ).body


@pytest.fixture
def placements(world: World, clients: Clients) -> list[Placement]:
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    return [world.message(world.folder(world.ann_box), raw=HEADER + text) for text in TEXTS]


def test_mail_of_before_is_known_again(world: World, placements: list[Placement]) -> None:
    with world.acting():
        names = set(Activity.objects.values_list("thread", flat=True))
        files = files_beside(Blob.objects.get(content=None))
    take_back(world)
    assert violations(world.acme)
    migrate()

    assert violations(world.acme) == []
    assert [opened(world, each) for each in placements] == TEXTS
    again = [world.message(world.folder(world.ann_box), raw=HEADER + text) for text in TEXTS]
    assert {each.message_id for each in again} == {each.message_id for each in placements}
    with world.acting():
        assert Activity.objects.count() == len(names) == 2
        assert set(Activity.objects.values_list("thread", flat=True)) == names
        assert set(Ruling.objects.values_list("thread", flat=True)) == names
        assert files_beside(Blob.objects.get(content=None)) == files


def test_killed_half_way_and_begun_again_it_comes_to_the_same(
    world: World, placements: list[Placement], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = everything(world)
    take_back(world)
    monkeypatch.setattr(bodies, "BATCH", 1)
    bodies._rehash_some(connection, world.acme.pk, 0)
    migrate()
    migrate()

    with world.acting():
        Ruling.objects.all().delete()
    assert everything(world) == [*wanted[:3], []]
    assert [opened(world, each) for each in placements] == TEXTS


def test_a_damaged_body_gets_no_hash_by_which_it_would_be_sound(
    world: World, placements: list[Placement]
) -> None:
    take_back(world)
    with world.acting():
        damaged = Blob.objects.get(content__isnull=False)
        Blob.objects.filter(pk=damaged.pk).update(content=b"Shore.\r\n")
    migrate()
    [found] = [line for line in violations(world.acme) if BYTES_RULE in line]
    assert str(damaged.pk) in found
    with world.acting():
        assert Blob.objects.get(pk=damaged.pk).digest == damaged.digest
        Blob.objects.filter(pk=damaged.pk).update(content=TEXTS[0])
    migrate()
    assert violations(world.acme) == []
