"""manage.py connect_mailbox: what an operator types, what scripts read, what goes wrong in one line."""

import io
import json
from dataclasses import dataclass

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from mailsync import secrets
from mailsync.models import Mailbox, Schedule
from plans.subscriptions import change_plan


@dataclass
class Operator:
    """Types the command for Cyd."""

    imap: str
    login: str
    password: str

    def __call__(self, *flags: str, **changes: str) -> tuple[str, str]:
        """Keywords replace options; flags replace --no-tls. Returns what was printed and warned."""
        options = {
            "account": "Acme",
            "employee": "cyd@acme.example",
            "address": "cyd@acme.example",
            "imap": self.imap,
            "login": self.login,
            "password_env": "MAIL_PASSWORD",
        }
        words = [f"--{name.replace('_', '-')}={value}" for name, value in (options | changes).items()]
        out, err = io.StringIO(), io.StringIO()
        call_command("connect_mailbox", *words, *(flags or ("--no-tls",)), stdout=out, stderr=err)
        return out.getvalue(), err.getvalue()


@pytest.fixture
def operator(world, dovecot, monkeypatch) -> Operator:
    login, password = dovecot.new_user()
    monkeypatch.setenv("MAIL_PASSWORD", password)
    return Operator(f"{dovecot.host}:{dovecot.port}", login, password)


def refusal(operator: Operator, *flags: str, **changes: str) -> str:
    with pytest.raises(CommandError) as caught:
        operator(*flags, **changes)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert operator.password not in sentence
    return sentence


def cyds(world) -> Mailbox:
    with world.acting():
        return Mailbox.objects.get(address="cyd@acme.example")


def test_the_operator_connects_and_every_step_is_printed(world, dovecot, operator):
    dovecot.append(operator.login, b"Subject: one\r\n\r\nHello\r\n", folder="Projects")
    out, _err = operator()
    assert "login: ok: Signed in as" in out
    assert out.endswith("cyd@acme.example is connected\n")
    assert operator.password not in out
    mailbox = cyds(world)
    with world.acting():
        assert mailbox.folders.get(path="Projects").syncing
        assert mailbox.folders.get(path="Trash").special_use == "trash"
        assert Schedule.objects.get(mailbox=mailbox).due_at is not None
        assert AuditEntry.objects.get(verb="mailbox.connected").by_id is None
    assert mailbox.fetch_days == 90
    assert mailbox.owner_id == world.cyd.pk


def test_the_host_that_the_operator_typed_is_allowed_although_it_is_private(world, operator, settings):
    settings.MAIL_ALLOW_PRIVATE_HOSTS = False
    operator()
    assert cyds(world).private_host_allowed


def test_typed_again_it_repairs_instead_and_keeps_the_rest(world, dovecot, operator, monkeypatch):
    operator()
    first = cyds(world)
    with world.acting():
        Mailbox.objects.filter(pk=first.pk).update(
            state="refused", last_error="No.", troubled_since=timezone.now()
        )
    other, password = dovecot.new_user()
    monkeypatch.setenv("MAIL_PASSWORD", password)
    out, _err = operator(login=other)
    assert "is repaired" in out
    again = cyds(world)
    assert (again.pk, again.login, again.last_error) == (first.pk, other, "")
    assert secrets.unseal(bytes(again.secret), account_id=world.acme.pk).reveal() == password


def test_scripts_get_one_line_of_json(dovecot, operator):
    dovecot.append(operator.login, b"Subject: one\r\n\r\nHello\r\n")
    out, err = operator("--no-tls", "--json")
    facts = json.loads(out)
    assert facts["created"] is True
    assert (facts["address"], facts["messages"], facts["fetch_days"]) == ("cyd@acme.example", 1, 90)
    assert "login: ok" in err


def test_more_days_than_the_plan_has_are_the_operators_decision_with_a_warning(world, operator):
    _out, err = operator(days="365")
    assert err.startswith("warning: the plan fetches 90 days")
    assert cyds(world).fetch_days == 365


def test_tls_is_the_default_and_starttls_is_checked(world, dovecot_tls, monkeypatch, operator, settings):
    settings.MAIL_CA_FILE = str(dovecot_tls.ca_file)
    login, password = dovecot_tls.new_user()
    monkeypatch.setenv("MAIL_PASSWORD", password)
    operator("--json", imap=f"localhost:{dovecot_tls.tls_port}", login=login)
    assert cyds(world).imap_security == "tls"
    operator("--starttls", imap=f"localhost:{dovecot_tls.port}", login=login)
    assert cyds(world).imap_security == "starttls"


def test_folders_by_name(world, dovecot, operator):
    operator(folders="INBOX, Sent")
    with world.acting():
        on = cyds(world).folders.filter(syncing=True).values_list("path", flat=True)
        assert set(on) == {"INBOX", "Sent"}
    assert "no folder Nowhere" in refusal(operator, folders="Nowhere", address="second@acme.example")


def test_mistakes_are_one_line_that_names_the_way_out(world, operator, monkeypatch):
    assert "create_account" in refusal(operator, account="Nobody")
    assert "add_employee" in refusal(operator, employee="nobody@acme.example")
    assert "add_employee" in refusal(operator, employee="eve@other.example")
    assert "NOWHERE is not set" in refusal(operator, password_env="NOWHERE")
    assert "HOST:PORT" in refusal(operator, imap="localhost")
    assert "Choose one" in refusal(operator, "--no-tls", "--starttls")
    assert "by Ann Archer" in refusal(operator, address="ann@acme.example")
    assert "name: There is no server" in refusal(operator, imap="imap.nowhere.invalid:143")
    monkeypatch.setenv("MAIL_PASSWORD", "not it")
    assert "login: The server refuses" in refusal(operator)
    with world.acting():
        assert not Mailbox.objects.filter(owner=world.cyd).exists()


def test_a_plan_without_mail_or_without_room_is_said(world, operator):
    with world.acting():
        change_plan(world.acme, "basic", on=timezone.localdate(), by=None)
    operator()
    assert "room for 1 mailbox" in refusal(operator, address="second@acme.example")
    operator()
    with world.acting():
        change_plan(world.acme, "free", on=timezone.localdate(), by=None)
    assert "does not include mail" in refusal(operator, address="second@acme.example")
