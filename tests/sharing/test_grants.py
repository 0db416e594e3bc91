"""Who is let into a mailbox, in person or with a department, and what sharing costs of the plan."""

import threading

import pytest
from django.db import connection
from django.urls import reverse

from accounts import departments, tenancy
from accounts.models import AuditEntry, Department
from mailsync import access, connecting, notices, sharing
from mailsync.connecting import CannotConnect
from mailsync.models import Assignment, GrantLevel, Mailbox
from mailsync.sharing import key_of
from plans.models import PlanLimits
from plans.subscriptions import change_plan
from tests.world import World, employee, mailbox

READ, REPLY, DELETE, MANAGE = GrantLevel.values


@pytest.fixture
def sales(world: World) -> Department:
    """Bob and Cyd; Bob holds a grant of his own on team@, to delete."""
    with world.acting():
        made = Department.objects.create(account=world.acme, name="Sales")
        for person in (world.bob, world.cyd):
            person.department = made
            person.save(update_fields=["department"])
    return made


def level_of(world: World, person, box: Mailbox) -> str:
    """Through the door in SQL; the one of the ORM has to say the same."""
    with world.acting():
        opened = {each.id: each.level for each in access.boxes(person)}.get(box.pk, "")
        assert opened == access.grants(person).get(box.pk, "")
        assert access.may(person, box, READ) is bool(opened)
        assert (box in access.visible_mailboxes(person)) is bool(opened)
    return opened


def refused(call, *args, **options) -> str:
    with pytest.raises(CannotConnect) as caught:
        call(*args, **options)
    return caught.value.sentence


def test_a_department_is_let_in_with_who_comes_later_and_the_highest_grant_counts(world, sales):
    placement = world.message(world.folder(world.team_box))
    with world.acting():
        sharing.share(world.team_box, sales, REPLY, by=world.ann)
        dan = employee(world.acme, "Dan Dean", "dan@acme.example")
    assert [level_of(world, p, world.team_box) for p in (world.bob, world.cyd, dan)] == [DELETE, REPLY, ""]
    with world.acting():
        dan.department = sales
        dan.save()
        world.bob.department = None
        world.bob.save()
        assert access.get_letter(dan, placement.pk, REPLY).box.level == REPLY
        sharing.unshare(world.team_box, world.bob, by=world.ann)
    assert [level_of(world, p, world.team_box) for p in (world.bob, world.cyd, dan)] == ["", REPLY, REPLY]
    with world.acting():
        sharing.share(world.team_box, sales, MANAGE, by=world.ann)
    assert level_of(world, dan, world.team_box) == MANAGE
    assert level_of(world, world.adm, world.team_box) == ""
    with world.acting():
        assert [p.name for p in access.people_of(world.team_box)] == ["Ann Archer", "Cyd Cole", "Dan Dean"]


def test_the_preview_names_who_will_see_what_and_through_which_grant(world, sales):
    with world.acting():
        seers = sharing.preview(world.team_box, {sales: REPLY, world.bob: ""})
        told = [(s.employee.name, s.level, s.before, s.personally, s.through, s.change) for s in seers]
        assert told == [
            ("Bob Brown", REPLY, DELETE, False, ("Sales",), "changed"),
            ("Cyd Cole", REPLY, "", False, ("Sales",), "gained"),
        ]
        assert sharing.holders(world.team_box) == {world.bob: DELETE}, "a preview changes nothing"
        [bob] = sharing.preview(world.team_box, {world.bob: ""})
        assert (bob.level, bob.change) == ("", "lost")


def test_ann_sees_before_saving_what_it_means_and_people_are_told(world, sales):
    page = reverse("mail:mailbox-sharing", args=[world.team_box.pk])
    client = world.client(world.ann)
    form = {"who": key_of(sales), "level": REPLY, f"level-{key_of(world.bob)}": DELETE}
    shown = client.post(page, form | {"do": "preview"}, headers={"HX-Request": "true"}).content.decode()
    assert "Who will see this mail" in shown
    assert "through Sales" in shown
    assert level_of(world, world.cyd, world.team_box) == ""
    assert client.post(page, form | {"do": "save"}).status_code == 302
    assert level_of(world, world.cyd, world.team_box) == REPLY
    assert (
        "through Sales"
        in client.get(reverse("mail:mailbox-settings", args=[world.team_box.pk])).content.decode()
    )
    strip = world.client(world.cyd).get("/").content.decode()
    assert "<b>Ann Archer</b> gave you access to team@acme.example: Read and reply." in strip
    assert "gave you access" not in world.client(world.bob).get("/").content.decode(), (
        "nothing changed for Bob"
    )
    with world.acting():
        [told] = notices.unseen(world.cyd.pk)
        details = AuditEntry.objects.get(verb="mailbox.shared").details
    assert details == {"to": "department Sales", "level": "reply"}
    assert world.client(world.bob).post(reverse("mail:notice", args=[told.id])).status_code == 404
    world.client(world.cyd).post(reverse("mail:notice", args=[told.id]))
    assert "gave you access" not in world.client(world.cyd).get("/").content.decode()


def test_who_loses_a_mailbox_is_told_and_their_work_in_it_is_nobodys_again(world):
    placement = world.message(world.folder(world.team_box))
    with world.acting():
        Assignment.objects.create(
            account=world.acme,
            mailbox=world.team_box,
            message=placement.message,
            employee=world.bob,
            by=world.ann,
        )
        sharing.unshare(world.team_box, world.bob, by=world.ann)
        assert not Assignment.objects.exists()
        assert AuditEntry.objects.get(verb="mailbox.unshared").details == {"to": "bob@acme.example"}
    assert "ended your access to team@acme.example" in world.client(world.bob).get("/").content.decode()


def test_an_admin_shares_a_colleagues_mailbox_and_lets_nobody_in_through_the_back_door(world, sales):
    page = reverse("mail:mailbox-sharing", args=[world.team_box.pk])
    with world.acting():
        world.adm.department = sales
        world.adm.save()
    adm = world.client(world.adm)
    for oneself in (world.adm, sales):
        refusal = adm.post(page, {"who": key_of(oneself), "level": READ, "do": "save"})
        assert refusal.status_code == 422
        assert (
            "Nobody lets themselves into a colleague&#x27;s mailbox: ask Ann Archer"
            in refusal.content.decode()
        )
    assert adm.post(page, {"who": key_of(world.cyd), "level": READ, "do": "save"}).status_code == 302
    assert level_of(world, world.cyd, world.team_box) == READ
    assert level_of(world, world.adm, world.team_box) == ""
    assert adm.get(reverse("mail:mailbox-sharing", args=[world.ann_box.pk])).status_code == 404, (
        "it is not shared"
    )
    strip = world.client(world.ann).get("/").content.decode()
    assert "<b>Adm Adams</b> changed who has access to team@acme.example:" in strip
    assert "Cyd Cole" in strip


@pytest.mark.parametrize("wrong", ["eve", "owner", "nobody", "gone", "level"])
def test_nonsense_is_refused_with_a_sentence_and_changes_nothing(world, wrong):
    with world.acting():
        world.cyd.is_active = wrong != "gone"
        world.cyd.save()
    who = {"eve": world.eve, "owner": world.ann}.get(wrong, world.cyd)
    form = {"who": "e0" if wrong == "nobody" else key_of(who), "level": "king" if wrong == "level" else READ}
    page = reverse("mail:mailbox-sharing", args=[world.ann_box.pk])
    assert world.client(world.ann).post(page, form | {"do": "save"}).status_code == 422
    with world.acting():
        assert not world.ann_box.grants.exists()
        if wrong in ("eve", "owner", "gone"):
            assert "colleague" in refused(sharing.share, world.ann_box, who, READ, by=world.ann)


def test_at_the_limit_of_the_plan_the_page_says_which_and_what_to_do(world, sales):
    with world.acting():
        PlanLimits.objects.filter(plan="professional").update(shared_mailboxes=1)
        assert "1 shared mailbox" in refused(sharing.share, world.ann_box, sales, READ, by=world.ann)
        sharing.share(world.team_box, sales, READ, by=world.ann)  # shared already: counts once
    page = reverse("mail:mailbox-sharing", args=[world.ann_box.pk])
    shown = world.client(world.ann).post(page, {"who": key_of(sales), "level": READ, "do": "save"})
    assert shown.status_code == 422
    assert "End the sharing of another one first" in shown.content.decode()


@pytest.mark.django_db(transaction=True)
def test_on_trial_the_fourth_shared_mailbox_is_refused_also_when_two_share_at_once(world: World) -> None:
    with world.acting():
        boxes = [mailbox(world.cyd, f"cyd{n}@acme.example") for n in range(3)]
        change_plan(world.acme, "trial", on=world.acme.today(), by=None)  # team@ is shared already
        sharing.share(boxes[0], world.bob, READ, by=world.cyd)
    start, sentences = threading.Barrier(2), []

    def share(box: Mailbox) -> None:
        try:
            start.wait()
            with tenancy.acting_for(world.acme.pk):
                sharing.share(box, world.bob, READ, by=world.cyd)
        except CannotConnect as refusal:
            sentences.append(refusal.sentence)
        finally:
            connection.close()

    racing = [threading.Thread(target=share, args=[box]) for box in boxes[1:]]
    for each in racing:
        each.start()
    for each in racing:
        each.join()
    [sentence] = sentences
    assert sentence.startswith(
        "Your plan Trial allows 3 shared mailboxes in the company, and 3 are shared. End the sharing of another "
        "one first, or ask an admin for a plan with more room: Basic, Standard, "
    )
    with world.acting():
        assert connecting.shared_mailboxes(world.acme) == 3
        sharing.share(boxes[0], world.ann, READ, by=world.cyd)  # once a mailbox, not a person


def test_who_is_moved_into_a_department_and_the_owner_of_what_it_opens_are_told(world, sales):
    with world.acting():
        sharing.share(world.ann_box, sales, READ, by=world.ann)
        newcomer = employee(world.acme, "Dan Dorn", "dan@acme.example")
        departments.move([newcomer], sales, by=world.adm)
        [told] = notices.unseen(newcomer.pk)
        assert (told.kind, told.address, told.by) == ("gained", "ann@acme.example", "Adm Adams")
        assert ("shared", "Dan Dorn") in [(each.kind, each.words) for each in notices.unseen(world.ann.pk)]
        departments.move([newcomer], None, by=world.adm)
        assert notices.unseen(newcomer.pk)[0].kind == "lost"
    assert level_of(world, newcomer, world.ann_box) == ""


def test_no_admin_lets_themselves_in_through_a_department(world, sales):
    with world.acting():
        sharing.share(world.ann_box, sales, READ, by=world.ann)
    url, form = reverse("people:move"), {"who": world.adm.pk, "department": sales.pk}
    answer = world.client(world.adm).post(url, form, follow=True)
    assert "Nobody lets themselves into a colleague" in answer.content.decode()
    with world.acting():
        world.adm.refresh_from_db()
        assert world.adm.department is None
    assert level_of(world, world.adm, world.ann_box) == ""
