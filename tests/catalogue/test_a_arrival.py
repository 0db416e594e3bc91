"""A: mail arrives, and none is lost."""

import pytest

from mailsync.models import Message, SkippedMessage
from tests.catalogue.conftest import Case
from tests.rigs.filling import fill

DEEP = b'Subject: =?utf-8?b?////?=\r\nContent-Type: multipart/mixed; boundary="x\r\n\r\n--x\r\n\xff\xfe\r\n'


def test_a01_a_mail_into_an_empty_folder_is_one_row_with_the_same_bytes(case: Case) -> None:
    case.deliver("First")
    case.sync()
    assert case.subjects() == ["First"]


def test_a02_a_burst_while_it_synchronises_comes_whole_and_in_the_order_of_uids(case: Case) -> None:
    for number in range(60):
        case.deliver(f"Mail {number}")
    case.line.once("FETCH .*BODY.PEEK", lambda: [case.deliver(f"Mail {n}") for n in range(60, 75)])
    case.sync(thorough=False)
    case.sync(thorough=False)
    assert case.subjects() == [f"Mail {n}" for n in range(75)]


@pytest.mark.slow
def test_a02_a_thousand_at_once(full: Case) -> None:
    fill(full.dovecot, full.login, 1_000)
    full.line.once("FETCH .*BODY.PEEK", lambda: [full.deliver(f"Late {n}") for n in range(50)])
    full.sync(thorough=False)
    full.sync(thorough=False)
    assert full.subjects()[1_000:] == [f"Late {n}" for n in range(50)]
    full.count_what_is_there()


def test_a03_a_mail_between_list_and_fetch_comes_with_the_same_run_or_the_next(case: Case) -> None:
    case.deliver("First")
    case.line.once("^FETCH", lambda: case.deliver("Between the list and its flags"))
    case.line.once("FETCH .*BODY.PEEK", lambda: case.deliver("Between the list and the bodies"))
    case.sync(thorough=False)
    case.sync(thorough=False)
    assert len(case.subjects()) == 3


def test_a03_a_mail_between_status_and_select_is_not_skipped(case: Case) -> None:
    case.deliver("First")
    case.sync()
    case.deliver("Second")
    case.line.once('^SELECT "INBOX"', lambda: case.deliver("Third"))
    case.sync(thorough=False)
    case.sync(thorough=False)
    assert case.subjects() == ["First", "Second", "Third"]


def test_a05_a_mail_that_comes_and_goes_between_two_runs_leaves_nothing(case: Case) -> None:
    case.sync()
    case.deliver("Gone")
    case.phone_removes("Gone")
    case.deliver("Stays")
    case.sync(thorough=False)
    assert case.subjects() == ["Stays"]


def test_a06_uids_with_gaps_up_to_32_bits(case: Case) -> None:
    case.deliver("One")
    for number in (5_000, 2_147_483_648, 4_294_967_290):
        case.dovecot.doveadm("mailbox", "update", "-u", case.login, "--min-next-uid", str(number), "INBOX")
        case.deliver(f"Mail {number}")
    case.sync()
    assert [each.uid for each in case.placements()] == [1, 5_000, 2_147_483_648, 4_294_967_290]


def test_a07_mail_received_before_the_window_stays_out_whenever_it_was_put_there(case: Case) -> None:
    """The date of receipt (INTERNALDATE) decides, not when the mail was put into the folder."""
    case.deliver("New", days_ago=1)
    case.sync()
    case.deliver("Old, imported today", days_ago=400)
    case.deliver("Newer", days_ago=0.5)
    case.sync(thorough=False)
    assert case.subjects() == ["New", "Newer"]


def test_a08_mail_that_a_phone_moves_here_is_new_by_its_uid_and_judged_by_its_date(case: Case) -> None:
    case.deliver("Long ago", days_ago=400)
    case.deliver("Lately", days_ago=80)
    case.sync()
    case.phone_moves("Long ago", "Archive")
    case.phone_moves("Lately", "Archive")
    case.sync(thorough=False)
    assert (case.subjects(), case.subjects("Archive")) == ([], ["Lately"])


def test_a09_the_same_mail_twice_in_a_folder_is_two_places_and_one_message(case: Case) -> None:
    raw = case.deliver("Twin")
    case.give(raw, "Twin")
    case.sync()
    assert len(case.placements()) == 2
    with case.acting():
        assert Message.objects.filter(mailbox=case.mailbox).count() == 1


@pytest.mark.parametrize(
    "raw", [b"\r\n", b"no header at all", b"Subject: only a header\r\n\r\n", b"\r\nbody only", DEEP]
)
def test_a10_a12_odd_mails_are_stored_the_others_come_and_no_run_asks_again(case: Case, raw: bytes) -> None:
    case.deliver("Before")
    case.give(raw)
    case.deliver("After")
    case.sync()
    assert len(case.placements()) == 3


def test_a12_a_mail_of_nothing_but_odd_bytes(case: Case) -> None:
    case.give(bytes(range(1, 256)) * 40)
    case.deliver("After")
    case.sync()
    assert len(case.placements()) == 2


def test_a11_a_mail_above_the_limit_is_noted_and_the_others_come(case: Case, settings) -> None:
    settings.MAIL_MAX_MESSAGE_BYTES = 20_000
    case.deliver("Small")
    case.deliver("Giant", text=("x" * 70 + "\r\n") * 500)
    case.deliver("Small too")
    case.sync()
    assert case.subjects() == ["Small", "Small too"]
    with case.acting():
        [(uid, reason)] = SkippedMessage.objects.values_list("uid", "reason")
    assert uid == 2
    assert "larger" in reason


def test_a13_fetching_never_marks_as_read(case: Case) -> None:
    case.deliver("Unread")
    case.sync()
    assert case.dovecot.uids(case.login) == {1: set()}
    assert (case.folder().total, case.folder().unseen) == (1, 1)


def test_a14_of_mail_older_than_the_window_no_body_is_read(case: Case) -> None:
    with case.acting():
        case.mailbox.fetch_days = 30
        case.mailbox.save()
    for number in range(5):
        case.deliver(f"Old {number}", days_ago=40)
    case.deliver("New", days_ago=20)
    case.sync()
    assert case.subjects() == ["New"]
    assert len(case.bodies_asked()) == 1
    assert b" 6 " in case.bodies_asked()[0]
