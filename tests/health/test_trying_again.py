"""When a mailbox in trouble is tried again, and that nobody locks a person out by trying."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import actions, connecting, schedule, settling
from mailsync.models import Mailbox, Schedule
from tests.engine.conftest import Box, box
from tests.rigs.scripted import Reply, scripted

__all__ = ["box"]  # a fixture

THROTTLED = b"{tag} NO Request is throttled. Suggested Backoff Time: 7200000 milliseconds\r\n"
LIMITED = b"{tag} NO [LIMIT] LOGIN Rate limit hit.\r\n"
WRONG = b"{tag} NO [AUTHENTICATIONFAILED] no\r\n"


def answered(box: Box, *answers: Reply) -> None:
    """One run for each answer to the login."""
    for answer in answers:
        with scripted({"AUTHENTICATE": answer}) as server:
            point_at(box, server.port)
            assert box.try_sync().error
    point_at(box, box.dovecot.port)


def point_at(box: Box, port: int) -> None:
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_port=port)


def row(box: Box) -> Schedule:
    return Schedule.objects.get(mailbox=box.mailbox)


def test_a_rate_limit_waits_as_long_as_the_server_asks_and_no_click_shortens_it(box: Box) -> None:
    box.deliver("Here already")
    box.sync()
    answered(box, THROTTLED)
    mailbox, now = box.reload(), timezone.now()
    assert mailbox.state == "busy"
    due = row(box).due_at
    assert due is not None
    assert timedelta(hours=2) <= due - now + timedelta(seconds=5) < timedelta(hours=3)
    with box.acting():
        actions.set_flags(box.chosen("Here already"), add=["\\Flagged"], by=box.world.ann)
    assert schedule.claim(box.mailbox.pk, timezone.now()) is None
    assert schedule.claim(box.mailbox.pk, due + timedelta(seconds=1)), "it rests for ever"


def test_rate_limits_never_count_as_wrong_passwords(box: Box) -> None:
    answered(box, LIMITED, WRONG, LIMITED, WRONG, LIMITED)
    assert (row(box).refusals, row(box).failures) == (2, 5)
    assert row(box).due_at is not None
    answered(box, WRONG)
    assert box.reload().state == "refused"
    assert row(box).due_at is None


def test_waiting_grows_and_is_spread(box: Box) -> None:
    waits = []
    for _try in range(2):
        answered(box, LIMITED)
        due = row(box).due_at
        assert due is not None
        waits.append((due - timezone.now()).total_seconds() / 60)
    assert 4.9 < waits[0] < 7.1
    assert 9.9 < waits[1] < 14.1


def test_after_three_refusals_clicks_try_once_a_day_and_a_repair_at_once(box: Box) -> None:
    box.deliver("Here already")
    box.sync()
    answered(box, WRONG, WRONG, WRONG)
    with box.acting():
        actions.set_flags(box.chosen("Here already"), add=["\\Seen"], by=box.world.ann)
    assert schedule.claim(box.mailbox.pk, timezone.now()) is None
    box.deliver("Came meanwhile")
    with box.acting():
        mailbox = box.mailbox
        mailbox.refresh_from_db()
        settling.replace_login(
            mailbox,
            connecting.settings_of(mailbox),
            bytes(mailbox.secret),
            by=box.world.ann,
            private_host_allowed=False,
        )
    assert (row(box).refusals, row(box).failures, row(box).rests_until) == (0, 0, None)
    box.sync()
    assert box.subjects() == ["Here already", "Came meanwhile"]
    box.assert_equal()


def test_a_success_forgets_what_was_refused(box: Box) -> None:
    answered(box, WRONG, WRONG)
    box.sync()
    assert (row(box).refusals, row(box).rests_until) == (0, None)
    answered(box, WRONG)
    assert row(box).due_at is not None


@pytest.mark.parametrize("command", ["LIST", "SELECT"])
def test_a_limit_in_the_middle_of_a_run_ends_it_and_nothing_is_lost(box: Box, command: str) -> None:
    box.deliver("Here already")
    box.sync()
    status = b"* STATUS INBOX (MESSAGES 9 UIDNEXT 10 UIDVALIDITY 1 UNSEEN 0)\r\n{tag} OK done\r\n"
    listed = b'* LIST () "/" INBOX\r\n{tag} OK done\r\n'
    replies: dict[str, Reply] = {"LIST": listed, "STATUS": status, command: LIMITED}
    with scripted(replies) as server:
        point_at(box, server.port)
        box.try_sync()
    assert box.reload().state == "busy"
    point_at(box, box.dovecot.port)
    box.assert_equal()


def test_trouble_with_tls_has_its_own_name(box: Box) -> None:
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_security="tls")
    assert box.try_sync().error
    assert box.reload().state == "insecure"
