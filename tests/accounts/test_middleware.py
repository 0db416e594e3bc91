"""For whom a request acts, and what is left of it when the view fails."""

from collections.abc import Iterable

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from accounts import tenancy
from accounts.middleware import ACCOUNT_KEY
from accounts.models import Account, Employee
from tests.world import World, sign_in

pytestmark = pytest.mark.urls("tests.accounts.trouble")

ACME = "Adm Adams, Ann Archer, Bob Brown, Cyd Cole"


def body(client: Client, url: str) -> str:
    answer = client.get(url)
    content = answer.streaming_content if answer.streaming else [answer.content]  # type: ignore[attr-defined]
    assert isinstance(content, Iterable)
    return b"".join(content).decode()


def test_ann_sees_the_people_of_her_own_company(world: World) -> None:
    assert body(world.client(world.ann), "/t/people/") == ACME
    assert body(world.client(world.eve), "/t/people/") == "Eve Evans"


def test_somebody_who_did_not_sign_in_sees_nobody(world: World) -> None:
    assert body(Client(), "/t/people/") == ""


def test_a_session_without_an_account_is_nobodys(world: World) -> None:
    client = world.client(world.ann)
    session = client.session
    del session[ACCOUNT_KEY]
    session.save()
    assert body(client, "/t/people/") == ""
    assert client.get("/settings/").status_code == 302


def test_a_session_of_one_company_and_a_person_of_another_is_nobodys(world: World) -> None:
    client = world.client(world.ann)
    session = client.session
    session[ACCOUNT_KEY] = world.other.pk
    session.save()
    assert body(client, "/t/people/") == ""


def test_a_deactivated_employee_is_out_at_the_next_click(world: World) -> None:
    client = world.client(world.ann)
    assert body(client, "/t/people/") == ACME
    with world.acting():
        Employee.objects.filter(pk=world.ann.pk).update(is_active=False)
    assert body(client, "/t/people/") == ""
    assert client.get("/settings/")["Location"].startswith("/account/login/")


def test_the_template_is_made_inside_the_tenant(world: World) -> None:
    assert body(world.client(world.ann), "/t/late/") == ACME.replace(", ", ",") + ","


def test_a_streamed_answer_is_read_outside_and_shows_nothing(world: World) -> None:
    assert body(world.client(world.ann), "/t/streamed/") == "0 people"


@pytest.mark.django_db(transaction=True)
def test_a_view_that_talks_to_the_network_knows_who_asks_and_holds_no_transaction(world: World) -> None:
    assert body(world.client(world.ann), "/t/networking/") == "Ann Archer in_transaction=False 0"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("then", "status"), [("crash", 500), ("missing", 404), ("forbidden", 403), ("template", 500)]
)
def test_a_view_that_fails_leaves_no_trace_and_the_page_knows_the_reader(
    world: World, then: str, status: int
) -> None:
    client = world.client(world.ann)
    client.raise_request_exception = False
    answer = client.get(f"/t/rename/{then}/")
    assert answer.status_code == status
    assert b"<h1" in answer.content
    assert Account.objects.filter(name="Acme").exists()
    with world.acting():
        assert Employee.objects.get(pk=world.ann.pk).name == "Ann Archer"
    assert not connection.in_atomic_block
    assert Employee.objects.count() == 0  # the connection belongs to nobody


@pytest.mark.django_db(transaction=True)
def test_a_view_that_works_is_committed(world: World) -> None:
    assert body(world.client(world.ann), "/t/rename/well/") == "done"
    assert Account.objects.filter(name="Renamed").exists()
    with world.acting():
        assert Employee.objects.get(pk=world.ann.pk).name == "Renamed"


def test_an_unknown_page_is_not_found_for_everybody(world: World) -> None:
    for client in (Client(), world.client(world.ann)):
        answer = client.get("/no/such/page/")
        assert answer.status_code == 404
        assert b"nothing here" in answer.content


def test_a_form_without_its_token_is_refused_before_anything_runs(world: World) -> None:
    client = sign_in(Client(enforce_csrf_checks=True), world.ann)
    answer = client.post("/settings/", {"name": "Forged", "time_zone": "UTC"})
    assert answer.status_code == 403
    with world.acting():
        assert Employee.objects.get(pk=world.ann.pk).name == "Ann Archer"


def test_no_page_is_half_translated(world: World) -> None:
    """Django knows the months and its own errors in Russian; ours are said in English only."""
    before = Client(headers={"accept-language": "ru"}).get("/account/login/")
    assert before["Content-Language"] == "en"
    assert "Accept-Language" in before["Vary"]
    refused = Client(headers={"accept-language": "ru"}).post("/account/login/", {"login": "", "password": ""})
    assert "This field is required." in refused.content.decode()


def test_no_session_is_made_for_a_passer_by(world: World) -> None:
    before = Session.objects.count()
    with tenancy.acting_for(None):
        Client().get("/account/login/")
    assert Session.objects.count() == before
