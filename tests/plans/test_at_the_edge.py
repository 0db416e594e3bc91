"""Twenty people at once at a plan's last free place: one gets it, the others are told why not."""

import threading
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from accounts import departments, tenancy
from accounts.models import Department, Employee
from mailsync import sharing, transferring
from mailsync.connecting import CannotConnect, shared_mailboxes
from mailsync.models import GrantLevel, Mailbox, MailboxGrant
from mailsync.transferring import CannotTransfer
from plans.subscriptions import change_plan
from tests.connecting.test_connecting import connect
from tests.world import World, mailbox

MANY = 20

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def trial(world: World) -> World:
    """Ten mailboxes for each employee, three shared ones for the company; team@ is shared already."""
    with world.acting():
        change_plan(world.acme, "trial", on=timezone.localdate(), by=None)
    return world


def test_the_last_mailbox_of_an_employee_is_connected_once(trial: World) -> None:
    with trial.acting():
        for number in range(9):
            mailbox(trial.cyd, f"cyd{number}@acme.example")
    told = race(trial, [partial(connect, trial.cyd, f"new{number}@acme.example") for number in range(MANY)])
    assert {*told} == {
        "Your plan Trial has room for 10 mailboxes per employee, and you have 10. Disconnect one first."
    }
    with trial.acting():
        assert Mailbox.objects.filter(owner=trial.cyd).count() == 10


def test_the_third_shared_mailbox_of_a_trial_is_shared_once_and_the_fourth_is_refused(trial: World) -> None:
    with trial.acting():
        sharing.share(trial.ann_box, trial.cyd, GrantLevel.READ, by=trial.ann)
        boxes = [mailbox(trial.adm, f"box{number}@acme.example") for number in range(MANY)]
        holders: list[Employee | Department] = [
            trial.cyd,
            departments.make(trial.acme, "Nobody yet", by=trial.adm),
        ]
    share = [
        partial(sharing.share, box, holders[number % 2], GrantLevel.READ, by=trial.adm)
        for number, box in enumerate(boxes)
    ]
    told = race(trial, share)
    assert all("allows 3 shared mailboxes in the company, and 3 are shared" in sentence for sentence in told)
    with trial.acting():
        assert MailboxGrant.objects.values("mailbox").distinct().count() == 3


def test_one_shared_mailbox_takes_one_place_however_many_it_is_shared_with_at_once(trial: World) -> None:
    with trial.acting():
        sharing.share(trial.ann_box, trial.cyd, GrantLevel.READ, by=trial.ann)
        box = mailbox(trial.adm, "box@acme.example")
        sales = departments.make(trial.acme, "Sales", by=trial.adm)
        support = departments.make(trial.acme, "Support", by=trial.adm)
    holders: list[Employee | Department] = [trial.ann, trial.bob, trial.cyd, sales, support]
    share = [
        partial(sharing.share, box, who, GrantLevel.READ, by=trial.adm)
        for who in holders
        for _again in range(4)
    ]
    assert race(trial, share, winners=len(share)) == []
    with trial.acting():
        assert box.grants.count() == 5
        assert shared_mailboxes(trial.acme) == 3


def test_the_last_place_of_an_heir_is_taken_once(trial: World) -> None:
    with trial.acting():
        for number in range(9):
            mailbox(trial.cyd, f"cyd{number}@acme.example")
        change_plan(trial.acme, "professional", on=timezone.localdate(), by=None)
        left = [mailbox(trial.bob, f"left{number}@acme.example") for number in range(10)]
    told = race(trial, [partial(transferring.transfer, box, trial.cyd, by=trial.adm) for box in left])
    assert all("10" in sentence for sentence in told)
    with trial.acting():
        assert Mailbox.objects.filter(owner=trial.cyd).count() == 10


def race(world: World, acts: Sequence[Callable[[], object]], *, winners: int = 1) -> list[str]:
    """All at once, each in its own transaction; returns what those were told who did not win."""
    start = threading.Barrier(len(acts))
    told: list[str] = []

    def run(act: Callable[[], object]) -> None:
        try:
            start.wait()
            with tenancy.acting_for(world.acme.pk):
                act()
        except (CannotConnect, CannotTransfer) as refusal:
            told.append(refusal.sentence)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(acts) - len(told) == winners
    return told
