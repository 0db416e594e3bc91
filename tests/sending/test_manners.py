"""How letters are handed over: so many a minute from each mailbox, and with the options that the server offers."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mailsync import outbox
from mailsync.models import Dispatch, Outgoing
from tests.rigs.smtp import Outgoing as Post
from tests.sending.conftest import ZOE, due_now, queued, work
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
