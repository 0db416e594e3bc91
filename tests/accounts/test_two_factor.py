"""A second factor: who has it is asked for it, who owes it is led to it, and no company sees another's."""

import base64
import hashlib
import hmac
import json
import re
import struct
import time
from io import StringIO
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from cryptography.fernet import Fernet, InvalidToken
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from accounts import tenancy
from accounts.models import AuditEntry, Employee, PersonalNotice
from accounts.two_factor import TwoFactorAdapter, reseal
from tests.world import PASSWORD, World

LOGIN, SECOND, PAGE = "/account/login/", "/account/login/second/", "/account/security/"
SECRET = base64.b32encode(b"only for these tests").decode()


def code(secret: str = SECRET) -> str:
    """RFC 6238, as an app on a phone does it."""
    digest = hmac.new(
        base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1
    ).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def give_app(employee: Employee) -> None:
    with tenancy.acting_for(employee.account_id):
        data = {"secret": TwoFactorAdapter().encrypt(SECRET)}
        Authenticator.objects.create(user=employee, type="totp", data=data)


def sign_in(employee: Employee, client: Client | None = None) -> Any:
    return (client or Client()).post(LOGIN, {"login": employee.email, "password": PASSWORD})


def test_bob_adds_an_app_and_is_asked_for_its_code_and_can_use_a_recovery_code(world: World) -> None:
    client = Client()
    sign_in(world.bob, client)
    assert client.get("/account/security/app/add/")["Location"].startswith("/account/again/")
    again = client.post("/account/again/", {"password": PASSWORD, "next": "/account/security/app/add/"})
    page = client.get(again["Location"]).content.decode()
    (secret,) = re.findall(r'<code class="password">(\w+)</code>', page)
    assert "Incorrect code" in client.post("/account/security/app/add/", {"code": "000000"}).content.decode()
    added = client.post("/account/security/app/add/", {"code": code(secret)})
    codes = re.findall(r"<li>(\d{8})</li>", client.get(added["Location"]).content.decode())
    assert len(codes) == 10
    with world.acting():
        kept = json.dumps(list(Authenticator.objects.values_list("data", flat=True)))
        assert secret not in kept
        kinds = (
            AuditEntry.objects.filter(verb="two_factor.added", by=world.bob)
            .order_by("pk")
            .values_list("details", flat=True)
        )
        assert [each["kind"] for each in kinds] == ["totp", "recovery_codes"]

    elsewhere = Client()
    assert sign_in(world.bob, elsewhere)["Location"] == SECOND
    assert elsewhere.get("/settings/").status_code == 302, "the password alone opens nothing"
    assert elsewhere.get(LOGIN)["Location"] == SECOND
    assert "Incorrect code" in elsewhere.post(SECOND, {"code": "123"}).content.decode()
    assert elsewhere.post(SECOND, {"code": codes[0]})["Location"] == "/"
    assert "Bob Brown" in elsewhere.get("/settings/").content.decode()
    third = Client()
    sign_in(world.bob, third)
    assert "Incorrect code" in third.post(SECOND, {"code": codes[0]}).content.decode(), "it was used"


def test_five_wrong_codes_have_to_wait(world: World) -> None:
    give_app(world.bob)
    client = Client()
    sign_in(world.bob, client)
    for _ in range(5):
        client.post(SECOND, {"code": "000000"})
    assert "Too many failed login attempts" in client.post(SECOND, {"code": code()}).content.decode()
    assert client.get("/settings/").status_code == 302


def test_where_the_company_demands_it_who_has_none_is_led_there_and_nothing_else_opens(world: World) -> None:
    bob, ann = world.client(world.bob), world.client(world.ann)
    give_app(world.ann)
    world.client(world.adm).post(
        "/settings/company/", {"name": "Acme", "time_zone": "UTC", "two_factor_demanded": "on"}
    )
    for path in ("/", "/settings/", "/crm/", "/tasks/", "/settings/company/"):
        assert bob.get(path)["Location"] == PAGE, path
    assert bob.post("/settings/", {"name": "Bobby"})["Location"] == PAGE
    assert bob.get("/tasks/notices/", headers={"HX-Request": "true"})["HX-Redirect"] == PAGE
    page = bob.get(PAGE).content.decode()
    assert "Acme demands a second factor" in page
    assert "hx-get" not in page, "a part that may not be loaded would lead here for ever"
    assert ann.get("/settings/").status_code == 200
    assert world.client(world.eve).get("/settings/").status_code == 200, "another company"
    give_app(world.bob)
    assert bob.get("/settings/").status_code == 200


def test_adm_removes_bobs_second_factor_and_bob_is_out_and_told(world: World, settings) -> None:
    settings.EMAIL_URL = ""
    give_app(world.bob)
    bob = Client()
    sign_in(world.bob, bob)
    bob.post(SECOND, {"code": code()})
    assert bob.get("/settings/").status_code == 200
    adm = world.client(world.adm)
    assert "Remove second factor" in adm.get(f"/people/{world.bob.pk}/").content.decode()
    adm.post(f"/people/{world.bob.pk}/two-factor/reset/")
    assert bob.get("/settings/").status_code == 302, "signed out at once"
    again = Client()
    assert sign_in(world.bob, again)["Location"] == "/"
    assert "own-notices" in again.get("/settings/").content.decode()
    assert "Adm Adams removed your two-factor sign-in" in again.get("/settings/notices/").content.decode()
    with world.acting():
        notice = PersonalNotice.objects.get()
        for verb in ("two_factor.reset", "two_factor.removed"):
            assert AuditEntry.objects.get(verb=verb).by == world.adm
    world.client(world.ann).post(f"/settings/notices/{notice.pk}/seen/")
    assert "own-notices" in again.get("/settings/").content.decode(), "it was not Ann's to dismiss"
    again.post(f"/settings/notices/{notice.pk}/seen/")
    assert "own-notices" not in again.get("/settings/").content.decode()


def test_nobody_but_an_admin_of_the_company_removes_it(world: World) -> None:
    give_app(world.bob)
    for who, status in ((world.ann, 403), (world.eve, 404)):
        answer = world.client(who).post(f"/people/{world.bob.pk}/two-factor/reset/")
        assert answer.status_code == status
    with world.acting():
        assert Authenticator.objects.filter(user=world.bob).exists()


def test_second_factors_are_behind_the_wall(world: World) -> None:
    """allauth's table has no account of its own: the database fills it in, and shows the row to nobody else."""
    give_app(world.bob)
    for account in (None, world.other.pk):
        with tenancy.acting_for(account):
            assert not Authenticator.objects.exists()
            assert Authenticator.objects.filter(user_id=world.bob.pk).update(data={}) == 0
    with pytest.raises(DatabaseError), transaction.atomic(), tenancy.acting_for(None):
        Authenticator.objects.create(user_id=world.eve.pk, type="totp", data={})
    with pytest.raises(DatabaseError), world.acting(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE mfa_authenticator SET account_id = %s", [world.other.pk])


def test_a_secret_opens_in_its_own_account_only_and_with_any_key_of_the_list(world: World, settings) -> None:
    give_app(world.bob)
    with world.acting():
        sealed = Authenticator.objects.get().data["secret"]
        assert TwoFactorAdapter().decrypt(sealed) == SECRET
    with world.acting(world.other), pytest.raises(InvalidToken):
        TwoFactorAdapter().decrypt(sealed)
    old, new = settings.MAIL_SECRET_KEYS[0], Fernet.generate_key().decode()
    settings.MAIL_SECRET_KEYS = [new, old]
    call_command("rotate_secrets", stdout=StringIO())
    settings.MAIL_SECRET_KEYS = [new]
    with world.acting():
        assert TwoFactorAdapter().decrypt(Authenticator.objects.get().data["secret"]) == SECRET
        assert reseal(world.acme.pk) == 0, "all of them are sealed with the newest key already"


@pytest.mark.parametrize(
    "credential",
    ["", "[]", '"x"', "{}", '{"response": {}}', '{"response": {"userHandle": "MS5i"}}',
     '{"response": {"userHandle": 7}}', '{"id": "x", "rawId": "eA", "response": {"userHandle": "///"}}'],
)  # fmt: skip
def test_a_passkey_that_is_nonsense_is_refused(world: World, credential: str) -> None:
    client = Client()
    client.get("/account/login/passkey/", headers={"Accept": "application/json"})
    assert client.post("/account/login/passkey/", {"credential": credential})["Location"] == LOGIN
    assert client.get("/settings/").status_code == 302


def test_a_session_between_password_and_code_is_of_no_use_elsewhere(world: World) -> None:
    """It names Acme, and must act for nobody on every other page."""
    give_app(world.bob)
    client = Client()
    sign_in(world.bob, client)
    for path in (PAGE, "/people/", "/settings/notices/", "/account/security/codes/", "/mail/"):
        assert client.get(path).status_code in (302, 404), path
