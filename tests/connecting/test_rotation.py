"""Operators change the key of the mailbox passwords without anybody noticing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection

from accounts import tenancy
from mailsync import secrets
from mailsync.management.commands import rotate_secrets
from mailsync.models import Mailbox, Schedule
from tests.engine.conftest import connect
from tests.rigs.mailserver import MailServer
from tests.world import MAIL_PASSWORD, World


@pytest.mark.django_db
def test_the_old_key_can_go_once_all_passwords_of_all_companies_were_sealed_anew(world: World, settings):
    old, new = settings.MAIL_SECRET_KEYS[0], Fernet.generate_key().decode()
    settings.MAIL_SECRET_KEYS = [new, old]
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    assert said.getvalue() == "3 secrets sealed with the newest key\n"

    settings.MAIL_SECRET_KEYS = [new]
    for account in (world.acme, world.other):
        with tenancy.acting_for(account.pk):
            for mailbox in Mailbox.objects.all():
                opened = secrets.unseal(bytes(mailbox.secret), account_id=account.pk)
                assert opened.reveal() == MAIL_PASSWORD
    settings.MAIL_SECRET_KEYS = [old]
    with tenancy.acting_for(world.acme.pk), pytest.raises(secrets.WrongKeyError):
        secrets.unseal(bytes(Mailbox.objects.all()[0].secret), account_id=world.acme.pk)


@pytest.mark.django_db
def test_a_run_that_was_stopped_goes_on_where_it_was(world: World, settings, monkeypatch) -> None:
    add_mailboxes(world, 20)
    old, new = settings.MAIL_SECRET_KEYS[0], Fernet.generate_key().decode()
    settings.MAIL_SECRET_KEYS = [new, old]
    monkeypatch.setattr(rotate_secrets, "BATCH", 5)
    sealed: list[str] = []
    seal = secrets.seal

    def stopped(text: str, *, account_id: int) -> bytes:
        if len(sealed) == 12:
            raise KeyboardInterrupt
        sealed.append(text)
        return seal(text, account_id=account_id)

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "seal", stopped)
        with pytest.raises(KeyboardInterrupt):
            call_command("rotate_secrets", stdout=StringIO())
    said = StringIO()
    call_command("rotate_secrets", stdout=said)
    assert said.getvalue() == "13 secrets sealed with the newest key\n"  # of 23, two batches were kept


@pytest.mark.django_db
def test_a_secret_that_no_key_opens_keeps_no_other_from_the_new_key(world: World, settings) -> None:
    settings.MAIL_SECRET_KEYS = [Fernet.generate_key().decode(), *settings.MAIL_SECRET_KEYS]
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(secret=b"of a lost key")
    said = StringIO()
    with pytest.raises(CommandError, match=rf"typed again: Mailbox {world.ann_box.pk}$"):
        call_command("rotate_secrets", stdout=said)
    assert said.getvalue() == "2 secrets sealed with the newest key\n"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("mailboxes", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mail_comes_and_passwords_change_while_the_key_does(
    world: World, dovecot: MailServer, settings: Any, mailboxes: int
) -> None:
    """Nobody fails meanwhile, nobody's new password is lost, and after it the old key is needed by nothing."""
    box = connect(world, dovecot)
    add_mailboxes(world, mailboxes)
    settings.MAIL_SECRET_KEYS = [Fernet.generate_key().decode(), *settings.MAIL_SECRET_KEYS]
    changed: list[int] = []
    runs: list[int] = []

    def synchronise() -> None:
        box.deliver(f"Mail {len(runs)}")
        box.sync()
        runs.append(1)

    def change_a_password() -> None:
        with world.acting():
            target = Mailbox.objects.order_by("?").exclude(pk__in=[*changed, box.mailbox.pk]).only("pk")[0]
            # As a repair does: somebody holds the row, then writes it.
            Mailbox.objects.select_for_update(no_key=True).get(pk=target.pk)
            token = secrets.seal("changed meanwhile", account_id=world.acme.pk)
            Mailbox.objects.filter(pk=target.pk).update(secret=token)
        changed.append(target.pk)

    with again_and_again(synchronise), again_and_again(change_a_password):
        call_command("rotate_secrets", stdout=StringIO())
    assert runs
    assert changed
    settings.MAIL_SECRET_KEYS = settings.MAIL_SECRET_KEYS[:1]
    box.deliver("After it")
    box.sync()
    assert "After it" in box.subjects()
    with world.acting():
        for mailbox in Mailbox.objects.exclude(pk=box.mailbox.pk).only("pk", "secret"):
            opened = secrets.unseal(bytes(mailbox.secret), account_id=world.acme.pk).reveal()
            assert opened == ("changed meanwhile" if mailbox.pk in changed else MAIL_PASSWORD)


def add_mailboxes(world: World, count: int) -> None:
    with world.acting():
        made = Mailbox.objects.bulk_create(
            Mailbox(
                account=world.acme,
                owner=world.ann,
                address=f"many{number}@acme.example",
                imap_host="127.0.0.1",
                login=f"many{number}",
                fetch_days=90,
                secret=secrets.seal(MAIL_PASSWORD, account_id=world.acme.pk),
            )
            for number in range(count)
        )
        Schedule.objects.bulk_create(Schedule(mailbox=mailbox, account=world.acme) for mailbox in made)


@contextmanager
def again_and_again(act: Callable[[], None]) -> Iterator[None]:
    """In a thread, until the block is over; what goes wrong there goes wrong here."""
    over = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        try:
            while True:
                act()
                if over.is_set():
                    return
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
