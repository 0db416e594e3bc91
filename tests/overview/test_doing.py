"""What admins do to many mailboxes at once, what they see before, and taking it back."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Employee
from crm import feeds
from mailsync import checking, engine, schedule, watcher
from mailsync.models import Mailbox, MailboxGrant, MailboxState, Message, Operation, Schedule
from overview.models import Deed
from tests.retention.scenes import bind_to_client, bind_to_task
from tests.world import World

ALL = "/mailboxes/all/"


def act(world: World, verb: str, *boxes: Mailbox, **form: Any):
    return world.client(world.adm).post(
        f"{ALL}act/", {"verb": verb, "ids": [box.pk for box in boxes], **form}, follow=True
    )


def fresh(world: World, box: Mailbox) -> Mailbox:
    with world.acting():
        return Mailbox.objects.select_related("owner").get(pk=box.pk)


def test_adm_pauses_mailboxes_and_takes_it_back(world: World) -> None:
    page = act(world, "pause", world.ann_box, world.team_box).content.decode()
    assert "You paused 2 mailboxes." in page
    with world.acting():
        schedule.wake(
            world.ann_box.pk
        )  # Ann archives something: it waits, and the run leaves the server alone
    lease = schedule.claim(world.ann_box.pk, timezone.now())
    assert lease
    assert engine.synchronise(lease, seconds=5).state == engine.ON_HOLD
    assert world.acme.pk not in watcher.watchables([world.acme.pk]) or not [
        each for each in watcher.watchables([world.acme.pk])[world.acme.pk] if each.mailbox_id == world.ann_box.pk
    ]  # fmt: skip
    with world.acting():
        schedule.ask_check(world.ann_box.pk, by_id=world.ann.pk)
    checking.check(world.acme.pk, world.ann_box.pk)
    assert fresh(world, world.ann_box).state == MailboxState.PAUSED
    assert "An admin paused this mailbox." in world.client(world.ann).get("/").content.decode()
    assert "Paused by an admin" in world.client(world.adm).get(f"{ALL}?health=paused").content.decode()
    with world.acting():
        deed = Deed.objects.get()
    undone = world.client(world.adm).post(f"{ALL}undo/{deed.pk}/", follow=True).content.decode()
    assert "2 mailboxes are as they were." in undone
    assert "You paused" not in undone
    assert (fresh(world, world.ann_box).paused_at, fresh(world, world.ann_box).last_error) == (None, "")
    with world.acting():
        assert Schedule.objects.get(mailbox=world.ann_box).due_at is not None
        verbs = list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs.count("mailbox.paused") == verbs.count("mailbox.resumed") == 2


def test_all_that_match_are_meant_also_those_on_other_pages_and_nobody_elses(world: World) -> None:
    act(world, "pause", all="1", query="q=team&page=7")
    assert fresh(world, world.ann_box).paused_at is None
    assert fresh(world, world.team_box).paused_at is not None
    act(world, "pause", world.eve_box)
    with world.acting(world.other):
        assert Mailbox.objects.get(pk=world.eve_box.pk).paused_at is None


def test_checking_now_wakes_all_but_those_whose_server_asked_for_patience(world: World) -> None:
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(
            state=MailboxState.BUSY, last_error="Slow down.", troubled_since=timezone.now()
        )
        Schedule.objects.update(due_at=timezone.now() + timedelta(hours=3))
    assert "1 mailbox is checked now." in act(world, "check", world.ann_box, world.team_box).content.decode()
    with world.acting():
        due = Schedule.objects.filter(due_at__lte=timezone.now())
        assert list(due.values_list("mailbox_id", flat=True)) == [world.ann_box.pk]


def test_crm_is_switched_for_many_and_taken_back_as_it_was_for_each(world: World) -> None:
    with world.acting():
        feeds.switch(world.ann_box, feeds.State(True, (world.cyd.pk,)), by=world.ann)
    assert "Save the mail of 2 mailboxes" in act(world, "crm", world.ann_box, world.team_box).content.decode()
    both = {"crm": "yes", "queue": "people"}
    refused = act(world, "crm", world.ann_box, world.team_box, **both)
    assert "Choose at least one colleague." in refused.content.decode()
    act(world, "crm", world.ann_box, world.team_box, people=[world.bob.pk, world.eve.pk], **both)
    wanted = feeds.State(enabled=True, queue=(world.bob.pk,))
    with world.acting():
        assert [feeds.state_of(box) for box in (world.ann_box, world.team_box)] == [wanted, wanted]
        deed = Deed.objects.get()
    world.client(world.adm).post(f"{ALL}undo/{deed.pk}/")
    with world.acting():
        assert feeds.state_of(world.ann_box) == feeds.State(True, (world.cyd.pk,))
        assert not feeds.state_of(world.team_box).enabled


def test_disconnecting_shows_what_goes_and_what_stays_before_it_does(world: World) -> None:
    inbox = world.folder(world.ann_box)
    task, client, _loose = (
        world.message(inbox, subject=name).message for name in ("task", "client", "loose")
    )
    bind_to_task(world, task)
    bind_to_client(world, client)
    with world.acting():
        Operation.objects.create(
            account=world.acme, mailbox=world.ann_box, folder=inbox, kind="flag", uid=1, by=world.ann
        )
    page = " ".join(act(world, "disconnect", world.ann_box, world.team_box).content.decode().split())
    for words in (
        "Disconnect 2 mailboxes?", "<b>1 temporary copy</b>", "<b>1 copy with a client</b>",
        "<b>1 message bound to a task</b>", "On the mail servers nothing is deleted or changed.",
        "1 access is without effect", "Not yet at the servers: 1 changes made here and 0 letters.",
    ):  # fmt: skip
        assert words in page
    assert fresh(world, world.ann_box).disconnected_at is None
    answer = act(world, "disconnect", ids=f"{world.ann_box.pk},{world.team_box.pk}", confirmed="1")
    assert "2 mailboxes are disconnected; 2 copies leave Mailbound." in answer.content.decode()
    assert fresh(world, world.ann_box).disconnected_at
    assert bytes(fresh(world, world.ann_box).secret) == b""
    with world.acting():
        assert Message.objects.filter(pk=task.pk).exists()


def test_handing_over_says_which_could_not_be_and_why(world: World) -> None:
    assert "Hand 2 mailboxes" in act(world, "transfer", world.ann_box, world.team_box).content.decode()
    form = {"confirmed": "1", "keeps": "read"}
    assert act(world, "transfer", world.ann_box, heir=world.eve.pk, **form).status_code == 422
    page = act(world, "transfer", world.ann_box, world.team_box, heir=world.adm.pk, **form).content.decode()
    assert "ann@acme.example: Nobody takes a colleague&#x27;s mailbox for themselves" in page
    page = act(world, "transfer", world.ann_box, world.team_box, heir=world.cyd.pk, **form).content.decode()
    assert "2 mailboxes are Cyd Cole&#x27;s now." in page
    assert fresh(world, world.ann_box).owner == world.cyd
    with world.acting():
        assert MailboxGrant.objects.get(mailbox=world.ann_box).employee == world.ann


def test_nothing_is_done_to_nobody_by_nobody(world: World) -> None:
    assert "Choose the mailboxes first." in act(world, "pause").content.decode()
    assert act(world, "explode", world.ann_box).status_code == 404
    assert (
        world.client(world.ann).post(f"{ALL}act/", {"verb": "pause", "ids": world.ann_box.pk}).status_code
        == 403
    )
    assert fresh(world, world.ann_box).paused_at is None
    act(world, "pause", world.ann_box)
    with world.acting():
        deed = Deed.objects.get()
        Employee.objects.filter(pk=world.cyd.pk).update(role="admin")
    assert world.client(world.cyd).post(f"{ALL}undo/{deed.pk}/").status_code == 403


@pytest.mark.parametrize("verb", ["disconnect", "transfer"])
def test_what_takes_long_is_refused_for_too_many(world: World, verb: str, monkeypatch) -> None:
    monkeypatch.setattr("overview.views.doing.MOST_AT_ONCE", {verb: 1})
    page = act(world, verb, world.ann_box, world.team_box).content.decode()
    assert "Choose at most 1 mailboxes at once for this; 2 are chosen." in page
