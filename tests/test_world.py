"""The world that other tests stand on is what it says."""

import hashlib
from datetime import timedelta

import pytest

from mailsync.blobs import body_of, digest_of
from mailsync.models import Message, Placement
from tests.consistency import assert_consistent
from tests.world import World


def test_a_message_is_stored_as_a_pull_would_have(world: World) -> None:
    inbox = world.folder(world.ann_box)
    placement = world.message(
        inbox, subject="Grüße", text="Guten Tag.", html="<p>Guten Tag.</p>", flags=["\\Seen"],
        attachments=[("a.pdf", "application/pdf", b"%PDF")],
    )  # fmt: skip
    with world.acting():
        message = Message.objects.select_related("body").get(pk=placement.message_id)
        header, body = bytes(message.header), body_of(message.body)
        assert message.size == len(header + body)
        assert bytes(message.identity) == hashlib.sha256(header + digest_of(body)).digest()
        assert bytes(message.header_hash) == hashlib.sha256(header + str(message.size).encode()).digest()
        assert (message.subject, message.sender_address) == ("Grüße", "zoe@elsewhere.example")
        assert message.has_attachments
        assert [each.name for each in message.attachments.all()] == ["a.pdf"]
        inbox.refresh_from_db()
        assert (inbox.total, inbox.unseen, inbox.uid_seen) == (1, 0, placement.uid)


def test_the_same_bytes_in_two_folders_are_one_message(world: World) -> None:
    raw = b"Subject: once\r\n\r\nbody"
    world.message(world.folder(world.ann_box), raw=raw)
    world.message(world.folder(world.ann_box, "archive"), raw=raw)
    with world.acting():
        assert Message.objects.count() == 1
        assert Placement.objects.count() == 2


def test_nonsense_in_the_rows_fails_the_test_that_left_it(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    yesterday = placement.received_at - timedelta(days=1)
    with world.acting():
        Placement.objects.filter(pk=placement.pk).update(received_at=yesterday)
    with pytest.raises(AssertionError, match="carries its message's date"):
        assert_consistent(world.acme)
    with world.acting():
        Placement.objects.filter(pk=placement.pk).update(received_at=placement.received_at)
