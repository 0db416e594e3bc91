"""First synchronisations: many folders in as few round trips as one, and what goes wrong on the way."""

import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest

from mailsync import actions, first, pulling, pushing, replica, storing
from mailsync.fetching import BodyStream
from mailsync.imap.server import ImapServer, Opened
from mailsync.models import Folder, Schedule
from mailsync.run import Run
from mailsync.sync.state import RemoteMessage
from tests.engine.conftest import Box, Talk, connect
from tests.rigs.mailserver import MailServer
from tests.world import World

FOLDERS = ["INBOX", "Sent", "Drafts", "Archive", "Junk", "Trash", "Projects", "Projects/Old"]


def furnish(box: Box, folders: Sequence[str], mails: int) -> None:
    for folder in folders:
        for number in range(mails):
            box.deliver(f"{folder} {number}", folder=folder)


def round_trips(talk: Talk) -> int:
    """How often something was waited for that was asked last: each time the line was empty before."""
    return sum(1 for before, now in pairwise(talk) if (before[0], now[0]) == ("ask", "hear"))


@pytest.fixture
def asked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read before all is asked, so that what is on the way at once hangs on no clock."""
    taking = threading.Event()
    real_receive, real_take = BodyStream._receive, BodyStream.take

    def receive(self: BodyStream, *, ask: bool) -> Any:
        assert taking.wait(60)
        return real_receive(self, ask=ask)

    def take(self: BodyStream) -> Any:
        taking.set()
        try:
            return real_take(self)
        finally:
            if not self.left and not self.under_way:
                taking.clear()

    monkeypatch.setattr(BodyStream, "_receive", receive)
    monkeypatch.setattr(BodyStream, "take", take)


@pytest.mark.usefixtures("asked_first")
@pytest.mark.parametrize(("mails", "little"), [(3, 3_000), (60, 3_000), (60, 0)], ids=["few", "more", "much"])
def test_many_folders_take_as_many_round_trips_as_one(
    world: World, dovecot: MailServer, talk: Talk, monkeypatch: pytest.MonkeyPatch, mails: int, little: int
) -> None:
    monkeypatch.setattr(first, "LITTLE", little)
    trips = []
    for folders in (FOLDERS[:1], FOLDERS[:2], FOLDERS):
        box = connect(world, dovecot)
        furnish(box, folders, mails)
        talk.clear()
        box.sync()
        trips.append(round_trips(talk[talk.index(("ask", "LIST")) :]))
        box.assert_equal()
    assert trips == [3 if little else 5] * 3  # LIST; the folders and what is in them; bodies


def test_folders_that_are_empty_are_equal_at_once(box: Box, talk: Talk) -> None:
    box.sync()
    assert all(box.folder(path).full_at for path in ("INBOX", "Sent", "Archive"))
    assert ("ask", "FETCH") not in talk
    box.assert_equal()


def test_after_a_run_that_failed_folders_are_asked_for_one_after_the_other(box: Box, talk: Talk) -> None:
    """A server may be at odds with many commands at once: it gets them one by one before it is given up."""
    furnish(box, FOLDERS[:3], 60)
    with box.acting():
        Schedule.objects.filter(mailbox=box.mailbox).update(failures=1)
    box.sync()
    selects = [(what, name) for what, name in talk if name == "SELECT"]
    assert selects == [("ask", "SELECT"), ("hear", "SELECT")] * (len(selects) // 2)
    box.assert_equal()


def test_large_folders_are_read_apart_and_in_their_order(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "SLICE", 10)
    furnish(box, ["INBOX", "Drafts"], 3)
    furnish(box, ["Sent"], 12)
    taken = taken_together(monkeypatch)
    box.sync()
    assert taken[0] == ["INBOX"]
    assert taken[1] == ["Sent"]
    assert taken[2][0] == "Drafts"
    box.assert_equal()


def test_no_more_is_listed_at_once_than_memory_is_to_hold(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "SLICE", 10)
    furnish(box, FOLDERS[:4], 4)
    taken = taken_together(monkeypatch)
    box.sync()
    assert taken[0] == ["INBOX", "Sent"]
    assert taken[1][:2] == ["Drafts", "Archive"]
    box.assert_equal()


def taken_together(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    taken: list[list[str]] = []
    real = first.pull_whole

    def pull_whole(run: Run, group: list[Folder], statuses: first.Statuses) -> set[int]:
        taken.append([folder.path for folder in group])
        return real(run, group, statuses)

    monkeypatch.setattr(first, "pull_whole", pull_whole)
    return taken


def test_a_folder_that_does_not_open_keeps_none_of_the_others_away(box: Box) -> None:
    furnish(box, FOLDERS, 3)
    vault = box.dovecot.maildir(box.login) / ".Drafts"
    vault.chmod(0)
    try:
        box.sync()
    finally:
        vault.chmod(0o700)
    assert "does not open" in box.folder("Drafts").error
    assert all(len(box.subjects(path)) == 3 for path in FOLDERS if path != "Drafts")
    box.sync()
    box.assert_equal()


def test_a_folder_that_is_gone_before_its_bodies_come(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed with the others and deleted then: what was asked of it is answered by refusals."""
    furnish(box, FOLDERS, 3)

    def delete() -> None:
        with box.dovecot.imap(box.login) as client:
            assert client.delete("Archive")[0] == "OK"

    between_list_and_bodies(monkeypatch, delete)
    box.try_sync()
    assert all(len(box.subjects(path)) == 3 for path in FOLDERS if path != "Archive")
    box.sync()
    box.sync()
    box.assert_equal()


def test_a_folder_that_is_rebuilt_before_its_bodies_come(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its UIDs were listed under another UIDVALIDITY: what they bring now is not what was listed."""
    furnish(box, FOLDERS, 3)

    def rebuild() -> None:
        box.dovecot.doveadm("mailbox", "update", "-u", box.login, "--uid-validity", "4242", "Sent")

    between_list_and_bodies(monkeypatch, rebuild)
    box.try_sync()
    box.sync()
    assert box.folder("Sent").uidvalidity == 4242
    box.assert_equal()


def test_mail_that_comes_and_goes_before_the_bodies_come(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(box, FOLDERS[:4], 3)

    def change() -> None:
        box.deliver("New", folder="Sent")
        for folder in ("INBOX", "Archive"):
            box.on_server("STORE", "2", "+FLAGS", "(\\Deleted)", folder=folder)
            box.on_server("EXPUNGE", "2", folder=folder)
        box.on_server("STORE", "1", "+FLAGS", "(\\Flagged)", folder="Drafts")

    between_list_and_bodies(monkeypatch, change)
    box.sync()
    box.sync(thorough=False)
    assert box.subjects("Archive") == ["Archive 0", "Archive 2"]
    box.assert_equal()


def between_list_and_bodies(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """What happens once, when the folders have been listed."""
    real = ImapServer.look_into
    done: list[bool] = []

    def look_into(self: ImapServer, folders: Any) -> Any:
        found = real(self, folders)
        if not done:
            done.append(True)
            change()
        return found

    monkeypatch.setattr(ImapServer, "look_into", look_into)


def test_mail_that_comes_into_an_empty_folder_before_it_is_opened(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """STATUS counted none, so no list was asked for."""
    real = ImapServer.statuses

    def statuses(self: ImapServer, names: Any) -> Any:
        found = real(self, names)
        box.deliver("Late", folder="Archive")
        return found

    monkeypatch.setattr(ImapServer, "statuses", statuses)
    box.sync()
    monkeypatch.undo()
    assert box.subjects("Archive") == ["Late"]
    box.assert_equal()


def test_an_act_is_carried_out_between_the_bodies_of_two_folders(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(box, FOLDERS, 3)
    monkeypatch.setattr(pushing, "LOOK_EVERY", 0.0)
    real = storing._store
    stored: list[str] = []

    def store(run: Run, folder: Folder, prepared: Any) -> None:
        real(run, folder, prepared)
        stored.append(folder.path)
        if stored == ["INBOX", "Sent"]:
            with box.acting():
                actions.archive(box.chosen("INBOX 1"), by=box.world.ann)
                actions.set_flags(box.chosen("Sent 2", path="Sent"), add=["\\Flagged"], by=box.world.ann)

    monkeypatch.setattr(storing, "_store", store)
    box.sync()
    assert {each.state for each in box.operations()} == {"done"}
    box.sync(thorough=False)
    assert sorted(box.subjects("Archive")) == ["Archive 0", "Archive 1", "Archive 2", "INBOX 1"]
    box.assert_equal()


def test_the_body_of_a_mail_that_is_in_two_folders_comes_once(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(box, FOLDERS[:2], 3)
    box.on_server("COPY", "1:2", "Archive")
    asked: list[int] = []
    real = ImapServer.ask_messages

    def ask_messages(self: ImapServer, uids: Any) -> Any:
        asked.extend(uids)
        return real(self, uids)

    monkeypatch.setattr(ImapServer, "ask_messages", ask_messages)
    box.sync()
    assert len(asked) == 6
    assert box.subjects("Archive") == ["INBOX 0", "INBOX 1"]
    box.assert_equal()


@pytest.mark.usefixtures("asked_first")
def test_the_same_uid_in_two_folders_is_two_mails(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies of several folders are on their way at once, each under UID 1."""
    furnish(box, FOLDERS, 1)
    on_the_way: list[int] = []
    real = BodyStream._asks_more

    def asks_more(self: BodyStream) -> bool:
        on_the_way.append(len(self.asked))
        return real(self)

    monkeypatch.setattr(BodyStream, "_asks_more", asks_more)
    box.sync()
    assert max(on_the_way) == len(FOLDERS) - 1
    assert all(box.subjects(path) == [f"{path} 0"] for path in FOLDERS)
    box.assert_equal()


def test_an_answer_about_the_folder_before_is_not_taken_for_this_ones(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mail that comes into the open folder is told among what is asked of it, right before the next one opens."""
    furnish(box, ["INBOX"], 3)
    furnish(box, ["Sent"], 5)
    seen: dict[bytes, Opened] = {}
    real = ImapServer.opened

    def opened(self: ImapServer, name: bytes, select: Any) -> Opened:
        self.session.imap.untagged_responses["EXISTS"] = [b"77"]
        seen[name] = real(self, name, select)
        return seen[name]

    monkeypatch.setattr(ImapServer, "opened", opened)
    box.sync()
    assert (seen[b"INBOX"].exists, seen[b"Sent"].exists) == (3, 5)


def test_how_far_it_is_grows_with_each_batch(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    furnish(box, FOLDERS[:2], 60)
    told: list[tuple[int, int]] = []
    real = pulling.vanish

    def vanish(run: Run, folder: Folder, *rest: Any, **options: Any) -> bool:
        now = box.folder(folder.path)
        told.append((now.fetched, now.wanted))
        return real(run, folder, *rest, **options)

    monkeypatch.setattr(pulling, "vanish", vanish)
    box.sync()
    assert told[:2] == [(60, 60), (60, 60)]


def test_a_list_that_is_refused_leaves_the_folder_to_be_asked_by_itself(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(box, FOLDERS[:3], 3)
    real = pulling.place

    def place(run: Run, folder: Folder, opened: Opened, listed: list[RemoteMessage], **options: Any) -> Any:
        if folder.path == "Sent" and not monkeyed:
            monkeyed.append(True)
            raise replica.OtherMail
        return real(run, folder, opened, listed, **options)

    monkeyed: list[bool] = []
    monkeypatch.setattr(pulling, "place", place)
    box.sync()
    assert monkeyed
    assert len(box.subjects("Sent")) == 3
    box.assert_equal()
