"""Pull: what happens on the server is soon here, exactly once (SYNC_CASES A, C, D, F)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import checking, holding, replica
from mailsync.models import Folder, FolderCheck, Message, Placement
from mailsync.sync.brake import Brake
from tests.engine.conftest import Box


def test_folders_come_with_their_roles_and_the_mailbox_says_it_is_up_to_date(box: Box) -> None:
    box.sync()
    roles = {
        path: box.folder(path).special_use for path in ("INBOX", "Sent", "Drafts", "Junk", "Trash", "Archive")
    }
    assert roles == {
        "INBOX": "inbox", "Sent": "sent", "Drafts": "drafts", "Junk": "junk", "Trash": "trash", "Archive": "archive",
    }  # fmt: skip
    mailbox = box.reload()
    assert (mailbox.state, mailbox.last_error) == ("ok", "")
    assert mailbox.first_synced_at is not None


def test_mail_comes_newest_first_and_the_first_screen_of_each_folder_before_anything_else(box: Box) -> None:
    for number in range(120):
        box.deliver(f"Mail {number}")
    for number in range(60):
        box.deliver(f"Sent {number}", folder="Sent")
    box.sync()
    with box.acting():
        order = list(
            Message.objects.filter(mailbox=box.mailbox).order_by("id").values_list("subject", flat=True)
        )
    assert set(order[:50]) == {f"Mail {n}" for n in range(70, 120)}
    assert set(order[50:100]) == {f"Sent {n}" for n in range(10, 60)}


@pytest.mark.parametrize("few", [0, 2_000], ids=["many", "few"])
@pytest.mark.parametrize("thorough", [True, False])
def test_f02_flags_set_by_another_program_are_shown(
    box: Box, monkeypatch: pytest.MonkeyPatch, thorough: bool, few: int
) -> None:
    monkeypatch.setattr(replica, "FEW_UIDS", few)
    for number in range(4):
        box.deliver(f"Mail {number}")
    box.sync()
    box.on_server("STORE", "2:3", "+FLAGS", "(\\Seen \\Flagged)")
    box.on_server("STORE", "4", "+FLAGS", "(project-x)")
    box.sync(thorough=thorough)
    flags = [set(p.flags) for p in box.placements()]
    assert flags == [set(), {"\\Seen", "\\Flagged"}, {"\\Seen", "\\Flagged"}, {"project-x"}]
    assert box.folder().unseen == 2
    box.assert_equal()


def test_a_message_deleted_for_an_hour_is_discarded_with_its_rows(box: Box) -> None:
    box.deliver("Gone")
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "1")
    box.sync()
    with box.acting():
        Message.objects.filter(mailbox=box.mailbox).update(unplaced_since=timezone.now() - timedelta(hours=2))
    box.sync()
    with box.acting():
        assert not Message.objects.filter(mailbox=box.mailbox).exists()


def test_one_deleted_and_one_arrived_at_once_are_both_seen(box: Box) -> None:
    box.deliver("Leaves")
    box.deliver("Stays")
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "1")
    box.deliver("Comes")
    box.sync(thorough=False)
    assert box.subjects() == ["Stays", "Comes"]
    box.assert_equal()


def test_d07_a_folder_that_suddenly_is_empty_is_kept_until_a_person_says_that_this_is_right(box: Box) -> None:
    for number in range(120):
        box.deliver(f"Mail {number}")
    box.sync()
    box.on_server("STORE", "1:*", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "1:*")
    assert box.sync().again, "the server may only stutter"
    for _run in range(2):
        assert not box.sync().again
        assert len(box.placements()) == 120
        assert "120 of 120" in box.folder().error
    with box.acting():
        assert holding.answer(box.folder(), Brake.FOLLOW, by=box.world.ann)
    box.sync()
    assert box.placements() == []
    assert box.folder().error == ""
    box.assert_equal()


def test_folders_made_and_removed_by_another_program_come_and_go(box: Box) -> None:
    box.sync()
    box.deliver("In a new folder", folder="Projects/2026")
    box.sync()
    assert box.subjects("Projects/2026") == ["In a new folder"]
    with box.dovecot.imap(box.login) as client:
        client.delete("Projects/2026")
    box.sync()
    with box.acting():
        assert not Folder.objects.filter(mailbox=box.mailbox, path="Projects/2026").exists()
        assert not Placement.objects.filter(message__subject="In a new folder").exists()


@pytest.mark.parametrize("names", [["INBOX", "Inbox"], ["Inbox", "INBOX"], ["Inbox"]])
def test_j07_an_inbox_from_when_each_way_to_write_it_was_a_folder_is_one_again(
    box: Box, names: list[str]
) -> None:
    """The first has the role, as what was listed first got it."""
    box.deliver("Once")
    box.sync()
    (once,), inbox = box.placements(), box.folder()
    with box.acting():
        Folder.objects.filter(pk=inbox.pk).update(name=names[0].encode(), path=names[0])
        for name in names[1:]:
            double = Folder.objects.create(
                account=inbox.account, mailbox=inbox.mailbox, name=name.encode(), path=name, delimiter="/",
                uidvalidity=inbox.uidvalidity, uid_seen=inbox.uid_seen,
            )  # fmt: skip
            Placement.objects.create(
                account=inbox.account,
                folder=double,
                message=once.message,
                uid=once.uid,
                received_at=once.received_at,
            )
    box.deliver("New")
    box.sync()
    with box.acting():
        assert list(Folder.objects.filter(mailbox=inbox.mailbox, path__iexact="inbox")) == [inbox]
    assert box.subjects(names[0]) == ["Once", "New"]
    assert (box.sync().changed, box.one("Once", names[0]).pk) == (0, once.pk)
    assert checking.check(box.mailbox.account_id, box.mailbox.pk)
    with box.acting():
        assert not FolderCheck.objects.filter(mailbox=inbox.mailbox).exclude(error="").exists()


def test_a_folder_that_does_not_open_is_named_and_the_rest_goes_on(box: Box) -> None:
    box.deliver("Readable")
    box.deliver("Locked away", folder="Vault")
    box.sync()
    vault = box.dovecot.maildir(box.login) / ".Vault"
    box.deliver("Another")
    vault.chmod(0)
    try:
        box.deliver("Third")
        box.sync()
    finally:
        vault.chmod(0o700)
    assert box.subjects() == ["Readable", "Another", "Third"]


def test_a_run_without_news_writes_nothing(box: Box, django_assert_max_num_queries) -> None:
    for number in range(3):
        box.deliver(f"Mail {number}")
    box.sync()
    with box.acting():
        before = list(Folder.objects.filter(mailbox=box.mailbox).order_by("id").values())
    with django_assert_max_num_queries(82):  # of them 9 for the lanes, 1 for parking, 1 for letters
        outcome = box.sync(thorough=False)
    assert (outcome.imported, outcome.changed) == (0, 0)
    with box.acting():
        assert list(Folder.objects.filter(mailbox=box.mailbox).order_by("id").values()) == before
