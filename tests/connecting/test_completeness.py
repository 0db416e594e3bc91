"""The page "Is everything here?": what each person sees of it, and may ask."""

import csv
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse
from django.utils import timezone

from mailsync import pausing
from mailsync.models import Folder, FolderCheck, GrantLevel, Mailbox, MailboxGrant, Schedule, SpecialUse
from plans.subscriptions import change_plan
from tests.world import World


def url(mailbox: Mailbox, name: str = "completeness") -> str:
    return reverse(f"mail:{name}", args=[mailbox.pk])


def compared(world: World, folder: Folder, server: int, here: int, *differences: dict[str, Any], **more: Any):
    with world.acting():
        return FolderCheck.objects.create(
            account=world.acme, mailbox=folder.mailbox, folder=folder, path=folder.path, server_count=server,
            here_count=here, differences=list(differences), **more,
        )  # fmt: skip


def difference(cause: str, count: int, *uids: int, **more: Any) -> dict[str, Any]:
    named = [{"uid": uid, "received_at": None, "size": None, "why": ""} for uid in uids]
    return {"cause": cause, "count": count, "named": named, **more}


def all_equal(world: World) -> None:
    for folder in _folders(world):
        compared(world, folder, 12408, 12408)


def page(world: World, **headers: str) -> str:
    answer = world.client(world.ann).get(url(world.ann_box), headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_equal_folders_are_said_to_be_equal_with_both_numbers(world: World) -> None:
    all_equal(world)
    text = page(world)
    assert "Everything that is on the server is here." in text
    assert text.count("server 12\u202f408") == text.count("here 12\u202f408") == 6
    assert text.count('<span class="ledger-sign">=') == 6


def test_a_difference_is_named_in_words(world: World) -> None:
    all_equal(world)
    giant = difference("skipped", 1, 88)
    giant["named"][0] |= {
        "received_at": "2026-11-03T10:00:00+00:00",
        "size": 60_000_000,
        "why": "Larger than 50 MB.",
    }
    older = difference("older", 47, since="2026-10-23T00:00:00+00:00")
    compared(world, world.folder(world.ann_box), 12408, 12360, older, giant)
    text = page(world)
    assert "Yes. Every difference has its reason." in text
    assert "47 older than 23 Oct 2026" in text
    assert "1 too large or unreadable" in text
    for said in ("UID 88", "57.2", "Larger than 50 MB."):
        assert said in text


def test_what_the_server_keeps_marked_is_no_alarm(world: World) -> None:
    all_equal(world)
    compared(world, world.folder(world.ann_box), 3, 1, difference("marked", 2, 1, 2))
    text = page(world)
    assert "Yes. Every difference has its reason." in text
    assert "2 moved or deleted: the server keeps them, marked as deleted" in text


def test_missing_mail_is_an_alarm_and_says_what_happens(world: World) -> None:
    all_equal(world)
    compared(world, world.folder(world.ann_box), 5, 3, difference("missing", 2, 2, 4), repaired=True)
    text = page(world)
    assert "Something differs without a reason." in text
    assert "2 were missing without a reason: they are fetched again" in text


def test_what_the_brake_holds_is_shown(world: World) -> None:
    compared(world, world.folder(world.ann_box), 10, 800, difference("held", 790, *range(1, 51)))
    text = page(world)
    assert "790 suddenly gone from the server: kept here until somebody decides" in text
    assert "and 740 more" in text
    assert "The server suddenly shows much less." in text


def test_a_folder_that_did_not_open_and_a_failed_comparison_say_why(world: World) -> None:
    compared(world, world.folder(world.ann_box), 0, 0, error="The server does not open this folder.")
    assert "The server does not open this folder." in page(world)
    with world.acting():
        FolderCheck.objects.create(account=world.acme, mailbox=world.ann_box, error="Nobody answers.")
    text = page(world)
    assert "The last comparison could not be made." in text
    assert "Nobody answers." in text


def test_a_mailbox_without_checks_and_one_without_folders_have_a_page(world: World) -> None:
    assert "Not compared yet." in page(world)
    with world.acting():
        Folder.objects.filter(mailbox=world.ann_box).update(syncing=False)
    text = page(world)
    assert "No folder is synchronised." in text
    assert "6 folders are switched off and not compared." in text


def test_ann_asks_and_the_page_watches_until_it_is_over(world: World) -> None:
    client = world.client(world.ann)
    assert client.post(url(world.ann_box, "completeness-check")).status_code == 302
    row = Schedule.objects.get(mailbox=world.ann_box)
    assert row.check_asked_by_id == world.ann.pk
    part = page(world, **{"HX-Request": "true"})
    assert 'hx-trigger="every 1s"' in part
    assert "0 of 6 folders" in part
    assert "<html" not in part
    compared(world, world.folder(world.ann_box), 1, 1)
    assert "1 of 6 folders" in page(world)
    Schedule.objects.filter(mailbox=world.ann_box).update(check_asked_at=None)
    assert "every 1s" not in page(world)


def test_asking_twice_is_asking_once(world: World) -> None:
    client = world.client(world.ann)
    part = {"HX-Request": "true"}
    client.post(url(world.ann_box, "completeness-check"), headers=part)
    first = Schedule.objects.get(mailbox=world.ann_box).check_asked_at
    client.post(url(world.ann_box, "completeness-check"), headers=part)
    assert Schedule.objects.get(mailbox=world.ann_box).check_asked_at == first


def test_when_no_worker_comes_the_page_says_so(world: World) -> None:
    Schedule.objects.filter(mailbox=world.ann_box).update(
        check_asked_at=timezone.now() - timedelta(minutes=2)
    )
    assert "No worker is free yet." in page(world)


def test_who_may_read_sees_and_only_who_manages_asks(world: World) -> None:
    all_compared = compared(world, world.folder(world.team_box), 3, 3)
    bob = world.client(world.bob)  # may delete in the team's mailbox
    text = bob.get(url(world.team_box)).content.decode()
    assert all_compared.path == "INBOX"
    assert "server 3" in text
    assert "Check now" not in text
    assert f'href="{url(world.team_box)}"' in bob.get(reverse("mail:mailboxes")).content.decode()
    assert bob.post(url(world.team_box, "completeness-check")).status_code == 404
    with world.acting():
        MailboxGrant.objects.filter(employee=world.bob).update(level=GrantLevel.MANAGE)
    assert "Check now" in bob.get(url(world.team_box)).content.decode()
    assert bob.post(url(world.team_box, "completeness-check")).status_code == 302


@pytest.mark.parametrize("who", ["cyd", "adm", "eve"])
@pytest.mark.parametrize("name", ["completeness", "completeness-export"])
def test_nobody_else_sees_a_check(world: World, who: str, name: str) -> None:
    compared(world, world.folder(world.ann_box), 3, 3)
    client = world.client(getattr(world, who))
    assert client.get(url(world.ann_box, name)).status_code == 404
    assert client.post(url(world.ann_box, "completeness-check")).status_code == 404
    assert Schedule.objects.get(mailbox=world.ann_box).check_asked_at is None
    with world.acting(world.other):
        assert not FolderCheck.objects.exists()


def test_without_mail_in_the_plan_there_is_nothing_to_ask(world: World) -> None:
    with world.acting():
        change_plan(world.acme, "free", on=timezone.now().date(), by=None)
    assert "Check now" not in page(world)


def test_while_an_admin_pauses_the_mailbox_the_page_says_so_and_offers_no_comparison(world: World) -> None:
    with world.acting():
        pausing.pause([world.ann_box.pk], by=world.adm)
    shown = page(world)
    assert "nothing is compared until an admin resumes it" in shown
    assert "Check now" not in shown
    with world.acting():
        pausing.resume([world.ann_box.pk], by=world.adm)
    assert "Check now" in page(world)


def test_the_history_tells_each_comparison_once(world: World) -> None:
    for days in (2, 1, 0):
        for folder in _folders(world):
            at = timezone.now() - timedelta(days=days)
            by = world.ann if days == 0 else None
            lost = (
                [difference("missing", 2, 1, 2)]
                if days == 1 and folder.special_use == SpecialUse.INBOX
                else []
            )
            compared(world, folder, 5, 3 if lost else 5, *lost, at=at, asked_by=by)
    text = page(world)
    assert text.count('<span class="ledger-when">') == 3
    assert text.count("by night") == 2
    assert "5 folders equal · 2 were missing without a reason" in text
    assert text.count("6 folders equal") == 2


def _folders(world: World) -> list[Folder]:
    with world.acting():
        return list(Folder.objects.filter(mailbox=world.ann_box).select_related("mailbox"))


def test_the_export_has_a_line_for_each_difference_and_no_formulas(world: World) -> None:
    inbox = world.folder(world.ann_box)
    compared(world, inbox, 5, 2, difference("missing", 2, 2, 4), difference("older", 1), repaired=True)
    compared(world, world.folder(world.ann_box, SpecialUse.SENT), 7, 7, asked_by=world.ann)
    with world.acting():
        FolderCheck.objects.create(
            account=world.acme, mailbox=world.ann_box, path='=HYPERLINK("x")', error="No."
        )
    answer = world.client(world.ann).get(url(world.ann_box, "completeness-export"))
    assert answer["Content-Type"].startswith("text/csv")
    head, *lines = csv.reader(answer.content.decode().splitlines())
    assert head[:7] == ["at", "folder", "server", "here", "cause", "count", "uids"]
    assert [line[1:9] for line in lines] == [
        ['\'=HYPERLINK("x")', "", "", "", "0", "", "False", "No."],
        ["Sent", "7", "7", "equal", "0", "", "False", ""],
        ["INBOX", "5", "2", "missing", "2", "2 4", "True", ""],
        ["INBOX", "5", "2", "older", "1", "", "True", ""],
    ]
    assert lines[1][9] == "Ann Archer"


def test_the_settings_page_leads_there_with_and_without_script(world: World) -> None:
    text = (
        world.client(world.ann)
        .get(reverse("mail:mailbox-settings", args=[world.ann_box.pk]))
        .content.decode()
    )
    assert f'hx-get="{url(world.ann_box)}"' in text
    assert f'href="{url(world.ann_box)}"' in text


def test_a_hundred_folders_cost_no_more_queries_than_one(world: World) -> None:
    client = world.client(world.ann)
    client.get(url(world.ann_box))

    def asked() -> int:
        with override_settings(DATABASE_PREPARES=False), CaptureQueriesContext(connection) as queries:
            client.get(url(world.ann_box))
        return len(queries)

    few = asked()
    with world.acting():
        for number in range(100):
            name = f"F{number}"
            folder = Folder.objects.create(
                account=world.acme, mailbox=world.ann_box, name=name.encode(), path=name, delimiter="/"
            )
            FolderCheck.objects.create(
                account=world.acme,
                mailbox=world.ann_box,
                folder=folder,
                path=name,
                server_count=1,
                here_count=1,
            )
    assert asked() <= few + 2
