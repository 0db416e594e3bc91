"""Breaking the glass: an admin reads a mailbox for a day, with a reason, in front of everybody."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from accounts.models import AuditEntry, Employee, Role
from mailsync import access, emergencies, sharing
from mailsync.connecting import CannotConnect
from mailsync.models import EmergencyAccess, GrantLevel, MailboxGrant
from tests.world import World

WHY = "Ann is in hospital and the customs want the papers."


@pytest.fixture
def opened(world: World) -> World:
    """Adm reads Ann's mailbox, where there is a message."""
    world.message(world.folder(world.ann_box), subject="Customs papers")
    url = f"/mailboxes/all/{world.ann_box.pk}/emergency/"
    answer = world.client(world.adm).post(url, {"reason": f"  {WHY}\n"}, follow=True)
    assert "You can read ann@acme.example for 24 hours. Ann Archer has been told." in answer.content.decode()
    return world


def inbox(world: World, who) -> int:
    return world.client(who).get(f"/mail/{world.folder(world.ann_box).pk}/").status_code


def test_adm_reads_for_a_day_and_nothing_more(opened: World) -> None:
    page = opened.client(opened.adm).get(f"/mail/{opened.folder(opened.ann_box).pk}/").content.decode()
    assert "Customs papers" in page
    with opened.acting():
        assert [box.level for box in access.boxes(opened.adm)] == [GrantLevel.READ]
        assert access.may(opened.adm, opened.ann_box, GrantLevel.READ)
        assert not access.may(opened.adm, opened.ann_box, GrantLevel.REPLY)
        demoted = Employee.objects.get(pk=opened.adm.pk)
        demoted.role = Role.EMPLOYEE
        assert access.boxes(demoted) == []
        assert not access.may(demoted, opened.ann_box, GrantLevel.READ)
        assert sharing.holders(opened.ann_box) == {}  # it counts neither as sharing nor against the plan
    assert inbox(opened, opened.cyd) == 404
    with time_machine.travel(timezone.now() + timedelta(hours=24, minutes=1), tick=True), opened.acting():
        assert not access.may(opened.adm, opened.ann_box, GrantLevel.READ)
        assert list(access.visible_mailboxes(opened.adm)) == []
    with opened.acting():  # the database's clock is its own
        EmergencyAccess.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
        assert access.boxes(opened.adm) == []
    assert inbox(opened, opened.adm) == 404


def test_ann_is_told_the_reason_and_ends_it(opened: World) -> None:
    told = opened.client(opened.ann).get("/").content.decode()
    assert "<b>Adm Adams</b> may read ann@acme.example for a day as an admin" in told
    assert WHY in told
    settings = opened.client(opened.ann).get(f"/mailboxes/{opened.ann_box.pk}/").content.decode()
    assert WHY in settings
    listed = opened.client(opened.adm).get("/mailboxes/all/?access=emergency").content.decode()
    assert "in an emergency, until" in listed
    with opened.acting():
        emergency = EmergencyAccess.objects.get()
    end = f"/mailboxes/emergencies/{emergency.pk}/end/"
    assert opened.client(opened.cyd).post(end).status_code == 404
    assert opened.client(opened.eve).post(end).status_code == 404
    assert inbox(opened, opened.adm) == 200
    assert opened.client(opened.ann).post(end).status_code == 302
    assert inbox(opened, opened.adm) == 404
    with opened.acting():
        verbs = list(AuditEntry.objects.order_by("pk").values_list("verb", "details__reason"))
        assert ("mailbox.emergency_access", WHY) in verbs
        assert verbs[-1][0] == "mailbox.emergency_ended"


def test_it_needs_an_admin_a_reason_and_a_closed_mailbox(world: World) -> None:
    with world.acting():
        for by, reason in ((world.adm, " \n"), (world.cyd, WHY), (world.eve, WHY)):
            with pytest.raises(CannotConnect):
                emergencies.begin(world.ann_box, by=by, reason=reason)
        MailboxGrant.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.adm, level=GrantLevel.READ
        )
        with pytest.raises(CannotConnect, match="already"):
            emergencies.begin(world.ann_box, by=world.adm, reason=WHY)
    url = f"/mailboxes/all/{world.team_box.pk}/emergency/"
    assert world.client(world.adm).post(url, {"reason": ""}).status_code == 422
    assert world.client(world.ann).post(url, {"reason": WHY}).status_code == 403


def test_who_needs_it_a_second_day_asks_again(opened: World) -> None:
    with opened.acting():
        EmergencyAccess.objects.update(ends_at=timezone.now() - timedelta(hours=1))
        emergencies.begin(opened.ann_box, by=opened.adm, reason=WHY)
        assert access.may(opened.adm, opened.ann_box, GrantLevel.READ)
        assert EmergencyAccess.objects.filter(ended_at=None).count() == 1


def test_an_admin_changes_settings_without_seeing_mail(world: World) -> None:
    world.message(
        world.folder(world.ann_box), subject="Confidential", sender=("Zoe", "zoe@elsewhere.example")
    )
    client = world.client(world.adm)
    page = client.get(f"/mailboxes/{world.ann_box.pk}/").content.decode()
    for secret in ("Confidential", "zoe@", "Change who has access"):
        assert secret not in page
    assert "Read it in an emergency" in page
    with world.acting():
        on = [f.pk for f in world.ann_box.folders.exclude(path="Junk")]
        shown = [f.pk for f in world.ann_box.folders.all()]
    sent = {"shown": shown, "folders": on}
    assert client.post(f"/mailboxes/{world.ann_box.pk}/folders/", sent).status_code == 302
    with world.acting():
        assert not world.ann_box.folders.get(path="Junk").syncing
        assert AuditEntry.objects.order_by("-pk")[0].by == world.adm
    assert client.get(f"/crm/mailboxes/{world.ann_box.pk}/").status_code in (200, 404)
    assert client.get(f"/mailboxes/{world.ann_box.pk}/sharing/").status_code == 404
    assert client.get(f"/mailboxes/{world.eve_box.pk}/").status_code == 404
    assert inbox(world, world.adm) == 404
