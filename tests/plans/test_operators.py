"""Operators change plans by rows that begin on a day to come; what has begun is not touched."""

from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts.models import Account, AuditEntry
from plans.forms import has_begun
from plans.models import PlanLimits, Subscription
from plans.subscriptions import limits_for
from tests.world import World

LIST, ADD = "/operate/plans/planlimits/", "/operate/plans/planlimits/add/"
NOON = datetime(2027, 3, 10, 12, tzinfo=UTC)
# Standard from a day on, as typed: sync, storage, first fetch; then how each limit is chosen.
ROW = {
    "plan": "standard", "effective_from": "2027-05-01", "sync_enabled": "on", "storage_days": "20",
    "fetch_days": "20", "mailboxes_per_employee_0": "number", "mailboxes_per_employee_1": "5",
    "shared_mailboxes_0": "unlimited", "shared_mailboxes_1": "", "outgoing_per_month_0": "none",
    "outgoing_per_month_1": "", "source": "Letter to customers of 1 March",
}  # fmt: skip


@pytest.fixture
def operator(world: World) -> Client:
    call_command("set_operator", "ANN@acme.example", stdout=StringIO())
    return world.client(world.ann)


def page_of(row: PlanLimits) -> str:
    return f"/operate/plans/planlimits/{row.pk}/change/"


def test_who_is_no_operator_finds_no_such_page_even_as_the_admin_of_a_company(world: World) -> None:
    assert Client().get(LIST)["Location"].startswith("/account/login/")
    assert world.client(world.adm).get(LIST).status_code == 404
    assert world.client(world.adm).post(ADD, ROW).status_code == 404


@pytest.mark.django_db(transaction=True)  # a command runs outside of every transaction
def test_the_right_ends_by_the_command_and_when_an_admin_renews_the_password(
    world: World, operator: Client
) -> None:
    assert operator.get(LIST).status_code == 200
    world.client(world.adm).post(reverse("people:renew-password", args=[world.ann.pk]))
    with world.acting():
        world.ann.refresh_from_db()
    assert not world.ann.is_operator
    call_command("set_operator", "ann@acme.example", stdout=StringIO())
    call_command("set_operator", "ann@acme.example", "--revoke", stdout=StringIO())
    assert world.client(world.ann).get(LIST).status_code == 404
    with world.acting():
        assert AuditEntry.objects.filter(verb="operator.made").count() == 2
        assert AuditEntry.objects.filter(verb="operator.ended").count() == 1
    with pytest.raises(CommandError, match="Nobody signs in"):
        call_command("set_operator", "nobody@acme.example")


def test_a_new_row_holds_from_its_date_and_keeps_unlimited_and_not_available_apart(
    world: World, operator: Client
) -> None:
    with time_machine.travel(NOON, tick=False):
        operator = world.client(world.ann)
        answer = operator.post(ADD, ROW)
    assert answer.status_code == 302, answer.context["errors"]
    row = PlanLimits.objects.get(plan="standard", effective_from=date(2027, 5, 1))
    assert (row.mailboxes_per_employee, row.shared_mailboxes, row.outgoing_per_month) == (5, None, 0)
    with world.acting():
        Subscription.objects.filter(account=world.acme).update(plan="standard")
        held = [limits_for(world.acme, date(2027, 4, 30)), limits_for(world.acme, date(2027, 5, 1))]
        entry = AuditEntry.objects.get(verb="plan_row.added")
    assert [limits.storage_days for limits in held] == [30, 20]
    assert (entry.by_id, entry.details["shared_mailboxes"], entry.details["storage_days"]) == (
        world.ann.pk, None, 20,
    )  # fmt: skip
    listed = operator.get(LIST).content.decode()
    assert "unlimited" in listed
    assert "not available" in listed


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"effective_from": "2027-03-10"}, "effective_from", "begun for somebody"),
        ({"effective_from": "2027-03-11"}, "effective_from", "earliest possible day is 2027-03-12"),
        ({"effective_from": "2019-05-01"}, "effective_from", "begun"),
        ({"fetch_days": "21"}, "fetch_days", "leave the next night"),
        ({"storage_days": "0", "fetch_days": "0"}, "storage_days", "at least one day"),
        ({"shared_mailboxes_0": "number"}, "shared_mailboxes", "Type the number"),
        ({"shared_mailboxes_1": "3"}, "shared_mailboxes", "at most"),
        (
            {"outgoing_per_month_0": "number", "outgoing_per_month_1": "0"},
            "outgoing_per_month",
            "greater than",
        ),
        ({"shared_mailboxes_0": ""}, "shared_mailboxes", "what kind of limit"),
        ({"source": ""}, "source", "required"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_in_words(
    world: World, operator: Client, typed: dict, field: str, said: str
) -> None:
    with time_machine.travel(NOON, tick=False):  # it is the 11th already in Kiritimati
        answer = world.client(world.ann).post(ADD, ROW | typed)
    assert said in str(answer.context["adminform"].form.errors[field])
    assert not PlanLimits.objects.filter(plan="standard", effective_from__year=2027).exists()


def test_a_row_that_has_begun_can_only_be_followed_and_one_to_come_may_change_and_go(
    world: World, operator: Client
) -> None:
    begun = PlanLimits.objects.get(plan="standard", effective_from=date(2024, 1, 1))
    shown = operator.get(page_of(begun))
    assert shown.status_code == 200
    assert b'name="storage_days"' not in shown.content
    assert b'<div class="readonly">30</div>' in shown.content
    assert operator.post(page_of(begun), ROW).status_code == 403
    assert operator.post(page_of(begun).replace("change", "delete"), {"post": "yes"}).status_code == 403
    follow = operator.get(f"{ADD}?after={begun.pk}").context["adminform"].form
    assert (follow.initial["plan"], follow.initial["storage_days"]) == ("standard", 30)

    with time_machine.travel(NOON, tick=False):
        operator = world.client(world.ann)
        operator.post(ADD, ROW)
        coming = PlanLimits.objects.get(plan="standard", effective_from=date(2027, 5, 1))
        assert operator.post(page_of(coming), ROW | {"storage_days": "25"}).status_code == 302
        coming.refresh_from_db()
        assert coming.storage_days == 25
        operator.post(page_of(coming).replace("change", "delete"), {"post": "yes"})
    assert not PlanLimits.objects.filter(pk=coming.pk).exists()
    begun.refresh_from_db()
    assert begun.storage_days == 30


@pytest.mark.parametrize(
    ("now", "begun"),
    [
        (datetime(2027, 4, 30, 9, 59, 59, tzinfo=UTC), False),
        (datetime(2027, 4, 30, 10, 0, tzinfo=UTC), True),  # midnight in Kiritimati, UTC+14
        (datetime(2027, 5, 1, 0, 0, tzinfo=UTC), True),
    ],
)
def test_a_day_begins_first_in_the_east(now: datetime, begun: bool) -> None:
    assert has_begun(date(2027, 5, 1), now) is begun


@pytest.mark.parametrize(
    ("zone", "now", "storage_days"),
    [
        # Standard goes from 60 to 30 days on 1 January 2024: at the company's midnight, whatever UTC says.
        ("UTC", datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC), 60),
        ("UTC", datetime(2024, 1, 1, tzinfo=UTC), 30),
        ("Pacific/Auckland", datetime(2023, 12, 31, 10, 59, 59, tzinfo=UTC), 60),
        ("Pacific/Auckland", datetime(2023, 12, 31, 11, 0, tzinfo=UTC), 30),
        ("America/Los_Angeles", datetime(2024, 1, 1, 7, 59, 59, tzinfo=UTC), 60),
        ("America/Los_Angeles", datetime(2024, 1, 1, 8, 0, tzinfo=UTC), 30),
    ],
)
def test_a_row_is_in_force_from_midnight_at_the_company(
    world: World, zone: str, now: datetime, storage_days: int
) -> None:
    acme = Account(pk=world.acme.pk, name="Acme", time_zone=zone)
    with world.acting(), time_machine.travel(now, tick=False):
        Subscription.objects.filter(account=acme).update(plan="standard", starts_on=date(2023, 1, 1))
        assert limits_for(acme, acme.today()).storage_days == storage_days


@pytest.mark.parametrize(
    ("now", "day"),
    [
        # Berlin's clocks: 2:00 becomes 3:00 in spring, 3:00 becomes 2:00 in autumn; the day stays one day.
        (datetime(2026, 3, 28, 22, 59, 59, tzinfo=UTC), date(2026, 3, 28)),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), date(2026, 10, 26)),
    ],
)
def test_the_companys_day_is_right_when_clocks_change(now: datetime, day: date) -> None:
    with time_machine.travel(now, tick=False):
        assert Account(name="Berlin", time_zone="Europe/Berlin").today() == day


def test_the_command_changes_a_plan_from_a_day_on_and_never_in_the_past(world: World) -> None:
    said = StringIO()
    call_command("change_plan", "Acme", "basic", stdout=said)
    later = world.acme.today() + timedelta(days=30)
    call_command("change_plan", "Acme", "trial", "--from", later.isoformat(), stdout=said)
    assert f"trial from {later}, until {later + timedelta(days=15)}, exclusive" in said.getvalue()
    with world.acting():
        assert AuditEntry.objects.filter(verb="plan.changed", subject="trial").exists()
    for words, reason in (
        (["Acme", "basic", "--from", "2020-01-01"], "cannot be changed"),
        (["Acme", "basic", "--from", "soon"], "is no date"),
        (["Acme", "platinum"], "no plan 'platinum'"),
        (["Nobody Ltd", "basic"], "no account named"),
    ):
        with pytest.raises(CommandError, match=reason):
            call_command("change_plan", *words, stdout=StringIO())
