"""Ann leaves: what she held is kept for 30 days or goes to an heir, whole, once, and back if she returns."""

import time
from datetime import timedelta

import pytest
import time_machine
from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone

from accounts import people
from accounts.models import AuditEntry, Employee, PersonalNotice
from crm.models import Contact, Deal, Lead, Pipeline, Stage
from mailsync import outbox, sharing
from mailsync.models import Assignment, GrantLevel, Mailbox, Message, Outgoing
from plans.subscriptions import change_plan
from retention import handing_over, jobs, leavers
from retention.models import HandedOver, Leaver
from tasks import actions as tasks
from tasks.models import Task
from tests.world import World

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests are the worker: a hint goes nowhere."""
    monkeypatch.setattr("mailsync.schedule.hint", lambda *args, **kwargs: None)


@pytest.fixture
def busy(world: World) -> World:
    """Ann has two mailboxes, mail that waits, a planned letter, tasks, records, and a grant of Bob's."""
    placement = world.message(world.folder(world.ann_box), subject="About the roof")
    shared = world.message(world.folder(world.team_box), subject="For Ann")
    world.message(world.folder(world.ann_box), subject="Done", flags=["\\Answered"])
    with world.acting():
        Mailbox.objects.update(smtp_host="127.0.0.1")
        for n in range(3):
            tasks.create(f"Open {n}", by=world.ann)
        tasks.create("Finished", by=world.ann, status="done")
        tasks.create("Bob's", by=world.bob)
        tasks.create_from([placement.message], by=world.ann)
        of_ann = {"account": world.acme, "responsible": world.ann}
        for n in range(3):
            Contact.objects.create(name=f"Client {n}", **of_ann)
        Contact.objects.create(account=world.acme, name="Cyd's", responsible=world.cyd)
        Lead.objects.create(name="Lead", **of_ann)
        stage = Stage.objects.create(
            account=world.acme, name="New", pipeline=Pipeline.objects.create(account=world.acme, name="Sales")
        )
        Deal.objects.create(name="Deal", stage=stage, **of_ann)
        bobs = Mailbox.objects.get(pk=world.team_box.pk)
        Mailbox.objects.filter(pk=bobs.pk).update(owner=world.bob)
        bobs.grants.all().delete()
        bobs.refresh_from_db()
        sharing.share(bobs, world.ann, GrantLevel.REPLY, by=world.bob)
        for box, message in ((world.ann_box, placement.message), (bobs, shared.message)):
            Assignment.objects.create(
                account=world.acme, mailbox=box, message=message, employee=world.ann, by=world.bob
            )
        letter = outbox.start(
            world.ann_box, by=world.ann, to=[["Zoe", "zoe@elsewhere.example"]], subject="Later", text="Soon."
        )
        outbox.queue(letter, by=world.ann, key="k", send_at=timezone.now() + 5 * DAY)
    return world


def ask(world: World, who: Employee | None = None, **form: object) -> HttpResponseBase:
    """The page about Ann, or what follows from its form."""
    client, url = world.client(who or world.adm), reverse("retention:leaver", args=[world.ann.pk])
    return client.post(url, form, follow=True) if form else client.get(url)


def text(answer: HttpResponseBase) -> str:
    assert isinstance(answer, HttpResponse)
    return " ".join(answer.content.decode().split())


def row(world: World) -> Leaver:
    with world.acting():
        return Leaver.objects.select_related("employee", "heir").latest("pk")


def held(world: World, who: Employee) -> dict[str, int]:
    with world.acting():
        return {
            "mailboxes": Mailbox.objects.filter(owner=who).count(),
            "tasks": Task.objects.filter(responsible=who).count(),
            "contacts": Contact.objects.filter(responsible=who).count(),
            "leads": Lead.objects.filter(responsible=who).count(),
            "deals": Deal.objects.filter(responsible=who).count(),
        }


def work(world: World) -> None:
    jobs.hand_over(world.acme.pk, row(world).pk)


ALL = {"mailboxes": 1, "tasks": 5, "contacts": 3, "leads": 1, "deals": 1}


def test_before_ann_is_deactivated_the_page_says_what_she_holds(busy: World) -> None:
    shown = text(ask(busy))
    for words in ("Ann Archer leaves", "ann@acme.example", "one letter of the last 30 days waits",
                  "<dt>Assigned mail</dt><dd>2",
                  "<dt>Open tasks</dt><dd>4</dd>", "<dt>Contacts</dt><dd>3", "<dt>Deals</dt><dd>1",
                  "team@acme.example", "Letters to be sent later</dt><dd>1", "keep it for 30 days"):  # fmt: skip
        assert words in shown
    assert "Eve Evans" not in shown
    assert not Leaver.objects.exists()


def test_bob_gets_everything_of_ann_with_a_report_of_what_moved(busy: World) -> None:
    device = busy.client(busy.ann)
    assert "You can leave this page" in text(ask(busy, heir=busy.bob.pk))
    assert device.get("/settings/").status_code == 302
    work(busy)
    # What Ann finished stays hers.
    assert held(busy, busy.ann) == {"mailboxes": 0, "tasks": 1, "contacts": 0, "leads": 0, "deals": 0}
    assert held(busy, busy.bob) == {"mailboxes": 2, "tasks": 5, "contacts": 3, "leads": 1, "deals": 1}
    shown = text(ask(busy))
    for words in ("What went to Bob Brown", "<dt>Tasks</dt><dd>4 of 4</dd>", "<dt>Contacts</dt><dd>3 of 3</dd>",
                  "<dt>Mailboxes</dt><dd>1 of 1</dd>", "Nothing is left to hand over"):  # fmt: skip
        assert words in shown
    bob = busy.client(busy.bob)
    assert "Open tasks: 4. Records in CRM: 5." in text(bob.get("/settings/notices/"))
    assert "About the roof" in bob.get(reverse("mail:inbox"), follow=True).content.decode()
    with busy.acting():
        # What was assigned in Ann's mailbox is Bob's, what was in his own waits for somebody.
        assigned = Assignment.objects.get()
        assert (assigned.employee, assigned.mailbox) == (busy.bob, busy.ann_box)
        assert not busy.team_box.grants.exists()
        assert Outgoing.objects.get().state == "queued"
        assert Task.objects.get(title="Finished").responsible == busy.ann
        entry = AuditEntry.objects.get(verb="leaver.handed_over")
        assert (entry.by, entry.subject, entry.details["to"], entry.details["contacts"]) == (
            busy.adm,
            "ann@acme.example",
            "bob@acme.example",
            3,
        )
        assert AuditEntry.objects.filter(verb="mailbox.transferred", by=busy.adm).count() == 1
    # Once more changes nothing.
    before = HandedOver.objects.count()
    work(busy)
    assert HandedOver.objects.count() == before


def test_tasks_and_records_may_go_to_other_people_who_are_told_what_waits_for_them(busy: World) -> None:
    shown = text(ask(busy, tasks_heir=busy.cyd.pk, heir=""))
    assert "Choose who gets the rest, too." in shown
    ask(busy, heir=busy.bob.pk, tasks_heir=busy.cyd.pk, records_heir=busy.adm.pk)
    work(busy)
    nothing = dict.fromkeys(ALL, 0)
    assert held(busy, busy.bob) == nothing | {"mailboxes": 2, "tasks": 1}
    assert held(busy, busy.cyd) == nothing | {"tasks": 4, "contacts": 1}
    assert held(busy, busy.adm) == nothing | {"contacts": 3, "leads": 1, "deals": 1}
    report = text(ask(busy))
    assert "What Ann Archer handed over" in report
    for words in ("4 of 4 Cyd Cole", "3 of 3 Adm Adams", "1 of 1 Bob Brown"):
        assert words in report.replace('<span class="faint">', "")
    with busy.acting():
        entry = AuditEntry.objects.get(verb="leaver.handed_over")
        assert (entry.details["tasks_to"], entry.details["records_to"]) == (
            "cyd@acme.example",
            "adm@acme.example",
        )
        # Bob is told of the mailbox by its transfer, and Adm did it himself.
        assert PersonalNotice.objects.get().employee == busy.cyd
    told = text(busy.client(busy.cyd).get("/settings/notices/"))
    assert (
        "Adm Adams made you responsible for what Ann Archer held. Open tasks: 4. Records in CRM: 0." in told
    )
    back = reverse("retention:leaver-back", args=[busy.ann.pk])
    busy.client(busy.adm).post(back, {"give_back": "1"})
    work(busy)
    assert held(busy, busy.ann) == ALL


def test_a_handing_over_that_is_killed_at_every_batch_goes_on_and_counts_right(
    busy: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing_over, "BATCH", 2)
    ask(busy, heir=busy.bob.pk)
    real, calls = HandedOver.objects.create, []

    def dies_at_first(**fields: object) -> HandedOver:
        calls.append(fields)
        if len(calls) % 2:
            raise SystemExit
        return real(**fields)

    monkeypatch.setattr(HandedOver.objects, "create", dies_at_first)
    pk = row(busy).pk
    done = False
    while not done:
        try:
            done = not handing_over.work(busy.acme.pk, pk, seconds=0)
        except SystemExit:
            continue
        with busy.acting():
            moved = sum(len(batch.ids) for batch in HandedOver.objects.all())
        left = held(busy, busy.ann)
        assert moved == sum(ALL.values()) - sum(left.values())
    assert len(calls) > 8
    assert held(busy, busy.bob)["contacts"] == 3


def test_a_mailbox_for_which_the_heir_has_no_room_is_named_and_kept(busy: World) -> None:
    with busy.acting():
        change_plan(busy.acme, "basic", on=busy.acme.today(), by=None)
    ask(busy, heir=busy.bob.pk)
    work(busy)
    shown = text(ask(busy))
    assert "What could not move" in shown
    assert "Bob Brown has 1 already" in shown
    assert "One mailbox goes on receiving until" in shown
    assert held(busy, busy.bob)["contacts"] == 3
    # Cyd has room, and gets what is left; the report names both.
    ask(busy, heir=busy.cyd.pk)
    work(busy)
    assert held(busy, busy.cyd)["mailboxes"] == 1


def test_kept_mailboxes_go_on_for_30_days_admins_are_warned_once_and_then_they_end(
    busy: World, settings, mailoutbox: list
) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    assert "One mailbox goes on receiving until" in text(ask(busy, heir=""))
    began = timezone.now()

    def night(days: float) -> tuple[int, bool, list[str]]:
        """Mails so far, whether the mailbox is connected, and what stands in the audit log."""
        with time_machine.travel(began + days * DAY, tick=True):
            jobs.leavers_of(busy.acme.pk, busy.other.pk)
        with busy.acting():
            box = Mailbox.objects.select_related("schedule").get(pk=busy.ann_box.pk)
            log = AuditEntry.objects.filter(verb__in=["leaver.admins_warned", "leaver.ended"])
            verbs = [
                verb.removeprefix("leaver.") for verb in log.order_by("pk").values_list("verb", flat=True)
            ]
        return len(mailoutbox), box.disconnected_at is None, verbs

    assert night(22.9) == (0, True, [])
    assert night(23.1) == night(29.9) == (1, True, ["admins_warned"])
    assert mailoutbox[0].to == ["adm@acme.example"]
    assert "ann@acme.example" in mailoutbox[0].body
    with time_machine.travel(began + 25 * DAY, tick=True):
        strip = reverse("plan:notices")
        assert "Ann Archer has left: one mailbox ends" in text(busy.client(busy.adm).get(strip))
        assert "Ann Archer has left" not in text(busy.client(busy.bob).get(strip))
    assert night(30.1) == night(31) == (1, False, ["admins_warned", "ended"])
    with busy.acting():
        # A job removes the copies that nothing holds; what is bound to a task stays.
        assert Message.objects.filter(subject="About the roof").exists()
    assert "The 30 days were over" in text(ask(busy))


def test_ann_comes_back_and_nothing_of_hers_ends(busy: World) -> None:
    ask(busy, heir="")
    busy.client(busy.adm).post(reverse("people:reactivate", args=[busy.ann.pk]))
    with time_machine.travel(timezone.now() + 31 * DAY):
        jobs.leavers_of(busy.acme.pk, busy.acme.pk)
    assert held(busy, busy.ann) == ALL
    with busy.acting():
        assert Mailbox.objects.get(pk=busy.ann_box.pk).disconnected_at is None
    # And when she leaves again, the 30 days begin anew.
    with time_machine.travel(timezone.now() + 40 * DAY):
        ask(busy, heir="")
        jobs.leavers_of(busy.acme.pk, busy.acme.pk)
    with busy.acting():
        assert Mailbox.objects.get(pk=busy.ann_box.pk).disconnected_at is None


def test_what_went_to_bob_goes_back_to_ann_but_for_what_he_passed_on(busy: World) -> None:
    ask(busy, heir=busy.bob.pk)
    work(busy)
    with busy.acting():
        passed_on = Contact.objects.order_by("pk")[0]
        Contact.objects.filter(pk=passed_on.pk).update(responsible=busy.cyd)
    back = reverse("retention:leaver-back", args=[busy.ann.pk])
    busy.client(busy.adm).post(back)
    assert "Give it back to Ann Archer" in text(ask(busy))
    busy.client(busy.adm).post(back, {"give_back": "1"})
    work(busy)
    assert held(busy, busy.ann) == ALL | {"contacts": 2}
    assert "<dt>Contacts</dt><dd>2 of 3</dd>" in text(ask(busy))


def test_planned_letters_become_drafts_where_the_admin_says_so(busy: World) -> None:
    ask(busy, heir="", stop_letters="on")
    with busy.acting():
        assert Outgoing.objects.get().state == "draft"


@pytest.mark.parametrize("heir", ["eve", "ann", "cyd"])
def test_nobody_else_is_an_heir(busy: World, heir: str) -> None:
    with busy.acting():
        people.deactivate(busy.cyd, by=busy.adm)
    answer = ask(busy, heir=getattr(busy, heir).pk)
    assert answer.status_code == 422
    with busy.acting():
        assert Employee.objects.get(pk=busy.ann.pk).is_active


def test_only_admins_of_the_company_let_people_go(busy: World) -> None:
    assert ask(busy, busy.bob).status_code == 403
    assert ask(busy, busy.eve).status_code == 404
    assert ask(busy, busy.eve, heir="").status_code == 404


def test_the_last_admin_stays(busy: World) -> None:
    with busy.acting(), pytest.raises(people.CannotChange, match="only admin"):
        leavers.leave(busy.adm, heirs=None, stop_letters=False, by=busy.ann)


def test_who_was_deactivated_long_ago_can_still_be_inherited(busy: World) -> None:
    with busy.acting():
        people.deactivate(busy.ann, by=busy.adm)
    assert "What Ann Archer still holds" in text(ask(busy))
    ask(busy, heir=busy.bob.pk)
    work(busy)
    assert held(busy, busy.ann)["tasks"] == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_thousand_records_change_hands_in_short_transactions(busy: World) -> None:
    """Nobody who works meanwhile waits for more than a batch."""
    with busy.acting():
        Contact.objects.bulk_create(
            (
                Contact(account=busy.acme, responsible=busy.ann if n % 2 else busy.cyd, name=f"Client {n}")
                for n in range(200_000)
            ),
            batch_size=5000,
        )
    ask(busy, heir=busy.bob.pk)
    longest, began = 0.0, time.monotonic()
    more = True
    while more:
        step = time.monotonic()
        more = handing_over.work(busy.acme.pk, row(busy).pk, seconds=0)
        longest = max(longest, time.monotonic() - step)
    assert held(busy, busy.bob)["contacts"] == 100_003
    assert longest < 2, f"a batch took {longest:.1f} s"
    assert time.monotonic() - began < 120
    with busy.acting():
        assert HandedOver.objects.filter(kind="contacts").count() == 101
