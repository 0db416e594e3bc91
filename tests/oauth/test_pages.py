"""Ann goes to the provider and comes back: to a mailbox, or to a sentence that says why not. Nothing secret stays."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from mailsync import consents, secrets
from mailsync.models import ConnectionTest, Consent, Mailbox, MailboxState
from tests.connecting.test_views import Jobs, jobs
from tests.engine.conftest import Box
from tests.rigs.consenting import ConsentedBox
from tests.rigs.mailserver import MailServer
from tests.rigs.oauth import Provider
from tests.world import World, sign_in

__all__ = ["jobs"]

ADDRESS = "new.one@acme.example"
PASSED = ["consent", "name", "connect", "tls", "login", "folders"]


@pytest.fixture
def ann(world: World) -> Client:
    return world.client(world.ann)


def to_provider(client: Client, **typed: str) -> str:
    """Type an address and press the button; returns the provider's address that the page leads to."""
    asked = client.post(reverse("mail:connect"), {"address": ADDRESS, **typed})
    assert asked.status_code == 302, asked.content.decode()
    page = client.get(asked["Location"])
    assert page.status_code == 200
    return str(page.context["url"])


def come_back(client: Client, jobs: Jobs, location: str) -> Any:
    """Follow the provider's redirection; workers do what they were handed."""
    parts = urlsplit(location)
    assert parts.path == reverse("mail:consent-back")
    return jobs(lambda: client.get(f"{parts.path}?{parts.query}"))


def only_test(world: World) -> ConnectionTest:
    with world.acting():
        return ConnectionTest.objects.get()


def said(test: ConnectionTest) -> str:
    return next(str(step["text"]) for step in test.steps if step["state"] == "failed")


def test_ann_connects_without_any_password(
    world, ann, jobs, offered: Provider, dovecot_oauth: MailServer
) -> None:
    dovecot_oauth.new_user(ADDRESS)
    dovecot_oauth.append(ADDRESS, b"Subject: Hello\r\n\r\nHello\r\n")
    url = to_provider(ann)
    asked = parse_qs(urlsplit(url).query)
    assert (asked["login_hint"], asked["code_challenge_method"]) == ([ADDRESS], ["S256"])
    assert asked["redirect_uri"] == ["http://testserver/mailboxes/connect/consent/"]
    back = come_back(ann, jobs, offered.consent(url))
    test = only_test(world)
    assert back["Location"] == reverse("mail:connect-test", args=[test.pk])
    assert test.state == "passed", test.steps
    assert [step["key"] for step in test.steps if step["state"] == "ok"] == PASSED
    page = ann.get(back["Location"])
    assert f"{ADDRESS} gave its consent at Acme" in page.content.decode()
    numbers = [str(n) for n, folder in enumerate(test.found) if folder["path"] == "INBOX"]
    made = ann.post(reverse("mail:connect-choose", args=[test.pk]), {"folders": numbers, "fetch_days": 30})
    assert made.status_code == 302, made.content.decode()
    with world.acting():
        mailbox = Mailbox.objects.select_related("consent").get(address=ADDRESS)
    assert mailbox.consent
    assert (bytes(mailbox.secret), mailbox.consent.address, mailbox.login) == (b"", ADDRESS, ADDRESS)
    box = Box(world, dovecot_oauth, ADDRESS, mailbox)
    box.sync()
    assert box.subjects() == ["Hello"]
    settings_page = ann.get(reverse("mail:mailbox-settings", args=[mailbox.pk])).content.decode()
    assert "by consent at Acme" in settings_page


def test_somebody_elses_consent_connects_nothing(world, ann, jobs, offered: Provider) -> None:
    offered.set(person="cyd@acme.example")
    come_back(ann, jobs, offered.consent(to_provider(ann)))
    test = only_test(world)
    assert test.state == "failed"
    assert said(test) == (
        f"You consented as cyd@acme.example, but this is about {ADDRESS}. Sign in at Acme as {ADDRESS}."
    )
    with world.acting():
        assert not Consent.objects.exists()
    page = ann.get(reverse("mail:connect-test", args=[test.pk])).content.decode()
    assert "Continue with Acme" in page


@pytest.mark.parametrize(
    ("levers", "words"),
    [
        ({"scope": "openid email"}, "leave it ticked"),
        ({"lasting": False}, "one hour only"),
        ({"says_who": False}, "does not say who consented"),
        ({"mode": "500"}, "does not answer as it should"),
        ({"mode": "garbage"}, "does not answer as it should"),
    ],
)
def test_a_consent_that_is_not_enough_is_said_and_asked_for_again(
    world, ann, jobs, offered, levers, words
) -> None:
    offered.set(**levers)
    come_back(ann, jobs, offered.consent(to_provider(ann)))
    test = only_test(world)
    assert test.state == "failed"
    assert words in said(test)
    offered.set()
    again = ann.get(reverse("mail:connect-consent", args=[test.pk]))
    come_back(ann, jobs, offered.consent(again.context["url"]))
    assert only_test(world).state == "passed", only_test(world).steps


def test_ann_who_says_no_is_back_where_she_can_say_yes(world, ann, jobs, offered: Provider) -> None:
    back = come_back(ann, jobs, offered.consent(to_provider(ann), allow=False))
    page = ann.get(back["Location"]).content.decode()
    assert "You did not consent at Acme, so nothing was connected." in page
    assert "Continue with Acme" in page
    assert not jobs.sent


def test_what_a_stranger_writes_into_the_way_back_is_not_shown(world, ann, jobs, offered: Provider) -> None:
    state = parse_qs(urlsplit(to_provider(ann)).query)["state"][0]
    back = ann.get(reverse("mail:consent-back"), {"state": state, "error": "call 0900-EVIL now"})
    page = ann.get(back["Location"]).content.decode()
    assert "EVIL" not in page
    assert "Acme refused the request" in page


def test_an_answer_counts_once_and_only_in_the_session_that_asked(
    world, ann, jobs, offered: Provider
) -> None:
    location = offered.consent(to_provider(ann))
    other_session = sign_in(Client(), world.ann)
    for client in (other_session, world.client(world.bob)):
        assert come_back(client, jobs, location)["Location"] == reverse("mail:connect")
    assert not jobs.sent
    come_back(ann, jobs, location)
    replayed = come_back(ann, jobs, location)
    assert replayed["Location"] == reverse("mail:connect")
    assert len(jobs.sent) == 1
    assert offered.asked()["code"] == 1
    for forged in ({}, {"state": "x", "code": "y"}, {"code": "y"}):
        assert ann.get(reverse("mail:consent-back"), forged)["Location"] == reverse("mail:connect")


def test_a_code_that_the_provider_does_not_know_is_said_so(world, ann, jobs, offered: Provider) -> None:
    location = offered.consent(to_provider(ann))
    code = parse_qs(urlsplit(location).query)["code"][0]
    come_back(ann, jobs, location.replace(code, "used"))
    assert "came too late or was used before" in said(only_test(world))


def test_one_click_repairs_a_withdrawn_consent_and_keeps_everything(consented: ConsentedBox, jobs) -> None:
    box, world = consented.box, consented.box.world
    box.deliver("Kept")
    box.sync()
    consented.provider.withdraw(box.login)
    box.try_sync()
    ann = world.client(world.ann)
    settings_url = reverse("mail:mailbox-settings", args=[box.mailbox.pk])
    page = ann.get(settings_url).content.decode()
    assert "Consent withdrawn" in page
    assert "Continue with Acme" in page
    again = reverse("mail:mailbox-consent", args=[box.mailbox.pk])
    assert again in ann.get(reverse("mail:inbox")).content.decode()
    asked = ann.post(again)
    url = ann.get(asked["Location"]).context["url"]
    back = come_back(ann, jobs, consented.provider.consent(url))
    test = only_test(world)
    steps = ann.get(back["Location"], headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="load' in steps
    ann.post(reverse("mail:mailbox-repaired", args=[test.pk]))
    mailbox = box.reload()
    assert (mailbox.state, mailbox.last_error) == (MailboxState.OK, "")
    assert box.subjects() == ["Kept"]
    box.deliver("New")
    box.sync()
    assert box.subjects() == ["Kept", "New"]


def test_a_repair_as_somebody_else_changes_nothing(consented: ConsentedBox, jobs) -> None:
    world, before = consented.box.world, consented.consent().pk
    consented.provider.set(person="cyd@acme.example")
    ann = world.client(world.ann)
    asked = ann.post(reverse("mail:mailbox-consent", args=[consented.box.mailbox.pk]))
    come_back(ann, jobs, consented.provider.consent(ann.get(asked["Location"]).context["url"]))
    assert "You consented as cyd@acme.example" in said(only_test(world))
    ann.post(reverse("mail:mailbox-repaired", args=[only_test(world).pk]))
    assert consented.consent().pk == before


def test_a_mailbox_may_go_from_consent_to_password_and_its_token_goes_to_no_typed_server(
    consented: ConsentedBox, jobs, dovecot_oauth: MailServer
) -> None:
    world, mailbox = consented.box.world, consented.box.mailbox
    ann = world.client(world.ann)
    typed = {
        "login": mailbox.address, "password": dovecot_oauth.passwords[mailbox.address], "imap_host": "localhost",
        "imap_port": dovecot_oauth.tls_port, "imap_security": "tls",
    }  # fmt: skip
    no_password = ann.post(reverse("mail:mailbox-repair", args=[mailbox.pk]), {**typed, "password": ""})
    assert no_password.status_code == 422
    jobs(lambda: ann.post(reverse("mail:mailbox-repair", args=[mailbox.pk]), typed))
    test = only_test(world)
    assert (test.state, test.provider, test.consent) == ("passed", "", None)
    ann.post(reverse("mail:mailbox-repaired", args=[test.pk]))
    with world.acting():
        assert Mailbox.objects.get(pk=mailbox.pk).consent is None
    consented.box.sync()


def test_without_a_registration_gmail_says_what_it_wants_and_with_one_it_offers_consent(
    world, ann, settings
) -> None:
    hint = reverse("mail:connect-hint")
    assert "app password" in ann.get(hint, {"address": "ann@gmail.com"}).content.decode()
    refused = ann.post(reverse("mail:connect"), {"address": "ann@gmail.com"})
    assert "Type the password." in refused.content.decode()
    for key in ("google", "microsoft"):
        settings.OAUTH = settings.OAUTH | {
            key: {"client_id": f"at-{key}", "client_secret": "s", "endpoints": {}}
        }
    page = ann.get(hint, {"address": "ann@gmail.com"}).content.decode()
    assert "Continue with Google" in page
    assert "Microsoft" not in page
    unknown = ann.get(hint, {"address": "ann@own.example"}).content.decode()
    assert "Continue with Google" in unknown
    assert "Continue with Microsoft" in unknown
    assert "Continue" not in ann.get(hint, {"address": "ann@yahoo.com"}).content.decode()
    for typed, where, scope in (
        ({"address": "ann@gmail.com"}, "https://accounts.google.com/", "https://mail.google.com/"),
        ({"address": "ann@own.example", "consent": "google"}, "https://accounts.google.com/", "openid"),
        (
            {"address": "ann@own.example", "provider": "microsoft"},
            "https://login.microsoftonline.com/",
            "SMTP.Send",
        ),
    ):
        url = to_provider(ann, **typed)
        assert url.startswith(where)
        assert scope in parse_qs(urlsplit(url).query)["scope"][0]
    with world.acting():
        hosts = set(ConnectionTest.objects.values_list("imap_host", flat=True))
    assert hosts == {"imap.gmail.com", "outlook.office365.com"}


def test_a_password_typed_beside_the_offer_is_a_password(world, ann, jobs, offered, monkeypatch) -> None:
    asked = ann.post(reverse("mail:connect"), {"address": ADDRESS, "password": "mine"})
    test = only_test(world)
    assert asked["Location"] == reverse("mail:connect-test", args=[test.pk])
    assert test.provider == ""


def test_nobody_elses_test_leads_to_a_provider_or_is_finished(world, ann, jobs, offered: Provider) -> None:
    to_provider(ann)
    test = only_test(world)
    for other in (world.bob, world.adm, world.eve):
        assert world.client(other).get(reverse("mail:connect-consent", args=[test.pk])).status_code == 404
    assert (
        world.client(world.bob).post(reverse("mail:mailbox-consent", args=[world.ann_box.pk])).status_code
        == 404
    )
    assert ann.post(reverse("mail:mailbox-consent", args=[world.ann_box.pk])).status_code == 404


def test_code_and_tokens_are_nowhere_in_the_open(world, ann, jobs, offered: Provider, caplog, capsys) -> None:
    location = offered.consent(to_provider(ann))
    code = parse_qs(urlsplit(location).query)["code"][0]
    come_back(ann, jobs, location)
    with world.acting():
        consent = Consent.objects.get()
        opened = json.loads(secrets.unseal(bytes(consent.secret), account_id=world.acme.pk).reveal())
        rows = [str(values) for values in [*Consent.objects.values(), *ConnectionTest.objects.values()]]
    page = ann.get(reverse("mail:connect-test", args=[only_test(world).pk])).content.decode()
    told = [
        *rows,
        page,
        caplog.text,
        *capsys.readouterr(),
        str(dict(ann.session)),
        str(jobs.sent),
        repr(consent),
    ]
    for secret in (code, *opened.values()):
        assert not any(secret in text for text in told)
    assert str(consents.access_token(consent)) == "Secret(…)"
