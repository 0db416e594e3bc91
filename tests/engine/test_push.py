"""Push: what an employee does here is on the server soon, exactly once, or taken back with a reason."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mailsync import actions, pushing, storing, tags
from mailsync.imap import server
from mailsync.imap.errors import CommandRefused
from mailsync.imap.session import Session
from mailsync.importing import Prepared
from mailsync.models import Folder, Mailbox, Operation, OperationState, Placement
from mailsync.run import Run
from tests.engine.conftest import Box, dying_before_store
from tests.rigs.filling import fill
from tests.rigs.proxy import line_to, without


def test_f01_reading_and_starring_reach_the_server(box: Box) -> None:
    for number in range(3):
        box.deliver(f"Mail {number}")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Mail 0", "Mail 2"), add=["\\Seen"], by=box.world.ann)
        actions.set_flags(box.chosen("Mail 2"), add=["\\Flagged"], by=box.world.ann)
    box.sync()
    assert box.dovecot.uids(box.login) == {1: {"\\Seen"}, 2: set(), 3: {"\\Seen", "\\Flagged"}}
    box.assert_equal()


def test_a_move_keeps_the_message_and_takes_the_new_uid(box: Box) -> None:
    box.deliver("Moved", flags="\\Seen")
    box.sync()
    before = box.one("Moved").message_id
    with box.acting():
        actions.archive(box.chosen("Moved"), by=box.world.ann)
    assert box.subjects("Archive") == ["Moved"]
    assert box.sync().imported == 0
    assert (box.one("Moved", "Archive").message_id, box.one("Moved", "Archive").uid) == (before, 1)
    assert box.dovecot.uids(box.login) == {}
    box.assert_equal()


def test_trash_then_expunge_before_any_sync_removes_it_for_good(box: Box) -> None:
    box.deliver("Unwanted")
    box.deliver("Kept")
    box.sync()
    with box.acting():
        actions.trash(box.chosen("Unwanted"), by=box.world.ann)
    with box.acting():
        actions.expunge(box.chosen("Unwanted", path="Trash"), by=box.world.ann)
    box.sync()
    assert (box.subjects(), box.subjects("Trash")) == (["Kept"], [])
    box.assert_equal()


def test_a_flag_set_on_a_message_that_is_just_being_moved_travels_with_it(box: Box) -> None:
    box.deliver("Busy")
    box.sync()
    with box.acting():
        actions.archive(box.chosen("Busy"), by=box.world.ann)
    with box.acting():
        actions.set_flags(box.chosen("Busy", path="Archive"), add=["\\Flagged"], by=box.world.ann)
    box.sync()
    assert box.one("Busy", "Archive").flags == ["\\Flagged"]
    box.assert_equal()


def test_undo_before_the_server_heard_sends_nothing(box: Box) -> None:
    box.deliver("Spared")
    box.sync()
    with box.acting():
        act = actions.trash(box.chosen("Spared"), by=box.world.ann)
    with box.acting():
        actions.undo(act, by=box.world.ann)
    assert [op.state for op in box.operations()] == [OperationState.VOID]
    box.sync()
    assert box.dovecot.uids(box.login) == {1: set()}
    box.assert_equal()


def test_undo_after_the_server_heard_moves_it_back(box: Box) -> None:
    box.deliver("Returned")
    box.sync()
    before = box.one("Returned").message_id
    with box.acting():
        act = actions.trash(box.chosen("Returned"), by=box.world.ann)
    box.sync()
    with box.acting():
        actions.undo(act, by=box.world.ann)
    box.sync()
    assert box.one("Returned").message_id == before
    assert box.subjects("Trash") == []
    box.assert_equal()


def test_a_pull_before_the_push_changes_nothing_on_screen(box: Box, monkeypatch) -> None:
    box.deliver("Starred here")
    box.deliver("Moved here")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Starred here"), add=["\\Flagged"], by=box.world.ann)
        actions.archive(box.chosen("Moved here"), by=box.world.ann)
    box.on_server("STORE", "1:2", "+FLAGS", "(\\Seen)")
    box.deliver("Newcomer")
    monkeypatch.setattr("mailsync.pushing.push", lambda run: 0)
    box.sync()
    assert box.subjects() == ["Starred here", "Newcomer"]
    assert set(box.one("Starred here").flags) == {"\\Flagged", "\\Seen"}
    assert box.subjects("Archive") == ["Moved here"]
    monkeypatch.undo()
    box.sync()
    box.assert_equal()


def test_f06_a_refused_flag_goes_back_and_the_person_is_told(box: Box) -> None:
    box.deliver("Read only", folder="Vault")
    box.sync()
    acl = box.dovecot.maildir(box.login) / ".Vault"
    with box.acting():
        actions.move(box.chosen("Read only", path="Vault"), box.chosen_folder("Gone soon"), by=box.world.ann)
    with box.dovecot.imap(box.login) as client:
        client.delete('"Gone soon"')
    assert acl.exists()
    box.sync()
    failed = [op for op in box.operations() if op.state == OperationState.FAILED]
    assert len(failed) == 1
    assert failed[0].error
    assert failed[0].by_id == box.world.ann.pk
    assert box.subjects("Vault") == ["Read only"]
    box.assert_equal()


def test_e03_a_worker_that_died_after_sending_does_it_again_without_harm(box: Box) -> None:
    for number in range(3):
        box.deliver(f"Mail {number}")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Mail 0"), add=["\\Seen"], by=box.world.ann)
        actions.archive(box.chosen("Mail 1"), by=box.world.ann)
    box.on_server("STORE", "1", "+FLAGS", "(\\Seen)")
    box.on_server("MOVE", "2", "Archive")
    with box.acting():
        for operation in box.mailbox.operations.all():
            operation.state, operation.tries = OperationState.SENDING, 1
            operation.save()
    box.sync()
    assert {op.state for op in box.operations()} == {OperationState.DONE}
    assert box.subjects("Archive") == ["Mail 1"]
    box.assert_equal()


@pytest.mark.parametrize("capabilities", ["no MOVE", "no MOVE and no UIDPLUS"])
def test_g07_without_move_a_message_is_copied_and_only_it_is_removed(
    box: Box, monkeypatch, capabilities: str
) -> None:
    hidden = {"MOVE"} if capabilities == "no MOVE" else {"MOVE", "UIDPLUS"}
    real = Session.can
    monkeypatch.setattr(Session, "can", lambda self, name: name not in hidden and real(self, name))
    for number in range(3):
        box.deliver(f"Mail {number}")
    box.sync()
    box.on_server("STORE", "3", "+FLAGS", "(\\Deleted)")
    with box.acting():
        actions.archive(box.chosen("Mail 1"), by=box.world.ann)
    box.sync()
    assert box.subjects("Archive") == ["Mail 1"]
    left = (
        {1: set(), 3: {"\\Deleted"}}
        if "UIDPLUS" not in hidden
        else {1: set(), 2: {"\\Deleted"}, 3: {"\\Deleted"}}
    )
    assert box.dovecot.uids(box.login) == left


def test_g07_equal_mail_that_a_worker_has_copied_is_not_copied_again(box: Box, monkeypatch) -> None:
    real = Session.can
    monkeypatch.setattr(Session, "can", lambda self, name: name != "MOVE" and real(self, name))
    raw = box.deliver("Twice")
    box.dovecot.append(box.login, raw)
    box.sync()
    with box.acting():
        actions.archive(box.chosen("Twice"), by=box.world.ann)
    with dying_before_store():
        assert box.try_sync().error
    assert len(box.dovecot.uids(box.login, "Archive")) == 2
    box.sync()
    assert (len(box.dovecot.uids(box.login)), len(box.dovecot.uids(box.login, "Archive"))) == (0, 2)
    box.assert_equal()


@pytest.mark.parametrize("news", [1, 2])
@pytest.mark.parametrize("verb", ["trash", "expunge", "flag"])
def test_c14_what_waits_for_a_server_that_is_restored_is_done_to_no_other_mail(
    box: Box, tmp_path: Path, verb: str, news: int
) -> None:
    """The backup is older than the mail it was meant for, and its UID is another's under the same UIDVALIDITY: the new
    ones are as many as the lost, or more, so UIDNEXT does not tell."""
    there = "Junk" if verb == "expunge" else "INBOX"
    box.deliver("Stays", folder=there)
    box.sync()
    maildir = box.dovecot.maildir(box.login)
    shutil.copytree(maildir, tmp_path / "backup")
    box.deliver("Newsletter", folder=there)
    box.sync()
    with box.acting():
        chosen, ann = box.chosen("Newsletter", path=there), box.world.ann
        if verb == "trash":
            actions.trash(chosen, by=ann)
        elif verb == "expunge":
            actions.expunge(chosen, by=ann)
        else:
            actions.set_flags(chosen, add=["\\Flagged"], by=ann)
    shutil.rmtree(maildir)
    shutil.copytree(tmp_path / "backup", maildir)
    subjects = [f"Contract {number}" for number in range(news)]
    for subject in subjects:
        box.deliver(subject, folder=there)
    for _run in range(3):
        box.sync()
    assert set(box.subjects(there)) == {"Stays", *subjects}
    assert not any(box.dovecot.uids(box.login, there).values())
    assert not box.dovecot.uids(box.login, "Trash")
    box.assert_equal()


def test_c14_a_star_that_waited_for_its_uid_is_given_to_no_other_mail(box: Box) -> None:
    """The folder was rebuilt, and then restored from a backup that had another mail there."""
    box.deliver("Newsletter")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Newsletter"), add=["\\Flagged"], by=box.world.ann)
    box.dovecot.doveadm("mailbox", "update", "-u", box.login, "--uid-validity", "4711", "INBOX")
    box.sync()
    with box.acting():
        star, placement = Operation.objects.get(), Placement.objects.get()
        assert (star.state, star.uid, placement.uid) == ("pending", None, 1)
    maildir = box.dovecot.maildir(box.login)
    [newsletter] = (path for path in maildir.glob("[cn][ue][rw]/*") if b"Newsletter" in path.read_bytes())
    newsletter.write_bytes(newsletter.read_bytes().replace(b"Newsletter", b"A contract"))
    an_hour_ago = newsletter.stat().st_mtime - 3600
    os.utime(newsletter, (an_hour_ago, an_hour_ago))
    for index in maildir.glob("dovecot.index*"):
        index.unlink()
    for _run in range(3):
        box.sync()
    assert box.dovecot.uids(box.login) == {1: set()}
    assert box.subjects() == ["A contract"]
    box.assert_equal()


def test_c14_a_click_while_a_restored_folder_is_read_empties_it_for_nobody(
    box: Box, tmp_path: Path, monkeypatch
) -> None:
    """What was known of its UIDs is forgotten in the middle of the pull, which must not go on with them."""
    subjects = [f"Stays {number}" for number in range(3)]
    for subject in subjects:
        box.deliver(subject)
    box.sync()
    maildir = box.dovecot.maildir(box.login)
    shutil.copytree(maildir, tmp_path / "backup")
    box.deliver("Newsletter")
    box.sync()
    shutil.rmtree(maildir)
    shutil.copytree(tmp_path / "backup", maildir)
    box.deliver("Contract 0")
    box.deliver("Contract 1")
    monkeypatch.setattr(pushing, "LOOK_EVERY", 0)
    real = storing._store
    clicked: list[bool] = []

    def click_and_store(run: Run, folder: Folder, prepared: list[Prepared]) -> None:
        if not clicked:
            clicked.append(True)
            with box.acting():
                actions.trash(box.chosen("Newsletter"), by=box.world.ann)
        real(run, folder, prepared)

    monkeypatch.setattr(storing, "_store", click_and_store)
    for _run in range(4):
        box.sync()
    assert clicked
    assert set(box.subjects()) == {*subjects, "Contract 0", "Contract 1"}
    box.assert_equal()


@pytest.mark.parametrize("refused", [b"^UID EXPUNGE", b"^UID STORE"])
def test_g07_what_was_copied_and_not_removed_is_not_copied_again(box: Box, refused: bytes) -> None:
    """The run goes on when the server refuses for now, and meets the copy in the target."""
    with line_to(box.dovecot.host, box.dovecot.port, without("MOVE")) as line:
        with box.acting():
            Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_port=line.port)
        box.deliver("Once")
        box.sync()
        moved = box.one("Once").pk
        line.answers[refused] = b"NO [INUSE] Try later"
        with box.acting():
            actions.archive(box.chosen("Once"), by=box.world.ann)
        box.sync()
        box.sync()
        line.heal()
        box.deliver("Later", folder="Archive")
        box.sync()
        assert len(line.asked("COPY")) == 1
        assert (box.subjects(), sorted(box.subjects("Archive"))) == ([], ["Later", "Once"])
        assert moved in {each.pk for each in box.placements("Archive")}
        assert box.folder("Archive").uid_seen == 2
        box.assert_equal()


@pytest.mark.parametrize("then", ["undo", "trash", "expunge"])
def test_g07_what_was_copied_and_not_removed_goes_nowhere_else_until_that_is_over(
    box: Box, then: str
) -> None:
    """The copy would stay in the first target, beside what was moved on."""
    with line_to(box.dovecot.host, box.dovecot.port, without("MOVE")) as line:
        with box.acting():
            Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_port=line.port)
        box.deliver("Once")
        box.sync()
        moved = [box.one("Once").pk]
        line.answers[b"^UID STORE"] = b"NO [INUSE] Try later"
        with box.acting():
            act = (actions.trash if then == "expunge" else actions.archive)(moved, by=box.world.ann)
        box.sync()

        def go_on() -> None:
            with box.acting():
                if then == "undo":
                    actions.undo(act, by=box.world.ann)
                else:
                    (actions.expunge if then == "expunge" else actions.trash)(moved, by=box.world.ann)

        with pytest.raises(actions.CannotMove, match="still under way"):
            go_on()
        line.heal()
        box.sync()
        go_on()
        box.sync()
        there = [path for path in ("INBOX", "Archive", "Trash") for _each in box.subjects(path)]
        assert there == {"undo": ["INBOX"], "trash": ["Trash"], "expunge": []}[then]
        box.assert_equal()


def test_g07_a_part_of_many_that_was_moved_is_not_called_back_while_the_rest_waits(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More UIDs than one command takes, and a later one is refused for now."""
    monkeypatch.setattr(server, "COMMAND_UIDS", 10)
    for number in range(40):
        box.deliver(f"Mail {number}")
    box.sync()
    real, commands = server.ImapServer._copying, []

    def copying(at: server.ImapServer, *what: Any) -> dict[int, int]:
        commands.append(what)
        if len(commands) > 3:
            raise CommandRefused("[INUSE] later", final=False)
        return real(at, *what)

    with box.acting():
        act = actions.archive(box.chosen(), by=box.world.ann)
    with monkeypatch.context() as refusing:
        refusing.setattr(server.ImapServer, "_copying", copying)
        box.sync()
    with box.acting(), pytest.raises(actions.CannotMove, match="still under way"):
        actions.undo(act, by=box.world.ann)
    box.sync()
    with box.acting():
        back = actions.undo(act, by=box.world.ann).count
    box.sync()
    assert (len(box.subjects()), len(box.subjects("Archive"))) == (back, 40 - back)
    box.assert_equal()


def test_f11_two_thousand_messages_are_marked_in_a_few_commands(box: Box) -> None:
    fill(box.dovecot, box.login, 2_000)
    box.sync()
    with box.acting():
        act = actions.set_flags(box.chosen(), add=["\\Seen"], by=box.world.ann)
    assert act.count == 2_000
    box.sync()
    assert all("\\Seen" in flags for flags in box.dovecot.uids(box.login).values())
    assert box.folder().unseen == 0
    box.assert_equal()


def test_a_tag_travels_both_ways(box: Box) -> None:
    box.deliver("Invoice 7")
    box.sync()
    with box.acting():
        actions.set_flags(box.chosen("Invoice 7"), add=[tags.keyword_of("Счет оплачен")], by=box.world.ann)
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(Archived_by_phone)")
    box.sync()
    box.assert_equal()
    assert [tag.name for tag in tags.tags_of(box.one("Invoice 7").flags)] == [
        "Archived by phone",
        "Счет оплачен",
    ]
