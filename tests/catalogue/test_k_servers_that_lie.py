"""K: what no honest server does. The lie lasts one run, then the server is honest, and all must be well."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from mailsync import actions, checking
from mailsync.imap import session
from mailsync.models import Folder, SkippedMessage
from tests.catalogue.conftest import Case

NOW = datetime.now(UTC)


@pytest.mark.parametrize("exists", [b"0", b"1", b"7", b"4294967295"])
def test_k01_a_wrong_number_of_messages_makes_no_loop_and_loses_nothing(full: Case, exists: bytes) -> None:
    for number in range(3):
        full.deliver(f"Mail {number}")
    full.line.rewrite(rb"^\* \d+ EXISTS", b"* %s EXISTS" % exists)
    full.line.forget()
    full.sync()
    assert len(full.line.commands) < 60
    full.line.heal()
    full.sync()
    assert full.subjects() == ["Mail 0", "Mail 1", "Mail 2"]


def test_k01_what_the_server_forgets_to_count_is_not_taken_for_gone(full: Case) -> None:
    for number in range(3):
        full.deliver(f"Mail {number}")
    full.sync()
    full.line.rewrite(rb"^\* \d+ EXISTS", b"* 1 EXISTS")
    full.line.rewrite(rb"MESSAGES \d+", b"MESSAGES 1")
    full.sync()
    assert full.subjects() == ["Mail 0", "Mail 1", "Mail 2"]


@pytest.mark.parametrize("uid", [b"0", b"99999999999999999999"])
def test_k01_a_uid_that_cannot_be_keeps_nobody_from_the_other_mail(full: Case, uid: bytes) -> None:
    full.deliver("Odd")
    full.deliver("Even")
    full.deliver("Odd, too", folder="Projects")
    full.deliver("Other", folder="Projects")
    full.line.rewrite(rb"\(UID 1 ", b"(UID " + uid + b" ")
    full.line.forget()
    for _run in range(2):
        full.sync(thorough=False)
    assert (full.subjects(), full.subjects("Projects")) == (["Even"], ["Other"])
    assert len(full.line.commands) < 120
    full.line.heal()
    assert checking.check(full.mailbox.account_id, full.mailbox.pk), "the comparison finds what was missed"
    full.until_quiet()
    assert (full.subjects(), full.subjects("Projects")) == (["Odd", "Even"], ["Odd, too", "Other"])


@pytest.mark.parametrize("size", [b"0", b"3", b"9999999", b"NIL", b"18446744073709551615"])
def test_k02_the_bytes_that_came_decide_and_not_the_size_that_was_told(full: Case, size: bytes) -> None:
    full.deliver("Whole", text="all of it\r\n" * 50)
    full.line.rewrite(rb"RFC822\.SIZE \d+", b"RFC822.SIZE " + size)
    full.try_sync()
    full.line.heal()
    full.until_quiet()
    assert full.subjects() == ["Whole"]


@pytest.mark.parametrize("told", [b"{%d}", b"{1}"], ids=["more than came", "less than came"])
def test_k03_a_literal_that_is_longer_or_shorter_than_told_stores_nothing(
    full: Case, told: bytes, monkeypatch
) -> None:
    monkeypatch.setattr(session, "READ_TIMEOUT", 2.0)
    full.deliver("Cut", text="from here on\r\n* 1 FETCH (UID 1 FLAGS (\\Deleted))\r\n")
    full.line.rewrite(rb"BODY\[\] \{(\d+)\}", lambda found: b"BODY[] " + told.replace(b"%d", found[1] + b"9"))
    error = full.try_sync().error
    assert error
    assert not re.search("here|FETCH|socket|b'", error), "what is somebody's mail is in no sentence"
    assert full.subjects() == []
    monkeypatch.undo()
    full.line.heal()
    full.until_quiet()
    assert full.subjects() == ["Cut"]


def test_k04_a_mail_that_comes_without_its_bytes_is_asked_for_again_and_then_noted(full: Case) -> None:
    full.deliver("Empty")
    full.deliver("Whole")
    full.line.hollow = re.compile(rb"\* 1 FETCH .*BODY\[\]")
    full.sync()
    assert full.subjects() == ["Whole"]
    with full.acting():
        (noted,) = SkippedMessage.objects.all()
    assert (noted.uid, noted.reason) == (1, "The server lists it and does not hand it out.")


@pytest.mark.parametrize(
    "said",
    [
        b"NIL",
        b'""',
        b'"00-Jan-0000 00:00:00 +0000"',
        b'"30-Dec-1899 00:00:00 +0000"',
        b'"01-Jan-4459332 00:00:00 +0000"',
    ],
)
def test_k05_a_date_of_receipt_that_is_none_hides_no_mail(full: Case, said: bytes) -> None:
    """Its own Date is taken instead, or the time at which we saw it: new mail is not older than the window."""
    header = f"Date: {(NOW - timedelta(days=3)).strftime('%a, %d %b %Y %H:%M:%S +0000')}\r\n"
    full.give(f"Subject: Dated\r\n{header}\r\nx\r\n".encode(), "Dated")
    full.line.rewrite(rb'INTERNALDATE "[^"]*"', b"INTERNALDATE " + said)
    full.sync()
    (place,) = full.placements()
    assert NOW - timedelta(days=4) < place.received_at < datetime.now(UTC) + timedelta(minutes=1)
    assert place.message.received_at == place.received_at


def test_k06_k19_only_the_mail_itself_is_asked_about_what_is_in_it(full: Case) -> None:
    full.deliver("Own words")
    full.line.forget()
    full.sync()
    assert not full.line.asked("ENVELOPE")
    assert not full.line.asked("BODYSTRUCTURE")


def test_k07_what_is_said_twice_is_stored_once(full: Case) -> None:
    for number in range(3):
        full.deliver(f"Mail {number}")
    full.line.twice = re.compile(rb"\* \d+ FETCH")
    full.sync()
    assert full.subjects() == ["Mail 0", "Mail 1", "Mail 2"]


def test_k10_a_flag_that_was_taken_and_not_kept_follows_the_server_at_the_daily_look(full: Case) -> None:
    full.deliver("Unread")
    full.sync()
    full.line.answers[rb"^UID STORE"] = b"OK done"
    with full.acting():
        actions.set_flags(full.chosen("Unread"), add=["\\Seen"], by=full.world.ann)
    full.sync()
    assert full.one("Unread").flags == ["\\Seen"]
    with full.acting():
        Folder.objects.filter(pk=full.folder().pk).update(full_at=NOW - timedelta(days=2))
    full.sync()
    assert full.one("Unread").flags == []


@pytest.mark.parametrize("told", [b"MESSAGES 0", b"MESSAGES 900"])
def test_k20_where_status_and_the_opened_folder_disagree_the_folder_is_right(full: Case, told: bytes) -> None:
    full.deliver("One")
    full.deliver("Two")
    full.line.rewrite(rb"MESSAGES \d+", told)
    for _run in range(2):
        full.sync(thorough=False)
    assert full.subjects() == ["One", "Two"]


def test_k21_in_a_folder_that_may_only_be_read_today_a_wish_is_taken_back_and_told(full: Case) -> None:
    full.deliver("Locked")
    full.sync()
    full.line.rewrite(rb"\[READ-WRITE\]", b"[READ-ONLY]")
    full.line.answers[rb"^UID STORE"] = b"NO [NOPERM] Mailbox is read-only"
    full.line.forget()
    with full.acting():
        actions.set_flags(full.chosen("Locked"), add=["\\Flagged"], by=full.world.ann)
    for _run in range(3):
        full.sync(thorough=False)
    assert len(full.line.asked("UID STORE")) <= 1
    assert "\\Flagged" not in full.one("Locked").flags


def test_a_refusal_with_a_nul_keeps_nobody_from_the_other_mail(full: Case) -> None:
    """The database takes no NUL: what is written about one folder must not end the run."""
    full.deliver("Behind it")
    full.deliver("Beside it", folder="Projects")
    full.line.answers[rb'^SELECT "INBOX"'] = b"NO broken \0 here"
    full.sync()
    assert "broken" in full.folder().error
    assert full.subjects("Projects") == ["Beside it"]
