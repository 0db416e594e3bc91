"""A stranger signs up a company: by the page, by the letter, and what keeps others from getting in the way."""

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import sealing, tenancy
from accounts.models import Account, AuditEntry, Employee
from plans import signing_up
from plans.signing_up import Application, SignUpForm
from plans.subscriptions import limits_for, plan_of
from tests.world import PASSWORD, World

PAGE = "/sign-up/"
ZOE = {
    "company": "Zander & Sons",
    "name": "Zoe Zander",
    "email": "Zoe@Zander.example",
    "password": PASSWORD,
    "time_zone": "Europe/Berlin",
}


@pytest.fixture(autouse=True)
def _open(settings) -> None:
    settings.SIGN_UP = True


def text_of(answer: Any) -> str:
    return str(answer.content.decode())


def test_zoe_signs_up_her_company_and_is_in_with_fifteen_days_of_trial(db: None) -> None:
    client = Client()
    assert client.post(PAGE, ZOE)["Location"] == "/"
    account = Account.objects.get(name="Zander & Sons")
    assert account.time_zone == "Europe/Berlin"
    with tenancy.acting_for(account.pk):
        zoe = Employee.objects.get()
        assert (zoe.email, zoe.role, zoe.check_password(PASSWORD)) == ("zoe@zander.example", "admin", True)
        assert plan_of(account, account.today()) == "trial"
        assert limits_for(account, account.today()).sync_enabled
        verbs = AuditEntry.objects.order_by("pk").values_list("verb", flat=True)
        assert list(verbs) == ["plan.changed", "employee.added", "sign_in.made"]
    assert "Company settings" in text_of(client.get("/settings/company/"))
    assert client.get(PAGE)["Location"] == "/"  # who is in has no use for the form


BAD = [
    ("company", "  aCME ", "There is a company of this name already."),
    ("company", "", "This field is required."),
    ("email", "EVE@other.example", "Somebody already signs in with this address."),
    ("email", "zoe", "Enter a valid e-mail address."),
    ("password", "short", "at least 10 characters"),
    ("password", "password1234", "too common"),
    ("time_zone", "Europe/Atlantis", "Select a valid choice."),
]


def test_what_will_not_do_is_said_and_nothing_is_made(world: World) -> None:
    for field, value, said in BAD:
        answer = Client().post(PAGE, ZOE | {field: value})
        assert (answer.status_code, said in text_of(answer)) == (422, True), (field, value)
    assert Account.objects.count() == 2


def test_a_closed_installation_says_so_and_makes_nothing(db: None, settings) -> None:
    assert "Sign up your company" in text_of(Client().get("/account/login/"))
    token = signing_up.token_of(filled_in().application())
    settings.SIGN_UP = False
    assert "Sign up" not in text_of(Client().get("/account/login/"))
    for answer in (Client().post(PAGE, ZOE), Client().post(f"{PAGE}confirm/", {"t": token})):
        assert (answer.status_code, "Sign-up is closed" in text_of(answer)) == (403, True)
    assert not Account.objects.exists()


def test_with_a_mail_server_the_address_is_confirmed_by_a_letter(db: None, settings) -> None:
    settings.EMAIL_URL = "smtp://mail.example"
    answer = Client().post(PAGE, ZOE)
    assert "Look into your mail" in text_of(answer)
    assert not Account.objects.exists()
    (letter,) = mail.outbox
    assert letter.to == ["zoe@zander.example"]
    (link,) = re.findall(r"http://testserver(/\S+)", str(letter.body))
    assert PASSWORD not in letter.body
    client = Client()
    assert "Make Zander &amp; Sons" in text_of(client.get(link))
    assert not Account.objects.exists(), "a program that checks mail opens links, too"
    token = link.partition("t=")[2]
    assert client.post(f"{PAGE}confirm/", {"t": token})["Location"] == "/"
    assert client.get("/settings/").status_code == 200
    again = Client().post(f"{PAGE}confirm/", {"t": token})
    assert (again.status_code, "company of this name already" in text_of(again)) == (409, True)


def test_who_signs_in_already_learns_it_by_letter_and_nobody_else_does(world: World, settings) -> None:
    settings.EMAIL_URL = "smtp://mail.example"
    pages = [
        text_of(Client().post(PAGE, ZOE | {"email": email})).replace(email, "")
        for email in ("eve@other.example", "new@other.example")
    ]
    assert pages[0] == pages[1]
    known, unknown = mail.outbox
    assert ("already" in known.subject, "t=" in known.body) == (True, False)
    assert "t=" in unknown.body


def test_a_link_that_is_none_of_ours_is_refused_in_words(db: None) -> None:
    for token in ("", "nonsense", "Ünsinn", sealing.encrypt("[1, {}]").decode()):
        answer = Client().get(f"{PAGE}confirm/", {"t": token})
        assert (answer.status_code, "works no more" in text_of(answer)) == (410, True)


def test_a_link_works_for_one_day(db: None) -> None:
    token = signing_up.token_of(filled_in().application())
    for hours, status in ((23, 200), (25, 410)):
        with time_machine.travel(timezone.now() + timedelta(hours=hours)):
            assert Client().get(f"{PAGE}confirm/", {"t": token}).status_code == status


def test_one_place_signs_up_ten_companies_an_hour_and_no_more(db: None) -> None:
    for number in range(10):
        one = ZOE | {"company": f"Company {number}", "email": f"zoe{number}@zander.example"}
        assert Client().post(PAGE, one).status_code == 302
    answer = Client().post(PAGE, ZOE)
    assert (answer.status_code, "Try again in an hour" in text_of(answer)) == (429, True)
    assert Account.objects.count() == 10


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("same", ["company", "email"])
def test_of_two_at_once_with_one_name_or_address_one_is_refused_in_words(same: str) -> None:
    one = filled_in().application()
    other = {"company": "Others", "email": "other@zander.example"} | {same: getattr(one, same)}
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def sign_up(application: Application) -> None:
        together.wait()
        try:
            signing_up.carry_out(application)
            outcomes.append("made")
        except ValidationError as error:
            outcomes.extend(error.messages)
        finally:
            connection.close()

    fields = {"name": one.name, "password_hash": one.password_hash, "time_zone": one.time_zone}
    threads = [
        threading.Thread(target=sign_up, args=[each]) for each in (one, Application(**fields, **other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(outcomes) == "made"
    assert "already" in min(outcomes)
    assert Account.objects.count() == 1


def filled_in() -> SignUpForm:
    form = SignUpForm(ZOE)
    assert form.is_valid(), form.errors
    return form
