"""Deleting a task touches our copies only: the mail server has what it had, and no sync brings them back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mailsync import actions as mail_actions
from mailsync import discarding, schedule, settling
from mailsync.models import Folder, Mailbox, Message, Placement, Schedule
from tasks import actions, deletion
from tasks.models import Task
from tests.engine.conftest import Box, box

__all__ = ["box"]  # fixture

pytestmark = pytest.mark.django_db(transaction=True)


def task_about(box: Box, *subjects: str) -> Task:
    with box.acting():
        return actions.create_from([box.one(subject).message for subject in subjects], by=box.world.ann)


def delete(box: Box, task: Task) -> int:
    with box.acting():
        deletion.ask_deletion(task, keep_mail=False, by=box.world.ann)
    return deletion.carry_out_deletion(box.world.acme.pk, task.pk, timezone.now() + deletion.HELD)


def test_a_deleted_tasks_mail_stays_on_the_server_and_never_comes_back(box: Box) -> None:
    for subject in ("Order", "Order again", "Newsletter"):
        box.deliver(subject)
    box.sync()
    task = task_about(box, "Order", "Order again")
    before = box.server_view()

    assert delete(box, task) == 2

    box.sync()
    assert box.server_view() == before
    assert box.subjects() == ["Newsletter"]
    box.deliver("Later")
    box.sync()
    assert box.subjects() == ["Newsletter", "Later"]
    # Not when it moves on the server, and not when the folder's UIDs change.
    box.on_server("MOVE", "1", "Archive")
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox, path="INBOX").update(uidvalidity=1)
    box.sync()
    box.sync()
    assert box.subjects() == ["Newsletter", "Later"]
    assert box.subjects("Archive") == []


def test_what_ann_did_to_a_message_before_still_reaches_the_server(box: Box) -> None:
    box.deliver("Order")
    box.sync()
    task = task_about(box, "Order")
    with box.acting():
        mail_actions.set_flags(box.chosen("Order"), add=["\\Flagged"], by=box.world.ann)

    delete(box, task)
    box.sync()

    [(flags, _digest)] = box.server_view()["INBOX"].values()
    assert "\\Flagged" in flags
    assert box.subjects() == []


def test_a_run_that_knows_the_message_ends_and_the_next_begins_at_once(box: Box) -> None:
    box.deliver("Order")
    box.sync()
    task = task_about(box, "Order")
    with box.acting():
        lease = schedule.claim(box.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease

    delete(box, task)

    with pytest.raises(schedule.LeaseLost), box.acting():
        schedule.renew(lease)
    assert Schedule.objects.filter(mailbox=box.mailbox, due_at__lte=timezone.now()).exists()
    box.sync()
    assert box.subjects() == []


def test_bound_mail_outlives_its_disconnected_mailbox_and_finds_its_place_again(box: Box) -> None:
    box.deliver("Order")
    box.deliver("Newsletter")
    box.sync()
    bound = box.one("Order").message_id
    task = task_about(box, "Order")
    sealed = bytes(box.mailbox.secret)
    with box.acting():
        assert settling.disconnect(box.mailbox, by=box.world.ann) == 1
    discarding.discard_let_go(box.world.acme.pk, box.mailbox.pk)
    with box.acting():
        assert list(Message.objects.filter(mailbox=box.mailbox).values_list("pk", flat=True)) == [bound]
        assert not Placement.objects.filter(folder__mailbox=box.mailbox).exists()

    with box.acting():  # what connecting the address again does to the row
        Mailbox.objects.filter(pk=box.mailbox.pk).update(disconnected_at=None, secret=sealed)
    box.sync()

    assert box.subjects() == ["Order", "Newsletter"]
    assert box.one("Order").message_id == bound
    with box.acting():
        assert task.links.get().message.unplaced_since is None


def test_bound_mail_that_another_program_deleted_stays_with_its_task(box: Box) -> None:
    box.deliver("Order")
    box.sync()
    task = task_about(box, "Order")
    box.on_server("STORE", "1", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "1")
    box.sync()
    with box.acting():
        Message.objects.update(unplaced_since=timezone.now() - timedelta(days=3))
    box.sync()
    with box.acting():
        assert task.links.get().message.subject == "Order"
        assert task.links.get().message.unplaced_since
    assert box.subjects() == []
