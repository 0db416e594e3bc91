"""A mailbox that is pointed at a server with other mail says so before anything is dropped."""

import pytest

from accounts.models import AuditEntry
from mailsync import actions, holding, secrets
from mailsync.models import ConnectionTest, Folder, Mailbox
from mailsync.roles import FoundFolder
from tests.engine.conftest import Box, box

__all__ = ["box"]  # a fixture


@pytest.fixture
def passed(box: Box) -> ConnectionTest:
    """Ann's mailbox holds three messages; a test of another login, with other mail, has passed."""
    for number in range(3):
        box.deliver(f"Known {number}")
    box.deliver("Filed", folder="Projects")
    box.sync()
    login, password = box.dovecot.new_user()
    box.dovecot.append(login, b"Subject: Of somebody else\r\n\r\nHi\r\n")
    box.dovecot.doveadm("mailbox", "update", "-u", login, "--uid-validity", "99", "INBOX")
    there = [FoundFolder(b"INBOX", "INBOX", messages=1, uidvalidity=99)]
    with box.acting():
        return ConnectionTest.objects.create(
            account=box.world.acme,
            by=box.world.ann,
            mailbox=box.mailbox,
            address=box.mailbox.address,
            imap_host=box.dovecot.host,
            imap_port=box.dovecot.port,
            imap_security="none",
            login=login,
            secret=secrets.seal(password, account_id=box.world.acme.pk),
            state="passed",
            found=[folder.as_json() for folder in there],
        )


def take(box: Box, test: ConnectionTest, **fields: str) -> str:
    url = f"/mailboxes/connect/{test.pk}/repaired/"
    return box.world.client(box.world.ann).post(url, fields, follow=True).content.decode()


def test_the_page_says_how_many_folders_differ_and_changes_nothing(box: Box, passed: ConnectionTest) -> None:
    shown = take(box, passed)
    assert "does not hold the mail we knew: 2 folders of 2 differ." in shown
    assert "INBOX, Projects" in shown
    assert box.reload().login == box.login
    box.sync()
    assert box.subjects() == ["Known 0", "Known 1", "Known 2"]
    box.assert_equal()


def test_who_uses_it_all_the_same_loses_nothing_until_they_say_so(box: Box, passed: ConnectionTest) -> None:
    take(box, passed, even_if_other="1")
    assert box.reload().login == passed.login
    with box.acting():
        assert holding.purge_waits(box.mailbox.pk)
        assert AuditEntry.objects.filter(verb="mailbox.server_exchanged", by=box.world.ann).exists()
    for _run in range(3):
        box.try_sync()
    assert {"Known 0", "Known 1", "Known 2", "Of somebody else"} == set(box.subjects())
    assert box.subjects("Projects") == ["Filed"]
    shown = box.world.client(box.world.ann).get("/").content.decode()
    assert "the server suddenly shows 3 of 4 messages fewer." in shown
    for path in ("INBOX", "Projects"):
        url = f"/folders/{box.folder(path).pk}/held/"
        box.world.client(box.world.ann).post(url, {"answer": "follow"})
    box.sync()
    assert box.subjects() == ["Of somebody else"]
    with box.acting():
        assert not Folder.objects.filter(mailbox=box.mailbox, path="Projects").exists()
        assert not holding.purge_waits(box.mailbox.pk)


def test_what_was_asked_of_the_old_server_is_done_to_no_mail_of_the_new_one(
    box: Box, passed: ConnectionTest
) -> None:
    """Both number their folders from the same beginning, as some servers do."""
    validity = ("--uid-validity", str(box.folder().uidvalidity))
    box.dovecot.doveadm("mailbox", "update", "-u", passed.login, *validity, "INBOX")
    with box.acting():
        actions.trash(box.chosen("Known 0"), by=box.world.ann)
    take(box, passed, even_if_other="1")
    box.login = passed.login
    for _run in range(3):
        box.try_sync()
    assert len(box.dovecot.uids(passed.login)) == 1
    assert not box.subjects("Trash")
    assert {"Known 0", "Of somebody else"} <= set(box.subjects())


def test_the_same_mail_under_another_name_asks_nothing(box: Box, passed: ConnectionTest) -> None:
    """The provider gave its server a new name: folders and their UIDVALIDITY are as they were."""
    with box.acting():
        there = [
            FoundFolder(bytes(folder.name), folder.path, uidvalidity=folder.uidvalidity).as_json()
            for folder in Folder.objects.filter(mailbox=box.mailbox)
        ]
        ConnectionTest.objects.filter(pk=passed.pk).update(
            found=there, imap_host="localhost", login=box.login
        )
    take(box, passed)
    with box.acting():
        assert Mailbox.objects.get(pk=box.mailbox.pk).imap_host == "localhost"
        assert not Folder.objects.exclude(brake="").exists()


def test_a_new_password_for_the_same_login_asks_nothing(box: Box, passed: ConnectionTest) -> None:
    with box.acting():
        ConnectionTest.objects.filter(pk=passed.pk).update(login=box.login)
    take(box, passed)
    with box.acting():
        assert ConnectionTest.objects.get(pk=passed.pk).state == "used"
