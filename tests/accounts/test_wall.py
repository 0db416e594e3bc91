"""The wall between companies, as the database builds it: every table, every statement, no way around."""

from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from django.apps import apps
from django.db import DatabaseError, connection, models, transaction
from django.utils import timezone

from accounts import audit, tenancy
from accounts.models import (
    Account,
    AuditEntry,
    BrowserSession,
    Department,
    Employee,
    Invitation,
    PersonalNotice,
)
from crm.models import (
    Activity,
    ActivityCopy,
    Binding,
    Company,
    Contact,
    ContactImport,
    Deal,
    EmailAddress,
    Exclusion,
    Feed,
    FeedFolder,
    FeedTurn,
    Lead,
    LetterTemplate,
    Pipeline,
    Rematch,
    Ruling,
    Stage,
)  # fmt: skip
from demo.services import Postgres
from mailsync.models import (
    Act,
    Assignment,
    ConnectionTest,
    Consent,
    DeliveryReport,
    EmergencyAccess,
    Enrolment,
    EnrolmentRow,
    Event,
    FolderCheck,
    LedgerEntry,
    Note,
    Notice,
    Operation,
    Outgoing,
    OutgoingAttachment,
    OutgoingUsage,
    SkippedMessage,
    Tombstone,
    Unread,
)
from overview.models import Deed, Layout
from retention.models import Export, HandedOver, Leaver, LooseBlob, PlanNotice, RetentionRun, Storage
from tasks.models import TaskLetter
from tests.tasks.people import busy_task
from tests.world import World

# No account column, or one that every worker may see: ids, times, names of companies and plans.
GLOBAL = {
    "accounts_account",
    "plans_planlimits",
    "plans_planrequest",
    "mailsync_outage",
    "mailsync_schedule",
    "mailsync_dispatch",
    "retention_erasure",
}
FRAMEWORK = {
    "account_emailaddress", "account_emailconfirmation", "auth_group", "auth_group_permissions",
    "auth_permission", "django_admin_log", "django_content_type", "django_migrations", "django_session",
}  # fmt: skip
TENANT = [
    model
    for model in apps.get_models()
    if model._meta.db_table not in GLOBAL
    and any(f.column == "account_id" for f in model._meta.concrete_fields)
]
# allauth's model does not know the column that the database fills in; tests of its own are in test_two_factor.
NAMES = [*(model._meta.db_table for model in TENANT), "mfa_authenticator"]


@pytest.fixture
def furnished(world: World) -> World:
    """Acme has at least one row in each of its tables."""
    placement = world.message(world.folder(world.ann_box), attachments=[("a.txt", "text/plain", b"a")])
    with world.acting():
        of_ann = {"account": world.acme, "by": world.ann}
        Department.objects.create(account=world.acme, name="Sales")
        Invitation.objects.create(
            account=world.acme,
            email="dora@acme.example",
            by=world.adm,
            secret_hash=b"x",
            expires_at=timezone.now(),
        )
        Deed.objects.create(account=world.acme, by=world.adm, verb="pause")
        EmergencyAccess.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.adm, reason="x", ends_at=timezone.now()
        )
        EnrolmentRow.objects.create(
            account=world.acme, enrolment=Enrolment.objects.create(account=world.acme, by=world.adm), number=1
        )
        Layout.objects.create(account=world.acme, employee=world.adm, columns=["owner"])
        Storage.objects.create(account=world.acme, mailbox=world.ann_box, counted_at=timezone.now())
        Act.objects.create(verb="star", count=1, **of_ann)
        ConnectionTest.objects.create(
            address="x@acme.example", imap_host="x", login="x", secret=b"", **of_ann
        )
        Consent.objects.create(
            account=world.acme,
            provider="google",
            address="x@acme.example",
            secret=b"x",
            expires_at=timezone.now(),
        )
        Operation.objects.create(
            mailbox=world.ann_box, folder=placement.folder, uid=placement.uid, kind="flag", **of_ann
        )
        Event.objects.create(account=world.acme, message=placement.message, kind="gone", path="INBOX")
        of_box = {"account": world.acme, "mailbox": world.ann_box}
        Assignment.objects.create(message=placement.message, employee=world.ann, by=world.ann, **of_box)
        Note.objects.create(identity=b"x" * 32, text="Call her.", by=world.ann, **of_box)
        Notice.objects.create(kind="gained", employee=world.bob, **of_box)
        Unread.objects.create(
            message=placement.message, employee=world.bob, received_at=placement.received_at, **of_box
        )
        FolderCheck.objects.create(
            account=world.acme, mailbox=world.ann_box, folder=placement.folder, asked_by=world.ann
        )
        SkippedMessage.objects.create(account=world.acme, folder=placement.folder, uidvalidity=1, uid=9)
        Tombstone.objects.create(
            account=world.acme,
            mailbox=world.ann_box,
            identity=b"x" * 32,
            header_hash=b"x" * 32,
            received_at=placement.received_at,
        )
        letter = Outgoing.objects.create(mailbox=world.ann_box, message_id="x@acme.example", **of_ann)
        blob = placement.message.body
        of_letter = {"account": world.acme, "outgoing": letter}
        OutgoingAttachment.objects.create(name="a.txt", type="text/plain", size=1, blob=blob, **of_letter)
        DeliveryReport.objects.create(recipient="zoe@elsewhere.example", action="failed", **of_letter)
        month = placement.received_at.date().replace(day=1)
        LedgerEntry.objects.create(month=month, origin="crm", count=1, **of_letter)
        OutgoingUsage.objects.create(account=world.acme, month=month, used=1)
        client = {"account": world.acme, "name": "Zoe", "responsible": world.ann}
        contact = Contact.objects.create(**client, company=Company.objects.create(**client))
        Lead.objects.create(**client)
        stage = Stage.objects.create(
            account=world.acme, name="New", pipeline=Pipeline.objects.create(account=world.acme, name="Sales")
        )
        Deal.objects.create(**client, stage=stage)
        EmailAddress.objects.create(account=world.acme, address="zoe@elsewhere.example", contact=contact)
        Exclusion.objects.create(account=world.acme, pattern="noise.example")
        task = busy_task(world.ann, placement.message, world.bob)
        TaskLetter.objects.create(task=task, by=world.ann, **of_letter)
        activity = Activity.objects.create(account=world.acme, kind="note", text="Called.")
        Binding.objects.create(account=world.acme, activity=activity, contact=contact, at=activity.at)
        ActivityCopy.objects.create(account=world.acme, activity=activity, message=placement.message)
        Ruling.objects.create(account=world.acme, thread="x", by=world.ann)
        Rematch.objects.create(account=world.acme, by=world.ann)
        ContactImport.objects.create(account=world.acme, by=world.ann, file_name="a.csv")
        LetterTemplate.objects.create(name="Thanks", html="<p>Thanks</p>", **of_ann)
        feed = Feed.objects.create(account=world.acme, mailbox=world.ann_box)
        FeedFolder.objects.create(account=world.acme, feed=feed, folder=placement.folder)
        FeedTurn.objects.create(account=world.acme, feed=feed, employee=world.ann, position=0)
        run = RetentionRun.objects.create(
            account=world.acme, cutoff=timezone.now(), plan="free", storage_days=0, crm_bound_stays=False
        )
        leaver = Leaver.objects.create(
            account=world.acme, employee=world.cyd, by=world.adm, ends_at=timezone.now(), heir=world.ann
        )
        HandedOver.objects.create(account=world.acme, leaver=leaver, heir=world.ann, kind="tasks", ids=[1])
        LooseBlob.objects.create(account=world.acme, blob=placement.message.body, since=timezone.now())
        PlanNotice.objects.create(
            account=world.acme, employee=world.ann, key="x", on=timezone.now().date(), stage="ahead"
        )
        run.lines.create(account=world.acme, mailbox=world.ann_box, kind="removed")
        BrowserSession.objects.create(account=world.acme, employee=world.ann, key="x", address="192.0.2.1")
        Export.objects.create(account=world.acme, by=world.ann, what="mine")
        PersonalNotice.objects.create(account=world.acme, employee=world.ann, kind="two_factor_reset")
        audit.record("test.made", "a row", account_id=world.acme.pk, by=world.ann)
    return world


# What the database says of itself


@pytest.mark.django_db
def test_every_table_is_behind_the_wall_or_on_the_short_list() -> None:
    tables = set(connection.introspection.table_names())
    assert tables == {*NAMES, *GLOBAL, *FRAMEWORK}
    assert len(GLOBAL) <= 10


@pytest.mark.django_db
@pytest.mark.parametrize("table", NAMES)
def test_row_level_security_is_on_and_forced(table: str) -> None:
    assert ask(
        "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", table
    ) == [(True, True)]


@pytest.mark.django_db
def test_there_is_one_policy_a_table_and_one_exception_for_signing_in() -> None:
    policies = ask("SELECT tablename, policyname, cmd, roles::text, qual, with_check FROM pg_policies")
    tenant = {p[0]: p[2:] for p in policies if p[1] == "tenant"}
    rule = "(account_id = (NULLIF(current_setting('app.account'::text, true), ''::text))::bigint)"
    assert tenant == dict.fromkeys(NAMES, ("ALL", "{public}", rule, rule))
    assert [p[:3] for p in policies if p[1] != "tenant"] == [("accounts_employee", "sign_in", "SELECT")]


@pytest.mark.django_db
def test_the_product_works_as_a_role_that_cannot_climb_over() -> None:
    asked = "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles"
    assert ask(f"{asked} WHERE rolname = current_user") == [("mailbound_app", False, False, False, False)]
    assert ask(
        "SELECT count(*) FROM pg_tables WHERE tableowner = current_user AND schemaname = 'public'"
    ) == [(0,)]
    assert ask("SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole") == [(0,)]


@pytest.mark.django_db
def test_the_product_cannot_take_the_wall_down() -> None:
    for statement in (
        "ALTER TABLE mailsync_message DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON mailsync_message",
        "SET LOCAL ROLE mailbound_owner",
        "SET SESSION AUTHORIZATION mailbound_owner",
    ):
        with pytest.raises(DatabaseError, match=r"must be owner|permission denied"), transaction.atomic():
            ask(statement)


# Statement by statement


@pytest.fixture(params=["nobody", "stranger"])
def outside(request: pytest.FixtureRequest, furnished: World) -> Iterator[World]:
    """The test acts for no account, or for Eve's."""
    account = None if request.param == "nobody" else furnished.other.pk
    with tenancy.acting_for(account):
        yield furnished


def test_acme_itself_has_rows_everywhere(furnished: World) -> None:
    """Otherwise the tests below would prove nothing about the empty table: furnish it."""
    with furnished.acting():
        assert [model._meta.db_table for model in TENANT if not rows_of(furnished.acme, model)] == []


def test_a_stranger_reads_changes_and_deletes_nothing(outside: World) -> None:
    for model in TENANT:
        table = model._meta.db_table
        assert rows_of(outside.acme, model) == 0, table
        if model is AuditEntry:  # which nobody changes at all
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET account_id = account_id WHERE account_id = %s", [outside.acme.pk]
            )
            assert cursor.rowcount == 0, table
            cursor.execute(f"DELETE FROM {table} WHERE account_id = %s", [outside.acme.pk])
            assert cursor.rowcount == 0, table


def test_a_stranger_plants_nothing(outside: World) -> None:
    """Not even a copy of Acme's own row; the wall refuses before any other constraint looks."""
    for model in TENANT:
        table = model._meta.db_table
        fields = [f for f in model._meta.concrete_fields if not isinstance(f, models.GeneratedField)]
        columns = ", ".join(f'"{field.column}"' for field in fields)
        with outside.acting():
            [(row,)] = ask(
                f"SELECT to_jsonb(t)::text FROM {table} t WHERE account_id = %s LIMIT 1", outside.acme.pk
            )
        copied = (
            f"INSERT INTO {table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{table}, %s)"
        )
        with pytest.raises(DatabaseError, match=f"row-level security.*{table}"), transaction.atomic():
            ask(copied, row)


def test_nobody_gives_their_rows_away(furnished: World) -> None:
    """Moving a row into another company's account would plant it there."""
    for model in TENANT:
        table = model._meta.db_table
        given = f"UPDATE {table} SET account_id = %s WHERE account_id = %s"
        with (
            pytest.raises(DatabaseError, match=r"row-level security|append-only|permission denied"),
            furnished.acting(),
        ):
            ask(given, furnished.other.pk, furnished.acme.pk)


def test_what_was_written_down_stays_written(furnished: World, postgres: Postgres) -> None:
    """The application may not even try; for the owner, and whoever gets the right one day, a trigger refuses."""
    for statement in (
        "UPDATE accounts_auditentry SET verb = 'x'",
        "DELETE FROM accounts_auditentry",
        "TRUNCATE accounts_auditentry",
        "TRUNCATE accounts_account CASCADE",
    ):
        with pytest.raises(DatabaseError, match="permission denied"), furnished.acting():
            ask(statement)
    with furnished.acting():
        assert AuditEntry.objects.filter(verb="test.made").exists()
    with psycopg2.connect(postgres.owner_url) as owner, owner.cursor() as cursor:
        cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = 'accounts_auditentry'::regclass")
        assert ("audit_append_only",) in cursor.fetchall()
    owner.close()


def test_no_table_can_be_emptied_at_once_by_the_product_not_even_one_made_some_day(
    postgres: Postgres,
) -> None:
    owner = psycopg2.connect(postgres.owner_url)
    with owner.cursor() as cursor:
        cursor.execute("CREATE TABLE made_some_day (id int)")
        cursor.execute(
            "SELECT count(*) FILTER (WHERE has_table_privilege('mailbound_app', oid, 'SELECT')),"
            " count(*) FILTER (WHERE has_table_privilege('mailbound_app', oid, 'TRUNCATE'))"
            " FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        [(readable, to_be_emptied)] = cursor.fetchall()
        cursor.execute("SELECT has_table_privilege('mailbound_app', 'made_some_day', 'INSERT')")
        assert cursor.fetchone() == (True,)
    owner.rollback()
    owner.close()
    assert readable > 50
    assert to_be_emptied == 0


# The setting that says for whom


def test_inside_another_account_the_first_is_back_afterwards(world: World) -> None:
    with world.acting():
        with world.acting(world.other):
            assert people() == ["Eve Evans"]
        assert people() == ["Adm Adams", "Ann Archer", "Bob Brown", "Cyd Cole"]


def test_an_error_inside_brings_the_outer_account_back(world: World) -> None:
    with world.acting():
        with pytest.raises(ZeroDivisionError), world.acting(world.other):
            print(1 / 0)
        assert "Ann Archer" in people()
        with pytest.raises(DatabaseError), world.acting(world.other):
            ask("SELECT 1 / 0")
        assert "Ann Archer" in people()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, DatabaseError])
def test_a_connection_that_saw_an_error_belongs_to_nobody(error: type[BaseException]) -> None:
    acme = Account.objects.create(name="Acme")
    with pytest.raises(error), tenancy.acting_for(acme.pk):
        fail_after_adding_ann(acme, error)
    assert ask("SELECT coalesce(current_setting('app.account', true), '')") == [("",)]
    with tenancy.acting_for(acme.pk):
        assert people() == []  # rolled back
    assert not connection.in_atomic_block


def fail_after_adding_ann(acme: Account, error: type[BaseException]) -> None:
    Employee.objects.create_user(account=acme, email="ann@acme.example", password="x", name="Ann")
    raise error


@pytest.mark.django_db(transaction=True)
def test_a_finished_job_leaves_a_connection_that_belongs_to_nobody() -> None:
    acme = Account.objects.create(name="Acme")
    with tenancy.acting_for(acme.pk):
        Employee.objects.create_user(account=acme, email="ann@acme.example", password="x", name="Ann")
    assert ask("SELECT coalesce(current_setting('app.account', true), '')") == [("",)]
    assert people() == []


@pytest.mark.django_db(transaction=True)
def test_no_bytes_of_a_tenant_wait_in_the_connections_temporary_tables(furnished: World) -> None:
    """Staging tables have no policy: what a job left there the next job of another company could read."""
    staged = ask("SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'")
    assert staged, "the world stores its mail through staging tables"
    for (table,) in staged:
        assert ask(f"SELECT count(*) FROM {table}") == [(0,)], table


def test_signing_in_shows_one_address_and_only_for_a_moment(world: World) -> None:
    with tenancy.acting_for(None):
        assert tenancy.account_of_address("ann@acme.example") == world.acme.pk
        assert tenancy.account_of_address("nobody@acme.example") is None
        assert people() == []
        assert ask("SELECT current_setting('app.sign_in', true)") == [("",)]


def ask(statement: str, *params: Any) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(statement, params or None)
        return cursor.fetchall() if cursor.description else []


def rows_of(account: Account, model: type[models.Model]) -> int:
    return model._default_manager.filter(account_id=account.pk).count()


def people() -> list[str]:
    return list(Employee.objects.order_by("name").values_list("name", flat=True))
