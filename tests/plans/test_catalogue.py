"""The published tables, cell by cell, as they stand in the database of a fresh installation."""

from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from plans.catalogue import CATALOGUE, NOTICE_2019, PAGE_2024
from plans.limits import in_force
from plans.loading import load_catalogue
from plans.models import PlanLimits

pytestmark = pytest.mark.django_db

UNLIMITED = None
COLUMNS = (
    "sync_enabled", "mailboxes_per_employee", "shared_mailboxes", "storage_days", "fetch_days",
    "outgoing_per_month", "crm_bound_stays",
)  # fmt: skip

# in force from, plan: sync, mailboxes per employee, shared, storage, first fetch, outgoing, CRM-bound stays
PUBLISHED = {
    ("2019-05-01", "free"): (False, 0, 0, 0, 0, 0, True),
    ("2019-05-01", "crm-plus"): (True, 10, UNLIMITED, 30, 30, UNLIMITED, True),
    ("2019-05-01", "demo"): (True, 10, 3, 30, 30, 0, True),
    ("2019-05-01", "standard"): (True, 5, UNLIMITED, 60, 60, 50_000, True),
    ("2019-05-01", "professional"): (True, 10, UNLIMITED, 90, 90, 100_000, True),
    ("2019-05-01", "nfr"): (True, 10, UNLIMITED, 90, 90, 100_000, True),
    ("2024-01-01", "free"): (False, 0, 0, 0, 0, 0, False),
    ("2024-01-01", "trial"): (True, 10, 3, 30, 30, 0, False),
    ("2024-01-01", "basic"): (True, 1, UNLIMITED, 7, 7, 10_000, False),
    ("2024-01-01", "standard"): (True, 5, UNLIMITED, 30, 30, 50_000, False),
    ("2024-01-01", "professional"): (True, 10, UNLIMITED, 90, 90, 100_000, False),
    ("2024-01-01", "enterprise"): (True, 10, UNLIMITED, 90, 90, 100_000, False),
}


@pytest.mark.parametrize(("since", "plan"), PUBLISHED)
def test_each_published_row_is_in_the_database_with_its_numbers(since: str, plan: str) -> None:
    row = PlanLimits.objects.get(plan=plan, effective_from=since)
    assert tuple(getattr(row, column) for column in COLUMNS) == PUBLISHED[since, plan]


def test_there_are_no_other_rows() -> None:
    keys = PlanLimits.objects.values_list("effective_from", "plan")
    assert {(since.isoformat(), plan) for since, plan in keys} == set(PUBLISHED)


def test_each_row_names_its_source_and_says_how_it_is_read() -> None:
    for row in PlanLimits.objects.all():
        assert row.source == (NOTICE_2019 if row.effective_from.year == 2019 else PAGE_2024)
        assert row.reading
    enterprise = PlanLimits.objects.get(plan="enterprise")
    assert "follows Professional" in enterprise.reading


@pytest.mark.parametrize(
    ("day", "storage_days"),
    [("2019-05-01", 60), ("2023-12-31", 60), ("2024-01-01", 30), ("2031-07-01", 30)],
)
def test_the_newest_row_that_has_begun_decides(day: str, storage_days: int) -> None:
    limits = in_force(published(), "standard", date.fromisoformat(day))
    assert limits is not None
    assert limits.storage_days == storage_days


@pytest.mark.parametrize(("plan", "first"), [("standard", "2019-05-01"), ("basic", "2024-01-01")])
def test_before_its_first_row_a_plan_does_not_exist(plan: str, first: str) -> None:
    before = date.fromisoformat(first) - timedelta(days=1)
    assert in_force(published(), plan, before) is None


def test_a_plan_that_was_not_published_again_keeps_its_old_row() -> None:
    limits = in_force(published(), "nfr", date(2026, 1, 1))
    assert limits is not None
    assert limits.effective_from == date(2019, 5, 1)


def test_loading_twice_adds_nothing() -> None:
    before = set(PlanLimits.objects.values_list("pk", flat=True))
    loaded = load_catalogue()
    assert (loaded.added, loaded.kept, loaded.differing) == (0, len(CATALOGUE), [])
    assert set(PlanLimits.objects.values_list("pk", flat=True)) == before


def test_loading_brings_back_a_missing_row() -> None:
    PlanLimits.objects.filter(plan="basic").delete()
    assert load_catalogue().added == 1
    assert PlanLimits.objects.get(plan="basic").storage_days == 7


def test_an_operators_number_stays_and_the_command_says_so() -> None:
    PlanLimits.objects.filter(plan="basic").update(storage_days=14, shared_mailboxes=2)
    said, warned = StringIO(), StringIO()
    call_command("load_plans", stdout=said, stderr=warned)
    assert PlanLimits.objects.get(plan="basic").storage_days == 14
    assert "0 rows added, 12 were there" in said.getvalue()
    assert warned.getvalue().splitlines() == [
        "left as it is: basic from 2024-01-01: storage_days is 14, published is 7",
        "left as it is: basic from 2024-01-01: shared_mailboxes is 2, published is unlimited",
    ]


@pytest.mark.parametrize(
    "numbers",
    [
        {"storage_days": 10, "fetch_days": 11},  # what is fetched would be purged the next night
        {"sync_enabled": True, "storage_days": 0, "fetch_days": 0},
        {"plan": "basic", "effective_from": date(2024, 1, 1)},  # a second row for the same day
    ],
)
def test_the_database_refuses_a_row_that_makes_no_sense(numbers: dict) -> None:
    sound = {
        "plan": "own", "effective_from": date(2027, 1, 1), "sync_enabled": True, "storage_days": 30,
        "fetch_days": 30, "crm_bound_stays": False, "source": "an operator",
    }  # fmt: skip
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanLimits.objects.create(**(sound | numbers))


def published() -> list:
    return [row.as_limits() for row in PlanLimits.objects.all()]
