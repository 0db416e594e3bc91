"""All mailboxes on one page: what a row says, what can be asked for, who may look, and that no mail is in it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Department, Employee, Role
from crm.models import Feed, FeedTurn
from mailsync.models import Dispatch, Mailbox, MailboxState, Operation, Outgoing, Schedule
from overview.finding import FILTERS, SORTS
from plans.subscriptions import change_plan
from retention import storage
from retention.models import Storage
from tests.retention.scenes import bind_to_client, bind_to_task
from tests.world import World, mailbox

ALL = "/mailboxes/all/"


@pytest.fixture
def company(world: World) -> World:
    """ann@ is refused, feeds CRM and has things waiting; team@ is shared and large; cyd@ of Sales is new and due;
    old@ was let go."""
    now = timezone.now()
    placement = world.message(world.folder(world.ann_box), subject="Confidential", text="Secret plans")
    with world.acting():
        sales = Department.objects.create(account=world.acme, name="Sales")
        Employee.objects.filter(pk=world.cyd.pk).update(department=sales)
        Mailbox.objects.filter(pk=world.ann_box.pk).update(
            state=MailboxState.REFUSED, last_error="The server refuses this login.", troubled_since=now,
            synced_at=now - timedelta(days=2),
        )  # fmt: skip
        of_ann = {"account": world.acme, "mailbox": world.ann_box, "by": world.ann}
        Operation.objects.create(kind="flag", folder=placement.folder, uid=1, **of_ann)
        Outgoing.objects.create(
            state="queued", due_at=now, message_id="x@acme.example", header=b"x",
            body=placement.message.body, queued_at=now, send_at=now, **of_ann,
        )  # fmt: skip
        Dispatch.objects.create(mailbox=world.ann_box, account=world.acme, due_at=now)
        feed = Feed.objects.create(account=world.acme, mailbox=world.ann_box, enabled=True)
        FeedTurn.objects.create(account=world.acme, feed=feed, employee=world.bob, position=0)
        Storage.objects.create(
            account=world.acme, mailbox=world.team_box, counted_at=now,
            unbound_bytes=900 * 2**20, crm_bytes=200 * 2**20, task_bytes=100 * 2**20,
        )  # fmt: skip
        fresh = mailbox(world.cyd, "cyd@acme.example", synced_at=None, first_synced_at=None, state="new")
        Schedule.objects.filter(mailbox=fresh).update(due_at=now - timedelta(seconds=5))
        mailbox(world.cyd, "old@acme.example", disconnected_at=now)
    return world


def shown(world: World, query: str = "", who: Employee | None = None) -> list[str]:
    """The addresses on the page, in its order."""
    answer = world.client(who or world.adm).get(ALL + query)
    assert answer.status_code == 200
    return [row.box.address for row in answer.context["rows"]]


def test_adm_sees_how_every_mailbox_is_and_nothing_of_its_mail(company: World) -> None:
    client = company.client(company.adm)
    client.post(f"{ALL}columns/", {"columns": [*SORTS]})
    page = " ".join(client.get(ALL).content.decode().split())
    for words in (
        "The server refuses the sign-in", "The server refuses this login.", "waits for its owner",
        "1 change<", "1 letter<", "Bob Brown <span class=\"faint\">Read, reply, sort and delete", "1.2 GB",
        "900.0 MB of temporary copies, 200.0 MB with clients, 100.0 MB bound to tasks", "counted tonight", "Sales",
        "Fetching mail for the first time",
    ):  # fmt: skip
        assert words in page
    assert "Confidential" not in page
    assert "Secret" not in page
    assert "eve@other.example" not in page
    assert "old@acme.example" not in page
    assert shown(company) == ["ann@acme.example", "cyd@acme.example", "team@acme.example"]  # trouble first


ASKED = {
    "?q=TEAM": "team",
    "?q=cole": "cyd",
    "?q=100%25": "",
    "?q=%00": "ann cyd team",
    "?health=trouble": "ann",
    "?health=person": "ann",
    "?health=unreachable": "",
    "?health=first": "cyd",
    "?health=well": "cyd team",
    "?health=nonsense&page=9999999999999999999&owner=x&sort=;drop": "ann cyd team",
    "?synced=hour": "ann cyd",
    "?synced=never": "cyd",
    "?next=late": "cyd",
    "?next=later": "",
    "?next=none": "ann team",
    "?crm=yes": "ann",
    "?crm=no": "cyd team",
    "?waiting=some": "ann",
    "?waiting=letters": "ann",
    "?waiting=operations": "ann",
    "?access=shared": "team",
    "?access=owner": "ann cyd",
    "?storage=100": "team",
    "?storage=1000": "team",
    "?storage=10000": "",
    "?storage=task": "team",
    "?parked=yes": "",
    "?parked=no": "ann cyd team",
    "?gone=yes": "old",
    "?health=well&access=shared": "team",
    "?sort=address": "ann cyd team",
    "?sort=-storage": "team ann cyd",
    "?sort=-waiting": "ann cyd team",
    "?sort=synced": "ann team cyd",
    "?sort=-owner": "cyd ann team",
}


def test_the_list_can_be_asked_for(company: World) -> None:
    answers = {query: " ".join(address.split("@")[0] for address in shown(company, query)) for query in ASKED}
    assert answers == ASKED


def test_every_column_sorts_and_every_choice_answers(company: World) -> None:
    client = company.client(company.adm)
    queries = [f"?sort={sign}{name}" for name in SORTS for sign in ("", "-")]
    queries += [f"?{each.name}={choice.value}" for each in FILTERS for choice in each.choices]
    assert {query: client.get(ALL + query).status_code for query in queries} == dict.fromkeys(queries, 200)


def test_owner_and_department_narrow_the_list_and_another_companys_do_not_leak(company: World) -> None:
    with company.acting():
        sales = Department.objects.get(name="Sales")
    assert shown(company, f"?owner={company.ann.pk}") == ["ann@acme.example", "team@acme.example"]
    assert shown(company, f"?department={sales.pk}") == ["cyd@acme.example"]
    strange = company.client(company.adm).get(f"{ALL}?owner={company.eve.pk}").content.decode()
    assert "Eve" not in strange


def test_parked_mailboxes_are_trouble_and_found_as_parked(company: World) -> None:
    with company.acting():
        change_plan(company.acme, "basic", on=company.acme.today(), by=None)
    assert shown(company, "?parked=yes") == ["team@acme.example"]
    assert "team@acme.example" in shown(company, "?health=trouble")


def test_columns_are_remembered_for_each_person(company: World) -> None:
    client = company.client(company.adm)
    client.post(f"{ALL}columns/", {"columns": ["health", "nonsense"], "next": "//evil.example"})
    assert "Who has access" not in _heads(company, company.adm)
    assert _heads(company, company.adm) == ["Mailbox", "Health"]
    with company.acting():
        other = Employee.objects.get(pk=company.cyd.pk)
        other.role = Role.ADMIN
        other.save()
    assert "Owner" in _heads(company, other)


def _heads(world: World, who: Employee) -> list[str]:
    return [str(head.column.label) for head in world.client(who).get(ALL).context["heads"]]


def test_a_supervisor_sees_the_mailboxes_of_the_departments_people_and_can_do_nothing(company: World) -> None:
    with company.acting():
        sales = Department.objects.get(name="Sales")
        Employee.objects.filter(pk=company.bob.pk).update(role=Role.SUPERVISOR, department=sales)
        bob = Employee.objects.get(pk=company.bob.pk)
    assert shown(company, who=bob) == ["cyd@acme.example"]
    assert shown(company, f"?owner={company.ann.pk}", who=bob) == []
    page = company.client(bob).get(ALL).content.decode()
    assert "Mailboxes of Sales" in page
    assert "Count it now" not in page
    assert company.client(bob).post(f"{ALL}storage/").status_code == 403


def test_an_employee_sees_no_list_and_a_supervisor_of_nobody_an_empty_one(world: World) -> None:
    client = world.client(world.ann)
    assert client.get(ALL).status_code == 403
    assert client.post(f"{ALL}columns/", {"columns": "health"}).status_code == 403
    with world.acting():
        Employee.objects.filter(pk=world.ann.pk).update(role=Role.SUPERVISOR)
    page = client.get(ALL).content.decode()
    assert "You supervise no department yet" in page
    assert "@acme.example</b>" not in page


def test_the_night_counts_storage_by_cause_and_again_changes_nothing(world: World) -> None:
    inbox = world.folder(world.ann_box)
    task, client, loose = (world.message(inbox, subject=name).message for name in ("task", "client", "loose"))
    bind_to_task(world, task)
    bind_to_client(world, client)
    for _twice in range(2):
        assert storage.count(world.acme.pk, timezone.now()) == 2
    with world.acting():
        kept = Storage.objects.get(mailbox=world.ann_box)
        assert (kept.task_bytes, kept.crm_bytes, kept.unbound_bytes) == (task.size, client.size, loose.size)
        assert (kept.task_messages, kept.crm_messages, kept.unbound_messages) == (1, 1, 1)
        assert Storage.objects.get(mailbox=world.team_box).bytes == 0


def test_a_thousand_mailboxes_come_in_pages_and_cost_no_more_statements(
    company: World, django_assert_max_num_queries
) -> None:
    with company.acting():
        many = Mailbox.objects.bulk_create(
            Mailbox(account=company.acme, owner=company.bob, address=f"box{n:04}@acme.example", fetch_days=1,
                    imap_host="x", login="x", secret=b"", synced_at=timezone.now(), state="ok")
            for n in range(120)
        )  # fmt: skip
        Schedule.objects.bulk_create(Schedule(mailbox=box, account=company.acme) for box in many)
    client = company.client(company.adm)
    with django_assert_max_num_queries(24):
        answer = client.get(f"{ALL}?sort=address&page=2")
    assert answer.context["page"].last == 4
    assert "41 to 80 of 123" in answer.content.decode()
    assert len(client.get(f"{ALL}?page=77").context["rows"]) == 3  # the last page there is
