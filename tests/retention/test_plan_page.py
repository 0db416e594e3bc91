"""People see a change of the plan coming, each stage once and with numbers; the plan page shows limits beside use."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import Account, AuditEntry
from mailsync.models import LedgerEntry, Mailbox, Message, Origin, OutgoingUsage
from plans.changes import Why, changes
from plans.models import PlanLimits, Subscription
from plans.subscriptions import change_plan, plan_of, start_trial
from retention import storage, telling, usage
from retention.models import PlanNotice, RetentionRun, Stage
from tasks import actions as tasks
from tests.retention import scenes
from tests.world import World, mailbox

DAY = timedelta(days=1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)  # before now: what is stored now ages from its date of receipt


@pytest.fixture
def acme(world: World) -> World:
    """Since long on Professional; Ann has mail of several ages as of noon, Bob uses a shared mailbox without any."""
    with world.acting():
        Account.objects.update(created_at=NOON - 400 * DAY)
        Subscription.objects.filter(account=world.acme).update(starts_on=(NOON - 300 * DAY).date())
        Mailbox.objects.update(connected_at=NOON - 200 * DAY)
    with time_machine.travel(NOON - DAY, tick=False):
        for age in (3, 6, 20, 40, 80):
            world.message(world.folder(world.ann_box), received_at=NOON - age * DAY)
    return world


def told(world: World) -> list[tuple[str, str]]:
    with world.acting():
        rows = PlanNotice.objects.filter(account=world.acme).order_by("at", "pk").select_related("employee")
        return [(row.employee.name.split()[0], row.stage) for row in rows]


def run_on(world: World, moment: datetime) -> int:
    with time_machine.travel(moment, tick=False):
        return telling.tell(world.acme.pk)


def announce(world: World, plan: str, on: date, *, at: datetime = NOON) -> None:
    with time_machine.travel(at, tick=False), world.acting():
        change_plan(world.acme, plan, on=on, by=None)


# What changes and why


@pytest.mark.parametrize(
    ("plan", "trial_from", "look_until", "expected"),
    [
        ("standard", None, "2024-06-01", [("2024-01-01", Why.ROW, 60, 30)]),
        ("professional", None, "2024-06-01", [("2024-01-01", Why.ROW, 90, 90)]),  # what CRM keeps changes
        ("nfr", None, "2024-06-01", []),  # keeps its old row
        (
            None,
            "2026-03-10",
            "2026-06-01",
            [("2026-03-10", Why.PLAN, 0, 30), ("2026-03-25", Why.TRIAL, 30, 0)],
        ),
    ],
)
def test_changes_are_read_from_the_dated_rows(
    world: World, plan: str | None, trial_from: str | None, look_until: str, expected: list
) -> None:
    with world.acting():
        Subscription.objects.filter(account=world.acme).delete()
        if plan:
            Subscription.objects.create(account=world.acme, plan=plan, starts_on=date(2023, 1, 1))
        if trial_from:
            start_trial(world.acme, on=date.fromisoformat(trial_from), by=None)
        after = date(2023, 6, 1) if plan else date(2026, 1, 1)
        found = changes(world.acme, after=after, until=date.fromisoformat(look_until))
    assert [
        (each.on.isoformat(), each.why, each.before.storage_days, each.after.storage_days) for each in found
    ] == expected


def test_a_row_for_another_plan_changes_nothing_here(acme: World) -> None:
    PlanLimits.objects.filter(plan="basic").update(effective_from=date(2026, 12, 1))
    with acme.acting():
        assert changes(acme.acme, after=NOON.date(), until=date(2028, 1, 1)) == []


# Being told


def test_a_shorter_row_is_told_at_once_a_week_before_the_day_before_and_afterwards(acme: World) -> None:
    row = PlanLimits.objects.get(plan="professional", effective_from=date(2024, 1, 1))
    row.pk, row.effective_from, row.storage_days, row.fetch_days = None, date(2026, 11, 20), 30, 30
    row.save()
    moments = [NOON, NOON + DAY, NOON + 11 * DAY, NOON + 12 * DAY, NOON + 13 * DAY, NOON + 18 * DAY,
               NOON + 18.2 * DAY, NOON + 19 * DAY, NOON + 20 * DAY]  # fmt: skip
    written = [run_on(acme, moment) for moment in moments]
    # The 1st at once, the 13th a week before, the 19th a day before: Ann who loses mail and Adm, the admin.
    # Afterwards everybody who uses a mailbox: Bob, too.
    assert written == [2, 0, 0, 2, 0, 2, 0, 3, 0]
    assert told(acme)[:6] == [
        ("Ann", "ahead"), ("Adm", "ahead"), ("Ann", "week"), ("Adm", "week"), ("Ann", "day"), ("Adm", "day"),
    ]  # fmt: skip
    with acme.acting():
        [box] = PlanNotice.objects.filter(employee=acme.ann, stage="ahead").get().boxes
    # On 20 November those of 3, 6 and 20 days are 22, 25 and 39 days old; that of 80 goes with 90 days as well.
    assert (box["address"], box["messages"], box["parked"]) == ("ann@acme.example", 2, False)


def test_ann_sees_which_mail_a_shorter_plan_would_take_and_keeps_one(acme: World) -> None:
    announce(acme, "basic", date(2026, 11, 11))
    run_on(acme, NOON)
    with time_machine.travel(NOON, tick=False):
        ann = acme.client(acme.ann)
        [link] = re.findall(r"/retention/leaving/\?until=\w+", ann.get("/plan/notices/").content.decode())
        assert "until" not in acme.client(acme.cyd).get("/plan/notices/").content.decode()
        page = ann.get(link)
        assert "Plan Basic keeps a copy for 7 days" in page.content.decode()
        rows = page.context["rows"]
        # Also that of 80 days: at midnight of the eleventh it would still have half a day.
        assert [row.when for row in rows] == ["Leaves Webmail in 9 days"] * 5
        with acme.acting():
            task = tasks.create("Answer", by=acme.ann)
        chosen = {"ids": [rows[0].place.pk], "until": link.rpartition("=")[2], "task": task.pk}
        assert f'href="{link}"' in ann.get(reverse("retention:keep"), chosen).content.decode()
        assert ann.post(reverse("retention:keep"), chosen).headers["Location"] == link
        assert len(ann.get(link).context["rows"]) == 4


def test_ann_leafs_through_all_that_a_shorter_plan_would_take(acme: World) -> None:
    with time_machine.travel(NOON - DAY, tick=False):
        for _more in range(100):
            acme.message(acme.folder(acme.ann_box), received_at=NOON - 6 * DAY)
    announce(acme, "basic", date(2026, 11, 11))
    with time_machine.travel(NOON, tick=False):
        ann = acme.client(acme.ann)
        chips = ann.get("/retention/leaving/").context["chips"]
        [link] = [url for label, url, _current in chips if "plan changes" in label]
        first = ann.get("/retention/leaving/" + link)
        second = ann.get("/retention/leaving/" + first.context["next"])
        pages = [[row.message.pk for row in page.context["rows"]] for page in (first, second)]
        assert [len(page) for page in pages] == [100, 5]
        assert not {*pages[0]} & {*pages[1]}
        assert (second.context["next"], second.context["first"]) == ("", link)
        with acme.acting():
            task = tasks.create("Answer", by=acme.ann)
        chosen = {"until": link.rpartition("=")[2], "after": pages[0][-1], "task": task.pk}
        chosen["ids"] = [row.place.pk for row in second.context["rows"]]
        back = ann.post(reverse("retention:keep"), chosen).headers["Location"]
        # Nothing is left behind the first page: the list begins anew.
        assert ann.get(back).headers["Location"] == "/retention/leaving/" + link


@pytest.mark.parametrize(
    ("days_ahead", "stages"),
    [(30, ["ahead", "week", "day"]), (8, ["ahead", "week", "day"]), (7, ["week", "day"]), (5, ["week", "day"]),
     (1, ["day"])],
)  # fmt: skip
def test_no_stage_is_told_twice_on_a_day(acme: World, days_ahead: int, stages: list[str]) -> None:
    announce(acme, "basic", NOON.date() + days_ahead * DAY)
    for half_days in range(2 * days_ahead - 1):
        run_on(acme, NOON + half_days * DAY / 2)
    assert [stage for name, stage in told(acme) if name == "Ann"] == stages


def test_the_end_of_a_trial_is_told_and_free_parks_nothing_but_takes_all(acme: World) -> None:
    with acme.acting():
        Subscription.objects.filter(account=acme.acme).delete()
    announce(acme, "trial", NOON.date())
    run_on(acme, NOON + 8 * DAY)
    with acme.acting():
        notice = PlanNotice.objects.get(employee=acme.adm, stage=Stage.WEEK)
        assert notice.on == NOON.date() + 15 * DAY
        # Those that would be younger than 30 days then: the others leave without it, too.
        assert sum(box["messages"] for box in notice.boxes) == 2


def test_who_loses_nothing_is_not_told_and_a_longer_rule_is_told_only_afterwards(acme: World) -> None:
    announce(acme, "standard", NOON.date() + 10 * DAY)
    run_on(acme, NOON)
    assert {name for name, _ in told(acme)} == {"Ann", "Adm"}
    announce(acme, "enterprise", NOON.date() + 10 * DAY)
    assert run_on(acme, NOON) == 0


def test_a_change_that_is_called_off_is_said_no_more(acme: World) -> None:
    announce(acme, "basic", NOON.date() + 10 * DAY)
    run_on(acme, NOON)
    with time_machine.travel(NOON, tick=False):
        assert "10 days" not in notices_of(acme, acme.ann)
        assert "changes from Professional to Basic" in notices_of(acme, acme.ann)
        announce(acme, "professional", NOON.date() + 10 * DAY)
        assert "changes from" not in notices_of(acme, acme.ann)


def notices_of(world: World, who) -> str:
    return world.client(who).get(reverse("plan:notices")).content.decode()


def test_ann_dismisses_for_herself_and_hears_of_the_next_stage(acme: World) -> None:
    announce(acme, "basic", NOON.date() + 10 * DAY)
    run_on(acme, NOON)
    with time_machine.travel(NOON, tick=False):
        shown = notices_of(acme, acme.ann)
        assert "ann@acme.example: 5 messages leave" in shown
        assert "team@acme.example: it is parked" in shown
        assert "team@acme.example: it is parked" in notices_of(acme, acme.bob)
        assert "ann@acme.example" not in notices_of(acme, acme.bob)
        assert "changes from" not in notices_of(acme, acme.cyd)
        url = re.search(r'action="(/plan/notices/\d+/dismiss/)"', shown)
        assert url
        assert acme.client(acme.bob).post(url[1]).status_code == 404
        answer = acme.client(acme.ann).post(url[1], headers={"HX-Request": "true"})
        assert b"changes from" not in answer.content
        assert "changes from" in notices_of(acme, acme.adm)
    run_on(acme, NOON + 3 * DAY)
    with time_machine.travel(NOON + 3 * DAY, tick=False):
        assert "changes from" in notices_of(acme, acme.ann)
    run_on(acme, NOON + 10 * DAY)
    with time_machine.travel(NOON + 10 * DAY, tick=False):
        assert "the plan is Basic instead of Professional" in notices_of(acme, acme.ann)


def test_it_is_mailed_once_where_a_server_is_named(acme: World) -> None:
    announce(acme, "basic", NOON.date() + 10 * DAY)
    with override_settings(EMAIL_URL="memory://"):
        run_on(acme, NOON)
        run_on(acme, NOON)
    assert sorted(letter.to[0] for letter in mail.outbox) == [
        "adm@acme.example", "ann@acme.example", "bob@acme.example",
    ]  # fmt: skip
    [of_ann] = [letter for letter in mail.outbox if letter.to == ["ann@acme.example"]]
    assert "changes from Professional to Basic" in of_ann.subject
    assert "ann@acme.example: 5 messages leave" in of_ann.body
    assert "your mail server keeps everything" in of_ann.body


def test_on_pages_of_mail_it_is_said_which_mailbox_rests(acme: World) -> None:
    announce(acme, "basic", NOON.date())
    with time_machine.travel(NOON, tick=False):
        for who, says in ((acme.ann, True), (acme.bob, True), (acme.cyd, False)):
            strip = acme.client(who).get(reverse("plan:notices"), {"on": "mail"}).content.decode()
            assert ("team@acme.example</b> is parked" in strip) is says


def test_every_account_is_in_one_share(acme: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "SHARE", 1)
    assert list(telling.ranges()) == [(pk, pk) for pk in sorted([acme.acme.pk, acme.other.pk])]
    announce(acme, "basic", NOON.date() + 10 * DAY)
    with time_machine.travel(NOON, tick=False):
        assert telling.tell_range(acme.acme.pk, acme.other.pk) == 3


def test_a_new_company_is_told_nothing_of_its_beginning(world: World) -> None:
    assert telling.tell(world.acme.pk) == 0


# The page


def test_the_admin_sees_limits_beside_use_and_what_other_plans_would_mean(acme: World) -> None:
    with acme.acting():
        run = RetentionRun.objects.create(
            account=acme.acme, at=NOON, cutoff=NOON - 90 * DAY, plan="professional", storage_days=90,
            crm_bound_stays=False, state="finished", finished_at=NOON,
        )  # fmt: skip
        run.lines.create(account=acme.acme, mailbox=acme.ann_box, kind="removed", messages=41, bytes=10_000)
    with time_machine.travel(NOON, tick=False):
        client = acme.client(acme.adm)
        page = client.get(reverse("plan:page")).content.decode()
        compared = client.get(reverse("plan:compare")).content.decode()
        stored = client.get(reverse("plan:storage")).content.decode()
    assert "Plan Professional" in page
    assert "2 of 10" in page
    assert "1, unlimited" in page
    assert "0 of 100" in page
    assert "41" in page
    basic = [text.strip() for text in re.findall(r"<b>(\d+)</b>", compared)]
    assert "3" in basic  # 20, 40 and 80 days: beyond Basic's seven
    assert "5 not bound" in stored
    assert "Counted:" not in stored


def test_storage_is_told_as_the_night_counted_it_where_counting_takes_long(
    acme: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, client = reverse("plan:storage"), acme.client(acme.adm)
    monkeypatch.setattr(usage, "COUNTED_LIVE", 0)
    assert "counted tonight" in client.get(url).content.decode()
    with acme.acting():
        total = Message.objects.count()
    storage.count(acme.acme.pk, NOON)
    scenes.mail(acme, age=DAY, at=NOON)
    counted = client.get(url).content.decode()
    assert f"{total} not bound" in counted
    assert "Counted:" in counted
    assert "counted tonight" not in counted


def test_the_admin_changes_the_plan_after_seeing_what_it_takes(acme: World, settings: Any) -> None:
    settings.ADMINS_CHANGE_PLANS = True
    url = reverse("plan:change", args=["basic"])
    client, today = acme.client(acme.adm), NOON.date()
    with time_machine.travel(NOON, tick=False):
        page = client.get(url).content.decode()
        assert "3 copies leave Webmail with the next purge" in page
        assert "1 mailbox is parked" in page
        assert "Days that copies stay: 7 instead of 90" in page
        assert client.get(reverse("plan:change", args=["trial"])).status_code == 404
        assert acme.client(acme.cyd).post(url, {"on": today.isoformat()}).status_code == 403
        refused = client.post(url, {"on": (today - DAY).isoformat()})
        assert (refused.status_code, "within a year" in refused.content.decode()) == (422, True)
        later = today + 14 * DAY
        shown = client.post(url, {"on": later.isoformat()}, follow=True).content.decode()
        assert "the plan is Basic. Until then you can change it back." in shown
        assert "the plan changes from Professional to Basic" in shown  # what will change
        with acme.acting():
            assert (plan_of(acme.acme, today), plan_of(acme.acme, later)) == ("professional", "basic")
            assert AuditEntry.objects.get(verb="plan.changed", subject="basic").by == acme.adm


def test_an_employee_sees_the_own_part_only(acme: World) -> None:
    with acme.acting():
        mailbox(acme.cyd, "cyd@acme.example")
    client = acme.client(acme.cyd)
    page = client.get(reverse("plan:page")).content.decode()
    assert "1 of 10" in page
    assert "Other plans" not in page
    assert client.get(reverse("plan:compare")).status_code == 403
    assert "ann@acme.example" not in client.get(reverse("plan:storage")).content.decode()


def test_on_free_the_page_says_that_mail_is_not_fetched(world: World) -> None:
    with world.acting():
        change_plan(world.acme, "free", on=world.acme.today(), by=None)
    page = world.client(world.adm).get(reverse("plan:page")).content.decode()
    assert "Copies leave with the next purge" in page
    assert "not available in this plan" in page


def test_admins_are_told_of_the_outgoing_quota_at_80_and_at_100_percent(world: World) -> None:
    month = timezone.now().date().replace(day=1)
    adm, ann = world.client(world.adm), world.client(world.ann)

    def used(more: int) -> None:
        with world.acting():
            row, _made = OutgoingUsage.objects.get_or_create(account=world.acme, month=month)
            OutgoingUsage.objects.filter(pk=row.pk).update(used=row.used + more)
            LedgerEntry.objects.create(account=world.acme, month=month, origin=Origin.CRM, count=more)

    used(79_999)
    assert "of 100 000" not in page_of(adm)
    used(1)
    assert "80 000 of 100 000 letters" in page_of(adm)
    assert "of 100 000" not in page_of(ann)
    adm.post(reverse("plan:saw-quota"))
    assert "of 100 000" not in page_of(adm)
    used(20_000)
    assert "No more can be sent until" in page_of(adm)


def page_of(client: Client) -> str:
    text: str = client.get(reverse("plan:notices")).content.decode()
    return text.replace("\u202f", " ").replace("\xa0", " ")
