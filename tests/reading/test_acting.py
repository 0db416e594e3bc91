"""What people do to mail from the pages, and what they are told."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from mailsync.models import Act, GrantLevel, MailboxGrant, Placement, SpecialUse
from tests.reading.factory import fill
from tests.world import World

HTMX: dict[str, Any] = {"HTTP_HX_REQUEST": "true"}


def where(world: World, placement: Placement) -> str:
    with world.acting():
        return Placement.objects.get(pk=placement.pk).folder.special_use


def act(client: Client, verb: str, *placements: Placement, **more: str):
    data = {"verb": verb, "ids": [p.pk for p in placements], "list": "all", **more}
    return client.post("/mail/act/", data, **HTMX)


@pytest.mark.parametrize(("verb", "role"), [("archive", "archive"), ("trash", "trash"), ("spam", "junk")])
def test_ann_sorts_a_message_and_takes_it_back(world: World, verb: str, role: str) -> None:
    placement = world.message(world.folder(world.ann_box))
    client = world.client(world.ann)
    answer = act(client, verb, placement).content.decode()
    assert where(world, placement) == role
    undo = re.search(r'name="act" value="(\d+)"', answer)
    assert undo
    client.post("/mail/undo/", {"act": undo[1], "list": "all"}, **HTMX)
    assert where(world, placement) == "inbox"


def test_the_answer_tells_the_new_counts_and_the_rows_on_screen(world: World) -> None:
    inbox = world.folder(world.ann_box)
    gone, stays = world.message(inbox, subject="Gone"), world.message(inbox, subject="Stays")
    answer = act(world.client(world.ann), "archive", gone, rows="1").content.decode()
    assert f'id="r{stays.pk}"' in answer
    assert f'id="r{gone.pk}"' not in answer
    assert "1 unread of 1" in answer
    assert "1 archived" in answer


def test_after_a_mark_only_the_counts_come_back(world: World) -> None:
    """The page has painted the rows itself; the tree keeps its shape, so that nobody's focus is lost."""
    inbox = world.folder(world.ann_box)
    marked = world.message(inbox)
    world.message(inbox)
    answer = act(world.client(world.ann), "read", marked).content.decode()
    assert f'id="n{inbox.pk}" hx-swap-oob="true">1<' in answer
    assert 'id="nall" hx-swap-oob="true">1<' in answer
    assert "1 unread of 2" in answer
    assert 'id="tree"' not in answer
    assert 'class="row' not in answer


@pytest.mark.parametrize(("verb", "most"), [("star", 18), ("archive", 23)])
def test_an_act_needs_as_many_statements_for_fifty_messages_as_for_one(
    world: World, verb: str, most: int
) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 50)
        placed = list(Placement.objects.filter(folder=inbox))
    with override_settings(DATABASE_PREPARES=False), CaptureQueriesContext(connection) as statements:
        assert act(world.client(world.ann), verb, *placed, rows="1").status_code == 200
    asked = [each["sql"] for each in statements if "mailsync_" in each["sql"]]
    assert len(asked) <= most, asked


@pytest.mark.parametrize(
    ("verb", "flag", "has"),
    [
        ("read", "\\Seen", True),
        ("unread", "\\Seen", False),
        ("star", "\\Flagged", True),
        ("unstar", "\\Flagged", False),
    ],
)
def test_marks_are_set_without_a_word(world: World, verb: str, flag: str, has: bool) -> None:
    flags = [] if has else [flag]
    placement = world.message(world.folder(world.ann_box), flags=flags)
    answer = act(world.client(world.ann), verb, placement).content.decode()
    with world.acting():
        placement.refresh_from_db()
        assert (flag in placement.flags) is has
    assert 'class="toast"' not in answer


def test_a_star_in_a_row_works_without_scripts_whatever_is_ticked(world: World) -> None:
    inbox = world.folder(world.ann_box)
    starred, ticked = world.message(inbox), world.message(inbox)
    client = world.client(world.ann)
    answer = client.post(
        "/mail/act/", {"one": f"star:{starred.pk}", "ids": [ticked.pk], "next": f"/mail/{inbox.pk}/"}
    )
    assert answer.headers["Location"] == f"/mail/{inbox.pk}/"
    with world.acting():
        starred.refresh_from_db()
        ticked.refresh_from_db()
        assert (starred.starred, ticked.starred) == (True, False)


def test_without_scripts_the_next_page_offers_undo(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    client = world.client(world.ann)
    page = client.post("/mail/act/", {"verb": "archive", "ids": placement.pk, "next": "/"}, follow=True)
    undo = re.search(r'action="/mail/undo/".*?name="act" value="(\d+)"', page.content.decode(), re.DOTALL)
    assert undo
    assert "1 archived" in page.content.decode()
    client.post("/mail/undo/", {"act": undo[1]})
    assert where(world, placement) == "inbox"


def test_move_goes_to_any_folder_of_the_same_mailbox_only(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    client = world.client(world.ann)
    other = world.folder(world.team_box, SpecialUse.ARCHIVE)
    refused = act(client, f"move:{other.pk}", placement)
    assert refused.status_code == 422
    assert "within their own mailbox" in refused.content.decode()
    sent = world.folder(world.ann_box, SpecialUse.SENT)
    assert "moved to Sent" in act(client, f"move:{sent.pk}", placement).content.decode()
    assert where(world, placement) == "sent"


def test_a_mailbox_without_an_archive_says_what_to_do(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    with world.acting():
        archive.delete()
    refused = act(world.client(world.ann), "archive", placement)
    assert refused.status_code == 422
    assert "ann@acme.example" in refused.content.decode()
    assert where(world, placement) == "inbox"


def test_deleting_for_good_is_asked_first_with_the_number(world: World) -> None:
    trash = world.folder(world.ann_box, SpecialUse.TRASH)
    placed = [world.message(trash) for _ in range(3)]
    client = world.client(world.ann)
    asked = act(client, "expunge", *placed).content.decode()
    assert "Delete 3 messages for good?" in asked
    with world.acting():
        assert Placement.objects.filter(folder=trash).count() == 3
    assert "3 removed for good" in act(client, "expunge", *placed, confirmed="1").content.decode()
    with world.acting():
        assert not Placement.objects.filter(folder=trash).exists()


def test_nothing_outside_trash_and_spam_is_deleted_for_good(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    assert act(world.client(world.ann), "expunge", placement, confirmed="1").status_code == 422
    assert where(world, placement) == "inbox"


def test_all_that_match_reaches_beyond_the_page_but_not_to_what_came_later(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 130)
    client = world.client(world.ann)
    page = client.get(f"/mail/{inbox.pk}/").content.decode()
    top = re.search(r'name="top" value="([^"]+)"', page)
    assert top
    assert "Select all 130 that match" in page
    late = world.message(inbox, received_at=timezone.now())
    answer = act(client, "archive", all="1", list=str(inbox.pk), top=top[1]).content.decode()
    assert "130 archived" in answer
    assert where(world, late) == "inbox"


def test_all_that_match_of_unread_leaves_read_mail_alone(world: World) -> None:
    inbox = world.folder(world.ann_box)
    unread, read = world.message(inbox), world.message(inbox, flags=["\\Seen"])
    act(world.client(world.ann), "archive", all="1", list=str(inbox.pk), show="unread")
    assert (where(world, unread), where(world, read)) == ("archive", "inbox")


@pytest.mark.parametrize(
    ("level", "verb", "changed"),
    [
        (GrantLevel.READ, "star", False),
        (GrantLevel.READ, "trash", False),
        (GrantLevel.REPLY, "star", True),
        (GrantLevel.REPLY, "trash", False),
        (GrantLevel.DELETE, "trash", True),
    ],
)
def test_bob_does_only_what_his_grant_allows(world: World, level: str, verb: str, changed: bool) -> None:
    placement = world.message(world.folder(world.team_box))
    with world.acting():
        MailboxGrant.objects.filter(employee=world.bob).update(level=level)
    answer = act(world.client(world.bob), verb, placement)
    with world.acting():
        before = (placement.folder_id, list(placement.flags))
        placement.refresh_from_db()
        assert ((placement.folder_id, list(placement.flags)) != before) is changed
    assert (answer.status_code == 200) is changed
    opened = (
        world.client(world.bob).get(f"/mail/{placement.folder_id}/{placement.pk}/", **HTMX).content.decode()
    )
    assert ('value="trash"' in opened or 'value="expunge"' in opened) is (level == GrantLevel.DELETE)


def test_bob_cannot_undo_what_ann_did(world: World) -> None:
    placement = world.message(world.folder(world.team_box))
    answer = act(world.client(world.ann), "archive", placement).content.decode()
    undo = re.search(r'name="act" value="(\d+)"', answer)
    assert undo
    assert world.client(world.bob).post("/mail/undo/", {"act": undo[1]}, **HTMX).status_code == 404
    assert where(world, placement) == "archive"


@pytest.mark.parametrize("level", [None, GrantLevel.READ])
@pytest.mark.parametrize("verb", ["archive", "star"])
def test_who_may_not_do_it_any_more_cannot_undo_it(world: World, verb: str, level: str | None) -> None:
    placement = world.message(world.folder(world.team_box))
    bob = world.client(world.bob)
    act(bob, verb, placement)
    with world.acting():
        done = Act.objects.get(by=world.bob)
        grants = MailboxGrant.objects.filter(mailbox=world.team_box)
        grants.update(level=level) if level else grants.delete()
        before = Placement.objects.values_list("folder", "flags").get()
    answer = bob.post("/mail/undo/", {"act": done.pk, "list": "all"}, **HTMX)
    assert (answer.status_code, "any more" in answer.content.decode()) == (422, True)
    with world.acting():
        assert Placement.objects.values_list("folder", "flags").get() == before


def test_an_undo_says_of_how_many_when_others_were_moved_on(world: World) -> None:
    inbox = world.folder(world.ann_box)
    taken, left = world.message(inbox), world.message(inbox)
    ann = world.client(world.ann)
    act(ann, "archive", taken, left)
    with world.acting():
        done = Act.objects.get()
    act(ann, "trash", taken)
    answer = ann.post("/mail/undo/", {"act": done.pk, "list": "all"}, **HTMX)
    assert "Undone for 1 of 2" in answer.content.decode()


def test_nobody_else_touches_anns_mail(world: World) -> None:
    placement = world.message(world.folder(world.ann_box))
    for who in (world.bob, world.cyd, world.adm, world.eve):
        assert act(world.client(who), "trash", placement).status_code in {404, 422}
    assert where(world, placement) == "inbox"


@pytest.mark.parametrize("data", [{"verb": "explode"}, {"verb": "star", "ids": "x"}, {"verb": "move:"}, {}])
def test_nonsense_is_a_404_not_a_crash(world: World, data: dict[str, str]) -> None:
    world.message(world.folder(world.ann_box))
    assert world.client(world.ann).post("/mail/act/", data, **HTMX).status_code in {404, 422}


@pytest.mark.parametrize("where_to", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
def test_next_leads_nowhere_but_home(world: World, where_to: str) -> None:
    placement = world.message(world.folder(world.ann_box))
    answer = world.client(world.ann).post(
        "/mail/act/", {"verb": "star", "ids": placement.pk, "next": where_to}
    )
    assert answer.headers["Location"] == "/"
