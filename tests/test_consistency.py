"""The checker itself: each rule notices what breaks it, and says where."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, models, transaction
from django.utils import timezone

from mailsync.consistency import INVARIANTS, SHOWN, violations
from mailsync.models import (
    Blob,
    Folder,
    LedgerEntry,
    Mailbox,
    Message,
    Operation,
    Outgoing,
    OutgoingUsage,
    Placement,
    Schedule,
    Tombstone,
    Unread,
)
from tests.world import World, mailbox

Plant = Callable[[World, Placement], object]


@contextmanager
def planted(world: World) -> Iterator[None]:
    """Acting for Acme; what is broken inside is whole again afterwards."""
    with world.acting():
        yield
        transaction.set_rollback(True)


def change(model: type[models.Model], **values: object) -> Plant:
    """Write nonsense into the newest row of a table."""
    return lambda world, placement: model._default_manager.filter(
        pk=model._default_manager.latest("pk").pk
    ).update(**values)


def move(state: str, ago: timedelta = timedelta()) -> Plant:
    """The placement waits for its UID, because of a move in this state."""

    def plant(world: World, placement: Placement) -> None:
        Placement.objects.filter(pk=placement.pk).update(uid=None)
        Operation.objects.create(
            account=world.acme, mailbox=world.ann_box, folder=world.folder(world.ann_box, "archive"),
            target=placement.folder, kind="move", state=state, placement=placement,
            finished_at=timezone.now() - ago if state == "done" else None,
        )  # fmt: skip

    return plant


def to_the_teams_inbox(world: World, placement: Placement) -> None:
    Placement.objects.filter(pk=placement.pk).update(folder=world.folder(world.team_box))


def operation_elsewhere(world: World, placement: Placement) -> None:
    Operation.objects.create(
        account=world.acme, mailbox=world.team_box, folder=placement.folder, kind="flag", uid=1
    )


def tombstone(world: World, placement: Placement) -> None:
    Tombstone.objects.create(
        account=world.acme, mailbox=world.ann_box, identity=placement.message.identity,
        header_hash=placement.message.header_hash, received_at=placement.received_at,
    )  # fmt: skip


def count_wrong(world: World, placement: Placement) -> None:
    Folder.objects.filter(pk=placement.folder_id).update(unseen=7)


def belongs_to_eve(world: World, placement: Placement) -> None:
    Mailbox.objects.filter(pk=world.ann_box.pk).update(owner=world.eve)


def counted(**used: int) -> Plant:
    """Three recipients are in the ledger of March; this is what is kept of it."""

    def plant(world: World, placement: Placement) -> None:
        month = {"account": world.acme, "month": date(2026, 3, 1)}
        LedgerEntry.objects.create(origin="crm", count=3, **month)
        if used:
            OutgoingUsage.objects.create(**month, **used)

    return plant


def forgotten_letter(world: World, placement: Placement) -> None:
    """It waits, and nothing says when its mailbox is to send."""
    now = timezone.now()
    Outgoing.objects.create(
        account=world.acme, mailbox=world.ann_box, by=world.ann, message_id="x@acme.example", state="queued",
        header=b"Subject: x\r\n\r\n", body=placement.message.body, queued_at=now, send_at=now, due_at=now,
    )  # fmt: skip


def unread_for_its_owner(world: World, placement: Placement) -> None:
    Unread.objects.create(
        account=world.acme, mailbox=world.ann_box, employee=world.ann, message=placement.message,
        received_at=placement.received_at,
    )  # fmt: skip


BREAKS: list[tuple[str, Plant]] = [
    ("a placement's folder and message share a mailbox", to_the_teams_inbox),
    ("a placement carries its message's date", change(Placement, received_at=timezone.now())),
    ("a message is unplaced since a moment", change(Message, unplaced_since=timezone.now())),
    ("a message is unplaced since a moment", lambda world, placement: placement.delete()),
    ("no identity is both stored and tombstoned", tombstone),
    ("kept counters equal what is counted", count_wrong),
    ("a placement without a UID waits for a move", change(Placement, uid=None)),
    ("a placement without a UID waits for a move", move("void")),
    ("a placement without a UID waits for a move", move("done", ago=timedelta(hours=2))),
    ("a UID is above 0", change(Placement, uid=0)),
    ("a UID is above 0 and belongs to a known UIDVALIDITY", lambda world, placement:
        Folder.objects.filter(pk=placement.folder_id).update(uidvalidity=None)),
    ("flags are sorted", change(Placement, flags=["\\Seen", "\\Flagged"])),
    ("flags are sorted", change(Placement, flags=["a", "a"])),
    ("never \\Recent", change(Placement, flags=["\\Recent"])),
    ("an open operation stays in its mailbox", operation_elsewhere),
    ("a message's identity is the hash", change(Message, identity=b"x" * 32)),
    ("a message's identity is the hash", change(Message, header_hash=b"x" * 32)),
    ("a message's identity is the hash", change(Message, header=b"Subject: another\r\n\r\n")),
    ("header and body together have the message's size", change(Message, size=3)),
    ("a blob's bytes have the hash and size", change(Blob, content=b"tampered")),
    ("a blob's bytes have the hash and size", change(Blob, size=5)),
    ("a trouble has a sentence and a beginning", change(Mailbox, last_error="Refused.")),
    ("what is used is the sum of the ledger", counted()),
    ("what is used is the sum of the ledger", counted(used=2)),
    ("what is used is the sum of the ledger", counted(used=3, webmail=1)),
    ("nobody's own is the owner's", unread_for_its_owner),
    ("a letter that waits has a moment", forgotten_letter),
    ("a connected mailbox has its place in the schedule", lambda world, placement:
        Schedule.objects.filter(mailbox=world.ann_box).delete()),
    ("a foreign key stays inside the account: mailsync_mailbox", belongs_to_eve),
]  # fmt: skip


def test_each_rule_is_broken_once_below() -> None:
    assert [each.rule for each in INVARIANTS if not any(rule in each.rule for rule, _ in BREAKS)] == []


@pytest.mark.parametrize(("rule", "plant"), BREAKS)
def test_a_broken_rule_is_named(world: World, rule: str, plant: Plant) -> None:
    placement = world.message(world.folder(world.ann_box))
    with planted(world):
        assert violations(world.acme) == []
        plant(world, placement)
        found = violations(world.acme)
        assert any(rule in violation for violation in found), found
    assert violations(world.acme) == []


@pytest.mark.parametrize("state", ["pending", "sending", "done"])
def test_a_message_on_its_way_to_another_folder_is_sound(world: World, state: str) -> None:
    placement = world.message(world.folder(world.ann_box))
    with planted(world):
        move(state)(world, placement)
        assert violations(world.acme) == []


def test_a_hundred_breaches_are_counted_not_listed(world: World) -> None:
    inbox = world.folder(world.ann_box)
    for _ in range(SHOWN + 5):
        world.message(inbox)
    with planted(world):
        Placement.objects.update(received_at=timezone.now())
        found = [line for line in violations(world.acme) if "carries" in line]
        assert len(found) == SHOWN + 1
        assert found[-1] == "a placement carries its message's date: and 5 more"


def test_one_companys_breach_is_not_anothers(world: World) -> None:
    world.message(world.folder(world.ann_box))
    with planted(world):
        Message.objects.update(size=3)
        assert violations(world.acme)
        assert violations(world.other) == []


def test_the_operators_command_says_sound(world: World) -> None:
    world.message(world.folder(world.ann_box))
    assert run("check_account", "Acme") == "Acme is sound\n"


def test_the_operators_command_prints_each_breach_and_fails(world: World) -> None:
    world.message(world.folder(world.ann_box))
    said = StringIO()
    with planted(world):
        Message.objects.update(size=3)
        with pytest.raises(SystemExit) as ended:
            call_command("check_account", "Acme", stdout=said)
        assert ended.value.code == 1
    assert "header and body together have the message's size: message" in said.getvalue()


def test_an_unknown_company_is_said(world: World) -> None:
    with pytest.raises(CommandError, match="no account named 'Acne'"):
        run("check_account", "Acne")


# mailbox_report


def test_the_report_counts_each_folder(world: World) -> None:
    inbox = world.folder(world.ann_box)
    world.message(inbox, flags=["\\Seen"])
    world.message(inbox, flags=["\\Flagged"])
    world.message(world.folder(world.ann_box, "sent"), flags=["\\Flagged", "\\Seen"])
    report = json.loads(run("mailbox_report", "ann@acme.example", "--json"))
    assert (report["address"], report["state"]) == ("ann@acme.example", "ok")
    by_name = {folder.pop("name"): folder for folder in report["folders"]}
    assert by_name["INBOX"] == {"uidvalidity": 1, "messages": 2, "unseen": 1, "flagged": 1}
    assert by_name["Sent"] == {"uidvalidity": 2, "messages": 1, "unseen": 0, "flagged": 1}
    assert by_name["Trash"] == {"uidvalidity": 6, "messages": 0, "unseen": 0, "flagged": 0}


def test_folders_that_are_not_synchronised_are_not_reported(world: World) -> None:
    with world.acting():
        Folder.objects.filter(mailbox=world.ann_box, path="Junk").update(syncing=False)
        Folder.objects.filter(mailbox=world.ann_box, path="Drafts").update(selectable=False)
    names = [
        folder["name"]
        for folder in json.loads(run("mailbox_report", "ann@acme.example", "--json"))["folders"]
    ]
    assert names == ["Archive", "INBOX", "Sent", "Trash"]


def test_a_folders_name_is_readable_in_every_alphabet(world: World) -> None:
    with world.acting():
        Folder.objects.filter(mailbox=world.ann_box, path="Archive").update(path="Проекты/日本")
    assert '"Проекты/日本"' in run("mailbox_report", "ann@acme.example", "--json")


def test_people_get_a_table(world: World) -> None:
    world.message(world.folder(world.ann_box))
    lines = run("mailbox_report", "ANN@acme.example").splitlines()
    assert lines[0] == "ann@acme.example: ok"
    assert any(line.split() == ["1", "1", "0", "INBOX"] for line in lines)


def test_an_address_of_two_companies_has_to_be_told_apart(world: World) -> None:
    with world.acting(world.other):
        mailbox(world.eve, "team@acme.example")
    with pytest.raises(CommandError, match=r"several accounts \(Acme, Other\): say --account NAME"):
        run("mailbox_report", "team@acme.example")
    assert "team@acme.example: ok" in run("mailbox_report", "team@acme.example", "--account", "Other")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nobody@acme.example"], "No mailbox has the address 'nobody@acme.example'"),
        (["ann@acme.example", "--account", "Other"], "No mailbox has the address"),
        (["ann@acme.example", "--account", "Acne"], "no account named 'Acne'"),
    ],
)
def test_what_is_not_there_is_said(world: World, options: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        run("mailbox_report", *options)


def run(*command: str) -> str:
    said = StringIO()
    call_command(*command, stdout=said)
    return said.getvalue()


def test_the_checker_reads_only(world: World) -> None:
    world.message(world.folder(world.ann_box))
    with world.acting(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        assert violations(world.acme) == []
