"""What happened to a message is written down as it happens, by whom, and never changed afterwards."""

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from mailsync import actions, events
from mailsync.models import Event, Message
from tests.engine.conftest import Box, box
from tests.rigs.filling import fill

__all__ = ["box"]  # a fixture


def told(box: Box, subject: str) -> list[str]:
    """The message's events, oldest first, as kind, place, what, by whom."""
    with box.acting():
        rows = Event.objects.filter(message__subject=subject).select_related("by").order_by("id")
        return [
            " ".join(filter(None, [e.kind, e.path, str(e.uid or ""), e.target, e.flags, str(e.by or "")]))
            for e in rows
        ]


def test_a_mail_that_only_came_has_nothing_written_down(box: Box) -> None:
    box.deliver("Quiet")
    box.deliver("Starred already", flags="\\Flagged")
    box.sync()
    box.deliver("Later")
    box.sync()
    with box.acting():
        assert not Event.objects.exists()
        assert not Message.objects.filter(stored_at=None).exists()


def test_what_another_program_did_is_told_as_the_server_shows_it(box: Box) -> None:
    box.deliver("Busy")
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(\\Seen \\Flagged)")
    box.sync()
    box.on_server("MOVE", "1", "Archive")
    box.sync()
    assert sorted(told(box, "Busy")) == [
        "flag INBOX 1 +\\Flagged +\\Seen",
        "gone INBOX 1",
        "placed Archive 1",
    ]


def test_what_ann_did_is_told_with_her_name_and_when_the_server_had_it(box: Box) -> None:
    box.deliver("Handled", flags="\\Flagged")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Handled"), add=["\\Seen"], remove=["\\Flagged"], by=box.world.ann)
        actions.archive(box.chosen("Handled"), by=box.world.ann)
    assert told(box, "Handled") == [
        "flag INBOX 1 +\\Seen -\\Flagged Ann Archer",
        "move INBOX 1 Archive Ann Archer",
    ]
    box.sync()
    assert told(box, "Handled")[2:] == ["flag sent Archive Ann Archer", "move sent Archive 1 Ann Archer"]
    box.assert_equal()
    assert len(told(box, "Handled")) == 4


def test_only_what_really_changes_is_told(box: Box) -> None:
    box.deliver("Read", flags="\\Seen")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Read"), add=["\\Seen", "\\Flagged"], by=box.world.ann)
    assert told(box, "Read") == ["flag INBOX 1 +\\Flagged Ann Archer"]


def test_taking_a_move_back_is_a_move(box: Box) -> None:
    box.deliver("Spared")
    box.sync()
    with box.acting():
        act = actions.trash(box.chosen("Spared"), by=box.world.ann)
        actions.undo(act, by=box.world.ann)
    assert told(box, "Spared") == ["move INBOX 1 Trash Ann Archer", "move Trash INBOX Ann Archer"]


def test_a_refusal_is_told_with_the_servers_words(box: Box) -> None:
    box.deliver("Stays")
    box.sync()
    with box.acting():
        actions.move(box.chosen("Stays"), box.chosen_folder("Gone soon"), by=box.world.ann)
    with box.dovecot.imap(box.login) as client:
        client.delete('"Gone soon"')
    box.sync()
    with box.acting():
        refusal = Event.objects.get(kind="move refused")
    assert (refusal.by_id, refusal.path) == (box.world.ann.pk, "Gone soon")
    assert refusal.note


def test_a_copy_made_by_another_program_is_told(box: Box) -> None:
    box.deliver("Copied")
    box.sync()
    box.on_server("COPY", "1", "Archive")
    box.sync()
    assert told(box, "Copied") == ["placed Archive 1"]


def test_a_renumbered_folder_is_one_event_for_all_its_mail(box: Box) -> None:
    for number in range(3):
        box.deliver(f"Mail {number}")
    box.sync()
    box.dovecot.doveadm("mailbox", "update", "-u", box.login, "--uid-validity", "4711", "INBOX")
    box.sync()
    with box.acting():
        event = Event.objects.get()
        assert (event.kind, event.folder, event.message) == ("renumbered", box.folder(), None)


def test_a_folder_removed_by_another_program_takes_leave_of_its_mail(box: Box) -> None:
    box.deliver("Inside", folder="Old")
    box.sync()
    with box.dovecot.imap(box.login) as client:
        client.delete('"Old"')
    box.sync()
    assert told(box, "Inside") == ["gone Old 1"]


def test_nobody_rewrites_history(box: Box) -> None:
    box.deliver("Fixed")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Fixed"), add=["\\Seen"], by=box.world.ann)
    with pytest.raises(DatabaseError, match="append-only"), box.acting():
        Event.objects.update(by=box.world.bob)


def test_history_is_forgotten_by_age_batch_by_batch(box: Box, monkeypatch, settings) -> None:
    monkeypatch.setattr(events, "BATCH", 2)
    settings.MAIL_HISTORY_DAYS = 30
    box.deliver("Long story")
    box.sync()
    now = timezone.now()
    with box.acting():
        message = Message.objects.get()
        for days in (1, 29, 31, 32, 33, 400):
            at = now - timedelta(days=days)
            Event.objects.create(
                account_id=message.account_id, message=message, kind="gone", path="INBOX", uid=days, at=at
            )
    assert events.drop_old(now) == 4
    assert told(box, "Long story") == ["gone INBOX 1", "gone INBOX 29"]


def test_three_hundred_marks_at_once_are_each_written_down(box: Box) -> None:
    fill(box.dovecot, box.login, 300)
    box.sync()
    box.on_server("STORE", "1:*", "+FLAGS", "(\\Seen)")
    box.sync()
    with box.acting():
        assert Event.objects.filter(kind="flag", flags="+\\Seen", by=None).count() == 300
