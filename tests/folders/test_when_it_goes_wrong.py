"""The server refuses, or the connection ends between a command and its answer: nothing is lost or doubled."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from mailsync.models import Folder, Mailbox, Message, Operation, OperationState
from tests.folders.conftest import Desk
from tests.rigs.proxy import Proxy, line_to, without

REFUSAL = b"NO [NOPERM] Permission denied"


@contextmanager
def through(desk: Desk, command: str, *, refusal: bytes | None = REFUSAL) -> Iterator[Proxy]:
    """The mailbox is reached by a line on which the command goes wrong."""
    server = desk.box.dovecot
    with line_to(server.host, server.port) as line:
        if refusal:
            line.answers[command.encode()] = refusal
        else:
            line.lost = re.compile(command.encode())
        _reach(desk, line.port)
        yield line
    _reach(desk, server.port)


def _reach(desk: Desk, port: int) -> None:
    with desk.box.acting():
        Mailbox.objects.filter(pk=desk.box.mailbox.pk).update(imap_port=port)


def told(desk: Desk) -> list[str]:
    """What Ann reads about it."""
    with desk.box.acting():
        failed = Operation.objects.filter(by=desk.box.world.ann, state=OperationState.FAILED, noticed_at=None)
        return list(failed.values_list("error", flat=True))


@pytest.fixture
def old(desk: Desk) -> Desk:
    """With a folder Old, a mail in it, and one below."""
    desk.box.deliver("Above", folder="Old")
    desk.box.deliver("Below", folder="Old/Deep")
    desk.box.sync()
    return desk


def test_a_refused_folder_is_gone_again_and_ann_reads_why(desk: Desk) -> None:
    desk.create("Projects")
    with through(desk, "CREATE"):
        desk.box.sync()
    assert desk.shown() == []
    assert told(desk) == ["“Projects”: “[NOPERM] Permission denied”"]
    desk.box.assert_equal()


def test_a_refused_rename_goes_back_and_ann_reads_why(old: Desk) -> None:
    old.rename("Old", "New")
    with through(old, "RENAME"):
        old.box.sync()
    assert old.shown() == ["Old", "Old/Deep"]
    assert told(old) == ["“New”: “[NOPERM] Permission denied”"]
    old.box.assert_equal()


def test_a_folder_that_may_not_be_deleted_comes_back_and_its_mail_is_in_the_trash(old: Desk) -> None:
    old.delete("Old/Deep")
    with through(old, "DELETE"):
        old.box.sync()
    assert old.shown() == ["Old", "Old/Deep"]
    assert (old.box.subjects("Old/Deep"), old.box.subjects("Trash")) == ([], ["Below"])
    assert told(old) == ["“Old/Deep”: “[NOPERM] Permission denied”"]
    old.box.assert_equal()


@pytest.mark.parametrize("command", ["CREATE", "RENAME", "DELETE"])
def test_e03_a_connection_that_ends_before_the_answer_is_asked_again_by_effect(
    old: Desk, command: str
) -> None:
    if command == "CREATE":
        old.create("New")
    elif command == "RENAME":
        old.rename("Old", "New")
    else:
        old.delete("Old/Deep")
    wished = old.shown()
    with through(old, command, refusal=None) as line:
        assert old.box.try_sync().error
        assert len(line.asked(command)) == 1
    assert old.shown() == wished
    old.box.sync()
    assert old.shown() == wished
    assert [(kind, state) for kind, state, _error in old.changes()] == [(command.lower(), "done")]
    assert told(old) == []
    with old.box.acting():
        assert Message.objects.filter(mailbox=old.box.mailbox).count() == 3
        assert not Folder.objects.filter(deleting=True).exists()
    old.box.sync()
    old.box.assert_equal()


def test_a_server_that_is_busy_is_asked_again_and_the_wish_stays_on_screen(desk: Desk) -> None:
    desk.create("Projects")
    desk.create("Inside", parent="Projects")
    with through(desk, "CREATE", refusal=b"NO [UNAVAILABLE] Try later") as line:
        desk.box.sync()
        assert len(line.asked("CREATE")) == 1
        assert desk.shown() == ["Projects", "Projects/Inside"]
    assert told(desk) == []
    desk.box.sync()
    assert desk.there() == [b"Projects", b"Projects/Inside"]
    desk.box.assert_equal()


def test_what_a_deletion_has_copied_to_the_trash_is_not_copied_again(desk: Desk) -> None:
    """At a server without MOVE that refuses to remove it for now; the folder's deletion goes on in the next run."""
    box = desk.box
    with line_to(box.dovecot.host, box.dovecot.port, without("MOVE")) as line:
        with box.acting():
            Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_port=line.port)
        desk.create("Old")
        box.sync()
        desk.delete("Old")
        box.deliver("Late", folder="Old")
        line.answers[b"^UID STORE"] = b"NO [INUSE] Try later"
        box.sync()
        box.sync()
        line.heal()
        for _run in range(2):
            box.sync()
        assert (desk.there(), box.subjects("Trash"), len(line.asked("COPY"))) == ([], ["Late"], 1)
