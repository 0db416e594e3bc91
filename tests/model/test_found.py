"""What the model has found, each history made as short as it goes."""

import re
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import actions, folderpull, folders
from mailsync.imap.session import Session
from mailsync.models import Folder, Message, Schedule
from mailsync.run import Run
from mailsync.schedule import LeaseLost
from retention.purge import purge
from tasks import actions as tasks
from tests.catalogue.conftest import Case, full
from tests.catalogue.rehearsal import run
from tests.engine.conftest import Box, box, dying_before_store
from tests.model.mishaps import before_command, overtake, until_overtaken
from tests.rigs.proxy import Way

__all__ = ["box", "full"]  # fixtures


def flag(case: Case, on: bool, path: str = "Archive") -> None:
    with case.acting():
        flags = ["\\Flagged"]
        actions.set_flags(
            case.chosen("Mail", path=path),
            add=flags if on else [],
            remove=[] if on else flags,
            by=case.world.ann,
        )


def archive(case: Case) -> None:
    with case.acting():
        actions.archive(case.chosen("Mail"), by=case.world.ann)


def test_a_star_taken_back_between_a_move_and_the_next_run_stays_away(full: Case) -> None:
    """The star waited for the UID that the move would bring; taking it back found the UID there."""
    full.deliver("Mail")
    full.sync()
    archive(full)
    with before_command(2, lambda: flag(full, on=True)):
        run(full)
    flag(full, on=False)
    full.until_quiet()
    assert full.one("Mail", "Archive").flags == []


def test_a_star_taken_back_before_the_mail_is_moved_on_stays_away(full: Case) -> None:
    """It waited for a UID that was known by then, and waited on for that of the next place."""
    full.deliver("Mail")
    full.sync()
    archive(full)
    with before_command(2, lambda: flag(full, on=True)):
        run(full)
    assert full.one("Mail", "Archive").uid is not None
    flag(full, on=False)
    with full.acting():
        actions.not_spam(full.chosen("Mail", path="Archive"), by=full.world.ann)
    full.until_quiet()
    assert full.one("Mail").flags == []


def test_a_star_on_mail_whose_move_may_have_been_heard_arrives(full: Case) -> None:
    full.deliver("Mail")
    full.sync()
    archive(full)
    full.line.lost = re.compile(b"^UID MOVE")
    run(full)
    full.line.settle()
    full.line.heal()
    flag(full, on=True)
    full.until_quiet()
    assert full.one("Mail", "Archive").flags == ["\\Flagged"]


def test_a_star_on_mail_that_somebody_removes_before_its_uid_is_known_waits_no_longer(full: Case) -> None:
    full.deliver("Mail")
    full.sync()
    archive(full)
    full.line.lost = re.compile(b"^UID MOVE")
    run(full)
    full.line.settle()
    full.line.heal()
    flag(full, on=True)
    full.phone_removes("Mail", folder="Archive")
    full.until_quiet()
    assert {each.state for each in full.operations()} <= {"done", "void"}


def test_a_worker_that_was_overtaken_says_nothing_of_how_it_ended(full: Case) -> None:
    """Its connection breaks while another has long had the mailbox: that is no trouble of the mailbox."""
    full.deliver("Mail")

    def overtaken() -> None:
        Schedule.objects.filter(mailbox=full.mailbox).update(leased_until=None)
        full.sync()
        full.line.cut[Way.TO_US] = 0

    with before_command(2, overtaken), pytest.raises(LeaseLost):
        run(full)
    full.line.heal()
    assert (full.reload().state, full.mailbox.last_error) == ("ok", "")


def test_mail_moved_out_of_a_folder_that_a_phone_renamed_leaves_no_ghost_behind(full: Case) -> None:
    """Nothing comes to the Archive, so nobody would have looked there for a UID."""
    full.deliver("Mail", folder="Plans")
    full.sync()
    with full.dovecot.imap(full.login) as client:
        client.rename("Plans", "Projects")
    with full.acting():
        actions.archive(full.chosen("Mail", path="Plans"), by=full.world.ann)
    full.until_quiet()
    assert (full.subjects("Archive"), full.subjects("Projects")) == ([], ["Mail"])


def test_mail_that_we_moved_and_a_phone_moved_on_before_we_looked_is_where_the_phone_put_it(
    full: Case,
) -> None:
    """The Archive has as many as before: its number does not tell that something came and went."""
    full.deliver("Mail")
    full.sync()
    archive(full)
    full.line.once("^LIST", lambda: full.phone_moves("Mail", "Sent", folder="Archive"))
    run(full)
    full.until_quiet()
    assert (full.subjects("Archive"), full.subjects("Sent")) == ([], ["Mail"])


def test_mail_moved_into_a_folder_that_was_rebuilt_can_be_moved_on_once_that_is_known(full: Case) -> None:
    """COPYUID told its new UIDVALIDITY: noted under the old one, what Ann asks for next would be taken back."""
    full.deliver("Mail")
    full.sync()
    full.dovecot.doveadm("mailbox", "update", "-u", full.login, "--uid-validity", "2000000001", "Archive")
    archive(full)
    full.line.lost = re.compile(b"^LIST")
    run(full)
    full.line.settle()
    full.line.heal()
    assert full.one("Mail", "Archive").uid is None
    full.until_quiet()
    assert full.one("Mail", "Archive").uid == 1


def test_a_star_on_mail_that_is_removed_for_good_from_a_folder_that_was_rebuilt_waits_no_longer(
    full: Case,
) -> None:
    """It stands for a UID that is void, of mail that is shown no more: nothing would ever have sent or ended it."""
    full.deliver("Mail", folder="Trash")
    full.sync()
    flag(full, on=True, path="Trash")
    full.dovecot.doveadm("mailbox", "update", "-u", full.login, "--uid-validity", "2000000001", "Trash")
    with full.acting():
        actions.expunge(full.chosen("Mail", path="Trash"), by=full.world.ann)
    full.until_quiet()
    assert {each.state for each in full.operations()} <= {"done", "void", "failed"}
    assert full.subjects("Trash") == ["Mail"]


@pytest.mark.parametrize("number", range(1, 5))
def test_a_copy_made_elsewhere_while_a_purge_takes_the_mail_stays_away_with_it(box: Box, number: int) -> None:
    """The run knew the mail when it asked for news, and the window as it was before the purge when it had them."""
    box.deliver("Old", days_ago=60)
    box.deliver("Young")
    box.sync()
    box.on_server("COPY", "1", "Archive")

    def by_night() -> None:
        purge(box.world.acme.pk, timezone.now() + timedelta(days=31))

    with before_command(number, by_night) as happened, suppress(LeaseLost):
        run(box)
    assert happened
    box.sync()
    assert (box.subjects(), box.subjects("Archive")) == (["Young"], [])


def test_a_folder_that_is_rebuilt_now_and_then_is_read_each_time(full: Case) -> None:
    """What C07 parks is rebuilt at each look; here it was the same for a while in between."""
    full.deliver("Mail", folder="Archive")
    full.sync()
    for number in range(4):
        validity = str(2_000_000_001 + number)
        full.dovecot.doveadm("mailbox", "update", "-u", full.login, "--uid-validity", validity, "Archive")
        full.sync(thorough=False)
        full.sync(thorough=False)
        assert full.folder("Archive").error == ""
        assert full.one("Mail", "Archive").uid == 1


def test_old_mail_of_a_task_that_a_phone_moves_away_and_back_stays_in_its_folder(box: Box) -> None:
    """Older than what is fetched, and already there under another UID when it arrives: only its body tells that it is
    no other mail."""
    box.deliver("Kept", days_ago=60)
    box.deliver("Purged", days_ago=60)
    box.sync()
    with box.acting():
        tasks.create_from([Message.objects.get(subject="Kept")], by=box.world.ann)
    purge(box.world.acme.pk, timezone.now() + timedelta(days=31))
    assert box.subjects() == ["Kept"]
    box.on_server("MOVE", "1", "Archive")
    box.on_server("MOVE", "1", "INBOX", folder="Archive")
    box.sync(thorough=False)
    assert [(each.message.subject, each.uid) for each in box.placements()] == [("Kept", 3)]


def test_a_worker_that_was_overtaken_in_its_sleep_says_nothing_more(full: Case) -> None:
    """What it was about to say, another has said or taken back."""
    full.deliver("Mail", folder="Archive")
    full.sync()
    with full.acting():
        actions.trash(full.chosen("Mail", path="Archive"), by=full.world.ann)

    def what() -> None:
        validity = ("--uid-validity", "2000000001")
        full.dovecot.doveadm("mailbox", "update", "-u", full.login, *validity, "Archive")
        assert not overtake(full).error

    with before_command(2, what) as happened:
        assert until_overtaken(full)
    assert happened == ["UID"]
    assert not full.line.asked("UID MOVE")
    assert (full.subjects("Archive"), full.subjects("Trash")) == (["Mail"], [])
    full.judge()


@pytest.mark.parametrize("uid", ["told", "found"])
def test_a_move_into_a_folder_that_was_never_read_can_be_undone_once_it_is(
    full: Case, monkeypatch, uid: str
) -> None:
    """Before, nobody could say of which UIDVALIDITY the UID is that the server told, or under which a copy of ours was
    found: it was asked for in vain, run after run, until it was given up."""
    full.deliver("Mail")
    full.sync()
    refresh, ann = folderpull.refresh, full.world.ann
    with full.acting():
        folders.create_folder(full.mailbox, "New", by=ann)
        act = actions.move(full.chosen("Mail"), full.folder("New"), by=ann)
    if uid == "found":
        real = Session.can
        monkeypatch.setattr(Session, "can", lambda self, name: name != "MOVE" and real(self, name))
        with dying_before_store():
            assert full.try_sync().error

    def undone_before_it_is_read(run: Run) -> list[Folder]:
        with full.acting(), pytest.raises(actions.CannotMove):
            actions.undo(act, by=ann)
        return refresh(run)

    monkeypatch.setattr(folderpull, "refresh", undone_before_it_is_read)
    full.sync()
    monkeypatch.undo()
    with full.acting():
        assert actions.undo(act, by=ann).count == 1
    full.until_quiet()
    assert (full.subjects(), full.subjects("New")) == (["Mail"], [])
    assert not full.waits()
    full.judge()


def test_a_star_that_was_told_and_not_noted_is_told_again(full: Case) -> None:
    """Whether the server has heard is not known, as after any command whose answer is lost: ours stands, though a phone
    took the star away in between (docs/conflicts.md)."""
    full.deliver("Mail")
    full.sync()
    with full.acting():
        actions.set_flags(full.chosen("Mail"), add=["\\Flagged"], remove=[], by=full.world.ann)
    full.line.lost = re.compile(b"^UID STORE")
    run(full)
    full.line.settle()
    full.line.heal()
    full.on_server("STORE", "1", "-FLAGS", "(\\Flagged)")
    full.until_quiet()
    assert full.one("Mail").flags == ["\\Flagged"]
    full.judge()
