"""Signing in through the real pages: by address and password, with limits, and telling strangers nothing."""

import re
import statistics
import time

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts import people, throttling
from accounts.models import AuditEntry, Employee
from tests.world import PASSWORD, World

LOGIN = "/account/login/"
WRONG = "The e-mail address or the password is not right."


@pytest.fixture(autouse=True)
def _the_products_hashers(settings) -> None:
    settings.PASSWORD_HASHERS = [hasher for hasher in settings.PASSWORD_HASHERS if "MD5" not in hasher]


def attempt(email: str, password: str, client: Client | None = None, **query: str):
    client = client or Client()
    return client.post(LOGIN, {"login": email, "password": password, **query})


def signed_in(client: Client) -> bool:
    return client.get("/settings/").status_code == 200


def test_ann_signs_in_with_address_and_password(world: World) -> None:
    client = Client()
    answer = attempt("ann@acme.example", PASSWORD, client)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert signed_in(client)
    assert "Ann Archer" in client.get("/settings/").content.decode()


@pytest.mark.parametrize("typed", ["ANN@acme.example", "  ann@acme.example ", "Ann@Acme.Example"])
def test_the_address_may_be_typed_in_any_case(world: World, typed: str) -> None:
    client = Client()
    attempt(typed, PASSWORD, client)
    assert signed_in(client)


def test_a_wrong_password_and_an_unknown_address_look_alike(world: World) -> None:
    pages = []
    for email in ("ann@acme.example", "nobody@acme.example"):
        client = Client()
        answer = attempt(email, "not the password", client)
        assert not signed_in(client)
        page = answer.content.decode()
        assert WRONG in page
        pages.append(
            re.sub(r'name="csrfmiddlewaretoken" value="\w+"|"X-CSRFToken": "\w+"', "", page).replace(
                email, ""
            )
        )
    assert pages[0] == pages[1]


def test_an_unknown_address_takes_as_long_as_a_wrong_password(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashing is most of the time, and is done for both; without that one answer comes ten times sooner."""
    monkeypatch.setattr(throttling, "HERE", throttling.Limit("here", 99, 300))

    def seconds(email: str) -> float:
        started = time.perf_counter()
        attempt(email, "not the password")
        return time.perf_counter() - started

    known, unknown = [], []
    for turn in range(5):
        known.append(seconds("ann@acme.example"))
        unknown.append(seconds(f"nobody{turn}@acme.example"))
    assert 1 / 3 < statistics.median(known) / statistics.median(unknown) < 3


def test_the_limit_of_an_unknown_address_is_that_of_a_known_one(world: World) -> None:
    for email in ("ann@acme.example", "nobody@acme.example"):
        for _ in range(5):
            assert WRONG in attempt(email, "not the password").content.decode()
        client = Client()
        assert "Too many failed sign-ins" in attempt(email, PASSWORD, client).content.decode()
        assert not signed_in(client)


def test_signing_in_changes_the_sessions_key(world: World) -> None:
    client = Client()
    session = client.session
    session["seen"] = "before"
    session.save()
    before = str(session.session_key)
    client.cookies["sessionid"] = before
    attempt("ann@acme.example", PASSWORD, client)
    assert client.session.session_key != before


def test_signing_out_ends_the_session(world: World) -> None:
    client = world.client(world.ann)
    old = client.cookies["sessionid"].value
    assert client.get("/account/logout/").status_code == 200  # asks; a link alone signs nobody out
    assert signed_in(client)
    assert client.post("/account/logout/")["Location"] == LOGIN
    client.cookies["sessionid"] = old
    assert not signed_in(client)


def test_a_deactivated_employee_is_told_so_only_with_the_right_password(world: World) -> None:
    with world.acting():
        people.deactivate(world.bob, by=world.adm)
    assert WRONG in attempt("bob@acme.example", "not the password").content.decode()
    client = Client()
    answer = attempt("bob@acme.example", PASSWORD, client)
    assert answer["Location"] == "/account/inactive/"
    assert "cannot sign in any more" in client.get(answer["Location"]).content.decode()
    assert not signed_in(client)


def test_the_page_asked_for_comes_after_signing_in(world: World) -> None:
    client = Client()
    wanted = client.get("/settings/")["Location"]
    assert wanted == "/account/login/?next=/settings/"
    page = client.get(wanted).content.decode()
    assert 'name="next" value="/settings/"' in page
    assert attempt("ann@acme.example", PASSWORD, client, next="/settings/")["Location"] == "/settings/"


def test_nobody_is_sent_to_another_site(world: World) -> None:
    answer = attempt("ann@acme.example", PASSWORD, next="https://evil.example/")
    assert answer["Location"] == "/"


def test_passwords_are_kept_as_argon2(world: World) -> None:
    with world.acting():
        assert Employee.objects.get(pk=world.ann.pk).password.startswith("argon2$")


def test_a_password_hashed_the_old_way_is_hashed_anew_at_the_next_sign_in(world: World) -> None:
    with world.acting():
        old = make_password(PASSWORD, hasher="pbkdf2_sha256")
        Employee.objects.filter(pk=world.ann.pk).update(password=old)
    attempt("ann@acme.example", PASSWORD)
    with world.acting():
        assert Employee.objects.get(pk=world.ann.pk).password.startswith("argon2$")


def test_the_library_keeps_no_addresses_of_its_own(world: World) -> None:
    """Its table has no account and so no wall: it must stay empty."""
    attempt("ann@acme.example", PASSWORD)
    assert not EmailAddress.objects.exists()


def test_a_planted_address_of_the_library_lets_nobody_in(world: World) -> None:
    """Even if a row said that Eve's address is Ann's: the account is found by the employee's own address."""
    with world.acting():
        EmailAddress.objects.create(user=world.ann, email="eve@other.example", verified=True, primary=True)
    client = Client()
    attempt("eve@other.example", PASSWORD, client)
    assert "Ann Archer" not in client.get("/settings/").content.decode()
    EmailAddress.objects.all().delete()


@pytest.mark.parametrize(
    "name", ["account_signup", "account_reset_password", "account_email", "account_set_password"]
)
def test_what_we_do_not_offer_has_no_address(name: str) -> None:
    with pytest.raises(NoReverseMatch):
        reverse(name)


def test_who_forgot_the_password_is_told_whom_to_ask(world: World) -> None:
    page = Client().get(LOGIN).content.decode()
    assert "An admin of your company can give you a new one" in page
    assert "sign up" not in page.lower()


def test_the_trials_logins_are_shown_only_in_a_trial(world: World, settings) -> None:
    assert "demo-password" not in Client().get(LOGIN).content.decode()
    settings.MAIL_DEMO_NOTE = "Sign in as ann@demo.example / demo-password"
    assert "demo-password" in Client().get(LOGIN).content.decode()


def test_ann_changes_her_password_and_her_other_devices_are_out(world: World) -> None:
    here, elsewhere = world.client(world.ann), world.client(world.ann)
    new = "a much better password"
    answer = here.post(
        "/account/password/", {"oldpassword": PASSWORD, "password1": new, "password2": new}, follow=True
    )
    assert "Your password is changed." in answer.content.decode()
    assert signed_in(here)
    assert not signed_in(elsewhere)
    client = Client()
    attempt("ann@acme.example", new, client)
    assert signed_in(client)
    with world.acting():
        entry = AuditEntry.objects.get(verb="employee.password_changed")
        assert (entry.by, entry.details) == (world.ann, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("not the password", "a much better password", "current password"),
        (PASSWORD, "short", "at least 10 characters"),
        (PASSWORD, "password1234", "too common"),
    ],
)
def test_a_bad_new_password_is_refused_in_words(world: World, old: str, new: str, said: str) -> None:
    client = world.client(world.ann)
    answer = client.post("/account/password/", {"oldpassword": old, "password1": new, "password2": new})
    assert said in answer.content.decode()
    assert signed_in(client)
