"""Lists by keyset: complete, in order, and from the index however long they are."""

import json
from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from mailsync import access, paging, trees
from mailsync.models import Folder, SpecialUse
from mailsync.paging import Key
from mailsync.trees import FolderLine
from tests.reading.factory import NEWEST, fill
from tests.world import World


def all_pages(folders: list[int], *, show: str = "", size: int = 7) -> list[int]:
    ids: list[int] = []
    before = None
    while page := paging.entries(folders, show=show, before=before, limit=size):
        ids += [entry.id for entry in page]
        before = page[-1].key
    return ids


def test_paging_shows_each_message_once_even_when_many_came_in_the_same_second(world: World) -> None:
    inbox = world.folder(world.ann_box)
    placed = [world.message(inbox, received_at=NEWEST - timedelta(seconds=n // 9)) for n in range(30)]
    expected = sorted(placed, key=lambda p: (p.received_at, p.pk), reverse=True)
    with world.acting():
        assert all_pages([inbox.pk]) == [p.pk for p in expected]


def test_the_unified_inbox_merges_folders_by_date(world: World) -> None:
    folders = [world.folder(world.ann_box), world.folder(world.team_box)]
    placed = [world.message(folders[n % 2], received_at=NEWEST - timedelta(hours=n)) for n in range(20)]
    world.message(world.folder(world.ann_box, SpecialUse.ARCHIVE))
    with world.acting():
        assert all_pages([folder.pk for folder in folders]) == [p.pk for p in placed]


def test_unread_and_starred_narrow_the_list(world: World) -> None:
    inbox = world.folder(world.ann_box)
    flags = [[], ["\\Seen"], ["\\Flagged", "\\Seen"], ["\\Flagged"]]
    placed = [
        world.message(inbox, flags=each, received_at=NEWEST - timedelta(hours=n))
        for n, each in enumerate(flags)
    ]
    with world.acting():
        assert all_pages([inbox.pk], show="unread") == [placed[0].pk, placed[3].pk]
        assert all_pages([inbox.pk], show="starred") == [placed[2].pk, placed[3].pk]


def test_neighbours_are_the_rows_above_and_below(world: World) -> None:
    inbox = world.folder(world.ann_box)
    placed = [world.message(inbox, received_at=NEWEST - timedelta(hours=n)) for n in range(3)]
    with world.acting():
        newer, older = paging.neighbours([inbox.pk], Key(placed[1].received_at, placed[1].pk))
        assert newer is not None
        assert older is not None
        assert (newer.id, older.id) == (placed[0].pk, placed[2].pk)
        top = paging.neighbours([inbox.pk], Key(placed[0].received_at, placed[0].pk))
        assert top[0] is None


def test_what_matches_starts_at_the_top_row_and_leaves_out_what_came_later(world: World) -> None:
    inbox = world.folder(world.ann_box)
    later, top, below = (world.message(inbox, received_at=NEWEST - timedelta(hours=n)) for n in range(3))
    with world.acting():
        key = Key(top.received_at, top.pk)
        found = paging.matching([inbox.pk], show="", down_from=key)
        assert set(found) == {top.pk, below.pk}
        assert later.pk not in found


def test_a_key_survives_the_url_and_nonsense_is_no_key() -> None:
    key = Key(NEWEST + timedelta(microseconds=1), 17)
    assert Key.parse(str(key)) == key
    assert [Key.parse(text) for text in ("", "1", "x.y", "9" * 40 + ".1", "1.2.3")] == [None] * 5


PLANS = [
    ("", None, "placement_list"),
    ("", Key(NEWEST - timedelta(minutes=15_000), 10**9), "placement_list"),
    ("unread", None, "placement_unseen"),
]


def test_a_page_of_a_long_folder_reads_one_page_of_the_index(world: World) -> None:
    inbox, other = world.folder(world.ann_box), world.folder(world.ann_box, SpecialUse.ARCHIVE)
    with world.acting():
        fill(inbox, 20_000)
        fill(other, 200, newest=NEWEST - timedelta(days=100))
        for show, before, index in PLANS:
            plan = plan_of([inbox.pk, other.pk], show=show, before=before)
            scans = [node for node in walk(plan) if node.get("Relation Name") == "mailsync_placement"]
            assert [node.get("Index Name") for node in scans] == [index], text_of(plan)
            assert all(node["Actual Rows"] * node["Actual Loops"] <= 2 * 51 for node in scans)
            assert all(node.get("Rows Removed by Filter", 0) == 0 for node in scans)
            assert "Seq Scan" not in {node["Node Type"] for node in walk(plan)}


def plan_of(folders: list[int], *, show: str, before: Key | None) -> dict:
    """How PostgreSQL ran the list's own statement."""
    # A plan that was kept would not heed what is set below.
    with override_settings(DATABASE_PREPARES=False), CaptureQueriesContext(connection) as statements:
        paging.entries(folders, show=show, before=before)
    with connection.cursor() as cursor:
        # Rows of an open transaction have no statistics yet, or those of a table that was empty; with them
        # the planner takes neither bitmap nor the whole table, unless no index answers the question.
        cursor.execute("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statements[0]['sql']}")
        found = cursor.fetchone()[0]
    plan: dict = (found if isinstance(found, list) else json.loads(found))[0]["Plan"]
    return plan


def walk(node: dict):
    yield node
    for child in node.get("Plans", ()):
        yield from walk(child)


def line(path: str, role: str = "", *, delimiter: str = "/") -> FolderLine:
    return FolderLine(1, 1, role, path, path, 0, 0, 0, "", delimiter, "")


def test_folders_with_a_role_come_first_and_the_rest_is_a_tree_without_the_servers_prefix() -> None:
    lines = trees.lines_of(
        [
            line("INBOX.work.b", delimiter="."),
            line("INBOX.work", delimiter="."),
            line("INBOX.Trash", "trash", delimiter="."),
            line("INBOX", "inbox", delimiter="."),
            line("INBOX.Archive", "archive", delimiter="."),
            line("INBOX.hidden.deep", delimiter="."),
        ]
    )
    assert [(each.name, each.depth) for each in lines] == [
        ("Inbox", 0),
        ("Archive", 0),
        ("Trash", 0),
        ("hidden / deep", 0),
        ("work", 0),
        ("b", 1),
    ]


def test_a_folder_in_the_inbox_and_one_of_that_name_at_the_top_are_told_apart() -> None:
    paths = ["Trash", "INBOX", "INBOX/Trash", "Work", "Work/a", "INBOX/Work", "INBOX/Work/b", "INBOX/Plans"]
    roles = {"INBOX": "inbox", "Trash": "trash"}
    lines = trees.lines_of([line(path, roles.get(path, "")) for path in paths])
    assert [(each.name, each.depth) for each in lines] == [
        ("Inbox", 0),
        ("Trash", 0),
        ("INBOX / Trash", 0),
        ("INBOX / Work", 0),
        ("b", 1),
        ("Plans", 0),
        ("Work", 0),
        ("a", 1),
    ]


def test_the_tree_shows_kept_counters_and_whose_mailbox_it_is(world: World) -> None:
    inbox = world.folder(world.team_box)
    world.message(inbox)
    world.message(inbox, flags=["\\Seen"])
    with world.acting():
        Folder.objects.filter(mailbox=world.team_box, special_use="junk").update(syncing=False)
        Folder.objects.filter(mailbox=world.team_box, special_use="trash").update(selectable=False)
        tree = trees.tree(access.boxes(world.bob))
    box = tree.mailboxes[0]
    assert (box.mine, box.level, box.may("delete"), box.may("manage")) == (False, "delete", True, False)
    assert (tree.inboxes[0].total, tree.inboxes[0].unseen, tree.inbox_unseen) == (2, 1, 1)
    assert not {"junk", "trash"} & {folder.role for folder in box.folders}


def text_of(node: dict, depth: int = 0) -> str:
    """A plan in short, for the message of a failing test."""
    keys = ("Node Type", "Index Name", "Relation Name", "Actual Rows", "Actual Loops", "Index Cond", "Filter")
    own = "  " * depth + " ".join(str(node[key]) for key in keys if key in node)
    return "\n".join([own, *(text_of(child, depth + 1) for child in node.get("Plans", ()))])
