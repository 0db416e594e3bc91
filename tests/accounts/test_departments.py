"""Departments and the list of people: who is where, who finds whom, and what deleting one leaves behind."""

import pytest
from django.urls import reverse

from accounts import departments, inviting, people, roster
from accounts.models import AuditEntry, Department, Employee, Role
from tests.world import World, employee


def make(world: World, name: str) -> Department:
    with world.acting():
        return departments.make(world.acme, name, by=world.adm)


def post(world: World, page: str, *args: int, **form: object) -> str:
    url = reverse(f"people:{page}", args=args)
    return world.client(world.adm).post(url, form, follow=True).content.decode()


def where(world: World) -> dict[str, str]:
    with world.acting():
        rows = Employee.objects.filter(department__isnull=False).values_list("name", "department__name")
        return dict(rows)


def test_adm_makes_renames_and_fills_departments(world: World) -> None:
    assert "No department yet" in world.client(world.adm).get("/people/departments/").content.decode()
    assert "is made" in post(world, "departments", name="  Sales   team ")
    with world.acting():
        sales = Department.objects.get(name="Sales team")
    post(world, "department-rename", sales.pk, name="Sales")
    assert "2 people moved to Sales" in post(
        world, "move", department=sales.pk, who=[world.ann.pk, world.bob.pk]
    )
    assert where(world) == {"Ann Archer": "Sales", "Bob Brown": "Sales"}
    post(world, "person", world.bob.pk, role="supervisor", department=sales.pk)
    shown = world.client(world.adm).get("/people/departments/").content.decode()
    assert "2 people" in shown
    assert "supervisor: Bob Brown" in shown
    assert "1 person moved to no department" in post(world, "move", department="", who=[world.ann.pk])
    with world.acting():
        verbs = list(
            AuditEntry.objects.filter(verb__in=["department.made", "department.renamed", "employee.moved"])
            .order_by("pk")
            .values_list("verb", flat=True)
        )
    assert verbs == ["department.made", "department.renamed", *["employee.moved"] * 3]


@pytest.mark.parametrize("typed", ["", "   ", "SALES", "x" * 101])
def test_a_department_needs_a_name_of_its_own(world: World, typed: str) -> None:
    sales, other = make(world, "Sales"), make(world, "Other")
    for url in (reverse("people:departments"), reverse("people:department-rename", args=[other.pk])):
        answer = world.client(world.adm).post(url, {"name": typed})
        assert answer.status_code == 422
        assert 'role="alert"' in answer.content.decode()
    with world.acting():
        assert set(Department.objects.values_list("name", flat=True)) == {sales.name, other.name}


def test_deleting_a_department_says_what_becomes_of_its_people_and_dismisses_nobody(world: World) -> None:
    sales, service = make(world, "Sales"), make(world, "Service")
    with world.acting():
        departments.move([world.ann, world.bob], sales, by=world.adm)
        inviting.invite(email="dora@acme.example", name="", role="employee", department=sales, by=world.adm)
    asked = world.client(world.adm).get(reverse("people:department-delete", args=[sales.pk]))
    assert "Ann Archer, Bob Brown" in asked.content.decode()
    assert "No mailbox is shared with it" in asked.content.decode()
    with world.acting():
        world.team_box.grants.create(account=world.acme, department=sales, level="read")
    asked = world.client(world.adm).get(reverse("people:department-delete", args=[sales.pk]))
    assert "One mailbox is shared with this department. That ends" in asked.content.decode()
    post(world, "department-delete", sales.pk, heir=service.pk)
    assert where(world) == {"Ann Archer": "Service", "Bob Brown": "Service"}
    with world.acting():
        assert not world.team_box.grants.filter(department__isnull=False).exists()
    post(world, "department-delete", service.pk, heir="")
    assert where(world) == {}
    with world.acting():
        entry = AuditEntry.objects.filter(verb="department.deleted").order_by("pk")[0]
        assert entry.details == {"people": 2, "moved_to": "Service"}


def test_departments_of_another_company_are_not_there(world: World) -> None:
    sales = make(world, "Sales")
    eve = world.client(world.eve)
    for name in ("department-rename", "department-delete"):
        assert eve.post(reverse(f"people:{name}", args=[sales.pk]), {"name": "x"}).status_code == 404
    assert eve.post("/people/move/", {"department": sales.pk, "who": [world.eve.pk]}).status_code == 404
    answer = eve.post(
        reverse("people:person", args=[world.eve.pk]), {"role": "admin", "department": sales.pk}
    )
    assert answer.status_code == 422
    assert world.client(world.adm).post("/people/move/", {"who": [world.eve.pk]}).status_code == 404
    assert world.client(world.ann).get("/people/departments/").status_code == 403


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", {"Adm Adams", "Ann Archer", "Bob Brown", "Cyd Cole", "dora@acme.example"}),
        ("?q=ARCHER", {"Ann Archer"}),
        ("?q=bob@", {"Bob Brown"}),
        ("?role=admin", {"Adm Adams"}),
        ("?department=SALES", {"Ann Archer", "Bob Brown", "dora@acme.example"}),
        ("?department=none", {"Adm Adams", "Cyd Cole"}),
        ("?department=SALES&role=supervisor", {"Bob Brown"}),
        ("?state=active", {"Adm Adams", "Ann Archer", "Bob Brown"}),
        ("?state=gone", {"Cyd Cole"}),
        ("?state=invited", {"dora@acme.example"}),
        ("?q=nobody", set()),
        ("?q=%25&role=x&state=y&department=z&after=w", set()),
    ],
)
def test_the_list_is_searched_and_narrowed(world: World, asked: str, found: set[str]) -> None:
    sales = make(world, "Sales")
    with world.acting():
        departments.move([world.ann, world.bob], sales, by=world.adm)
        people.change_role(world.bob, Role.SUPERVISOR, by=world.adm)
        people.deactivate(world.cyd, by=world.adm)
        inviting.invite(email="dora@acme.example", name="", role="employee", department=sales, by=world.adm)
    answer = world.client(world.adm).get("/people/" + asked.replace("SALES", str(sales.pk)))
    context = answer.context
    assert {each.name for each in context["employees"]} | {str(each) for each in context["invited"]} == found
    assert ("Nobody matches" in answer.content.decode()) == (not found)


def test_a_long_list_comes_a_page_at_a_time_and_shows_everybody_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "PAGE", 3)
    with world.acting():
        for n in range(4):  # of one name
            employee(world.acme, "Ann Archer", f"ann{n}@acme.example")
        people.deactivate(world.bob, by=world.adm)
        people.deactivate(world.cyd, by=world.adm)
    client, url, seen = world.client(world.adm), "", []
    while True:
        context = client.get("/people/" + url).context
        seen += [each.email for each in context["employees"]]
        url = context["older"]
        if not url:
            break
    assert len(seen) == len(set(seen)) == 8
    assert seen[0] == "adm@acme.example"
    assert seen[-2:] == ["bob@acme.example", "cyd@acme.example"]
