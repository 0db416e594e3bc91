"""Operators' commands for companies and people."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts import tenancy
from accounts.models import Account, AuditEntry, Employee
from plans.models import PlanLimits
from plans.subscriptions import plan_of
from tests.world import World

pytestmark = pytest.mark.django_db

PASSWORD = "nine lives of a cat"
BRAND_NEW = ["Brand New", "--admin", "Boss@new.example", "--name", "The Boss"]


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_PASSWORD", PASSWORD)


def run(*command: str) -> str:
    said = StringIO()
    call_command(*command, stdout=said)
    return said.getvalue()


def signs_in(email: str, password: str) -> bool:
    client = Client()
    client.post("/account/login/", {"login": email, "password": password})
    return client.get("/settings/").status_code == 200


def test_a_new_company_has_its_plan_and_an_admin_who_signs_in() -> None:
    said = run("create_account", *BRAND_NEW, "--plan", "professional", "--password-env", "FIRST_PASSWORD")
    assert said == "Brand New has the plan professional; Boss@new.example may sign in\n"
    account = Account.objects.get(name="Brand New")
    with tenancy.acting_for(account.pk):
        assert plan_of(account, timezone.now().date()) == "professional"
        assert Employee.objects.get().is_admin
        assert set(AuditEntry.objects.values_list("verb", flat=True)) == {"plan.changed", "employee.added"}
    assert signs_in("boss@new.example", PASSWORD)


def test_without_a_password_one_is_made_and_said_once() -> None:
    said = run("create_account", *BRAND_NEW, "--plan", "trial")
    password = said.splitlines()[1].removeprefix("password: ")
    assert signs_in("boss@new.example", password)


def test_a_company_on_trial_is_free_after_it() -> None:
    run("create_account", *BRAND_NEW, "--plan", "trial")
    account = Account.objects.get(name="Brand New")
    with tenancy.acting_for(account.pk):
        assert plan_of(account, timezone.now().date() + timedelta(days=15)) == "free"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--plan": "platinum"}, "no plan 'platinum'"),
        ({"--admin": "no address"}, "email: Enter a valid e-mail"),
        ({"--admin": "eve@other.example"}, "email: Somebody already signs in"),
        ({"--password-env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set"),
        ({"--name": ""}, "name: This field cannot be blank"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(world: World, changed: dict, said: str) -> None:
    options = {
        "--plan": "professional", "--admin": "boss@new.example", "--name": "The Boss",
        "--password-env": "FIRST_PASSWORD",
    } | changed  # fmt: skip
    with pytest.raises(CommandError, match=said):
        run("create_account", "Brand New", *[word for pair in options.items() for word in pair])
    assert not Account.objects.filter(name="Brand New").exists()


def test_a_weak_password_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRST_PASSWORD", "password")
    with pytest.raises(CommandError, match="FIRST_PASSWORD will not do: This password is too short"):
        run("add_employee", "Acme", "dora@acme.example", "--name", "Dora", "--password-env", "FIRST_PASSWORD")


def test_two_companies_do_not_share_a_name(world: World) -> None:
    with pytest.raises(CommandError, match="company: There is a company of this name already"):
        run("create_account", "Acme", *BRAND_NEW[1:], "--plan", "basic")


def test_without_the_catalogue_the_operator_is_told_what_to_run() -> None:
    PlanLimits.objects.all().delete()
    with pytest.raises(CommandError, match="load_plans"):
        run("create_account", *BRAND_NEW, "--plan", "basic")


def test_an_employee_is_added_to_a_company(world: World) -> None:
    run("add_employee", "Acme", "dora@acme.example", "--name", "Dora", "--password-env", "FIRST_PASSWORD")
    assert signs_in("dora@acme.example", PASSWORD)
    with world.acting():
        dora = Employee.objects.get(email="dora@acme.example")
        assert (dora.name, dora.role) == ("Dora", "employee")


def test_an_unknown_company_is_named(world: World) -> None:
    with pytest.raises(CommandError, match="no account named 'Acne'"):
        run("add_employee", "Acne", "dora@acme.example", "--name", "Dora")
