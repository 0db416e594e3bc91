"""Employees, their settings and the audit log: what admins do on the pages, and what is refused in words."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from accounts import audit, people
from accounts.models import AuditEntry, Employee, Role
from tests.world import PASSWORD, World

PEOPLE = "/people/"


def page(client: Client, url: str = PEOPLE) -> str:
    return client.get(url).content.decode()


def click(client: Client, name: str, employee: Employee, **form: str) -> str:
    """Press a button beside an employee; returns the page that follows."""
    url = reverse(f"people:{name}", args=[employee.pk])
    return client.post(url, form, follow=True).content.decode()


def shown_password(page: str) -> str:
    found = re.search(r'<code class="password">([^<]+)</code>', page)
    assert found, page
    return found[1]


def fresh(world: World, employee: Employee) -> Employee:
    with world.acting():
        return Employee.objects.get(pk=employee.pk)


def test_an_admin_sees_everybody_of_the_company_and_nobody_else(world: World) -> None:
    shown = page(world.client(world.adm))
    assert all(name in shown for name in ("Ann Archer", "Bob Brown", "Cyd Cole", "Adm Adams"))
    assert "Eve Evans" not in shown


@pytest.mark.parametrize("url", [PEOPLE, "/audit/"])
def test_an_employee_does_not(world: World, url: str) -> None:
    assert world.client(world.ann).get(url).status_code == 403


def test_a_forgotten_password_is_renewed_by_an_admin(world: World) -> None:
    device = world.client(world.ann)
    password = shown_password(click(world.client(world.adm), "renew-password", world.ann))
    assert device.get("/settings/").status_code == 302  # whoever was signed in as Ann is out
    client = Client()
    client.post("/account/login/", {"login": "ann@acme.example", "password": PASSWORD})
    assert client.get("/settings/").status_code == 302
    client.post("/account/login/", {"login": "ann@acme.example", "password": password})
    assert client.get("/settings/").status_code == 200


def test_an_admin_makes_another_admin(world: World) -> None:
    click(world.client(world.adm), "person", world.bob, role="admin")
    assert world.client(world.bob).get(PEOPLE).status_code == 200
    with world.acting():
        entry = AuditEntry.objects.get(verb="employee.role_changed")
        assert entry.details == {"before": "employee", "role": "admin"}


def test_the_last_admin_stays_admin(world: World) -> None:
    said = click(world.client(world.adm), "person", world.adm, role="employee")
    assert "Adm Adams is the only admin" in said
    assert fresh(world, world.adm).role == Role.ADMIN


def test_an_inactive_admin_does_not_count_as_another_one(world: World) -> None:
    with world.acting():
        Employee.objects.filter(pk=world.bob.pk).update(role=Role.ADMIN, is_active=False)
    assert "is the only admin" in click(world.client(world.adm), "person", world.adm, role="employee")


def test_with_two_admins_one_may_step_down(world: World) -> None:
    admin = world.client(world.adm)
    click(admin, "person", world.bob, role="admin")
    click(admin, "person", world.adm, role="employee")
    assert fresh(world, world.adm).role == Role.EMPLOYEE


def test_an_unknown_role_is_refused(world: World) -> None:
    assert "valid choice" in click(world.client(world.adm), "person", world.bob, role="king")
    assert fresh(world, world.bob).role == Role.EMPLOYEE


def test_nobody_deactivates_themselves(world: World) -> None:
    shown = world.client(world.adm).post(reverse("retention:leaver", args=[world.adm.pk]))
    assert "cannot deactivate yourself" in shown.content.decode()
    assert fresh(world, world.adm).is_active


def test_a_deactivated_employee_still_names_what_they_did(world: World) -> None:
    with world.acting():
        audit.record("mailbox.connected", "x@acme.example", account_id=world.acme.pk, by=world.bob)
        people.deactivate(world.bob, by=world.adm)
    shown = page(world.client(world.adm), "/audit/")
    assert "Bob Brown connected x@acme.example" in shown


@pytest.mark.parametrize("name", ["person", "renew-password", "reactivate"])
def test_the_admin_of_another_company_finds_nobody(world: World, name: str) -> None:
    url = reverse(f"people:{name}", args=[world.ann.pk])
    assert world.client(world.eve).post(url, {"role": "admin"}).status_code == 404


# Settings


def test_ann_chooses_her_name_and_time_zone(world: World) -> None:
    client = world.client(world.ann)
    client.post("/settings/", {"name": "Ann A.", "time_zone": "Asia/Tokyo"}, follow=True)
    ann = fresh(world, world.ann)
    assert (ann.name, ann.time_zone) == ("Ann A.", "Asia/Tokyo")
    # and at her next sign-in they are there
    again = Client()
    again.post("/account/login/", {"login": "ann@acme.example", "password": PASSWORD})
    assert again.session["time_zone"] == "Asia/Tokyo"


@pytest.mark.parametrize(("field", "typed"), [("time_zone", "Mars/Olympus"), ("name", "")])
def test_settings_that_make_no_sense_are_refused(world: World, field: str, typed: str) -> None:
    form = {"name": "Ann", "time_zone": "UTC"} | {field: typed}
    answer = world.client(world.ann).post("/settings/", form)
    assert "errorlist" in answer.content.decode()
    assert fresh(world, world.ann).name == "Ann Archer"


def test_nobody_changes_role_or_address_in_the_settings(world: World) -> None:
    form = {"name": "Ann", "time_zone": "UTC", "role": "admin", "email": "x@acme.example"}
    world.client(world.ann).post("/settings/", form)
    ann = fresh(world, world.ann)
    assert (ann.role, ann.email) == (Role.EMPLOYEE, "ann@acme.example")


# The audit log


def test_the_log_is_newest_first_and_goes_back_page_by_page(world: World) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with world.acting():
        AuditEntry.objects.bulk_create(
            AuditEntry(account=world.acme, by=world.adm, verb="test.made", subject=f"row{n:03}",
                       at=moment + timedelta(minutes=n // 3))  # three at the same moment
            for n in range(120)
        )  # fmt: skip
        expected = [f"row{n:03}" for n in reversed(range(120))]
    admin, seen, url = world.client(world.adm), [], "/audit/"
    while url:
        shown = page(admin, url)
        seen += re.findall(r": test.made (\w+)</td>", shown)
        older = re.search(r'href="(\?before=\d+)"', shown)
        url = f"/audit/{older[1]}" if older else ""
    assert seen == expected


def test_a_log_is_read_by_its_own_company(world: World) -> None:
    with world.acting():
        entry = AuditEntry.objects.order_by("pk")[0]
    eve = world.client(world.eve)
    assert "Adm" not in page(eve, "/audit/")
    # What is no line of theirs counts as not said.
    assert "Adm" not in page(eve, f"/audit/?before={entry.pk}")
    assert page(world.client(world.adm), "/audit/?before=x")


def test_what_was_written_is_shown_as_text(world: World) -> None:
    with world.acting():
        audit.record("test.made", "<script>alert(1)</script>", account_id=world.acme.pk, by=None, why="<b>")
    shown = page(world.client(world.adm), "/audit/")
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert" in shown


def test_a_new_password_can_be_read_aloud() -> None:
    made = {people.new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(re.fullmatch(r"[a-hjkmnp-z2-9]{4}(-[a-hjkmnp-z2-9]{4}){3}", password) for password in made)
