"""Bodies: small ones are rows, large ones files that are whole or absent."""

import os
from pathlib import Path

import pytest
from django.conf import settings

from mailsync import access, blobs
from mailsync.consistency import violations
from mailsync.models import Blob, GrantLevel, Placement
from tests.settings import HOME
from tests.world import World

LARGE = "".join(f"line {number}\r\n" for number in range(8_000))

FOLDER = HOME / "bodies"


def file_of(blob: Blob) -> Path:
    digits = bytes(blob.digest).hex()
    return FOLDER / str(blob.account_id) / digits[:2] / digits[2:]


def opened(world: World, placement: Placement) -> bytes:
    with world.acting():
        return access.get_letter(world.ann, placement.pk, GrantLevel.READ).body


def blob_of(world: World, placement: Placement) -> Blob:
    with world.acting():
        return Placement.objects.select_related("message__body").get(pk=placement.pk).message.body


@pytest.fixture
def large(world: World) -> Placement:
    return world.message(world.folder(world.ann_box), text=LARGE)


def test_a_large_body_is_a_file_and_its_row_holds_only_the_name(world: World, large: Placement) -> None:
    blob = blob_of(world, large)

    assert blob.content is None
    assert blob.size == file_of(blob).stat().st_size > settings.MAIL_FILES_FROM
    assert blobs.digest_of(file_of(blob).read_bytes()) == bytes(blob.digest)
    assert LARGE.encode() in opened(world, large)
    assert violations(world.acme) == []


def test_a_small_body_is_a_row(world: World) -> None:
    blob = blob_of(world, world.message(world.folder(world.ann_box), text="Short."))

    assert blob.content is not None
    assert not file_of(blob).exists()


def test_files_are_for_our_eyes_only(world: World, large: Placement) -> None:
    path = file_of(blob_of(world, large))

    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_what_a_rollback_left_behind_is_used_by_the_next_attempt(world: World) -> None:
    body = os.urandom(settings.MAIL_FILES_FROM)
    digest = blobs.digest_of(body)
    for _attempt in range(2):
        writing = blobs.begin_file(world.acme.pk, digest, body)
        assert writing is not None
        writing.result(10)

    with world.acting():
        stored = blobs.store(world.acme.pk, {digest: body})
        assert blobs.body_of(Blob.objects.get(pk=stored[digest])) == body


def test_a_disk_that_takes_nothing_keeps_the_message_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row without its bytes: the batch fails and the next run finds the mail on the server."""

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mailsync.files.os.fsync", full)
    text = LARGE + "and one line more\r\n"

    with pytest.raises(OSError, match="No space left"):
        world.message(world.folder(world.ann_box), text=text)

    assert not list(FOLDER.rglob(".*"))
    with world.acting():
        assert not Blob.objects.filter(content=None, size__gt=len(text)).exists()


def test_a_lost_or_damaged_file_is_named(world: World, large: Placement) -> None:
    path = file_of(blob_of(world, large))
    whole = path.read_bytes()

    path.write_bytes(whole[:-1] + b"!")
    damaged = violations(world.acme)
    path.unlink()
    lost = violations(world.acme)
    with pytest.raises(blobs.BodyLost):
        opened(world, large)
    path.write_bytes(whole)  # every test leaves sound accounts

    assert len(damaged) == len(lost) == 1
    assert "a file" in damaged[0]
    assert "not among the files of mail" in lost[0]
