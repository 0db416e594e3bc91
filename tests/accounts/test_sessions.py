"""Where people are signed in, and how often signing in may fail."""

import pytest
from django.test import Client

from accounts import throttling
from accounts.models import BrowserSession
from tests.world import PASSWORD, World

LOGIN, PAGE = "/account/login/", "/account/security/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def attempt(email: str, password: str, client: Client | None = None, place: str = "192.0.2.1") -> str:
    """What the page says; empty when it let them in."""
    answer = (client or Client()).post(LOGIN, {"login": email, "password": password}, REMOTE_ADDR=place)
    return "" if answer.status_code == 302 else answer.content.decode()


def signed_in(client: Client) -> bool:
    return client.get("/settings/").status_code == 200


def rows(world: World) -> list[BrowserSession]:
    with world.acting():
        return list(BrowserSession.objects.filter(employee=world.ann).order_by("pk"))


# Sessions


def test_ann_sees_where_she_is_signed_in_and_signs_out_there(world: World) -> None:
    here, phone, cafe = Client(headers={"User-Agent": FIREFOX}), Client(), Client()
    for client in (here, phone, cafe):
        attempt("ann@acme.example", PASSWORD, client)
    page = here.get(PAGE).content.decode()
    assert "Firefox on Linux" in page
    assert page.count("Sign out there") == 2
    assert "192.0.2.1" in page
    here.post(f"/settings/sessions/{rows(world)[1].pk}/end/")
    assert [signed_in(each) for each in (here, phone, cafe)] == [True, False, True]
    here.post("/settings/sessions/end-others/")
    assert [signed_in(each) for each in (here, phone, cafe)] == [True, False, False]
    assert len(rows(world)) == 1


def test_signing_out_and_a_new_password_leave_no_dead_places(world: World) -> None:
    here, elsewhere = Client(), Client()
    for client in (here, elsewhere):
        attempt("ann@acme.example", PASSWORD, client)
    elsewhere.post("/account/logout/")
    assert len(rows(world)) == 1
    new = "a much better password"
    here.post("/account/password/", {"oldpassword": PASSWORD, "password1": new, "password2": new})
    here.get("/settings/")
    (row,) = rows(world)
    assert row.key == here.session.session_key, "a new password gives the session a new key"


def test_nobody_ends_a_session_of_somebody_else(world: World) -> None:
    ann = Client()
    attempt("ann@acme.example", PASSWORD, ann)
    (row,) = rows(world)
    for who in (world.adm, world.bob, world.eve):
        world.client(who).post(f"/settings/sessions/{row.pk}/end/")
        world.client(who).post("/settings/sessions/end-others/")
    assert signed_in(ann)


# Limits


def test_after_five_failures_a_stranger_waits_and_anns_own_browser_does_not(world: World) -> None:
    own = Client()
    attempt("ann@acme.example", PASSWORD, own)
    own.post("/account/logout/")
    for _ in range(5):
        assert "is not right" in attempt("ann@acme.example", "wrong")
    said = attempt("ann@acme.example", PASSWORD)
    assert "Too many failed sign-ins. Wait 5 minutes" in said
    assert attempt("ann@acme.example", PASSWORD, own) == ""
    assert attempt("ann@acme.example", PASSWORD, place="198.51.100.9") == "", "from another place"


def test_a_colleague_behind_the_same_address_is_not_locked_out_with_ann(world: World) -> None:
    for _ in range(9):
        attempt("ann@acme.example", "wrong")
    assert attempt("bob@acme.example", PASSWORD) == ""


def test_many_places_together_guess_at_one_login_only_so_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "LOGIN", throttling.Limit("login", 6, 3600))
    own = Client()
    attempt("ann@acme.example", PASSWORD, own)
    own.post("/account/logout/")
    for number in range(6):
        attempt("ann@acme.example", "wrong", place=f"198.51.100.{number}")
    assert "Wait 60 minutes" in attempt("ann@acme.example", PASSWORD, place="198.51.100.99")
    assert attempt("ann@acme.example", PASSWORD, own) == "", "they cannot keep Ann from her own desk"


def test_one_place_may_not_try_many_addresses_and_known_browsers_there_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttling, "PLACE", throttling.Limit("place", 6, 600))
    own = Client()
    attempt("bob@acme.example", PASSWORD, own)
    for number in range(6):
        attempt(f"guess{number}@acme.example", "wrong")
    assert "Wait 10 minutes" in attempt("ann@acme.example", PASSWORD)
    own.post("/account/logout/")
    assert attempt("bob@acme.example", PASSWORD, own) == ""


def test_a_forged_cookie_makes_no_browser_known(world: World) -> None:
    for _ in range(5):
        attempt("ann@acme.example", "wrong")
    forger = Client()
    forger.cookies["known"] = "eyJhIjoiYiJ9:forged:signature"
    assert "Too many" in attempt("ann@acme.example", PASSWORD, forger)


def test_right_passwords_do_not_count(world: World) -> None:
    for _ in range(7):
        assert attempt("ann@acme.example", PASSWORD) == ""


def test_addresses_of_one_network_are_one_place(rf) -> None:
    first, second, other = (
        rf.get("/", REMOTE_ADDR=address)
        for address in ("2001:db8:1:2::1", "2001:db8:1:2:3::4", "2001:db8:9::1")
    )
    assert throttling.address_of(first) == throttling.address_of(second) != throttling.address_of(other)
