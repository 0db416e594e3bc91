"""Which limits an account has on a day, and what changing its plan leaves behind."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, transaction

from accounts import tenancy
from accounts.models import Account, AuditEntry
from plans.models import PlanLimits, Subscription
from plans.subscriptions import UnknownPlanError, change_plan, limits_for, plan_of, start_trial

DAY = date(2026, 3, 10)
BEFORE, AFTER = DAY - timedelta(days=1), DAY + timedelta(days=1)


@pytest.fixture
def acme(db: None) -> Iterator[Account]:
    """A company without any subscription; the test acts for it."""
    account = Account.objects.create(name="Acme")
    with tenancy.acting_for(account.pk):
        yield account


def subscriptions(account: Account) -> list[tuple[str, date, date | None]]:
    rows = Subscription.objects.filter(account=account).order_by("starts_on")
    return list(rows.values_list("plan", "starts_on", "ends_on"))


def test_without_a_subscription_a_company_is_free_and_may_not_sync(acme: Account) -> None:
    assert plan_of(acme, DAY) == "free"
    limits = limits_for(acme, DAY)
    assert (limits.plan, limits.sync_enabled, limits.mailboxes_per_employee) == ("free", False, 0)


def test_a_plan_holds_from_its_first_day_to_the_day_before_its_end(acme: Account) -> None:
    Subscription.objects.create(account=acme, plan="basic", starts_on=DAY, ends_on=DAY + timedelta(days=3))
    held = [plan_of(acme, DAY + timedelta(days=n)) for n in range(-1, 4)]
    assert held == ["free", "basic", "basic", "basic", "free"]


def test_a_trial_ends_after_fifteen_days_without_anybody_doing_anything(acme: Account) -> None:
    start_trial(acme, on=DAY, by=None)
    assert plan_of(acme, DAY + timedelta(days=14)) == "trial"
    assert plan_of(acme, DAY + timedelta(days=15)) == "free"


def test_a_trial_chosen_as_a_plan_ends_too(acme: Account) -> None:
    change_plan(acme, "trial", on=DAY, by=None)
    assert subscriptions(acme) == [("trial", DAY, DAY + timedelta(days=15))]


def test_the_row_of_the_day_decides_for_a_running_subscription(acme: Account) -> None:
    change_plan(acme, "standard", on=date(2023, 6, 1), by=None)
    assert limits_for(acme, date(2023, 12, 31)).storage_days == 60
    assert limits_for(acme, date(2024, 1, 1)).storage_days == 30


def test_a_plan_without_a_row_on_the_day_falls_back_to_free(acme: Account) -> None:
    Subscription.objects.create(account=acme, plan="enterprise", starts_on=date(2020, 1, 1))
    assert limits_for(acme, date(2023, 12, 31)).plan == "free"
    assert limits_for(acme, date(2024, 1, 1)).plan == "enterprise"


def test_before_the_catalogue_begins_nobody_can_say_the_limits(acme: Account) -> None:
    with pytest.raises(UnknownPlanError, match="load_plans"):
        limits_for(acme, date(2019, 4, 30))


def test_changing_the_plan_closes_the_running_row_and_opens_another(acme: Account) -> None:
    change_plan(acme, "standard", on=DAY, by=None)
    change_plan(acme, "basic", on=DAY + timedelta(days=20), by=None)
    turn = DAY + timedelta(days=20)
    assert subscriptions(acme) == [("standard", DAY, turn), ("basic", turn, None)]


def test_changing_the_plan_twice_on_a_day_leaves_the_last_choice(acme: Account) -> None:
    change_plan(acme, "standard", on=DAY, by=None)
    change_plan(acme, "professional", on=DAY, by=None)
    assert subscriptions(acme) == [("professional", DAY, None)]


def test_a_change_drops_what_was_planned_for_later(acme: Account) -> None:
    change_plan(acme, "standard", on=DAY, by=None)
    change_plan(acme, "professional", on=DAY + timedelta(days=30), by=None)
    change_plan(acme, "basic", on=DAY + timedelta(days=10), by=None)
    turn = DAY + timedelta(days=10)
    assert subscriptions(acme) == [("standard", DAY, turn), ("basic", turn, None)]


def test_a_change_after_a_trial_ran_out_leaves_the_trial_as_it_was(acme: Account) -> None:
    start_trial(acme, on=DAY, by=None)
    change_plan(acme, "basic", on=DAY + timedelta(days=40), by=None)
    assert subscriptions(acme)[0] == ("trial", DAY, DAY + timedelta(days=15))
    assert plan_of(acme, DAY + timedelta(days=20)) == "free"


def test_an_unknown_plan_changes_nothing(acme: Account) -> None:
    change_plan(acme, "basic", on=DAY, by=None)
    with pytest.raises(UnknownPlanError, match="platinum"):
        change_plan(acme, "platinum", on=AFTER, by=None)
    assert subscriptions(acme) == [("basic", DAY, None)]


def test_each_change_is_in_the_audit_log_with_what_was_before(acme: Account) -> None:
    change_plan(acme, "basic", on=DAY, by=None)
    change_plan(acme, "standard", on=AFTER, by=None)
    last = AuditEntry.objects.order_by("-pk")[0]
    assert (last.verb, last.subject) == ("plan.changed", "standard")
    assert last.details == {"before": "basic", "on": AFTER.isoformat()}


@pytest.mark.parametrize(
    ("starts_on", "ends_on"),
    [(DAY, None), (BEFORE, AFTER), (DAY + timedelta(days=4), None), (BEFORE, None)],
)
def test_two_plans_on_one_day_are_impossible(acme: Account, starts_on: date, ends_on: date | None) -> None:
    Subscription.objects.create(account=acme, plan="basic", starts_on=DAY, ends_on=DAY + timedelta(days=5))
    with pytest.raises(IntegrityError, match="subscriptions_do_not_overlap"), transaction.atomic():
        Subscription.objects.create(account=acme, plan="standard", starts_on=starts_on, ends_on=ends_on)


def test_a_plan_may_begin_on_the_day_another_ends(acme: Account) -> None:
    Subscription.objects.create(account=acme, plan="basic", starts_on=DAY, ends_on=AFTER)
    Subscription.objects.create(account=acme, plan="standard", starts_on=AFTER)
    assert [plan_of(acme, DAY), plan_of(acme, AFTER)] == ["basic", "standard"]


def test_two_companies_may_have_plans_at_the_same_time(acme: Account) -> None:
    change_plan(acme, "basic", on=DAY, by=None)
    other = Account.objects.create(name="Other")
    with tenancy.acting_for(other.pk):
        change_plan(other, "professional", on=DAY, by=None)
        assert plan_of(other, DAY) == "professional"
    assert plan_of(acme, DAY) == "basic"


def test_an_operators_new_row_shortens_nothing_before_its_date(acme: Account) -> None:
    change_plan(acme, "professional", on=DAY, by=None)
    row = PlanLimits.objects.get(plan="professional", effective_from=date(2024, 1, 1))
    row.pk, row.effective_from, row.storage_days, row.fetch_days = None, AFTER, 45, 45
    row.save()
    assert [limits_for(acme, DAY).storage_days, limits_for(acme, AFTER).storage_days] == [90, 45]
