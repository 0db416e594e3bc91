"""A company is deleted a month after an admin asked for it: everything of it, nothing of others, and never too soon."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import psycopg2
import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from accounts import ending, notices
from accounts.models import Account, AuditEntry, PersonalNotice
from mailsync import blobs
from mailsync.models import Dispatch, Mailbox, Schedule
from retention import erasing
from retention.erasing import Outcome, erase
from retention.models import Erasure
from tests.accounts.test_wall import NAMES, TENANT, furnished
from tests.test_blobs import LARGE
from tests.world import PASSWORD, World

__all__ = ["furnished"]  # a fixture

PAGE, DELETE, KEEP = "/settings/company/", "/settings/company/delete/", "/settings/company/keep/"


def month_later(postgres, account: Account) -> None:
    """The owner of the database may turn its clock; the application may not."""
    with psycopg2.connect(postgres.owner_url) as owner, owner.cursor() as cursor:
        cursor.execute(
            "UPDATE accounts_account SET deletes_at = now() - interval '1 minute' WHERE id = %s", [account.pk]
        )
        assert cursor.rowcount == 1
    owner.close()


def rows_of(account: Account) -> dict[str, int]:
    with connection.cursor() as cursor:
        found = {}
        for table in NAMES:
            cursor.execute(f"SELECT count(*) FROM {table} WHERE account_id = %s", [account.pk])
            [found[table]] = cursor.fetchone()
    return found


def files_of(account: Account) -> list[str]:
    folder = blobs._files().path(str(account.pk))
    return [str(each) for each in Path(folder).rglob("*") if each.is_file()]


# Asking


def test_adm_asks_every_admin_is_told_everybody_sees_the_day_and_adm_calls_it_off(world: World) -> None:
    adm, ann = world.client(world.adm), world.client(world.ann)
    for form, said in (
        ({"name": "acme", "password": PASSWORD}, "This is not its name."),
        ({"name": "Acme", "password": "wrong"}, "This is not your password."),
    ):
        answer = adm.post(DELETE, form)
        assert (answer.status_code, said in answer.content.decode()) == (422, True)
    assert ann.post(DELETE, {"name": "Acme", "password": PASSWORD}).status_code == 403
    assert adm.post(DELETE, {"name": "Acme", "password": PASSWORD})["Location"] == PAGE
    day = Account.objects.get(pk=world.acme.pk).deletes_at
    assert day
    assert timedelta(days=29) < day - timezone.now() <= timedelta(days=30)
    assert "is deleted here with everything in it" in ann.get("/settings/").content.decode()
    assert "wants Acme deleted" in adm.get("/settings/notices/").content.decode()
    assert ann.post(KEEP).status_code == 403
    adm.post(KEEP)
    assert Account.objects.get(pk=world.acme.pk).deletes_at is None
    assert "is deleted here" not in ann.get("/settings/").content.decode()
    with world.acting():
        verbs = AuditEntry.objects.filter(verb__startswith="company.").order_by("pk")
        assert [each.verb for each in verbs] == ["company.deletion_planned", "company.deletion_called_off"]
        assert {each.employee for each in PersonalNotice.objects.all()} == {world.adm}


def test_an_operator_has_it_deleted_and_calls_it_off_and_the_admin_gets_letters(
    world: World, settings
) -> None:
    settings.EMAIL_URL = "smtp://mail.example"
    said = StringIO()
    call_command("delete_account", "Acme", stdout=said)
    day = Account.objects.get(pk=world.acme.pk).deletes_at
    assert day
    assert f"{day:%Y-%m-%d}" in said.getvalue()
    call_command("delete_account", "Acme", "--call-off", stdout=said)
    with pytest.raises(CommandError, match="Nothing is planned"):
        call_command("delete_account", "Acme", "--call-off")
    with pytest.raises(CommandError, match="no account named"):
        call_command("delete_account", "Nobody")
    notices.mail(world.acme.pk)
    notices.mail(world.acme.pk)  # told once
    planned, kept = mail.outbox
    assert planned.to == kept.to == ["adm@acme.example"]
    assert "Who runs this installation wants Acme deleted" in str(planned.body)
    assert "called off" in str(kept.body)


def test_the_application_cannot_shorten_the_waiting_time(world: World) -> None:
    with world.acting():
        ending.plan(world.acme.pk, by=world.adm)
    now = timezone.now()
    for change in ({"deletes_at": now}, {"erasing_since": now}):
        with pytest.raises(DatabaseError, match="waiting time"), transaction.atomic():
            Account.objects.filter(pk=world.acme.pk).update(**change)
    with pytest.raises(DatabaseError, match="waiting time"), transaction.atomic():
        Account.objects.filter(pk=world.other.pk)._raw_delete("default")
    assert erase(world.acme.pk, seconds=9) is Outcome.NOT_OURS
    assert erasing.due() == []
    with (
        pytest.raises(DatabaseError, match="not being deleted"),
        world.acting(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT retention_erase('crm_contact', %s, 0, 9)", [world.acme.pk])


# Doing it


@pytest.mark.django_db(transaction=True)
def test_everything_of_acme_goes_killed_in_between_or_not_and_nothing_of_others(
    furnished: World, postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = furnished
    world.message(world.folder(world.ann_box), text=LARGE)
    theirs = world.message(world.folder(world.eve_box), text=LARGE)
    ann = world.client(world.ann)
    with world.acting():
        ending.plan(world.acme.pk, by=world.adm)
        mailboxes = set(Mailbox.objects.values_list("pk", flat=True))
    with world.acting(world.other):
        kept = rows_of(world.other)
    month_later(postgres, world.acme)
    assert erasing.due() == [world.acme.pk]
    assert files_of(world.acme)

    monkeypatch.setattr(erasing, "BATCH", 3)
    dies_after(monkeypatch, batches=5)
    with pytest.raises(KeyboardInterrupt):
        erase(world.acme.pk, seconds=60)
    assert ann.get("/settings/").status_code == 302
    assert ending_cannot_be_called_off(world)
    assert not Schedule.objects.filter(mailbox_id__in=mailboxes).exists()
    monkeypatch.undo()
    assert erase(world.acme.pk, seconds=0) is Outcome.MORE
    assert erasing.due() == [world.acme.pk]
    assert erase(world.acme.pk, seconds=60) is Outcome.DONE

    assert not Account.objects.filter(pk=world.acme.pk).exists()
    with world.acting():
        assert {table: count for table, count in rows_of(world.acme).items() if count} == {}
    assert files_of(world.acme) == []
    assert not Dispatch.objects.filter(mailbox_id__in=mailboxes).exists()
    with world.acting(world.other):
        assert rows_of(world.other) == kept
        assert blobs.body_of(theirs.message.body)
    record = Erasure.objects.get()
    assert (record.name, record.finished_at is not None, record.files > 0) == ("Acme", True, True)
    # Where somebody is signed in was ended first, one by one.
    assert record.counts.keys() >= {model._meta.db_table for model in TENANT} - {"accounts_browsersession"}
    assert sum(record.counts.values()) > 50
    assert (erasing.due(), erase(world.acme.pk, seconds=9)) == ([], Outcome.NOT_OURS)
    late = blobs.begin_file(world.acme.pk, b"x" * 32, LARGE.encode())
    assert late
    late.result()
    erasing.remove_stragglers()
    assert files_of(world.acme) == []
    said = Client().post("/account/login/", {"login": "ann@acme.example", "password": PASSWORD}).content
    assert b"is not right" in said


def dies_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Killed in the middle of a batch: its transaction is rolled back."""
    left = iter(range(batches))
    real = erasing._locked

    def locked(account_id: int) -> Erasure:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return real(account_id)

    monkeypatch.setattr(erasing, "_locked", locked)


def ending_cannot_be_called_off(world: World) -> bool:
    with world.acting():
        return not ending.call_off(world.acme.pk, by=world.adm)
