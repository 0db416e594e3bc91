"""Folders made, renamed and deleted here are so on the server, once, and no mail is lost or fetched again."""

import pytest

from mailsync import actions
from mailsync.folders import CannotChange
from mailsync.imap.server import ImapServer
from mailsync.imap.session import Session
from mailsync.models import Folder, Message, Operation, OperationState
from tests.engine.conftest import dying_before_store
from tests.folders.conftest import Desk

ODD = ['He said "hi"', "100%", "a*b", "Q & A", "back\\slash", "{5} (x)"]


def test_a_new_folder_is_seen_at_once_and_is_on_the_server_soon(desk: Desk) -> None:
    desk.create("Projects")
    assert desk.shown() == ["Projects"]
    assert desk.there() == []
    desk.box.sync()
    assert desk.there() == [b"Projects"]
    assert b"Projects" in desk.subscribed()
    assert desk.changes() == [("create", "done", "")]
    desk.box.assert_equal()


def test_a_mail_is_moved_into_a_folder_that_the_server_does_not_know_yet(desk: Desk) -> None:
    desk.create("Projects")
    with desk.box.acting():
        target = Folder.objects.get(path="Projects")
        actions.move(desk.box.chosen("First"), target, by=desk.box.world.ann)
    assert desk.box.sync().imported == 0
    assert desk.box.subjects("Projects") == ["First"]
    desk.box.assert_equal()


@pytest.mark.parametrize("names", [["Проекты", "日本語の書類", "🎉 Feier"], ODD])
def test_j05_any_name_is_made_renamed_and_deleted_as_it_was_typed(desk: Desk, names: list[str]) -> None:
    for name in names:
        desk.create(name)
        desk.create("in " + name, parent=name)
    desk.box.sync()
    assert {state for _kind, state, _error in desk.changes()} == {"done"}
    assert desk.shown() == sorted([*names, *(f"{name}/in {name}" for name in names)])
    assert len(desk.there()) == 2 * len(names)
    for number, name in enumerate(names):
        desk.delete(f"{name}/in {name}")
        desk.rename(name, f"Plain{number}")
    desk.box.sync()
    assert desk.there() == sorted(b"Plain%d" % number for number in range(len(names)))
    for number, name in enumerate(names):
        desk.rename(f"Plain{number}", name)
        desk.delete(name)
    desk.box.sync()
    assert {state for _kind, state, _error in desk.changes()} == {"done"}
    assert (desk.there(), desk.shown()) == ([], [])


def test_a_renamed_folder_keeps_its_mail_and_so_do_those_below_it(desk: Desk, monkeypatch) -> None:
    desk.box.deliver("Upper", folder="Old")
    desk.box.deliver("Middle", folder="Old/Deep")
    desk.box.deliver("Lower", folder="Old/Deep/Deeper", flags="\\Flagged")
    desk.box.sync()
    before = {
        path: (p.pk, p.message_id, p.uid)
        for path in ("Old", "Old/Deep/Deeper")
        for p in desk.box.placements(path)
    }
    desk.rename("Old", "New & better")
    assert desk.shown() == ["New & better", "New & better/Deep", "New & better/Deep/Deeper"]
    fetched: list[object] = []

    def fetch(_server: ImapServer, uids: object) -> dict[int, bytes]:
        fetched.append(uids)
        return {}

    monkeypatch.setattr(ImapServer, "ask_messages", fetch)
    monkeypatch.setattr(ImapServer, "headers", fetch)
    assert desk.box.sync().changed == 0
    assert fetched == []
    monkeypatch.undo()
    assert desk.there() == [b"New &- better", b"New &- better/Deep", b"New &- better/Deep/Deeper"]
    after = {"Old" + path.removeprefix("New & better"): (p.pk, p.message_id, p.uid)
             for path in ("New & better", "New & better/Deep/Deeper") for p in desk.box.placements(path)}  # fmt: skip
    assert after == before
    desk.box.assert_equal()


def test_a_folder_is_moved_into_another_with_all_below_it_and_back(desk: Desk) -> None:
    desk.box.deliver("Upper", folder="Offers")
    desk.box.deliver("Lower", folder="Offers/2026")
    desk.create("Clients")
    desk.box.sync()
    before = {p.pk for path in ("Offers", "Offers/2026") for p in desk.box.placements(path)}
    act = desk.move("Offers", "Sent offers", "Clients")
    assert desk.shown() == ["Clients", "Clients/Sent offers", "Clients/Sent offers/2026"]
    desk.box.sync()
    assert desk.there() == [b"Clients", b"Clients/Sent offers", b"Clients/Sent offers/2026"]
    after = {p.pk for path in desk.shown() for p in desk.box.placements(path)}
    assert after == before
    with pytest.raises(CannotChange, match="inside itself"):
        desk.move("Clients", "Clients", "Clients/Sent offers/2026")
    desk.undo(act)
    desk.box.sync()
    assert desk.there() == [b"Clients", b"Offers", b"Offers/2026"]
    desk.box.assert_equal()


def test_other_programs_that_show_only_what_is_subscribed_keep_seeing_a_renamed_folder(desk: Desk) -> None:
    desk.create("Old")
    desk.box.sync()
    desk.rename("Old", "New")
    desk.box.sync()
    assert b"New" in desk.subscribed()
    assert b"Old" not in desk.subscribed()


def test_a_deleted_folder_leaves_its_mail_in_the_trash(desk: Desk) -> None:
    desk.box.deliver("Known", folder="Old")
    desk.box.sync()
    message = desk.box.one("Known", "Old").message_id
    desk.box.deliver("Came meanwhile", folder="Old")
    desk.box.deliver("Older than the window", folder="Old", days_ago=1000)
    assert desk.delete("Old").count == 1
    assert desk.shown() == []
    assert desk.box.subjects("Trash") == ["Known"]
    desk.box.sync()
    assert desk.there() == []
    assert len(desk.box.dovecot.uids(desk.box.login, "Trash")) == 3
    desk.box.sync()
    assert sorted(desk.box.subjects("Trash")) == ["Came meanwhile", "Known"]
    assert desk.box.one("Known", "Trash").message_id == message
    assert desk.changes() == [("delete", "done", "")]


@pytest.mark.parametrize("hidden", [{"MOVE"}, {"MOVE", "UIDPLUS"}])
def test_g07_a_deleted_folder_loses_nothing_on_a_server_that_only_copies(
    desk: Desk, monkeypatch, hidden: set[str]
) -> None:
    real = Session.can
    monkeypatch.setattr(Session, "can", lambda self, name: name not in hidden and real(self, name))
    desk.box.deliver("Known", folder="Old")
    desk.box.sync()
    desk.box.deliver("Came meanwhile", folder="Old")
    desk.delete("Old")
    desk.box.sync()
    desk.box.sync()
    assert desk.there() == []
    assert sorted(desk.box.subjects("Trash")) == ["Came meanwhile", "Known"]
    assert len(desk.box.dovecot.uids(desk.box.login, "Trash")) == 2


@pytest.mark.parametrize("hidden", [{"MOVE"}, {"MOVE", "UIDPLUS"}])
def test_a_worker_that_ends_between_copying_and_removing_doubles_nothing(
    desk: Desk, monkeypatch, hidden: set[str]
) -> None:
    """Found by the model of folders."""
    real = Session.can
    monkeypatch.setattr(Session, "can", lambda self, name: name not in hidden and real(self, name))
    desk.create("Old")
    desk.box.sync()
    raw = desk.box.deliver("Came meanwhile", folder="Old")
    desk.box.dovecot.append(desk.box.login, raw, folder="Old")
    desk.delete("Old")
    with dying_before_store():
        assert desk.box.try_sync().error
    assert len(desk.box.dovecot.uids(desk.box.login, "Trash")) == 2
    desk.box.sync()
    desk.box.sync()
    assert desk.there() == []
    assert len(desk.box.dovecot.uids(desk.box.login, "Trash")) == 2
    assert desk.box.subjects("Trash") == ["Came meanwhile"] * 2


def test_a_folder_made_and_deleted_before_the_server_heard_never_was(desk: Desk) -> None:
    act = desk.create("Mistake")
    desk.undo(act)
    assert desk.changes() == [("create", "void", "")]
    desk.box.sync()
    assert desk.there() == []


def test_undo_of_a_name_sends_nothing_or_renames_back(desk: Desk) -> None:
    desk.create("Old")
    desk.box.sync()
    desk.undo(desk.rename("Old", "New"))
    assert desk.changes()[1:] == [("rename", "void", "")]
    desk.create("Inside", parent="Old")
    act = desk.rename("Old/Inside", "Deep")
    desk.box.sync()
    assert desk.there() == [b"Old", b"Old/Deep"]
    desk.undo(act)
    assert desk.shown() == ["Old", "Old/Inside"]
    desk.box.sync()
    assert desk.there() == [b"Old", b"Old/Inside"]


def test_three_wishes_in_a_row_are_done_in_their_order(desk: Desk) -> None:
    desk.create("A")
    desk.box.sync()
    desk.rename("A", "B")
    desk.create("inside", parent="B")
    desk.rename("B", "C")
    desk.create("A2")
    assert desk.shown() == ["A2", "C", "C/inside"]
    desk.box.sync()
    assert desk.there() == [b"A2", b"C", b"C/inside"]
    desk.box.assert_equal()


def test_law_2_a_pull_before_the_push_changes_nothing_that_ann_sees(desk: Desk, monkeypatch) -> None:
    desk.box.deliver("Above", folder="Old")
    desk.box.deliver("Inside", folder="Old/Deep")
    desk.box.deliver("Going", folder="Gone")
    desk.box.sync()
    desk.create("New")
    desk.rename("Old", "Newer")
    desk.delete("Gone")
    shown = desk.shown()
    monkeypatch.setattr("mailsync.pushing.push", lambda run: 0)
    desk.box.sync()
    assert desk.shown() == shown == ["New", "Newer", "Newer/Deep"]
    assert desk.box.subjects("Newer/Deep") == ["Inside"]
    assert desk.box.subjects("Trash") == ["Going"]
    monkeypatch.undo()
    desk.box.sync()
    assert desk.there() == [b"New", b"Newer", b"Newer/Deep"]
    desk.box.assert_equal()


def test_e03_what_was_done_before_the_answer_was_lost_is_done(desk: Desk) -> None:
    desk.box.deliver("Above", folder="Old")
    desk.box.deliver("Kept", folder="Old/Deep")
    desk.box.deliver("Going", folder="Gone")
    desk.box.sync()
    before = desk.box.one("Kept", "Old/Deep")
    desk.create("New")
    desk.rename("Old", "Newer")
    desk.delete("Gone")
    desk.on_server(lambda client: client.create("New"))
    desk.on_server(lambda client: client.rename("Old", "Newer"))
    desk.box.on_server("MOVE", "1", "Trash", folder="Gone")
    desk.on_server(lambda client: client.delete("Gone"))
    desk.half_sent()
    desk.box.sync()
    assert desk.changes() == [("create", "done", ""), ("rename", "done", ""), ("delete", "done", "")]
    assert desk.shown() == ["New", "Newer", "Newer/Deep"]
    assert desk.box.one("Kept", "Newer/Deep").pk == before.pk
    desk.box.sync()
    desk.box.assert_equal()


def test_j11_renamed_here_and_there_at_once_the_server_wins_and_nothing_is_doubled(desk: Desk) -> None:
    desk.box.deliver("Only one", folder="Old")
    desk.box.sync()
    desk.rename("Old", "Ours")
    desk.on_server(lambda client: client.rename("Old", "Theirs"))
    desk.box.sync()
    assert desk.there() == [b"Theirs"]
    assert desk.shown() == ["Theirs"]
    kind, state, error = desk.changes()[0]
    assert (kind, state) == ("rename", "failed")
    assert "renamed or deleted on the mail server meanwhile" in error
    assert desk.box.subjects("Theirs") == ["Only one"]
    with desk.box.acting():
        assert Message.objects.filter(mailbox=desk.box.mailbox, subject="Only one").count() == 1
    desk.box.assert_equal()


def test_j11_made_here_and_there_at_once_is_one_folder(desk: Desk) -> None:
    desk.create("Same")
    desk.on_server(lambda client: client.create("Same"))
    desk.box.deliver("Theirs", folder="Same")
    desk.box.sync()
    assert desk.changes() == [("create", "done", "")]
    assert desk.shown() == ["Same"]
    assert desk.box.subjects("Same") == ["Theirs"]


def test_a_folder_deleted_there_while_it_is_renamed_here_is_gone_and_ann_is_told(desk: Desk) -> None:
    desk.create("Old")
    desk.box.sync()
    desk.on_server(lambda client: client.delete("Old"))
    desk.rename("Old", "New")
    desk.box.sync()
    assert desk.there() == []
    assert desk.shown() == []
    assert desk.changes()[1][1] == "failed"


def test_a_folder_made_anew_there_is_not_the_one_that_ann_deleted(desk: Desk) -> None:
    desk.box.deliver("Ours", folder="Old")
    desk.box.sync()
    desk.delete("Old")
    desk.box.on_server("MOVE", "1", "Trash", folder="Old")
    desk.on_server(lambda client: client.delete("Old"))
    desk.box.dovecot.doveadm("mailbox", "create", "-u", desk.box.login, "Old")
    desk.box.dovecot.doveadm("mailbox", "update", "-u", desk.box.login, "--uid-validity", "77", "Old")
    desk.box.deliver("Theirs", folder="Old")
    for _run in range(3):
        desk.box.sync()
    assert desk.there() == [b"Old"]
    assert desk.shown() == ["Old"]
    assert "another folder of this name" in desk.changes()[0][2]
    assert (desk.box.subjects("Old"), desk.box.subjects("Trash")) == (["Theirs"], ["Ours"])


def test_j12_a_name_that_the_server_refuses_disappears_with_its_words(desk: Desk) -> None:
    """Dovecot's Maildir++ parts folders with dots on the disk and takes none in a name."""
    desk.create("v1.2")
    desk.create("below", parent="v1.2")
    with desk.box.acting():
        actions.move(desk.box.chosen("First"), Folder.objects.get(path="v1.2"), by=desk.box.world.ann)
    desk.box.sync()
    assert desk.shown() == []
    assert desk.box.subjects() == ["First"]
    assert [(kind, state) for kind, state, _ in desk.changes()] == [("create", "failed")] * 2
    assert desk.changes()[0][2].startswith("“v1.2”: “")
    with desk.box.acting():
        told = Operation.objects.filter(state=OperationState.FAILED, by=desk.box.world.ann, noticed_at=None)
        assert told.count() == 3
    desk.box.assert_equal()


def test_a_refused_name_goes_back_and_what_was_made_below_it_stays(desk: Desk) -> None:
    desk.box.deliver("Above", folder="Old")
    desk.box.deliver("Kept", folder="Old/Deep")
    desk.box.sync()
    desk.rename("Old", "v1.2")
    desk.create("later", parent="v1.2")
    assert desk.shown() == ["v1.2", "v1.2/Deep", "v1.2/later"]
    desk.box.sync()
    assert desk.shown() == ["Old", "Old/Deep", "Old/later"]
    assert desk.there() == [b"Old", b"Old/Deep", b"Old/later"]
    assert desk.box.subjects("Old/Deep") == ["Kept"]
    desk.box.assert_equal()
