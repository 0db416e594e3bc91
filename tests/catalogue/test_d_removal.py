"""D: mail is removed or moved, here and there and at once."""

import pytest

from mailsync import actions
from mailsync.models import Folder, Message, Placement
from tests.catalogue.conftest import Case
from tests.engine.test_checking import causes, check


def messages(case: Case) -> int:
    with case.acting():
        return Message.objects.filter(mailbox=case.mailbox).count()


def test_d01_a_mail_removed_before_we_fetch_it_is_gone_and_the_cursor_goes_on(case: Case) -> None:
    for number in range(3):
        case.deliver(f"Mail {number}")
    case.line.once("FETCH .*BODY.PEEK", lambda: case.phone_removes("Mail 1"))
    case.sync(thorough=False)
    case.deliver("Later")
    case.until_quiet()
    assert case.subjects() == ["Mail 0", "Mail 2", "Later"]


def test_d02_what_the_server_still_serves_after_it_was_removed_does_not_stay(case: Case) -> None:
    """Dovecot hands out a mail that another session removed a moment ago."""
    case.deliver("Mail 0")
    case.deliver("Mail 1")
    case.line.once("^FETCH 1:", lambda: case.phone_removes("Mail 1"))
    case.sync(thorough=False)
    case.until_quiet()
    assert case.subjects() == ["Mail 0"]


def test_d03_a_flag_on_a_mail_that_is_gone_is_answered_ok_and_the_mail_goes(case: Case) -> None:
    case.deliver("Gone")
    case.deliver("Stays")
    case.sync()
    with case.acting():
        actions.set_flags(case.chosen("Gone"), add=["\\Flagged"], by=case.world.ann)
    case.phone_removes("Gone")
    case.until_quiet()
    assert case.subjects() == ["Stays"]


@pytest.mark.parametrize("said", [b"* 77 EXPUNGE", b"* 0 EXPUNGE", b"* 1 EXPUNGE"])
def test_d04_d05_what_the_server_says_by_number_is_never_an_identity(case: Case, said: bytes) -> None:
    for number in range(3):
        case.deliver(f"Mail {number}")
    case.line.rewrite(rb"^(\* 2 FETCH )", said + b"\r\n\\1")
    case.sync(thorough=False)
    case.line.heal()
    case.until_quiet()
    assert case.subjects() == ["Mail 0", "Mail 1", "Mail 2"]


def test_d08_marked_as_deleted_and_not_expunged_is_shown_as_that(case: Case) -> None:
    case.deliver("Marked")
    case.sync()
    case.phone_flags("+", "\\Deleted", "Marked")
    case.sync(thorough=False)
    assert case.one("Marked").flags == ["\\Deleted"]


def test_d09_a_move_by_another_program_keeps_the_message_and_fetches_no_body(case: Case) -> None:
    case.deliver("Travels", flags="\\Seen")
    case.sync()
    before = case.one("Travels").message_id
    case.phone_moves("Travels", "Archive")
    case.line.forget()
    case.until_quiet()
    assert case.one("Travels", "Archive").message_id == before
    assert (case.subjects(), case.bodies_asked()) == ([], [])


def test_d10_moved_away_and_back_within_one_interval_is_the_same_message(case: Case) -> None:
    case.deliver("Boomerang")
    case.sync()
    before = case.one("Boomerang").message_id
    case.phone_moves("Boomerang", "Archive")
    case.phone_moves("Boomerang", "INBOX", folder="Archive")
    case.until_quiet()
    assert (case.one("Boomerang").message_id, case.one("Boomerang").uid) == (before, 2)


def test_d11_we_delete_while_a_phone_flags_delete_wins_and_the_flag_is_kept(case: Case) -> None:
    case.deliver("Both")
    case.sync()
    with case.acting():
        actions.trash(case.chosen("Both"), by=case.world.ann)
    case.phone_flags("+", "\\Flagged", "Both")
    case.until_quiet()
    assert (case.subjects(), case.subjects("Trash")) == ([], ["Both"])
    assert case.one("Both", "Trash").flags == ["\\Flagged"]


def test_d12_we_move_while_a_phone_removes_it_is_gone_and_never_doubled(case: Case) -> None:
    case.deliver("Contested")
    case.sync()
    with case.acting():
        actions.archive(case.chosen("Contested"), by=case.world.ann)
    case.phone_removes("Contested")
    case.until_quiet()
    with case.acting():
        assert not Placement.objects.filter(folder__mailbox=case.mailbox).exists()


@pytest.mark.parametrize("act", ["archive", "expunge"])
def test_d13_what_others_marked_as_deleted_is_never_expunged_by_us(case: Case, act: str) -> None:
    folder = "INBOX" if act == "archive" else "Trash"
    for number in range(3):
        case.deliver(f"Mail {number}", folder=folder)
    case.sync()
    case.phone_flags("+", "\\Deleted", "Mail 2", folder=folder)
    with case.acting():
        getattr(actions, act)(case.chosen("Mail 0", path=folder), by=case.world.ann)
    if act == "expunge":
        case.removed("Mail 0")
    case.until_quiet()
    assert case.dovecot.uids(case.login, folder)[3] == {"\\Deleted"}


def keeps_marked(case: Case) -> bool:
    """Whether the server has no UIDPLUS: what is moved or removed stays there."""
    return case.profile in ("noplus", "bare")


def take_away(case: Case, act: str) -> str:
    """Of three mails the first, by an act of ours; returns the folder that it leaves."""
    folder = "INBOX" if act == "archive" else "Trash"
    for number in range(3):
        case.deliver(f"Mail {number}", folder=folder)
    case.sync()
    with case.acting():
        getattr(actions, act)(case.chosen("Mail 0", path=folder), by=case.world.ann)
    if act == "expunge":
        case.removed("Mail 0")
    case.until_quiet()
    return folder


@pytest.mark.parametrize("act", ["archive", "expunge"])
def test_d13_what_a_server_without_uidplus_keeps_marked_is_no_alarm(case: Case, act: str) -> None:
    folder = take_away(case, act)
    row = check(case)[folder]
    assert (causes(row), row.repaired) == ({"marked": 1} if keeps_marked(case) else {}, False)
    case.until_quiet()
    assert case.subjects(folder) == ["Mail 1", "Mail 2"]


@pytest.mark.parametrize("act", ["archive", "expunge"])
def test_d13_and_does_not_come_back_with_what_is_missing(case: Case, act: str) -> None:
    """The folder is read anew for another mail, and what a phone marked is shown again."""
    folder = take_away(case, act)
    case.phone_flags("+", "\\Deleted", "Mail 2", folder=folder)
    case.until_quiet()
    with case.acting():
        Folder.objects.filter(mailbox=case.mailbox, path=folder).update(uid_seen=0, full_at=None)
        actions.remove_placements(
            list(case.chosen("Mail 1", "Mail 2", path=folder).values_list("pk", flat=True))
        )
    case.until_quiet()
    assert case.subjects(folder) == ["Mail 1", "Mail 2"]
    assert case.one("Mail 2", folder).flags == ["\\Deleted"]


def test_d13_what_another_program_takes_the_mark_from_comes_back(case: Case) -> None:
    take_away(case, "archive")
    there = case.dovecot.uids(case.login)
    if not keeps_marked(case):
        assert 1 not in there, "nothing is left that could be unmarked"
        return
    assert there[1] == {"\\Deleted"}
    case.on_server("STORE", "1", "-FLAGS", "(\\Deleted)")
    case.copies[case.shas["Mail 0"]] += 1
    assert causes(check(case)["INBOX"]) == {"missing": 1}
    case.until_quiet()
    assert case.subjects() == ["Mail 0", "Mail 1", "Mail 2"]


def test_d14_a_folder_that_is_removed_while_we_read_it(case: Case) -> None:
    case.deliver("Doomed", folder="Doomed")
    case.deliver("Safe")

    def remove() -> None:
        with case.dovecot.imap(case.login) as client:
            client.delete("Doomed")

    case.line.once('^SELECT "Doomed"', remove)
    case.removed("Doomed")
    case.sync(thorough=False)
    case.until_quiet()
    with case.acting():
        assert not Folder.objects.filter(mailbox=case.mailbox, path="Doomed").exists()
    assert case.subjects() == ["Safe"]


def test_d_a_twin_that_comes_together_with_the_mail_it_resembles_keeps_its_body(case: Case) -> None:
    """Same header, size and date as a mail that a phone moves to the same folder at the same time."""
    header = b"Subject: Twin\r\nMessage-ID: <twin@example.org>\r\n\r\n"
    case.give(header + b"one\r\n", "one", at=case.moment)
    case.sync()
    case.phone_moves("one", "Archive")
    case.give(header + b"two\r\n", "two", folder="Archive", at=case.moment)
    case.until_quiet()
    assert len(case.placements("Archive")) == 2
