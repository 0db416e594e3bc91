"""Seeing it coming: the clock, the list of what leaves, keeping some of it, and the admins' page."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm.models import Binding, Contact
from mailsync.models import Placement
from plans.models import PlanLimits
from retention.models import RetentionRun, RunState
from retention.purge import purge
from tasks import actions as tasks
from tasks.models import TaskMessage
from tests.reading.factory import fill
from tests.retention.scenes import bind_to_client, bind_to_task, mail
from tests.world import World

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
PART = {"HX-Request": "true"}


def text(client: Client, name: str, *args: object, **query: Any) -> str:
    answer = client.get(
        reverse(name, args=args), query, headers=PART if "clock" in name or "preview" in name else {}
    )
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def place_of(world: World, message) -> int:
    with world.acting():
        return Placement.objects.get(message=message).pk


def test_the_clock_says_when_why_and_how_to_keep_it(world: World) -> None:
    now = timezone.now()
    box = {
        name: mail(world, age=age, at=now, subject=name)
        for name, age in {
            "far": 1.5 * DAY,
            "soon": 87.5 * DAY,
            "late": 91 * DAY,
            "task": 91 * DAY,
            "client": 86.5 * DAY,
        }.items()
    }
    bind_to_task(world, box["task"])
    bind_to_client(world, box["client"])
    ann = world.client(world.ann)
    said = {name: text(ann, "retention:clock", place_of(world, each)) for name, each in box.items()}
    assert "Leaves Webmail in 88 days: not bound, plan Professional." in said["far"]
    assert "clock-part far" in said["far"]
    assert "Leaves Webmail in 2 days: not bound, plan Professional." in said["soon"]
    assert "clock-part close" in said["soon"]
    assert "make a task of it" in said["soon"]
    assert "Leaves Webmail tonight" in said["late"]
    assert "Stays in Webmail for as long as its task" in said["task"]
    assert "Leaves Webmail in 3 days: with a client" in said["client"]
    assert "Its activity stays" in said["client"]

    ids = {name: place_of(world, each) for name, each in box.items()}
    marked = ann.get(reverse("retention:marks"), {"ids": ",".join(map(str, ids.values()))}).json()["leaving"]
    assert marked == {
        str(ids["soon"]): "Leaves Webmail in 2 days",
        str(ids["late"]): "Leaves Webmail tonight",
    }
    assert world.client(world.cyd).get(reverse("retention:marks"), {"ids": ids["soon"]}).json() == {
        "leaving": {},
        "when": {},
    }


def test_ann_keeps_what_leaves_soon_with_a_task_or_a_client(world: World) -> None:
    now = timezone.now()
    soon = [mail(world, age=89 * DAY, at=now, subject=f"Offer {n}") for n in range(3)]
    mail(world, age=85 * DAY, at=now, subject="Newsletter")
    with world.acting():
        task = tasks.create("Answer", by=world.ann)
        zoe = Contact.objects.create(account=world.acme, name="Zoe", responsible=world.ann)
    ann = world.client(world.ann)
    assert "Offer 1" in text(ann, "retention:leaving")
    assert "Newsletter" not in text(ann, "retention:leaving")
    assert "Newsletter" in text(ann, "retention:leaving", until=7)
    assert "Nothing leaves so soon" in text(ann, "retention:leaving", mailbox=world.team_box.pk)

    ids = [place_of(world, each) for each in soon]
    chosen = text(ann, "retention:keep", ids=ids[:2])
    assert "Keep 2 messages" in chosen
    assert "Answer" in chosen
    assert "Zoe" in chosen
    said = ann.post(reverse("retention:keep"), {"ids": ids[:2], "task": task.pk}, follow=True)
    assert "2 messages stay with “Answer”." in said.content.decode()
    ann.post(reverse("retention:keep"), {"ids": ids[2:], "record": f"contact:{zoe.pk}"})

    with world.acting():
        assert TaskMessage.objects.filter(task=task).count() == 2
        assert Binding.objects.filter(contact=zoe).count() == 1
    purge(world.acme.pk, now + 10 * DAY)
    with world.acting():
        kept = set(Placement.objects.values_list("message__subject", flat=True))
        assert kept == {"Offer 0", "Offer 1"}
    said = ann.post(reverse("retention:keep"), {"ids": ids[2:], "task": task.pk}, follow=True)
    assert "what has left cannot be kept" in said.content.decode()


def test_cyd_keeps_nothing_out_of_a_mailbox_of_anns(world: World) -> None:
    message = mail(world, age=89 * DAY, at=timezone.now())
    with world.acting():
        task = tasks.create("Mine", by=world.cyd)
    cyd = world.client(world.cyd)
    assert message.subject not in text(cyd, "retention:leaving")
    cyd.post(reverse("retention:keep"), {"ids": place_of(world, message), "task": task.pk})
    with world.acting():
        assert not TaskMessage.objects.exists()


def test_an_admin_sees_tonight_and_what_another_row_would_do_and_nothing_changes(world: World) -> None:
    now = timezone.now()
    old = [mail(world, age=age * DAY, at=now) for age in (8, 20, 95)]
    bind_to_task(world, old[1])
    adm = world.client(world.adm)
    home = text(adm, "retention:home")
    assert "Nothing has left yet" in home
    assert "Basic: 7 days" in home
    tonight = text(adm, "retention:preview")
    assert '<b class="num">1</b> not bound' in tonight
    assert "ann@acme.example" in tonight
    assert "Ann Archer" in tonight
    with world.acting():
        basic = PlanLimits.objects.get(plan="basic").pk
        professional = PlanLimits.objects.get(plan="professional", effective_from__year=2024).pk
    supposed = text(adm, "retention:preview", row=basic)
    assert "Supposed: plan Basic, 7 days" in supposed
    assert '<b class="num">2</b> not bound' in supposed
    assert '<b class="num">1</b> as old, kept for a task' in supposed
    later = text(adm, "retention:preview", row=professional, on=(now + 80 * DAY).date().isoformat())
    assert '<b class="num">1</b> not bound' in later
    assert '<b class="num">2</b> not bound' in text(
        adm, "retention:preview", row=professional, on=(now + 90 * DAY).date().isoformat()
    )
    for nonsense in ("2026-02-31", "x", "9999-99-99"):
        assert "not bound" in text(adm, "retention:preview", row="x", on=nonsense)
    with world.acting():
        assert Placement.objects.count() == 3
        assert not RetentionRun.objects.exists()
    assert world.client(world.ann).get(reverse("retention:home")).status_code == 403


def test_an_admin_lets_a_waiting_purge_go_on_and_reads_what_it_did(world: World) -> None:
    now = timezone.now()
    with world.acting():
        fill(world.folder(world.ann_box), 150, newest=now - 95 * DAY)
    run = purge(world.acme.pk, now)
    assert run
    adm = world.client(world.adm)
    assert "A purge would remove 150 of 150 messages" in text(adm, "retention:home")
    assert "A purge would remove 150 of 150 messages" in text(adm, "plan:notices")
    assert "A purge would remove" not in text(world.client(world.ann), "plan:notices")
    decide = reverse("retention:decide", args=[run.pk])
    assert world.client(world.ann).post(decide, {"go": "1"}).status_code == 403
    assert "goes on now" in adm.post(decide, {"go": "1"}, follow=True).content.decode()
    assert "decided about this purge already" in adm.post(decide, {"go": "0"}, follow=True).content.decode()
    purge(world.acme.pk, now)
    home = text(adm, "retention:home")
    assert "Finished" in home
    assert "A purge would remove" not in home
    detail = text(adm, "retention:run", run.pk)
    assert "Not bound: removed" in detail
    assert "Decided by Adm Adams" in detail
    with world.acting():
        assert RetentionRun.objects.get().state == RunState.FINISHED
