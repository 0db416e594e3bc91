"""Ann connects, repairs, shares and lets go; the plan and the rules hold, also for two tabs at once."""

import importlib
import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts import tenancy
from accounts.models import AuditEntry
from mailsync import (
    actions,
    connecting,
    discarding,
    enrolling,
    folders,
    pausing,
    progress,
    schedule,
    secrets,
    settling,
)
from mailsync.connecting import CannotConnect, Choice, ServerSettings
from mailsync.models import (
    ConnectionTest,
    Folder,
    Mailbox,
    MailboxGrant,
    MailboxState,
    Message,
    Operation,
    OperationState,
    Placement,
    Schedule,
    Security,
    SpecialUse,
)
from mailsync.presets import Server
from mailsync.roles import FoundFolder
from plans.subscriptions import change_plan

SETTINGS = ServerSettings(
    imap=Server("imap.acme.example", 993, Security.TLS),
    smtp=Server("smtp.acme.example", 465, Security.TLS),
    login="new@acme.example",
)
FOUND = [
    FoundFolder(b"INBOX", "INBOX", "/", "", True, 12),
    FoundFolder(b"Sent", "Sent", "/", "sent", True, 3),
    FoundFolder(b"Papierkorb", "Papierkorb", "/", "", True, 0),
    FoundFolder(b"Old", "Old", "/", "", False, None),
    FoundFolder(b"All", "All", "/", "all", True, 15),
]
CHOICE = Choice(folders={b"INBOX", b"Sent", b"Papierkorb"}, roles={"sent": b"Sent", "trash": b"Papierkorb"})


def connect(owner, address="new@acme.example", **changes):
    options = {
        "owner": owner,
        "address": address,
        "settings": SETTINGS,
        "sealed": secrets.seal("pass", account_id=owner.account_id),
        "found": FOUND,
        "choice": CHOICE,
        "fetch_days": 7,
        "by": owner,
    }
    return connecting.connect(**(options | changes))


def on_plan(world, plan):
    with world.acting():
        change_plan(world.acme, plan, on=timezone.localdate(), by=None)


def refused(call, *args, **options) -> str:
    with pytest.raises(CannotConnect) as caught:
        call(*args, **options)
    return caught.value.sentence


# Connecting


def test_ann_connects_and_the_mailbox_is_due_with_its_folders_and_roles(world):
    with world.acting():
        mailbox = connect(world.ann, sender_name="Ann")
        roles = {folder.path: folder.special_use for folder in mailbox.folders.all()}
        syncing = set(mailbox.folders.filter(syncing=True).values_list("path", flat=True))
        due = Schedule.objects.get(mailbox=mailbox).due_at
        entry = AuditEntry.objects.get(verb="mailbox.connected")
    assert roles == {"INBOX": "inbox", "Sent": "sent", "Papierkorb": "trash", "Old": "", "All": "all"}
    assert syncing == {"INBOX", "Sent", "Papierkorb", "Old"}, "Old is, as soon as it opens"
    assert due is not None
    assert due <= timezone.now()
    assert mailbox.state == MailboxState.NEW
    assert secrets.unseal(bytes(mailbox.secret), account_id=world.acme.pk).reveal() == "pass"
    assert (entry.subject, entry.by_id) == ("new@acme.example", world.ann.pk)
    assert "pass" not in str(entry.details)


def test_on_free_connecting_is_refused_and_the_plans_that_have_mail_are_named(world):
    on_plan(world, "free")
    with world.acting():
        sentence = refused(connect, world.ann)
    assert "Free does not include mail" in sentence
    assert "Basic, Standard" in sentence
    assert "Crm plus" not in sentence
    assert "Trial" not in sentence


def test_at_the_limit_connecting_is_refused_and_what_others_share_does_not_count(world):
    on_plan(world, "basic")
    with world.acting():
        assert connecting.why_not(world.bob, timezone.localdate()) == ""
        connect(world.bob, "bob@acme.example")
        sentence = refused(connect, world.bob, "bob2@acme.example")
    assert "room for 1 mailbox per employee" in sentence
    assert "Standard" in sentence


def test_a_disconnected_mailbox_makes_room(world):
    on_plan(world, "basic")
    with world.acting():
        mine = connect(world.bob, "bob@acme.example")
        settling.disconnect(mine, by=world.bob)
        connect(world.bob, "bob2@acme.example")


def test_the_plans_first_fetch_days_hold_and_an_operator_may_exceed_them(world):
    on_plan(world, "standard")
    with world.acting():
        assert "last 30 days" in refused(connect, world.ann, fetch_days=31)
        assert connect(world.ann, fetch_days=365, as_operator=True, by=None).fetch_days == 365


def test_an_address_is_connected_once_in_a_company_and_the_owner_is_named(world):
    with world.acting():
        assert "already, by Ann Archer" in refused(connect, world.bob, "ann@acme.example")
        assert "You have connected" in refused(connect, world.ann, "ann@acme.example")
    with world.acting(world.other):
        connect(world.eve, "ann@acme.example")


def test_a_folder_cannot_be_two_things_and_the_inbox_stays_the_inbox(world):
    twice = Choice(folders={b"INBOX"}, roles={"sent": b"Sent", "trash": b"Sent"})
    inbox = Choice(folders={b"INBOX"}, roles={"trash": b"INBOX"})
    with world.acting():
        assert "one role" in refused(connect, world.ann, choice=twice)
        assert "inbox keeps its own" in refused(connect, world.ann, choice=inbox)
        assert "at least one folder" in refused(connect, world.ann, choice=Choice({b"Old"}, {}))


@pytest.mark.django_db(transaction=True)
def test_two_tabs_at_once_do_not_pass_the_limit(world):
    on_plan(world, "basic")
    start, outcomes = threading.Barrier(2), []

    def tab(address):
        try:
            start.wait()
            with tenancy.acting_for(world.acme.pk):
                connect(world.cyd, address)
            outcomes.append("connected")
        except CannotConnect as refusal:
            outcomes.append(refusal.sentence)
        finally:
            connection.close()

    tabs = [threading.Thread(target=tab, args=[f"cyd{n}@acme.example"]) for n in (1, 2)]
    for each in tabs:
        each.start()
    for each in tabs:
        each.join()
    assert outcomes.count("connected") == 1
    with world.acting():
        assert Mailbox.objects.filter(owner=world.cyd).count() == 1


# Repairing


def repair_test(world, mailbox, **changes):
    fields = {
        "account": world.acme,
        "by": world.ann,
        "mailbox": mailbox,
        "address": mailbox.address,
        "secret": secrets.seal("new pass", account_id=world.acme.pk),
        "state": "passed",
        "found": [folder.as_json() for folder in FOUND],
        **ServerSettings(Server("imap.new.example", 143, "starttls"), "ann.archer").columns(),
    }
    return ConnectionTest.objects.create(**(fields | changes))


def test_a_repair_changes_the_login_and_nothing_else(world):
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        Mailbox.objects.filter(pk=world.ann_box.pk).update(
            state="refused", last_error="No.", troubled_since=timezone.now(), private_host_allowed=True
        )
        mailbox = Mailbox.objects.get(pk=world.ann_box.pk)
        test = repair_test(world, mailbox)
        settling.repair(mailbox, test, by=world.ann)
        after = Mailbox.objects.get(pk=mailbox.pk)
        test.refresh_from_db()
        assert (after.imap_host, after.login, after.state) == ("imap.new.example", "ann.archer", "ok")
        assert (after.last_error, after.troubled_since) == ("", None)
        assert after.connected_at == mailbox.connected_at
        assert Placement.objects.filter(pk=placement.pk).exists()
        assert Schedule.objects.get(mailbox=after).due_at is not None
        assert (test.state, bytes(test.secret)) == ("used", b"")
        assert after.private_host_allowed is False


def test_a_mailbox_that_is_repaired_while_an_admin_paused_it_goes_on_saying_so(world):
    with world.acting():
        pausing.pause([world.ann_box.pk], by=world.adm)
        settling.repair(world.ann_box, repair_test(world, world.ann_box), by=world.ann)
        repaired = Mailbox.objects.get(pk=world.ann_box.pk)
    assert (repaired.imap_host, repaired.state) == ("imap.new.example", "paused")
    assert repaired.troubled_since == repaired.paused_at
    assert "An admin paused this mailbox." in world.client(world.ann).get("/").content.decode()


def test_a_repair_that_was_not_tested_or_is_of_another_mailbox_is_refused(world):
    with world.acting():
        assert "Test the connection" in refused(
            settling.repair, world.ann_box, repair_test(world, world.ann_box, state="failed"), by=world.ann
        )
        assert "Test the connection" in refused(
            settling.repair, world.ann_box, repair_test(world, world.team_box), by=world.ann
        )


# Folders


def test_a_folder_that_does_not_open_is_not_switched_off_with_those_that_were_not_chosen(world):
    """It was no choice of the form."""
    with world.acting():
        mailbox = connect(world.ann)
        inbox = mailbox.folders.get(special_use="inbox")
        settling.set_folders(mailbox, {inbox.pk}, {}, by=world.ann)
        assert set(mailbox.folders.filter(syncing=True).values_list("path", flat=True)) == {"INBOX", "Old"}


def test_what_was_taken_for_switched_off_as_it_did_not_open_is_synchronised_once_it_does(world):
    """By the migration of that time, in every account."""
    with world.acting():
        mailbox = connect(world.ann)
        mailbox.folders.exclude(special_use="inbox").update(syncing=False)
    module = importlib.import_module("mailsync.migrations.0031_know_since_when_a_folder_is_refused")
    module.switch_on(None, SimpleNamespace(connection=connection))
    with world.acting():
        assert set(mailbox.folders.filter(syncing=True).values_list("path", flat=True)) == {"INBOX", "Old"}


def test_a_folder_switched_off_leaves_here_and_comes_back_from_the_beginning(world):
    junk = world.folder(world.ann_box, SpecialUse.JUNK)
    world.message(junk, subject="leaves")
    kept = world.message(world.folder(world.ann_box), subject="stays")
    with world.acting():
        epoch = Schedule.objects.get(mailbox=world.ann_box).epoch
        on = set(world.ann_box.folders.exclude(pk=junk.pk).values_list("pk", flat=True))
        settling.set_folders(world.ann_box, on, {}, by=world.ann)
        assert Schedule.objects.get(mailbox=world.ann_box).epoch == epoch + 1
    discarding.discard_let_go(world.acme.pk, world.ann_box.pk)
    with world.acting():
        left = Folder.objects.get(pk=junk.pk)
        assert (left.syncing, left.total, left.uid_seen) == (False, 0, 0)
        assert list(Message.objects.filter(mailbox=world.ann_box)) == [kept.message]


def test_roles_are_chosen_by_hand_and_may_change_places(world):
    sent = world.folder(world.ann_box, SpecialUse.SENT)
    archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    with world.acting():
        every = set(world.ann_box.folders.values_list("pk", flat=True))
        settling.set_folders(world.ann_box, every, {"sent": archive.pk, "archive": sent.pk}, by=world.ann)
        assert world.ann_box.folders.get(special_use="sent").pk == archive.pk
        assert not world.ann_box.folders.filter(special_use="trash").exists()
        inbox = world.ann_box.folders.get(special_use="inbox").pk
        assert "inbox" in refused(settling.set_folders, world.ann_box, every, {"trash": inbox}, by=world.ann)


# Letting go and coming back


def test_a_disconnected_mailbox_forgets_the_password_and_the_copies_and_keeps_its_settings(world):
    world.message(world.folder(world.team_box))
    world.message(world.folder(world.team_box, SpecialUse.SENT))
    with world.acting():
        assert settling.disconnect(world.team_box, by=world.ann) == 2
        gone = Mailbox.objects.get(pk=world.team_box.pk)
        assert bytes(gone.secret) == b""
        assert Schedule.objects.get(mailbox=gone).due_at is None
    assert discarding.discard_let_go(world.acme.pk, world.team_box.pk) == 2
    with world.acting():
        assert not Message.objects.filter(mailbox=world.team_box).exists()
        assert MailboxGrant.objects.filter(mailbox=world.team_box, employee=world.bob).exists()
        assert world.team_box.folders.count() == 6


def test_the_passwords_of_tests_go_with_the_mailbox_and_in_any_case_after_a_day(world):
    with world.acting():
        tests = [
            ConnectionTest.objects.create(
                account=world.acme, by=world.ann, mailbox=box, address=world.ann_box.address, secret=b"sealed"
            )
            for box in (world.ann_box, None, None)
        ]
        settling.disconnect(world.ann_box, by=world.ann)
        rows = ConnectionTest.objects.order_by("pk")
        assert [bytes(secret) for secret in rows.values_list("secret", flat=True)] == [
            b"",
            b"sealed",
            b"sealed",
        ]
        yesterday = timezone.now() - connecting.TEST_LIVES * 2
        rows.filter(pk=tests[1].pk).update(created_at=yesterday)
    enrolling.forget_everywhere()
    with world.acting():
        assert list(rows.values_list("pk", flat=True)) == [tests[0].pk, tests[2].pk]


def test_what_was_let_go_is_removed_though_the_hint_at_it_was_lost(world, hints):
    world.message(world.folder(world.team_box))
    junk = world.folder(world.ann_box, SpecialUse.JUNK)
    world.message(junk)
    world.message(world.folder(world.ann_box))
    discarding.hint_everywhere()
    assert hints == []
    with world.acting():
        settling.disconnect(world.team_box, by=world.ann)
        on = set(world.ann_box.folders.exclude(pk=junk.pk).values_list("pk", flat=True))
        settling.set_folders(world.ann_box, on, {}, by=world.ann)
    hints.clear()  # Redis is emptied
    discarding.hint_everywhere()
    assert sorted(hints) == [[world.acme.pk, world.ann_box.pk], [world.acme.pk, world.team_box.pk]]
    for args in list(hints):
        discarding.discard_let_go(*args)
    hints.clear()
    discarding.hint_everywhere()
    assert hints == []


def test_a_worker_that_discards_for_long_leaves_the_rest_to_the_next(world, hints, monkeypatch):
    for _ in range(3):
        world.message(world.folder(world.team_box))
    monkeypatch.setattr(discarding, "BATCH", 1)
    with world.acting():
        settling.disconnect(world.team_box, by=world.ann)
    hints.clear()
    assert discarding.discard_let_go(world.acme.pk, world.team_box.pk, seconds=0) == 1
    assert hints == [[world.acme.pk, world.team_box.pk]]
    assert discarding.discard_let_go(*hints[0]) == 2


def test_what_is_on_its_way_to_a_folder_that_is_switched_off_stays_until_the_server_has_answered(
    world, hints
):
    archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        Folder.objects.filter(pk=archive.pk).update(syncing=False)
        actions.move([placement.pk], Folder.objects.get(pk=archive.pk), by=world.ann)
    hints.clear()
    discarding.hint_everywhere()
    assert hints == []
    assert discarding.discard_let_go(world.acme.pk, world.ann_box.pk) == 0
    with world.acting():
        assert Placement.objects.get(pk=placement.pk).folder_id == archive.pk


@pytest.fixture
def hints(monkeypatch):
    """What workers were told to discard, from now on."""
    told = []

    def send(name, args, *_):
        if name == "mailsync.discard_copies":
            told.append(args)

    monkeypatch.setattr(schedule, "send", send)
    monkeypatch.setattr(transaction, "on_commit", lambda work: work())
    return told


def test_a_star_that_waits_for_a_uid_ends_with_the_copies(world):
    """Found by the model (tests/model): after her return it waited for ever."""
    placement = world.message(world.folder(world.ann_box))
    with world.acting():
        Placement.objects.filter(pk=placement.pk).update(uid=None)
        actions.set_flags([placement.pk], add=["\\Flagged"], by=world.ann)
        settling.disconnect(world.ann_box, by=world.ann)
    discarding.discard_let_go(world.acme.pk, world.ann_box.pk)
    with world.acting():
        assert [op.state for op in Operation.objects.all()] == [OperationState.VOID]


def test_what_was_wished_of_folders_before_is_over_when_ann_returns(world):
    """Found by the model: the server had the new name already, and the run that wrote it down met it twice."""
    with world.acting():
        plans, ideas = (
            Folder.objects.create(
                account=world.acme, mailbox=world.ann_box, name=name.encode(), path=name, delimiter="/"
            )
            for name in ("Plans", "Ideas")
        )
        folders.rename_folder(plans, "Papierkorb", by=world.ann)  # as FOUND has it
        folders.delete_folder(ideas, by=world.ann)
        settling.disconnect(world.ann_box, by=world.ann)
        back = connect(world.ann, "ann@acme.example")
        assert {change.state for change in Operation.objects.all()} == {OperationState.VOID}
        assert not back.folders.filter(deleting=True).exists()
        assert back.folders.filter(path="Papierkorb", name=b"Papierkorb").exists()


def test_ann_may_return_and_nobody_else_may_take_the_address(world):
    with world.acting():
        settling.disconnect(world.ann_box, by=world.ann)
        assert "by Ann Archer" in refused(connect, world.bob, "ann@acme.example")
        back = connect(world.ann, "ann@acme.example")
        assert back.pk == world.ann_box.pk
        assert back.disconnected_at is None
        assert AuditEntry.objects.filter(verb="mailbox.reconnected").exists()
    world.message(world.folder(back))
    assert discarding.discard_let_go(world.acme.pk, back.pk) == 0


# Tests of a connection


def test_yesterdays_tests_go_with_their_secrets(world):
    with world.acting():
        old = repair_test(world, world.ann_box)
        ConnectionTest.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=25))
        new = connecting.start_test(
            by=world.ann,
            address="new@acme.example",
            settings=SETTINGS,
            sealed=secrets.seal("pass", account_id=world.acme.pk),
        )
        assert list(ConnectionTest.objects.all()) == [new]


# Progress


def test_progress_tells_folder_share_rate_and_time(world):
    now = timezone.now()
    with world.acting():
        mailbox = connect(world.ann)
        assert progress.of(mailbox, now).total is None
        mailbox.first_sync_started_at = now - timedelta(seconds=10)
        mailbox.folders.filter(path="INBOX").update(wanted=100, fetched=100)
        mailbox.folders.filter(path="Sent").update(wanted=300, fetched=100)
        shown = progress.of(mailbox, now)
    assert (shown.done, shown.total, shown.percent) == (200, 400, 50)
    assert shown.folder is not None
    assert shown.folder.path == "Sent"
    assert shown.rate == 20
    assert shown.remaining_text == "10 seconds left"


def test_progress_never_says_all_before_the_end(world):
    now = timezone.now()
    with world.acting():
        mailbox = connect(world.ann)
        mailbox.first_sync_started_at = now - timedelta(seconds=10)
        mailbox.folders.update(wanted=5, fetched=5)
        assert progress.of(mailbox, now).percent == 99
        mailbox.first_synced_at = now
        assert progress.of(mailbox, now).percent == 100
