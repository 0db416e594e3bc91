"""Ann's mailbox with an outgoing server of the tests' own."""

import ssl
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from mailsync import dispatch, outbox, sender
from mailsync.models import Dispatch, Mailbox, Outgoing, OutgoingState
from mailsync.smtp import SmtpCredentials
from tests.rigs import smtp
from tests.world import World

ZOE = ["Zoe Zander", "zoe@elsewhere.example"]


@pytest.fixture
def writing(world: World) -> World:
    """Every mailbox can send, as far as the outbox knows."""
    with world.acting():
        Mailbox.objects.update(smtp_host="127.0.0.1", smtp_security="none")
    world.ann_box.smtp_host = "127.0.0.1"
    return world


@pytest.fixture
def post(writing: World, settings: Any) -> Iterator[smtp.Outgoing]:
    """The outgoing server that they send through, as fast as they can."""
    settings.MAIL_SEND_PER_MINUTE = 10_000
    with smtp.outgoing_server() as server, writing.acting():
        Mailbox.objects.update(smtp_port=server.port)
        yield server


def credentials(server: smtp.Outgoing) -> SmtpCredentials:
    """Of Ann, for handing something over without the outbox."""
    unused = ssl.create_default_context()
    return SmtpCredentials("127.0.0.1", server.port, "none", "ann", "secret", unused, allow_private=True)


def draft(world: World, **fields: object) -> Outgoing:
    given: dict[str, Any] = {"to": [ZOE], "subject": "Offer", "html": "<p>Dear Zoe</p>"} | fields
    return outbox.start(world.ann_box, by=world.ann, **given)


def queued(world: World, **fields: object) -> Outgoing:
    """Sent by Ann, and the time for second thoughts is over."""
    return due_now(outbox.queue(draft(world, **fields), by=world.ann, key=""))


def due_now(letter: Outgoing) -> Outgoing:
    """Time passes until the next try."""
    Outgoing.objects.filter(pk=letter.pk, state=OutgoingState.QUEUED).update(due_at=timezone.now())
    Dispatch.objects.filter(mailbox=letter.mailbox_id).update(due_at=timezone.now(), leased_until=None)
    letter.refresh_from_db()
    return letter


def work(letter: Outgoing) -> Outgoing:
    """A worker comes by; returns the letter as it is then."""
    turn = dispatch.claim(letter.mailbox_id, timezone.now())
    if turn:
        sender.send(turn)
    letter.refresh_from_db()
    return letter
