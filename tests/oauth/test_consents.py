"""A mailbox lives by a consent: renewed once, kept through every trouble of the provider, ended in words, repaired."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from mailsync import connecting, consents, settling, signing_in, tokens, watcher
from mailsync.imap.errors import Unreachable, Withdrawn
from mailsync.imap.idle import open_idle
from mailsync.models import ConnectionTest, Consent, Mailbox, MailboxState, Schedule
from tests.rigs.consenting import ConsentedBox
from tests.test_watcher import run_apart

WORKERS = 20
SOON = timedelta(minutes=2)


def in_threads(work: Any, times: int) -> list[Any]:
    def alone() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(alone) for _ in range(times)]]


def test_mail_arrives_by_consent_over_tls(consented: ConsentedBox) -> None:
    consented.box.deliver("By consent")
    consented.box.sync()
    assert consented.box.subjects() == ["By consent"]
    assert consented.provider.asked() == {"introspect": 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("rotates", [False, True])
def test_x43_twenty_workers_renew_an_ended_token_once(consented: ConsentedBox, rotates: bool) -> None:
    consented.provider.set(rotates=rotates)
    consented.run_out()
    consent = consented.consent()
    got = in_threads(lambda: consents.access_token(consent).reveal(), WORKERS)
    assert len(set(got)) == 1
    assert consented.provider.asked() == {"refresh": 1}
    consented.box.sync()


def test_a_provider_that_gives_a_new_lasting_token_each_time_loses_no_consent(
    consented: ConsentedBox,
) -> None:
    consented.provider.set(rotates=True, lifetime=1)
    consented.run_out()
    for _round in range(20):
        consents.access_token(consented.consent())
    assert consented.provider.asked()["refresh"] == 20
    consented.provider.set()
    consented.box.sync()


@pytest.mark.parametrize(
    "mode", ["500", "slow", *(pytest.param(mode, marks=pytest.mark.slow) for mode in ("429", "garbage"))]
)
def test_x42_a_provider_in_trouble_costs_no_token_and_mail_goes_on_while_the_token_lives(
    consented: ConsentedBox, monkeypatch, mode: str
) -> None:
    monkeypatch.setattr(tokens, "SECONDS", 0.3)
    consented.provider.set(mode=mode)
    consented.ends(timezone.now() + SOON)
    consented.box.deliver("In time")
    consented.box.sync()
    kept = bytes(consented.consent().secret)
    consented.run_out()
    for failures in (1, 2):
        outcome = consented.box.try_sync()
        assert (outcome.state, "Acme" in outcome.error) == (MailboxState.UNREACHABLE, True)
        with consented.box.acting():
            schedule = Schedule.objects.get(mailbox=consented.box.mailbox)
        assert schedule.failures == failures
        assert schedule.due_at
        assert schedule.due_at > timezone.now() + timedelta(seconds=10)
    assert bytes(consented.consent().secret) == kept
    consented.provider.set()
    consented.box.sync()
    assert consented.box.subjects() == ["In time"]


def test_an_unknown_client_or_an_address_nobody_answers_at_costs_no_token(
    consented: ConsentedBox, settings, monkeypatch
) -> None:
    monkeypatch.setattr(tokens, "SECONDS", 0.3)
    consented.run_out()
    company = settings.OAUTH["company"]
    nowhere = company["endpoints"] | {"token": "http://127.0.0.1:9/token"}
    for change, words in (
        ({"client_secret": "old"}, "invalid_client"),
        ({"endpoints": nowhere}, "does not answer"),
        ({"endpoints": nowhere | {"token": "http://10.0.0.1/token"}}, "does not answer"),
        ({"client_id": ""}, "not set up"),
    ):
        settings.OAUTH = {"company": company | change}
        with pytest.raises(Unreachable, match=words):
            consents.access_token(consented.consent())
    settings.OAUTH = {"company": company}
    consented.box.sync()


def test_a_token_that_ends_before_its_time_is_renewed_within_the_run(consented: ConsentedBox) -> None:
    consented.provider.end_access(consented.address)
    consented.box.sync()
    assert consented.provider.asked()["refresh"] == 1


def test_a_withdrawn_consent_is_a_state_of_its_own_and_nobody_hammers(consented: ConsentedBox) -> None:
    consented.box.deliver("Kept")
    consented.box.sync()
    consented.provider.set()
    consented.provider.withdraw(consented.address)
    outcome = consented.box.try_sync()
    mailbox = consented.box.reload()
    assert outcome.state == mailbox.state == MailboxState.WITHDRAWN
    assert "Acme says that the consent to read this mailbox has ended" in mailbox.last_error
    assert mailbox.troubled_since
    with consented.box.acting():
        assert Schedule.objects.get(mailbox=mailbox).due_at is None
    assert consented.box.subjects() == ["Kept"]
    assert consented.provider.asked() == {"introspect": 1, "refresh": 1}
    assert watcher.watchables([mailbox.account_id])[mailbox.account_id] == [
        other
        for other in watcher.watchables([mailbox.account_id])[mailbox.account_id]
        if other.mailbox_id != mailbox.pk
    ]


def test_the_watcher_asks_no_provider_and_waits_for_a_worker(consented: ConsentedBox) -> None:
    account_id, mailbox_id = consented.box.mailbox.account_id, consented.box.mailbox.pk

    def watched() -> watcher.Watchable:
        return next(w for w in watcher.watchables([account_id])[account_id] if w.mailbox_id == mailbox_id)

    before = watched()
    assert watcher.credentials_for(before).bearer
    consented.run_out()
    with pytest.raises(Unreachable):
        watcher.credentials_for(before)
    assert "refresh" not in consented.provider.asked()
    consented.box.sync()
    after = watched()
    assert (after.place == before.place, after.key == before.key) == (True, False)
    given = watcher.credentials_for(after)

    async def idle() -> None:
        connection = await open_idle(given)
        await connection.close()

    run_apart(idle())


def test_disconnecting_has_the_provider_forget_and_other_keys_seal_anew(
    consented: ConsentedBox, settings, django_capture_on_commit_callbacks, monkeypatch
) -> None:
    settings.MAIL_SECRET_KEYS = ["bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU=", *settings.MAIL_SECRET_KEYS]
    call_command("rotate_secrets", verbosity=0)
    settings.MAIL_SECRET_KEYS = settings.MAIL_SECRET_KEYS[:1]
    consents.access_token(consented.consent())
    sent = []
    monkeypatch.setattr(
        "mailsync.connecting.current_app.send_task", lambda name, args, **_: sent.append((name, args))
    )
    with django_capture_on_commit_callbacks(execute=True), consented.box.acting():
        settling.disconnect(consented.box.reload(), by=None)
    [arguments] = [args for name, args in sent if name == "mailsync.forget_consent"]
    consents.forget(*arguments)
    with consented.box.acting():
        assert not Consent.objects.exists()
        assert consented.box.reload().consent is None
    assert consented.provider.asked() == {"revoke": 1}
    consents.forget(*arguments)


@pytest.mark.parametrize("used_by", ["a mailbox", "a test", "nobody"])
def test_a_consent_is_revoked_once_no_other_of_the_same_person_is_in_use(
    consented: ConsentedBox, used_by: str
) -> None:
    """Connected again by a new consent before a worker came to end the old one; in another way of writing it."""
    box, old = consented.box, consented.consent()
    with box.acting():
        settling.disconnect(box.reload(), by=None)
        new = Consent.objects.create(
            account_id=old.account_id,
            provider=old.provider,
            address=old.address.upper(),
            secret=consents.sealed("access", "refresh", old.account_id),
            expires_at=timezone.now() + timedelta(hours=1),
        )
        if used_by == "a mailbox":
            Mailbox.objects.filter(pk=box.mailbox.pk).update(consent=new, disconnected_at=None)
        if used_by == "a test":
            connecting.start_test(
                by=box.world.ann, address=box.login, settings=connecting.settings_of(box.mailbox), consent=new
            )
    consents.forget(old.account_id, old.pk)
    with box.acting():
        assert not Consent.objects.filter(pk=old.pk).exists()
    assert consented.provider.asked().get("revoke", 0) == (used_by == "nobody")


def test_a_consent_in_use_is_not_forgotten(consented: ConsentedBox) -> None:
    consents.forget(consented.box.mailbox.account_id, consented.consent().pk)
    consented.box.sync()


def test_a_consent_that_is_gone_is_a_withdrawn_one(consented: ConsentedBox) -> None:
    consent = consented.consent()
    with consented.box.acting():
        settling.disconnect(consented.box.reload(), by=None)
        Consent.objects.all().delete()
    with pytest.raises(Withdrawn):
        consents.access_token(consent)


def test_consents_that_led_nowhere_go_after_a_day_and_others_stay(consented: ConsentedBox) -> None:
    world, old = consented.box.world, timezone.now() - timedelta(days=2)
    with world.acting():
        Consent.objects.update(created_at=old)
        consent = {"account": world.acme, "provider": "company", "secret": b"x", "expires_at": old}
        Consent.objects.create(address="lost@acme.example", created_at=old, **consent)
        test = connecting.test_as_it_is(consented.box.reload(), by=world.ann)
        Consent.objects.create(address="lost@acme.example", created_at=old, **consent)
        kept = Consent.objects.create(address="tested@acme.example", created_at=old, **consent)
        ConnectionTest.objects.filter(pk=test.pk).update(consent=kept)
        connecting.test_as_it_is(consented.box.reload(), by=world.ann)
        found = set(Consent.objects.values_list("address", flat=True))
    assert found == {consented.address, "tested@acme.example"}


def test_signing_in_outside_shows_no_token_in_its_representation(consented: ConsentedBox) -> None:
    mailbox = consented.box.reload()
    mailbox.consent = consented.consent()
    given = signing_in.credentials_at_hand(mailbox)
    assert given.password not in repr(given)
