"""The pages of connecting and of a mailbox's settings, as the people of the world open them."""

import json
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter

from mailsync import probing, secrets
from mailsync.models import (
    ConnectionTest,
    Folder,
    GrantLevel,
    Mailbox,
    MailboxGrant,
    Security,
    SkippedMessage,
    SpecialUse,
)
from plans.subscriptions import change_plan

PASSWORD = "A-very-secret-Password-7351"


@pytest.fixture
def box(dovecot):
    """A login at a real mail server, as the wizard's fields."""
    login, password = dovecot.new_user()
    return {
        "address": login,
        "password": password,
        "login": login,
        "imap_host": dovecot.host,
        "imap_port": dovecot.port,
        "imap_security": Security.NONE,
    }


@dataclass
class Jobs:
    """Carries out a request, then the tests it handed to workers; `sent` says with which arguments."""

    capture: Callable[..., AbstractContextManager[object]]
    sent: list[tuple[str, list[int], str]] = field(default_factory=list)

    def send_task(self, name: str, args: list[int], queue: str, **_: object) -> None:
        self.sent.append((name, args, queue))

    def __call__(self, request: Callable[[], Any]) -> Any:
        with self.capture(execute=True):
            response = request()
        for name, args, _queue in self.sent:
            if name == "mailsync.test_connection":
                probing.probe(*args)
        return response


@pytest.fixture
def jobs(django_capture_on_commit_callbacks, monkeypatch) -> Jobs:
    handed = Jobs(django_capture_on_commit_callbacks)
    monkeypatch.setattr("mailsync.connecting.current_app.send_task", handed.send_task)
    return handed


def connect(client, jobs, box):
    return jobs(lambda: client.post(reverse("mail:connect"), box))


def only_test(world) -> ConnectionTest:
    with world.acting():
        return ConnectionTest.objects.get()


def test_the_wizard_makes_a_mailbox_of_an_address(world, dovecot, box, jobs):
    dovecot.append(box["address"], b"Subject: one\r\n\r\nHello\r\n")
    client = world.client(world.ann)
    shown = connect(client, jobs, box)
    test = only_test(world)
    assert shown.url == reverse("mail:connect-test", args=[test.pk])
    assert jobs.sent == [("mailsync.test_connection", [world.acme.pk, test.pk], "interactive")]
    page = client.get(shown.url).content.decode()
    assert f"Signed in as {box['address']}" in page
    choose = reverse("mail:connect-choose", args=[test.pk])
    page = client.get(choose).content.decode()
    names = dict(re.findall(r'value="(\d+)" checked>\s*<span class="folder-name">([^<]+)</span>', page))
    inbox = next(number for number, name in names.items() if name == "Inbox")
    trash = next(number for number, name in names.items() if name == "Trash")
    done = client.post(choose, {"folders": [inbox], "fetch_days": 7, "role_trash": trash, "sender_name": "A"})
    assert done.url == reverse("mail:inbox")
    with world.acting():
        made = Mailbox.objects.get(address=box["address"])
        assert (made.fetch_days, made.sender_name, made.owner_id) == (7, "A", world.ann.pk)
        assert list(made.folders.filter(syncing=True).values_list("path", flat=True)) == ["INBOX"]
        assert made.folders.get(special_use="trash").path == "Trash"
    assert client.get(shown.url).status_code == 404, "a test serves once"


def test_while_nothing_is_new_the_page_is_told_nothing(world, box, jobs, monkeypatch):
    monkeypatch.setattr(probing, "probe", lambda *_: None)
    client = world.client(world.ann)
    connect(client, jobs, box)
    steps = reverse("mail:connect-steps", args=[only_test(world).pk])
    first = client.get(steps, headers={"HX-Request": "true"})
    seen = re.search(r"seen=(\w+)", first.content.decode())
    assert seen
    assert client.get(f"{steps}?seen={seen[1]}").status_code == 204


def test_a_test_without_a_worker_says_so_and_one_that_lost_it_can_be_tried_again(
    world, box, jobs, monkeypatch
):
    monkeypatch.setattr(probing, "probe", lambda *_: None)
    client = world.client(world.ann)
    page = connect(client, jobs, box).url
    with world.acting():
        ConnectionTest.objects.update(created_at=timezone.now() - timedelta(seconds=60))
    assert "No background worker" in client.get(page).content.decode()
    with world.acting():
        ConnectionTest.objects.update(created_at=timezone.now() - timedelta(seconds=600), state="running")
    assert "interrupted on our side" in client.get(page).content.decode()


def test_a_test_that_breaks_on_our_side_ends_in_words(world, box, jobs, settings):
    def change_keys(*ids):
        settings.MAIL_SECRET_KEYS = ["b3RoZXIgdGhhbiBiZWZvcmUsIDMyIGJ5dGVzISEhISE="]
        with pytest.raises(secrets.WrongKeyError):
            probe(*ids)

    probe = probing.probe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probing, "probe", change_keys)
        page = connect(world.client(world.ann), jobs, box).url
    assert only_test(world).state == "failed"
    assert "went wrong on our side" in world.client(world.ann).get(page).content.decode()


def test_a_job_that_comes_twice_tests_once(world, box, jobs):
    connect(world.client(world.ann), jobs, box)
    before = only_test(world)
    probing.probe(world.acme.pk, before.pk)
    assert only_test(world).steps == before.steps
    with pytest.raises(ConnectionTest.DoesNotExist), world.acting(world.other):
        ConnectionTest.objects.get()


def test_try_again_repeats_with_nothing_typed(world, dovecot, box, jobs):
    client = world.client(world.ann)
    connect(client, jobs, {**box, "password": "wrong"})
    test = only_test(world)
    assert test.state == "failed"
    dovecot.set_password(box["address"], "wrong")
    again = jobs(lambda: client.post(reverse("mail:connect-again", args=[test.pk])))
    assert "Go on" in client.get(again.url).content.decode()


def test_a_failed_test_leads_back_to_what_was_typed_but_for_the_password(world, box, jobs):
    client = world.client(world.ann)
    connect(client, jobs, {**box, "password": PASSWORD})
    page = client.get(reverse("mail:connect"), {"from": only_test(world).pk}).content.decode()
    assert box["address"] in page
    assert str(box["imap_port"]) in page
    assert PASSWORD not in page


def test_a_password_is_not_sent_back_with_a_form_that_failed(world):
    client = world.client(world.ann)
    answer = client.post(reverse("mail:connect"), {"address": "no address", "password": PASSWORD})
    assert answer.status_code == 422
    assert PASSWORD not in answer.content.decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("imap_host", "imap.example.com:993"),
        ("imap_host", "https://imap.example.com/"),
        ("imap_host", "imap example"),
        ("imap_port", "70000"),
        ("login", "ann\r\nA1 LOGOUT"),
        ("password", "pass\nword"),
        ("imap_security", "weak"),
    ],
)
def test_what_cannot_be_a_server_is_refused_in_the_form(world, field, value):
    typed = {"address": "new@acme.example", "password": "x", "imap_host": "imap.example.com", field: value}
    assert world.client(world.ann).post(reverse("mail:connect"), typed).status_code == 422


def test_proton_is_refused_with_a_way_out_and_gmail_says_what_it_wants(world):
    client = world.client(world.ann)
    answer = client.post(reverse("mail:connect"), {"address": "ann@proton.me", "password": "x"})
    assert "Forward the mail" in answer.content.decode()
    hint = client.get(reverse("mail:connect-hint"), {"address": "ann@gmail.com"})
    assert "app password" in hint.content.decode()


def test_a_company_domain_at_google_is_connected_by_the_provider(world, jobs, monkeypatch):
    monkeypatch.setattr(probing, "probe", lambda *_: None)
    typed = {"address": "new@acme.example", "password": "x", "provider": "gmail"}
    connect(world.client(world.ann), jobs, typed)
    test = only_test(world)
    assert (test.imap_host, test.smtp_host, test.login) == (
        "imap.gmail.com",
        "smtp.gmail.com",
        "new@acme.example",
    )


def test_on_free_the_page_gives_the_reason_instead_of_a_form_and_takes_no_post(world, box, jobs):
    with world.acting():
        change_plan(world.acme, "free", on=timezone.localdate(), by=None)
    client = world.client(world.ann)
    page = client.get(reverse("mail:connect")).content.decode()
    assert "does not include mail" in page
    assert 'name="password"' not in page
    connect(client, jobs, box)
    assert jobs.sent == []


def test_the_limit_holds_at_the_last_page_too(world, box, jobs):
    client = world.client(world.ann)
    connect(client, jobs, box)
    with world.acting():
        change_plan(world.acme, "basic", on=timezone.localdate(), by=None)
    answer = client.post(
        reverse("mail:connect-choose", args=[only_test(world).pk]), {"folders": ["0"], "fetch_days": 7}
    )
    assert answer.status_code == 422
    assert "room for 1 mailbox" in answer.content.decode()


def test_more_days_than_the_plan_has_are_refused(world, box, jobs):
    client = world.client(world.ann)
    connect(client, jobs, box)
    choose = reverse("mail:connect-choose", args=[only_test(world).pk])
    assert client.post(choose, {"folders": ["0"], "fetch_days": 91}).status_code == 422
    assert client.post(choose, {"folders": [], "fetch_days": 9}).status_code == 422


def test_a_private_server_is_refused_by_the_worker_unless_the_operator_allows_it(world, box, jobs, settings):
    settings.MAIL_ALLOW_PRIVATE_HOSTS = False
    connect(world.client(world.ann), jobs, box)
    test = only_test(world)
    assert test.state == "failed"
    assert "public internet" in json.dumps(test.steps)


def test_somebody_elses_test_does_not_exist(world, box, jobs):
    connect(world.client(world.ann), jobs, box)
    number = only_test(world).pk
    for stranger in (world.bob, world.adm, world.eve):
        client = world.client(stranger)
        for name in ("connect-test", "connect-steps", "connect-choose"):
            assert client.get(reverse(f"mail:{name}", args=[number])).status_code == 404
        assert client.post(reverse("mail:connect-again", args=[number])).status_code == 404


# Settings


SETTINGS_PAGES = ("mailbox-settings", "mailbox-repair", "mailbox-disconnect")
SETTINGS_ACTS = (
    "mailbox-folders",
    "mailbox-sender",
    "mailbox-sharing",
    "mailbox-check",
    "mailbox-disconnect",
)


def test_only_owner_managers_and_admins_open_the_settings(world):
    with world.acting():
        MailboxGrant.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.cyd, level=GrantLevel.MANAGE
        )
    for name in SETTINGS_PAGES:
        url = reverse(f"mail:{name}", args=[world.ann_box.pk])
        assert world.client(world.ann).get(url).status_code == 200
        assert world.client(world.cyd).get(url).status_code == 200
        assert world.client(world.adm).get(url).status_code == 200, "there is no mail in them"
        for other in (world.bob, world.eve):
            assert world.client(other).get(url).status_code == 404
    for name in SETTINGS_ACTS:
        url = reverse(f"mail:{name}", args=[world.team_box.pk])
        assert world.client(world.bob).post(url).status_code == 404, "Bob may work in it, not manage it"


def test_the_list_shows_mine_and_shared_with_state(world):
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(
            state="refused", last_error="The server says no.", troubled_since=timezone.now()
        )
    mine = world.client(world.ann).get(reverse("mail:mailboxes")).content.decode()
    assert "ann@acme.example" in mine
    assert "Sign-in refused" in mine
    assert "The server says no." in mine
    shared = world.client(world.bob).get(reverse("mail:mailboxes")).content.decode()
    assert "belongs to Ann Archer" in shared
    assert "ann@acme.example" not in shared
    assert "eve@other.example" not in mine


def test_ann_repairs_the_login_and_the_mailbox_wakes(world, dovecot, box, jobs):
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(
            state="refused", last_error="No.", troubled_since=timezone.now()
        )
    client = world.client(world.ann)
    fields = {key: value for key, value in box.items() if key != "address"}
    page = jobs(lambda: client.post(reverse("mail:mailbox-repair", args=[world.ann_box.pk]), fields)).url
    assert "Use this connection" in client.get(page).content.decode()
    test = only_test(world)
    assert client.get(reverse("mail:connect-choose", args=[test.pk])).url == page, "no second mailbox of it"
    done = client.post(reverse("mail:mailbox-repaired", args=[test.pk]))
    assert done.url == reverse("mail:mailbox-settings", args=[world.ann_box.pk])
    with world.acting():
        repaired = Mailbox.objects.get(pk=world.ann_box.pk)
        assert (repaired.login, repaired.state, repaired.last_error) == (box["login"], "ok", "")


def test_a_repair_whose_test_failed_changes_nothing(world, box, jobs):
    client = world.client(world.ann)
    fields = {**box, "password": "wrong"}
    jobs(lambda: client.post(reverse("mail:mailbox-repair", args=[world.ann_box.pk]), fields))
    client.post(reverse("mail:mailbox-repaired", args=[only_test(world).pk]))
    with world.acting():
        assert Mailbox.objects.get(pk=world.ann_box.pk).login == "ann@acme.example"


def test_a_manager_cannot_have_the_stored_password_sent_to_another_server(world):
    """The form wants it typed anew; the test "as it is" takes no host."""
    with world.acting():
        MailboxGrant.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.cyd, level=GrantLevel.MANAGE
        )
    client = world.client(world.cyd)
    repair = reverse("mail:mailbox-repair", args=[world.ann_box.pk])
    assert client.post(repair, {"login": "ann", "imap_host": "evil.example"}).status_code == 422
    client.post(reverse("mail:mailbox-check", args=[world.ann_box.pk]), {"imap_host": "evil.example"})
    assert only_test(world).imap_host == "127.0.0.1"


def test_folders_and_roles_are_saved_from_the_page(world):
    with world.acting():
        ids = dict(world.ann_box.folders.values_list("path", "pk"))
    url = reverse("mail:mailbox-folders", args=[world.ann_box.pk])
    client = world.client(world.ann)
    sent = {"shown": [*ids.values()], "folders": [ids["INBOX"], ids["Sent"]], "role_sent": ids["Sent"]}
    client.post(url, sent)
    with world.acting():
        on = set(world.ann_box.folders.filter(syncing=True).values_list("path", flat=True))
        assert on == {"INBOX", "Sent"}
        assert not Folder.objects.get(pk=ids["Trash"]).special_use
    assert client.post(url, {"folders": []}).status_code == 422
    twice = {"folders": [ids["INBOX"]], "role_sent": ids["Sent"], "role_trash": ids["Sent"]}
    assert "two roles" in client.post(url, twice).content.decode()
    with world.acting(world.other):
        foreign = world.eve_box.folders.first().pk
    assert client.post(url, {"folders": [foreign]}).status_code == 422


def test_a_folder_that_came_since_the_page_was_opened_stays_as_it_is(world):
    with world.acting():
        world.ann_box.folders.filter(special_use="archive").update(special_use="")
    url = reverse("mail:mailbox-settings", args=[world.ann_box.pk])
    client = world.client(world.ann)
    page = client.get(url).content.decode()
    shown = re.findall(r'name="shown" value="(\d+)"', page)
    inbox, trash = world.folder(world.ann_box), world.folder(world.ann_box, SpecialUse.TRASH)
    with world.acting():
        row = {"account": world.acme, "mailbox": world.ann_box, "delimiter": "/"}
        new = Folder.objects.create(name=b"New", path="New", special_use="archive", **row)
        Folder.objects.filter(pk=trash.pk).update(deleting=True)
    saving = reverse("mail:mailbox-folders", args=[world.ann_box.pk])
    refused = client.post(saving, {"shown": shown, "folders": []}).content.decode()
    assert f'value="{new.pk}" checked' in refused
    assert f'value="{inbox.pk}" checked' not in refused
    assert client.post(saving, {"shown": shown, "folders": [inbox.pk]}).status_code == 302
    with world.acting():
        on = set(world.ann_box.folders.filter(syncing=True).values_list("path", flat=True))
        assert on == {"INBOX", "New", "Trash"}
        assert Folder.objects.get(pk=new.pk).special_use == "archive"


def test_disconnecting_says_the_number_first(world):
    for _ in range(3):
        world.message(world.folder(world.ann_box))
    client = world.client(world.ann)
    url = reverse("mail:mailbox-disconnect", args=[world.ann_box.pk])
    assert "<b>3 messages</b>" in client.get(url).content.decode()
    assert client.post(url).url == reverse("mail:mailboxes")
    page = client.get(reverse("mail:mailboxes")).content.decode()
    assert "3 messages leave" in page
    assert "connect the address again" in page
    assert client.get(reverse("mail:mailbox-settings", args=[world.ann_box.pk])).status_code == 404


def test_messages_that_could_not_be_fetched_are_shown_with_the_reason(world):
    with world.acting():
        SkippedMessage.objects.create(
            account=world.acme,
            folder=world.ann_box.folders.get(path="INBOX"),
            uidvalidity=1,
            uid=4711,
            reason="The server sends nothing for it.",
        )
    page = world.client(world.ann).get(reverse("mail:mailbox-settings", args=[world.ann_box.pk]))
    assert "1 message could not be fetched" in page.content.decode()
    assert "The server sends nothing for it." in page.content.decode()


def test_a_message_that_came_in_a_later_try_is_not_said_to_be_missing(world):
    """Its note goes with the folder's next whole read."""
    here = world.message(world.folder(world.ann_box), uid=7)
    with world.acting():
        SkippedMessage.objects.create(
            account=world.acme,
            folder=here.folder,
            uidvalidity=here.folder.uidvalidity or 0,
            uid=7,
            reason="The server refuses it.",
        )
    page = world.client(world.ann).get(reverse("mail:mailbox-settings", args=[world.ann_box.pk]))
    assert "could not be fetched" not in page.content.decode()


def test_progress_polls_until_everything_is_here(world):
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(
            first_synced_at=None, first_sync_started_at=timezone.now() - timedelta(seconds=10)
        )
        world.ann_box.folders.filter(path="INBOX").update(wanted=12_408, fetched=4_136)
    client = world.client(world.ann)
    url = reverse("mail:progress", args=[world.ann_box.pk])
    part = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 2s"' in part
    assert "4\u202f136 of 12\u202f408" in part
    assert re.search(r"\d+ seconds left", part)
    world.message(world.folder(world.ann_box))
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(first_synced_at=timezone.now())
    part = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger" not in part
    assert "The one message is here." in part
    assert world.client(world.bob).get(url).status_code == 404


# The secret


def test_the_password_appears_nowhere(world, box, jobs, caplog, capsys):
    """Logs, session, job arguments, rows, representations, the page: the sealed token is all there is."""
    caplog.set_level(0)
    client = world.client(world.ann)
    connect(client, jobs, {**box, "password": PASSWORD})
    test = only_test(world)
    with world.acting():
        columns = repr(ConnectionTest.objects.values().get())
    said = [
        caplog.text,
        "".join(capsys.readouterr()),
        repr(dict(client.session)),
        repr(jobs.sent),
        columns,
        repr(test),
        repr(secrets.Secret(PASSWORD)),
        client.get(reverse("mail:connect-test", args=[test.pk])).content.decode(),
    ]
    assert not [place for place in said if PASSWORD in place]
    assert secrets.unseal(bytes(test.secret), account_id=world.acme.pk).reveal() == PASSWORD


def test_an_error_page_and_its_log_hide_the_password(world, monkeypatch, caplog):
    def broken(**_):
        raise RuntimeError("broken")

    monkeypatch.setattr("mailsync.connecting.start_test", broken)
    client = world.client(world.ann)
    client.raise_request_exception = False
    reports = []

    def report(*_args, request, exception, **_options):
        told = ExceptionReporter(request, type(exception), exception, exception.__traceback__)
        reports.append(told.get_traceback_text() + told.get_traceback_html())

    monkeypatch.setattr("django.core.handlers.exception.log_response", report)
    answer = client.post(reverse("mail:connect"), {"address": "new@acme.example", "password": PASSWORD})
    assert answer.status_code == 500
    assert reports
    assert PASSWORD not in reports[0]
    assert PASSWORD not in answer.content.decode()
    assert PASSWORD not in caplog.text
