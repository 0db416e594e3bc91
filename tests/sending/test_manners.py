"""How letters are handed over: so many a minute from each mailbox, with the options that the server offers, and as
fast as the line is."""

import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mailsync import netguard, outbox, smtp
from mailsync.models import Dispatch, Outgoing
from mailsync.smtp import Accepted, Later
from tests.rigs.smtp import Outgoing as Post
from tests.rigs.smtp import outgoing_server
from tests.sending.conftest import ZOE, credentials, due_now, queued, work
from tests.world import World


def test_a_mailbox_sends_so_many_a_minute_and_another_is_not_held_up(
    writing: World, post: Post, settings: Any
) -> None:
    settings.MAIL_SEND_PER_MINUTE = 2
    letters = [queued(writing, subject=f"Letter {number}") for number in range(3)]
    of_team = outbox.start(writing.team_box, by=writing.ann, to=[ZOE], subject="Team", html="<p>x</p>")
    work(letters[2])
    assert [work(letter).state for letter in letters] == ["sent", "sent", "queued"]
    due_at = Dispatch.objects.get(mailbox=writing.ann_box).due_at
    assert due_at
    assert timedelta(seconds=15) < due_at - timezone.now() <= timedelta(seconds=30)
    assert work(due_now(outbox.queue(of_team, by=writing.ann, key=""))).state == "sent"
    # A minute later there is room again.
    earlier = timezone.now() - timedelta(seconds=61)
    Outgoing.objects.filter(state="sent").update(sent_at=earlier, updated_at=earlier)
    assert work(due_now(letters[2])).state == "sent"
    assert len(post.delivered) == 4


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("offers_dsn", [True, False])
def test_reports_are_asked_for_where_the_server_knows_them(
    writing: World, post: Post, auth: str, offers_dsn: bool
) -> None:
    post.auth = auth
    post.extensions = ["DSN", "SIZE 1000000"] if offers_dsn else []
    assert work(queued(writing)).state == "sent"
    said = {line.split(b" ")[0]: line for line in post.heard}
    assert said[b"AUTH"].startswith(b"AUTH " + auth.encode())
    assert (b" RET=HDRS" in said[b"MAIL"], b" SIZE=" in said[b"MAIL"]) == (offers_dsn, offers_dsn)
    assert (b" NOTIFY=FAILURE,DELAY" in said[b"RCPT"]) is offers_dsn


LARGE = b"Subject: Plans\r\n\r\n" + b".dots and words\r\n" * 40_000


@pytest.fixture
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our side of a line holds little of what the other side has not read."""
    wide = netguard.connect

    def connect(*args: Any, **options: Any) -> socket.socket:
        line = wide(*args, **options)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 15)
        return line

    monkeypatch.setattr(netguard, "connect", connect)


@pytest.mark.usefixtures("thin")
def test_a_large_letter_leaves_over_a_thin_but_steady_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece of it is taken in time, and only all of it together is not."""
    monkeypatch.setattr(smtp, "ANSWER_TIMEOUT", 0.5)
    with outgoing_server() as server:
        server.pause = 0.06
        began = time.monotonic()
        outcome = smtp.deliver(credentials(server), LARGE, "ann@acme.example", [ZOE[1]])
    assert outcome == Accepted({})
    assert time.monotonic() - began > 2 * smtp.ANSWER_TIMEOUT
    assert [each.raw for each in server.delivered] == [LARGE]


@pytest.mark.usefixtures("thin")
@pytest.mark.parametrize(("seconds", "patience"), [(0.5, 60.0), (60.0, 0.5)], ids=["too thin", "stuck"])
def test_a_letter_that_is_not_out_in_time_gets_no_final_dot(
    monkeypatch: pytest.MonkeyPatch, seconds: float, patience: float
) -> None:
    monkeypatch.setattr(smtp, "ANSWER_TIMEOUT", patience)
    ends: list[str] = []
    with outgoing_server() as server:
        server.pause = 0.06 if patience > seconds else 2.0
        outcome = smtp.deliver(
            credentials(server), LARGE, "ann@acme.example", [ZOE[1]],
            out_by=time.monotonic() + seconds, before_the_end=lambda: ends.append("end"),
        )  # fmt: skip
    assert isinstance(outcome, Later)
    assert outcome.kind == "server"
    assert "too slowly" in outcome.sentence
    assert (ends, server.delivered) == ([], [])
