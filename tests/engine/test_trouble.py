"""Trouble is a sentence on the page: what is wrong, since when; settings and copies stay, the rest goes on."""

import socket
import threading
import time

from cryptography.fernet import Fernet
from django.utils import timezone

from mailsync import secrets
from mailsync.imap import session
from mailsync.models import Mailbox, Schedule
from plans.subscriptions import change_plan
from tests.engine.conftest import Box


def change(box: Box, **fields: object) -> None:
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(**fields)


def test_a_changed_password_stops_the_sync_after_three_tries_and_keeps_everything(box: Box) -> None:
    box.deliver("Kept")
    box.sync()
    box.dovecot.set_password(box.login, "something else")
    for _try in range(3):
        outcome = box.try_sync()
    assert "refuses this login" in outcome.error
    mailbox = box.reload()
    assert (mailbox.state, mailbox.last_error) == ("refused", outcome.error)
    assert mailbox.troubled_since is not None
    assert Schedule.objects.get(mailbox=mailbox).due_at is None
    assert box.subjects() == ["Kept"]
    change(box, secret=secrets.seal("something else", account_id=box.world.acme.pk))
    box.sync()
    mailbox = box.reload()
    assert (mailbox.state, mailbox.last_error, mailbox.troubled_since) == ("ok", "", None)


def test_a_wrong_key_is_no_refusal_and_the_sync_goes_on_when_it_is_put_right(box: Box, settings) -> None:
    box.deliver("Kept")
    key, settings.MAIL_SECRET_KEYS = settings.MAIL_SECRET_KEYS, [Fernet.generate_key().decode()]
    for _try in range(5):
        assert "MAIL_SECRET_KEYS" in box.try_sync().error
    mailbox, plan = box.reload(), Schedule.objects.get(mailbox=box.mailbox)
    assert (mailbox.state, plan.refusals, plan.rests_until) == ("stopped", 0, None)
    assert plan.due_at is not None
    settings.MAIL_SECRET_KEYS = key
    box.sync()
    assert (box.reload().state, box.subjects()) == ("ok", ["Kept"])


def test_an_unknown_host_is_named(box: Box) -> None:
    change(box, imap_host="no-such-host.invalid")
    assert "no-such-host.invalid" in box.try_sync().error
    mailbox = box.reload()
    assert mailbox.state == "unreachable"
    due = Schedule.objects.get(mailbox=mailbox).due_at
    assert due is not None
    assert due > timezone.now()


def test_a_server_that_does_not_speak_tls_is_named(box: Box) -> None:
    change(box, imap_security="tls")
    assert "TLS" in box.try_sync().error


def test_a_private_address_is_refused_unless_the_operator_allows_it(box: Box, settings) -> None:
    settings.MAIL_ALLOW_PRIVATE_HOSTS = False
    assert "not a public address" in box.try_sync().error
    change(box, private_host_allowed=True)
    box.sync()


def test_a_server_that_hangs_is_left_after_the_timeout(box: Box, monkeypatch) -> None:
    monkeypatch.setattr(session, "READ_TIMEOUT", 0.5)
    monkeypatch.setattr(session, "CONNECT_TIMEOUT", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        change(box, imap_port=server.getsockname()[1])
        started = time.monotonic()
        assert box.try_sync().error
        assert time.monotonic() - started < 10


def test_on_free_nothing_is_fetched_and_the_mailbox_says_paused(box: Box) -> None:
    box.deliver("Not for free")
    with box.acting():
        change_plan(box.world.acme, "free", on=timezone.now().date(), by=None)
    box.try_sync()
    assert box.placements() == []
    assert box.reload().state == "paused"


def test_a_password_never_shows_in_a_log_or_repr(box: Box, caplog) -> None:
    password = box.dovecot.passwords[box.login]
    caplog.set_level("DEBUG")
    box.deliver("Secret")
    box.sync()
    box.dovecot.set_password(box.login, "changed")
    outcome = box.try_sync()
    assert password not in caplog.text + repr(outcome) + box.reload().last_error
    assert threading.active_count() < 10
