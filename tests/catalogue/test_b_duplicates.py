"""B: nothing is there twice."""

from django.utils import timezone

from mailsync import actions, connecting, engine, jobs, schedule, settling
from mailsync.connecting import Choice
from mailsync.models import Folder, Mailbox, Message, Schedule
from mailsync.roles import FoundFolder
from tests.catalogue.conftest import Case


def forget_the_cursors(case: Case) -> None:
    """The rows are committed and the cursors are not: the worker died in between."""
    with case.acting():
        Folder.objects.filter(mailbox=case.mailbox).update(
            uid_seen=0, full_at=None, modseq=None, server_messages=0, server_uidnext=0
        )


def messages(case: Case) -> int:
    with case.acting():
        return Message.objects.filter(mailbox=case.mailbox).count()


def test_b01_a_worker_that_died_after_the_rows_and_before_the_cursor_leaves_no_second_row(case: Case) -> None:
    for number in range(4):
        case.deliver(f"Mail {number}")
    case.deliver("Sent", folder="Sent")
    case.sync()
    ids = [each.pk for each in case.placements()]
    forget_the_cursors(case)
    case.line.forget()
    assert case.sync().imported == 0
    assert case.bodies_asked() == []
    assert ([each.pk for each in case.placements()], messages(case)) == (ids, 5)


def test_b02_b03_b10_of_two_workers_the_second_leaves_at_once(full: Case, redis_url: str) -> None:
    full.deliver("Once")
    for _tab in range(3):
        with full.acting():
            schedule.wake(full.mailbox.pk)
    with full.acting():
        first = schedule.claim(full.mailbox.pk, timezone.now())
    assert first
    full.line.forget()
    jobs.sync_mailbox(full.mailbox.pk)
    jobs.sync_mailbox(full.mailbox.pk)
    assert full.line.connections == 0
    engine.synchronise(first, seconds=60)
    jobs.sync_mailbox(full.mailbox.pk)
    assert full.line.connections == 1
    assert (full.subjects(), messages(full)) == (["Once"], 1)


def test_b08_two_mails_with_one_header_are_two(case: Case) -> None:
    header = b"Subject: Same\r\nMessage-ID: <same@example.org>\r\n\r\n"
    for body in (b"one\r\n", b"two\r\n"):
        case.give(header + body, body.decode().strip(), at=case.moment)
    case.sync()
    case.give(header + b"six\r\n", "six", at=case.moment)
    case.sync()
    assert messages(case) == 3
    case.phone_moves("two", "Archive")
    case.sync()
    assert (len(case.placements()), len(case.placements("Archive"))) == (2, 1)


def test_b08_the_same_message_id_in_two_different_mails_is_two(case: Case) -> None:
    for subject in ("First", "Second"):
        raw = f"Subject: {subject}\r\nMessage-ID: <one@example.org>\r\n\r\nx\r\n".encode()
        case.give(raw, subject, at=case.moment)
    case.sync()
    assert messages(case) == 2


def test_b09_no_message_id_and_the_same_sender_subject_and_second_is_two(case: Case) -> None:
    header = b"From: Zoe <zoe@example.org>\r\nSubject: Same\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n\r\n"
    for body in (b"one\r\n", b"one more\r\n"):
        case.give(header + body, body.decode().strip(), at=case.moment)
    case.sync()
    assert messages(case) == 2


def test_b11_a_mailbox_that_is_disconnected_and_connected_again_has_everything_once(full: Case) -> None:
    for number in range(3):
        full.deliver(f"Mail {number}")
    full.sync()
    ids = {each.message.subject: each.message_id for each in full.placements()}
    found = [FoundFolder(b"INBOX", "INBOX", "/", "", True)]
    with full.acting():
        settling.disconnect(full.mailbox, by=full.world.ann)
        Schedule.objects.filter(mailbox=full.mailbox).update(leased_until=None)
    full.deliver("Came meanwhile")
    with full.acting():
        connecting.connect(
            owner=full.world.ann,
            address=full.mailbox.address,
            settings=connecting.settings_of(full.mailbox),
            sealed=bytes(full.mailbox.secret),
            found=found,
            choice=Choice(folders=[b"INBOX"], roles={}),
            fetch_days=90,
            by=full.world.ann,
        )
        assert Mailbox.objects.filter(address=full.mailbox.address).count() == 1
    full.sync()
    assert full.subjects() == ["Mail 0", "Mail 1", "Mail 2", "Came meanwhile"]
    again = {each.message.subject: each.message_id for each in full.placements()}
    assert {**ids, **again} == again
    assert messages(full) == 4


def test_b_one_mail_that_is_moved_here_and_there_at_once_is_not_doubled(case: Case) -> None:
    case.deliver("Wanted twice")
    case.sync()
    with case.acting():
        actions.archive(case.chosen("Wanted twice"), by=case.world.ann)
    case.phone_moves("Wanted twice", "Sent")
    case.until_quiet()
    assert (case.subjects("Sent"), case.subjects("Archive"), messages(case)) == (["Wanted twice"], [], 1)
