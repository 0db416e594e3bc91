"""Lists of mail narrowed to what leaves soon, alone and with other words: the purge's own rule, key by key."""

import json
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailsync import narrowing, paging
from mailsync.models import Folder, Message, Placement
from mailsync.paging import Key
from tests.reading.factory import fill
from tests.reading.test_lists import walk
from tests.retention.scenes import bind_to_client, bind_to_task, mail
from tests.world import World

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
ZOE = ("Zoe", "zoe@partner.example")


@pytest.fixture
def places(world: World) -> dict[str, int]:
    """By name and in the list's order; Professional keeps 90 days, and what is with a client no longer."""
    now = timezone.now()
    box: dict[str, Message] = {}
    # Its date is to come; it ages from when it was seen first.
    box["ahead"] = mail(world, age=-DAY, at=now, sender=ZOE)
    with world.acting():
        Message.objects.filter(pk=box["ahead"].pk).update(stored_at=now - 88 * DAY)
    ages = {
        "young": 80,
        "six days left": 84,
        "soon": 88,
        "unread": 88.5,
        "client": 89,
        "task": 89.5,
        "late": 95,
    }
    for name, days in ages.items():
        flags = [] if name in ("unread", "client") else ["\\Seen"]
        sender = ZOE if name in ("unread", "soon") else ("Max", "max@partner.example")
        box[name] = mail(world, age=days * DAY, at=now, flags=flags, sender=sender)
    bind_to_task(world, box["task"])
    bind_to_client(world, box["client"])
    with world.acting():
        placed = dict(Placement.objects.values_list("message_id", "pk"))
    return {name: placed[message.pk] for name, message in box.items()}


SHOWN = {
    "leaves:3d": ["ahead", "soon", "unread", "client", "late"],
    "leaves:7d": ["ahead", "six days left", "soon", "unread", "client", "late"],
    "unread leaves:3d": ["ahead", "unread", "client"],
    "leaves:3d from:zoe": ["ahead", "soon", "unread"],
    "unread leaves:3d from:zoe@partner": ["ahead", "unread"],
    "unread bound:crm leaves:3d": ["client"],
    "bound:task leaves:3d": [],
    "from:max": ["young", "six days left", "client", "task", "late"],
}


@pytest.mark.parametrize("show", SHOWN)
def test_a_list_shows_what_leaves_so_soon(
    world: World, places: dict[str, int], monkeypatch: pytest.MonkeyPatch, show: str
) -> None:
    wanted = [places[name] for name in SHOWN[show]]
    inbox, ann = world.folder(world.ann_box), world.client(world.ann)
    for page in (f"/mail/{inbox.pk}/", "/"):
        answer = ann.get(f"{page}?{urlencode({'show': show})}").content.decode()
        assert [pk for pk in places.values() if f'id="r{pk}"' in answer] == wanted, page
    with world.acting():
        found = paging.matching([inbox.pk], show=show, down_from=None, reader=world.ann.pk)
        assert sorted(found) == sorted(wanted)
        if len(wanted) > 1:
            first = Placement.objects.get(pk=wanted[0])
            key = Key(first.received_at, first.pk)
            _newer, older = paging.neighbours([inbox.pk], key, show=show, reader=world.ann.pk)
            assert older
            assert older.id == wanted[1]
    # Pages that look at two places each, until the end.
    monkeypatch.setattr(narrowing, "WALKED", 2)
    seen, before = [], ""
    for _page in range(9):
        query = urlencode({"list": inbox.pk, "show": show, "before": before})
        shown = ann.get(f"/mail/rows/?{query}").context["page"]
        seen += [row.id for row in shown.rows]
        before = shown.next
        if not before:
            break
    assert seen == wanted


def test_what_ann_types_leads_to_the_list_and_the_clock_is_told_for_its_days(
    world: World, places: dict[str, int]
) -> None:
    ann = world.client(world.ann)
    answer = ann.get("/", {"q": "Leaves:7d is:unread from:Zoe"})
    assert answer.headers["Location"] == "/?show=unread+leaves%3A7d+from%3Azoe"
    assert "says nothing here" in ann.get("/", {"q": "leaves:5d"}, follow=True).content.decode()
    assert ann.get("/?show=from:x'--").status_code == 404
    asked = ",".join(map(str, places.values()))
    marks = ann.get(f"/retention/marks/?ids={asked}&days=7").json()
    told = {name: marks["when"].get(str(pk)) for name, pk in places.items()}
    assert told == {"ahead": "in 1 day", "young": None, "six days left": "in 5 days", "soon": "in 1 day",
                    "unread": "in 1 day", "client": "tonight", "task": None, "late": "tonight"}  # fmt: skip


def plan_of(world: World, folder: Folder, show: str) -> list[dict]:
    """The nodes of the list's own statement, as PostgreSQL ran it."""
    reader = world.ann.pk
    newest = narrowing.begins(show, reader, [folder.pk])
    assert newest
    with CaptureQueriesContext(connection) as statements:
        paging.entries([folder.pk], show=show, before=Key(newest, 0), reader=reader)
    return nodes_of(statements[-1]["sql"])


def nodes_of(sql: str) -> list[dict]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off"
        )  # as in test_lists
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        found = cursor.fetchone()[0]
    return list(walk((found if isinstance(found, list) else json.loads(found))[0]["Plan"]))


def test_where_the_list_begins_is_told_without_looking_through_the_mailbox(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 2_000, newest=timezone.now() - 60 * DAY)
        with CaptureQueriesContext(connection) as statements:
            narrowing.begins("leaves:3d", world.ann.pk, [inbox.pk])
        [asked] = [each["sql"] for each in statements if "MAX(" in each["sql"]]
        nodes = nodes_of(asked)
    assert [node["Index Name"] for node in nodes if "Index Name" in node] == ["message_postdated"]
    # With statistics of 87 500 messages the planner looked for the newest that fits through all that do not.
    assert 'MAX("' not in asked, "an index by date can serve this"


def test_the_list_begins_where_mail_is_old_enough_and_asks_key_by_key(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 2_000, newest=timezone.now() - 86.5 * DAY)  # the older half leaves within three days
        for show in ("leaves:3d", "unread leaves:3d", "leaves:3d from:sender"):
            nodes = plan_of(world, inbox, show)
            read = {node["Relation Name"]: node for node in nodes if "Relation Name" in node}
            for unwanted in ("Seq Scan", "Hash"):
                assert not [node for node in nodes if unwanted in node["Node Type"]], show
            assert read["mailsync_placement"].get("Index Name", "").startswith("placement_")
            scanned = [n["Actual Rows"] for n in nodes if n.get("Relation Name") == "mailsync_placement"]
            assert sum(scanned) <= 60, "the young were walked through"
