"""When the server suddenly shows much less, a person is asked; until then nothing is lost and nothing is purged."""

import pytest

from accounts.models import AuditEntry
from mailsync import holding
from mailsync.models import Folder, GrantLevel, Mailbox, MailboxGrant, Schedule
from mailsync.sync.brake import Brake
from tests.engine.conftest import Box, box
from tests.rigs.filling import fill
from tests.world import World

__all__ = ["box"]  # a fixture


def shrink(box: Box, *, keep: int = 0, folder: str = "INBOX") -> None:
    """Another program removes all but the oldest."""
    box.on_server("STORE", f"{keep + 1}:*", "+FLAGS", "(\\Deleted)", folder=folder)
    box.on_server("EXPUNGE", f"{keep + 1}:*", folder=folder)


def filled(box: Box, folder: str = "INBOX", count: int = 150) -> None:
    fill(box.dovecot, box.login, count)
    if folder != "INBOX":
        with box.dovecot.imap(box.login) as client:
            client.create(folder)
        box.on_server("MOVE", "1:*", folder)
    box.sync()
    assert len(box.placements(folder)) == count


def waits(box: Box) -> bool:
    with box.acting():
        return holding.purge_waits(box.mailbox.pk)


def say(box: Box, answer: str, folder: str = "INBOX") -> None:
    pk = box.folder(folder).pk
    box.world.client(box.world.ann).post(f"/folders/{pk}/held/", {"answer": answer})


def front_page(box: Box) -> str:
    return box.world.client(box.world.ann).get("/").content.decode()


def test_the_page_asks_and_follows_at_once_when_told(box: Box) -> None:
    filled(box)
    shrink(box, keep=10)
    box.sync()
    box.sync()
    shown = front_page(box)
    assert "the server suddenly shows 140 of 150 messages fewer." in shown
    assert waits(box)
    say(box, "follow")
    assert Schedule.objects.get(mailbox=box.mailbox).due_at is not None
    with box.acting():
        told = AuditEntry.objects.get(verb="mailbox.loss_followed")
        assert (told.by, told.details) == (box.world.ann, {"folder": "INBOX", "messages": 140})
    box.sync()
    assert len(box.placements()) == 10
    assert not waits(box)
    assert "suddenly shows" not in front_page(box)
    box.assert_equal()


def test_what_is_kept_stays_while_new_mail_comes_and_ends_when_the_server_has_it_again(box: Box) -> None:
    filled(box)
    maildir = box.dovecot.maildir(box.login)
    elsewhere = maildir.parent / f"{maildir.name}-taken-away"
    elsewhere.mkdir()
    files = [*(maildir / "cur").iterdir(), *(maildir / "new").iterdir()]
    for file in files:
        file.rename(elsewhere / file.name)
    box.sync()
    box.sync()
    say(box, "keep")
    box.deliver("Came meanwhile")
    box.sync()
    assert len(box.placements()) == 151
    assert waits(box)
    assert "Keep them here" not in front_page(box), "asked and answered"
    inside = box.world.client(box.world.ann).get(f"/mail/{box.folder().pk}/").content.decode()
    assert "150 messages are kept here that the server does not show." in inside
    for file in files:
        (elsewhere / file.name).rename(file)
    box.sync()
    assert len(box.placements()) == 151, "none lost, none doubled, though under other UIDs"
    assert not waits(box)
    box.assert_equal()


def test_a_server_that_only_stuttered_is_not_asked_about(box: Box) -> None:
    filled(box)
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox, path="INBOX").update(held_back=140, full_at=None)
    box.sync()
    assert box.folder().held_back == 0
    assert not waits(box)
    assert len(box.placements()) == 150


def test_an_emptied_trash_is_followed_without_asking(box: Box) -> None:
    filled(box, "Trash", 120)
    shrink(box, folder="Trash")
    box.sync()
    box.sync()
    assert box.placements("Trash") == []
    assert not waits(box)


def test_a_large_folder_that_vanishes_is_kept_and_asked_about(box: Box) -> None:
    filled(box, "Projects", 120)
    with box.dovecot.imap(box.login) as client:
        client.delete("Projects")
    box.sync()
    box.sync()
    assert len(box.placements("Projects")) == 120
    assert "the server suddenly shows 120 of 120 messages fewer." in front_page(box)
    say(box, "follow", "Projects")
    box.sync()
    with box.acting():
        assert not Folder.objects.filter(mailbox=box.mailbox, path="Projects").exists()
    box.assert_equal()


def test_a_large_folder_that_another_program_renamed_is_not_asked_about(box: Box) -> None:
    filled(box, "Projects", 120)
    before = {placement.message_id for placement in box.placements("Projects")}
    with box.dovecot.imap(box.login) as client:
        client.rename("Projects", "Plans")
    box.sync(thorough=False)
    box.sync(thorough=False)
    assert {placement.message_id for placement in box.placements("Plans")} == before
    assert not waits(box)
    assert "suddenly shows" not in front_page(box)
    box.assert_equal()


def test_what_is_nowhere_else_is_asked_about_though_the_rest_of_the_folder_is(box: Box) -> None:
    filled(box, "Projects", 150)
    box.on_server("COPY", "1:50", "Archive", folder="Projects")
    with box.dovecot.imap(box.login) as client:
        client.delete("Projects")
    box.sync()
    box.sync()
    box.sync()
    assert (len(box.placements("Projects")), len(box.placements("Archive"))) == (150, 50)
    assert "the server suddenly shows 100 of 150 messages fewer." in front_page(box)


@pytest.fixture
def held(world: World) -> Folder:
    folder = world.folder(world.team_box)
    with world.acting():
        Folder.objects.filter(pk=folder.pk).update(held_back=400)
    return folder


def answered(world: World, held: Folder) -> str:
    with world.acting():
        return str(Folder.objects.values_list("brake", flat=True).get(pk=held.pk))


def test_only_who_manages_the_mailbox_decides(world: World, held: Folder) -> None:
    url = f"/folders/{held.pk}/held/"
    assert world.client(world.bob).post(url, {"answer": "follow"}).status_code == 404
    assert "somebody who manages the mailbox decides" in world.client(world.bob).get("/").content.decode()
    assert answered(world, held) == ""
    with world.acting():
        MailboxGrant.objects.filter(employee=world.bob).update(level=GrantLevel.MANAGE)
    assert world.client(world.bob).post(url, {"answer": "nonsense"}).status_code == 404
    world.client(world.bob).post(url, {"answer": "keep"})
    assert answered(world, held) == Brake.KEEP


def test_an_answer_that_comes_too_late_changes_nothing(world: World, held: Folder) -> None:
    with world.acting():
        Folder.objects.filter(pk=held.pk).update(held_back=0)
    answer = world.client(world.ann).post(f"/folders/{held.pk}/held/", {"answer": "follow"}, follow=True)
    assert "shows these messages again" in answer.content.decode()
    assert answered(world, held) == ""


def test_mail_found_missing_is_told_to_the_owner_until_dismissed(world: World) -> None:
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(missing=12, missing_at=world.ann_box.connected_at)
    shown = world.client(world.ann).get("/").content.decode()
    assert "found 12 messages missing here without a reason." in shown
    assert f"/mailboxes/{world.ann_box.pk}/complete/" in shown
    url = f"/mailboxes/{world.ann_box.pk}/missing/dismiss/"
    assert world.client(world.bob).post(url).status_code == 404
    world.client(world.ann).post(url)
    assert "missing here without a reason" not in world.client(world.ann).get("/").content.decode()
