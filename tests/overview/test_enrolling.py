"""An admin connects mailboxes for others, on a real mail server: one, many from a file, and those that fail."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import AuditEntry, PersonalNotice
from mailsync import admitting, enrolling, schedule, secrets
from mailsync.enrolling import EnrolmentForm
from mailsync.models import Enrolment, EnrolmentRow, Mailbox
from overview import files
from plans.subscriptions import change_plan
from tests.world import World

CONNECT = "/mailboxes/all/connect/"


@pytest.fixture
def work(monkeypatch, django_capture_on_commit_callbacks) -> Callable[[Callable[[], Any]], tuple[Any, list]]:
    """Carries out a request, then the jobs it sent; returns its answer and what the jobs were told."""

    def carry_out(request: Callable[[], Any]) -> tuple[Any, list]:
        sent: list[list[int]] = []
        monkeypatch.setattr(schedule, "send", lambda name, args, *_: sent.append(args))
        with django_capture_on_commit_callbacks(execute=True):
            answer = request()
        monkeypatch.undo()
        for account_id, row_id in sent:
            admitting.admit(account_id, row_id)
        return answer, sent

    return carry_out


def csv_of(*lines: str) -> bytes:
    return "\r\n".join(["Address;Owner;Password;IMAP;IMAP security;Days", *lines]).encode("utf-8-sig")


def upload(world: World, content: bytes):
    file = ContentFile(content, "boxes.csv")
    return world.client(world.adm).post(f"{CONNECT}file/", {"file": file}, follow=True)


def states(world: World) -> dict[str, str]:
    with world.acting():
        return dict(EnrolmentRow.objects.order_by("number").values_list("address", "state"))


def everything_stored(world: World) -> str:
    """All rows of the tables that a password might have strayed into."""
    found = []
    with world.acting(), connection.cursor() as cursor:
        for table in ("mailsync_enrolment", "mailsync_enrolmentrow", "mailsync_mailbox", "accounts_auditentry",
                      "django_session", "mailsync_connectiontest"):  # fmt: skip
            cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t")
            found.append(cursor.fetchone()[0])
    return " ".join(found)


def test_a_file_is_shown_mended_tested_and_what_fails_is_reported_without_passwords(
    world: World, dovecot, work, caplog
) -> None:
    (one, first), (two, second), (three, _third) = (dovecot.new_user() for _each in range(3))
    host = f"{dovecot.host}:{dovecot.port}"
    page = upload(
        world,
        csv_of(
            f"{one};cyd@acme.example;{first};{host};none;7",
            f"{two};nobody@acme.example;{second};{host};none;",
            f"{three};bob@acme.example;canary-wrong;{host};none;",
            f"{one};bob@acme.example;{first};{host};none;",
            "ann@acme.example;bob@acme.example;x;;;",
            "box@elsewhere.example;bob@acme.example;;;;",
            "no address;bob@acme.example;x;https://imap.example.com/;;900",
        ),
    ).content.decode()
    for words in (
        "Nobody of your company signs in with nobody@acme.example.", "This address is in the file twice.",
        "ann@acme.example is connected already, by Ann Archer.", "Enter a valid e-mail address.",
        "Your plan Professional fetches mail of the last 90 days at most.", "Test and connect 3 mailboxes",
    ):  # fmt: skip
        assert words in page, words
    with world.acting():
        made = Enrolment.objects.get()
        wrong = made.rows.get(number=2)
    client = world.client(world.adm)
    mend = f"{CONNECT}{made.pk}/rows/{wrong.pk}/"
    shown = client.get(mend).content.decode()
    assert "The password of the file is kept" in shown
    assert second not in shown
    typed = {name: wrong.typed[name] for name in wrong.typed} | {"owner_email": "bob@acme.example"}
    assert client.post(mend, typed).status_code == 302
    answer, sent = work(lambda: client.post(f"{CONNECT}{made.pk}/start/", follow=True))
    assert all(isinstance(each, int) for args in sent for each in args)
    assert "1 owner is asked for the password" in answer.content.decode()
    with world.acting():
        ended = list(made.rows.order_by("number").values_list("state", flat=True))
    assert ended == ["connected", "connected", "failed", "bad", "bad", "invited", "bad"]
    with world.acting():
        box = Mailbox.objects.get(address=one)
        assert (box.owner, box.fetch_days, box.sender_name) == (world.cyd, 7, "Cyd Cole")
        assert secrets.unseal(bytes(box.secret), account_id=world.acme.pk).reveal() == first
        assert bytes(made.rows.get(number=1).secret) == b""
        assert AuditEntry.objects.get(verb="mailbox.connected", subject=one).by == world.adm
    failures = client.get(f"{CONNECT}{made.pk}/failures.csv").content.decode()
    assert three in failures
    assert "refuses" in failures
    stray = "".join([failures, everything_stored(world), caplog.text, json.dumps(sent)])
    for password in (first, second, "canary-wrong"):
        assert password not in stray
    notices = world.client(world.bob).get("/settings/notices/").content.decode()
    assert "wants box@elsewhere.example connected for you. Type the password" in notices
    client.post(f"{CONNECT}{made.pk}/start/")
    with world.acting():
        assert PersonalNotice.objects.get().employee == world.bob, "he is asked once"
    asked = world.client(world.bob).get("/mailboxes/").content.decode()
    assert "asks you to connect box@elsewhere.example" in asked
    link = re.search(r"/mailboxes/connect/\?row=\d+", asked)
    assert link
    assert 'value="box@elsewhere.example"' in world.client(world.bob).get(link[0]).content.decode()
    assert 'value="box@elsewhere.example"' not in world.client(world.cyd).get(link[0]).content.decode()


def test_one_is_connected_for_cyd_and_a_wrong_password_can_be_typed_anew(world: World, dovecot, work) -> None:
    login, password = dovecot.new_user()
    form = {
        "address": login, "owner_email": "cyd@acme.example", "password": "wrong", "imap_host": dovecot.host,
        "imap_port": dovecot.port, "imap_security": "none",
    }  # fmt: skip
    client = world.client(world.adm)
    assert client.post(CONNECT, form | {"owner_email": "eve@other.example"}).status_code == 422
    answer, _sent = work(lambda: client.post(CONNECT, form))
    assert states(world) == {login: "failed"}
    with world.acting():
        row = EnrolmentRow.objects.get()
    client.post(f"{answer.url}rows/{row.pk}/", form | {"password": password})
    work(lambda: client.post(f"{answer.url}start/"))
    assert states(world) == {login: "connected"}
    with world.acting():
        assert Mailbox.objects.get(address=login).owner == world.cyd
        assert not Mailbox.objects.filter(address=login, grants__isnull=False).exists()
    assert client.get("/").content.decode().count(login) == 0  # the admin does not read it


def test_the_plan_is_asked_for_all_rows_of_an_owner_and_again_by_the_worker(world: World, dovecot) -> None:
    login, password = dovecot.new_user()
    lines = [
        {"address": f"{name}@elsewhere.example", "owner_email": "cyd@acme.example", "password": "x",
         "imap_host": "x.example"}
        for name in ("a", "b", "c", "d", "e", "f")
    ]  # fmt: skip
    with world.acting():
        change_plan(world.acme, "standard", on=world.acme.today(), by=None)  # five an employee
        made = enrolling.begin(lines, by=world.adm)
        assert [row.state for row in made.rows.order_by("number")] == ["ready"] * 5 + ["bad"]
        assert "Cyd Cole has" in made.rows.get(number=6).said
        late = enrolling.begin(
            [{"address": login, "owner_email": "cyd@acme.example", "password": password, "imap_host": dovecot.host,
              "imap_port": str(dovecot.port), "imap_security": "none"}],
            by=world.adm,
        )  # fmt: skip
        row = late.rows.get()
        enrolling.start(late)
        change_plan(world.acme, "free", on=world.acme.today(), by=None)
    admitting.admit(world.acme.pk, row.pk)
    with world.acting():
        row.refresh_from_db()
        assert (row.state, row.mailbox) == ("failed", None)
        assert "does not include mail" in row.said


def test_passwords_are_forgotten_after_a_day_and_follow_the_keys_until_then(world: World, settings) -> None:
    line = {"address": "a@elsewhere.example", "owner_email": "cyd@acme.example", "password": "canary"}
    with world.acting():
        row = enrolling.begin([line], by=world.adm).rows.get()
    old = settings.MAIL_SECRET_KEYS
    settings.MAIL_SECRET_KEYS = ["bmV3IGtleSBmb3IgdGVzdHMsIDMyIGJ5dGVzIGxvbmc=", *old]
    call_command("rotate_secrets", verbosity=0)
    settings.MAIL_SECRET_KEYS = settings.MAIL_SECRET_KEYS[:1]
    with world.acting():
        row.refresh_from_db()
        assert secrets.unseal(bytes(row.secret), account_id=world.acme.pk).reveal() == "canary"
        Enrolment.objects.update(at=timezone.now() - enrolling.SECRETS_LIVE * 2)
    enrolling.forget_everywhere()
    with world.acting():
        row.refresh_from_db()
        assert bytes(row.secret) == b""


def test_rows_whose_hint_was_lost_or_whose_worker_died_are_hinted_again(world: World, monkeypatch) -> None:
    lines = [
        {"address": f"{name}@elsewhere.example", "owner_email": "cyd@acme.example", "password": "canary"}
        for name in ("lost", "died", "under-way", "not-asked-for")
    ]
    sent: list[list[int]] = []
    with world.acting():
        made = enrolling.begin(lines[:3], by=world.adm)
        enrolling.begin(lines[3:], by=world.adm)
        lost, died, under_way = made.rows.order_by("number")
        enrolling.start(made)
        now = timezone.now()
        rows = EnrolmentRow.objects
        rows.filter(pk=died.pk).update(state="testing", tried_at=now - enrolling.TEST_TAKES * 2)
        rows.filter(pk=under_way.pk).update(state="testing", tried_at=now)
    monkeypatch.setattr(schedule, "send", lambda _name, args, *_: sent.append(args))
    monkeypatch.setattr(transaction, "on_commit", lambda work: work())
    enrolling.hint_everywhere()
    assert sorted(sent) == [[world.acme.pk, lost.pk], [world.acme.pk, died.pk]]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"name,phone\nx,y", "must name the columns"),
        (b"address,owner\n\n , \n", "between 1 and 500"),
        (b"address,owner\n" + b"a@b.example,c@d.example\n" * 501, "it has 501"),
        (b"x" * (files.MOST_BYTES + 1), "too large"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused_with_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(files.CannotRead, match=sentence):
        files.read(content)


def test_files_of_spreadsheets_are_read_as_they_come() -> None:
    told = "E-Mail\tOwner e-mail\tPassword\tIMAP\tnonsense\n"
    told += "Müller@b.example\tc@d.example\t =1, \timap.b.example:143\tx\n"
    [row] = files.read(told.encode("cp1252"))
    assert row == {
        "address": "Müller@b.example", "owner_email": "c@d.example", "password": " =1, ",
        "imap_host": "imap.b.example", "imap_port": "143",
    }  # fmt: skip


def test_colleagues_and_other_companies_neither_hand_in_nor_look(world: World) -> None:
    with world.acting():
        made = enrolling.begin([{"address": "a@b.example", "owner_email": "cyd@acme.example"}], by=world.adm)
        row = made.rows.get()
        assert EnrolmentForm(
            {"address": "a@b.example", "owner_email": "eve@other.example"}, by=world.adm
        ).errors
    for who, status in ((world.ann, 403), (world.eve, 404)):
        client = world.client(who)
        for path in ("", f"rows/{row.pk}/", "failures.csv"):
            assert client.get(f"{CONNECT}{made.pk}/{path}").status_code == status
        assert client.post(f"{CONNECT}{made.pk}/start/").status_code == status
