"""How somebody joins: the admin invites, the link opens once, for a week, for whom it was made."""

import re
import threading
from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import departments, inviting, people, tenancy
from accounts.models import AuditEntry, Employee, Invitation
from tests.world import PASSWORD, World

DORA = {"email": " Dora@Acme.Example ", "name": "Dora Dunn", "role": "supervisor"}
SAYS = {"name": "Dora D.", "password": "a garden of slow stones", "time_zone": "Asia/Tokyo"}


def link_in(page: str) -> str:
    found = re.search(r"http://testserver(/join/\?t=[\w:=.-]+)", page)
    assert found, page
    return found[1]


def invited(world: World, **changes: str) -> str:
    """Adm invites Dora; returns the link that was shown."""
    answer = world.client(world.adm).post(reverse("people:invite"), DORA | changes)
    assert "no-store" in answer["Cache-Control"]
    return link_in(answer.content.decode())


def click(world: World, name: str, **form: str) -> str:
    with world.acting():
        invitation = Invitation.objects.latest("pk")
    url = reverse(f"people:{name}", args=[invitation.pk])
    return world.client(world.adm).post(url, form, follow=True).content.decode()


def joins(link: str, **changes: str):
    """A fresh browser opens the link, fills in the page and sends it."""
    browser = Client()
    return browser, browser.post("/join/", {"t": link.partition("t=")[2], **SAYS, **changes})


def doras(world: World) -> list[Employee]:
    with world.acting():
        return list(Employee.objects.filter(email="dora@acme.example").select_related("department"))


def test_dora_joins_by_the_link_that_was_handed_over_and_is_signed_in(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with world.acting():
        sales = departments.make(world.acme, "Sales", by=world.adm)
    link = invited(world, department=str(sales.pk))
    shown = Client().get(link).content.decode()
    assert "Join Acme" in shown
    assert 'value="Dora Dunn"' in shown
    browser, answer = joins(link)
    assert answer.status_code == 302
    assert "Dora D." in browser.get("/settings/").content.decode()
    [dora] = doras(world)
    assert (dora.name, dora.role, dora.department, dora.time_zone) == (
        "Dora D.", "supervisor", sales, "Asia/Tokyo",
    )  # fmt: skip
    again = Client()
    again.post("/account/login/", {"login": "dora@acme.example", "password": SAYS["password"]})
    assert again.get("/settings/").status_code == 200
    with world.acting():
        entry = AuditEntry.objects.get(verb="employee.joined")
        assert (entry.by, entry.details["invited_by"]) == (dora, "adm@acme.example")
        told = list(AuditEntry.objects.values_list("details", flat=True))
    written = str(told) + caplog.text
    assert "/join/" in written
    assert link.partition("t=")[2][:20] not in written


def test_where_the_installation_can_send_the_link_goes_by_mail(
    world: World, settings, mailoutbox: list
) -> None:
    settings.EMAIL_URL = "smtp://127.0.0.1:9"
    settings.ACCOUNT_RATE_LIMITS = {"invite": "2/h/key"}
    with world.acting():
        Employee.objects.filter(pk=world.adm.pk).update(name="Adm Adams\nBcc: all@acme.example")
    shown = world.client(world.adm).post(reverse("people:invite"), DORA, follow=True).content.decode()
    assert "is on its way" in shown
    assert "/join/?t=" not in shown
    [letter] = mailoutbox
    assert letter.to == ["dora@acme.example"]
    assert letter.subject == "Adm Adams Bcc: all@acme.example invites you to Acme"
    assert joins(link_in(letter.body))[1].status_code == 302
    # A server that fails: the admin has the link all the same, and reads why.
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    shown = (
        world.client(world.adm)
        .post(reverse("people:invite"), {"email": "x@acme.example", "role": "employee"})
        .content.decode()
    )
    assert "could not be sent" in shown
    assert link_in(shown)
    # A company does not write to strangers by the hundred.
    assert "Many invitations were mailed" in click(world, "invite-again")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("used", "was used already"),
        ("expired", "ended on"),
        ("withdrawn", "was withdrawn"),
        ("newer", "newer link"),
        ("cut", "not complete"),
        ("forged", "not complete"),
    ],
)
def test_a_link_that_is_over_opens_nothing(world: World, what: str, said: str) -> None:
    link = invited(world)
    if what == "used":
        joins(link)
    if what == "withdrawn":
        assert "opens nothing" in click(world, "invite-withdraw")
    if what == "newer":
        newest = link_in(click(world, "invite-again", show="1"))
        assert Client().get(newest).status_code == 200
    if what == "cut":
        link = link[:-3]
    if what == "forged":  # of another purpose, though we signed it
        link = f"/join/?t={signing.dumps([world.acme.pk, 1, 'x'], salt='something else')}"
    days = timedelta(days=8 if what == "expired" else 6)
    with time_machine.travel(timezone.now() + days, tick=True):
        shown = Client().get(link)
        answer = joins(link)[1]
    for page in (shown, answer):
        assert page.status_code in (404, 410)
        assert said in page.content.decode()
    assert len(doras(world)) == (1 if what == "used" else 0)


def test_an_expired_invitation_gets_a_new_link(world: World) -> None:
    invited(world)
    with world.acting():
        Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert "the link has expired" in world.client(world.adm).get("/people/").content.decode()
    assert joins(link_in(click(world, "invite-again", show="1")))[1].status_code == 302


def test_an_invitation_of_acme_lets_nobody_into_another_company(world: World) -> None:
    link = invited(world)
    with world.acting():
        invitation = Invitation.objects.get()
    for name in ("invite-again", "invite-withdraw"):
        answer = world.client(world.eve).post(reverse(f"people:{name}", args=[invitation.pk]))
        assert answer.status_code == 404
    # Eve's company, Acme's invitation: the rows of one are not there for the other.
    secret = signing.loads(link.partition("t=")[2], salt="accounts.inviting")[2]
    crossed = signing.dumps([world.other.pk, invitation.pk, secret], salt="accounts.inviting")
    assert joins(f"/join/?t={crossed}")[1].status_code == 404
    assert joins(link)[1].status_code == 302
    [dora] = doras(world)
    assert dora.account_id == world.acme.pk


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("email", "ann@acme.example", "already signs in"),
        ("email", "EVE@other.example", "already signs in"),  # another company's, invisible here
        ("email", "no address", "valid e-mail"),
        ("email", "", "required"),
        ("role", "owner", "valid choice"),
        ("department", "999999", "valid choice"),
    ],
)
def test_inviting_nonsense_is_refused_in_words(world: World, field: str, typed: str, said: str) -> None:
    answer = world.client(world.adm).post(reverse("people:invite"), DORA | {field: typed})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    with world.acting():
        assert not Invitation.objects.exists()


def test_nobody_is_invited_twice_at_a_time(world: World) -> None:
    invited(world)
    answer = world.client(world.adm).post(reverse("people:invite"), DORA)
    assert "invited already" in answer.content.decode()
    click(world, "invite-withdraw")
    invited(world)  # and again, when the first is over


def test_an_address_that_was_taken_meanwhile_is_said_and_nothing_is_made(world: World) -> None:
    link = invited(world)
    with world.acting(world.other):
        people.add_employee(
            world.other, email="dora@acme.example", name="Dora", role="employee", password=PASSWORD, by=None
        )
    answer = joins(link)[1]
    assert answer.status_code == 422
    assert "already signs in" in answer.content.decode()
    assert doras(world) == []


def test_who_is_signed_in_already_does_not_join_as_somebody_else(world: World) -> None:
    link = invited(world)
    answer = world.client(world.ann).get(link)
    assert answer.status_code == 409
    assert "signed in as Ann Archer" in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [("password", "short", "too short"), ("password", "dora@acme.example", "too similar"), ("name", "", "required"),
     ("time_zone", "Mars/Olympus", "valid choice")],
)  # fmt: skip
def test_what_the_invited_person_says_is_checked(world: World, field: str, typed: str, said: str) -> None:
    link = invited(world)
    answer = joins(link, **{field: typed})[1]
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert joins(link)[1].status_code == 302  # the link is still good


def test_who_joins_speaks_the_companys_language_and_can_choose_another(world: World, settings) -> None:
    settings.LANGUAGES = [("en", "English"), ("de", "Deutsch")]
    adm, company = world.client(world.adm), {"name": "Acme", "time_zone": "UTC"}
    assert adm.post(reverse("people:company"), company | {"language": "fr"}).status_code == 422
    adm.post(reverse("people:company"), company | {"language": "de"})
    dora = joins(invited(world))[0]
    assert [each.language for each in doras(world)] == ["de"]
    own = {"name": "Dora D.", "time_zone": "UTC", "language": "en"}
    assert (
        "Your settings are saved." in dora.post(reverse("people:settings"), own, follow=True).content.decode()
    )
    assert [each.language for each in doras(world)] == ["en"]


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_on_one_link_one_joins(world: World) -> None:
    token = invited(world).partition("t=")[2]
    start, refused = threading.Barrier(2), []

    def join() -> None:
        try:
            start.wait(timeout=30)
            with tenancy.acting_for(world.acme.pk):
                inviting.join(token, **SAYS)
        except inviting.CannotJoin as refusal:
            refused.append(str(refusal))
        finally:
            connection.close()

    clicks = [threading.Thread(target=join) for _ in range(2)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join()
    assert len(doras(world)) == 1
    assert refused == ["This invitation was used already: sign in with your address."]


def test_an_employee_invites_nobody(world: World) -> None:
    assert world.client(world.ann).post(reverse("people:invite"), DORA).status_code == 403
