"""A mailbox gets another owner: what goes with it, what its owner before keeps, and who is refused."""

import threading

import pytest
from django.db import connection
from django.urls import reverse

from accounts import people, tenancy
from accounts.models import AuditEntry, Employee, Role
from mailsync import access, connecting, outbox, settling, sharing, transferring
from mailsync.models import ConnectionTest, GrantLevel, Mailbox
from mailsync.transferring import CannotTransfer, transfer
from plans.subscriptions import change_plan
from tasks import actions as tasks
from tests.world import World, employee, mailbox


def owner_of(world: World, box: Mailbox) -> Employee:
    with world.acting():
        return Mailbox.objects.select_related("owner").get(pk=box.pk).owner


def test_bob_gets_anns_mailbox_with_mail_links_and_drafts_and_ann_loses_it(world: World) -> None:
    placement = world.message(world.folder(world.ann_box), subject="About the roof")
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(sender_name=world.ann.name, place=0)
        sharing.share(world.ann_box, world.bob, GrantLevel.READ, by=world.ann)
        task = tasks.create_from([placement.message], by=world.ann)
        draft = outbox.start(world.ann_box, by=world.ann, subject="Half written")
        test = ConnectionTest.objects.create(
            account=world.acme, by=world.ann, mailbox=world.ann_box, address="ann@acme.example",
            imap_host="x", login="x", secret=b"sealed", state="passed",
        )  # fmt: skip
        transfer(world.ann_box, world.bob, by=world.adm)
        assert task.links.get().message_id == placement.message_id
        assert access.get_outgoing(world.bob, draft.pk) == draft
        test.refresh_from_db()
        assert (test.state, bytes(test.secret)) == ("used", b"")
        box = Mailbox.objects.get(pk=world.ann_box.pk)
        # Bob does not write in Ann's name, needs no grant on what is his, and has not chosen its place.
        assert (box.sender_name, box.grants.count(), box.place) == ("Bob Brown", 0, None)
        entry = AuditEntry.objects.get(verb="mailbox.transferred")
        assert (entry.by, entry.details["before"], entry.details["to"]) == (
            world.adm,
            "ann@acme.example",
            "bob@acme.example",
        )
    page = reverse("mail:message", args=[placement.folder_id, placement.pk])
    assert world.client(world.ann).get(page).status_code == 404
    assert "About the roof" in world.client(world.bob).get(page).content.decode()


def test_ann_keeps_what_was_granted_to_her_and_no_more(world: World) -> None:
    with world.acting():
        transfer(world.ann_box, world.bob, by=world.adm, keeps=GrantLevel.REPLY)
        assert access.may(world.ann, world.ann_box, GrantLevel.REPLY)
        assert not access.may(world.ann, world.ann_box, GrantLevel.DELETE)


def test_who_cannot_get_a_mailbox(world: World) -> None:
    with world.acting():
        people.deactivate(world.cyd, by=world.adm)
        world.cyd.refresh_from_db()
    for heir, said in ((world.eve, "of your company"), (world.cyd, "can sign in"), (world.ann, "already"),
                       (world.adm, "ask Ann Archer, or another admin")):  # fmt: skip
        with world.acting(), pytest.raises(CannotTransfer) as refusal:
            transfer(world.ann_box, heir, by=world.adm)
        assert said in refusal.value.sentence
    assert owner_of(world, world.ann_box) == world.ann


def test_an_admin_takes_over_what_somebody_who_left_cannot_hand_on(world: World) -> None:
    with world.acting():
        people.deactivate(world.ann, by=world.adm)
        transfer(world.ann_box, world.adm, by=world.adm)
    assert owner_of(world, world.ann_box) == world.adm


def test_an_heir_at_the_plans_limit_is_refused_with_the_numbers(world: World) -> None:
    with world.acting():
        change_plan(world.acme, "basic", on=world.acme.today(), by=None)
        transfer(world.team_box, world.cyd, by=world.adm)
        with pytest.raises(CannotTransfer) as refusal:
            transfer(world.ann_box, world.cyd, by=world.adm)
        # One that is disconnected takes no place.
        settling.disconnect(world.ann_box, by=world.ann)
        transfer(world.ann_box, world.cyd, by=world.adm)
    assert "Cyd Cole has 1 already" in refusal.value.sentence
    assert "room for 1 mailbox per employee" in refusal.value.sentence


def test_where_nobody_may_share_more_the_owner_before_cannot_keep_a_grant(world: World) -> None:
    with world.acting():
        change_plan(world.acme, "trial", on=world.acme.today(), by=None)
        for n in (1, 2):
            sharing.share(
                mailbox(world.ann, f"box{n}@acme.example"), world.bob, GrantLevel.READ, by=world.ann
            )
    with world.acting(), pytest.raises(CannotTransfer) as refusal:
        transfer(world.ann_box, world.bob, by=world.adm, keeps=GrantLevel.READ)
    assert "3" in refusal.value.sentence
    assert owner_of(world, world.ann_box) == world.ann


@pytest.mark.django_db(transaction=True)
def test_two_admins_cannot_fill_one_place_twice(world: World) -> None:
    with world.acting():
        change_plan(world.acme, "basic", on=world.acme.today(), by=None)
        other_admin = employee(world.acme, "Ada Adams", "ada@acme.example", role=Role.ADMIN)
    start, refused = threading.Barrier(2), []

    def hand_over(box: Mailbox, admin: Employee) -> None:
        try:
            start.wait(timeout=30)
            with tenancy.acting_for(world.acme.pk):
                transfer(box, world.cyd, by=admin)
        except CannotTransfer as refusal:
            refused.append(refusal.sentence)
        finally:
            connection.close()

    pairs = ((world.ann_box, world.adm), (world.team_box, other_admin))
    racers = [threading.Thread(target=hand_over, args=pair) for pair in pairs]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    with world.acting():
        assert connecting.owned(world.cyd) == 1
        assert len(refused) == 1
        assert transferring.why_no_room(world.acme, world.bob) == ""
