"""Lists of mail narrowed by what binds it: bound:task, bound:crm, bound:none, and these with unread and starred."""

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from crm import activities
from crm.matching import Ref
from mailsync import narrowing, paging
from mailsync.models import Placement
from mailsync.paging import Key
from tasks import actions, binding
from tests.crm.conftest import Clients
from tests.reading.factory import NEWEST, fill
from tests.reading.test_lists import all_pages, plan_of, text_of, walk
from tests.world import World


@pytest.fixture
def letters(world: World, clients: Clients) -> dict[str, Placement]:
    """One of each kind, the newest first; "left" was linked once and is no more."""
    zoe = Ref("contact", clients.contact("Zoe").pk)
    inbox = world.folder(world.ann_box)
    names = ("none", "task", "crm", "both", "left")
    placed = {
        name: world.message(
            inbox, flags=["\\Seen"] if name == "crm" else [], received_at=NEWEST - timedelta(hours=n)
        )
        for n, name in enumerate(names)
    }
    with world.acting():
        task = actions.create("Answer Zoe", by=world.ann)
        binding.bind(task, [placed[name].message_id for name in ("task", "both")], by=world.ann)
        for name in ("crm", "both", "left"):
            kept = activities.kept_for(world.acme.pk, placed[name].message_id)
            activities.bind(kept, zoe, by=world.ann, alone=True)
        activities.unbind(
            activities.kept_for(world.acme.pk, placed["left"].message_id), None, by=world.ann, alone=True
        )
    return placed


WORDS = {
    "bound:task": ["task", "both"],
    "bound:crm": ["crm", "both"],
    "bound:none": ["none", "left"],
    "bound:task bound:crm": ["both"],
    "unread bound:crm": ["both"],
}


@pytest.mark.parametrize("show", WORDS)
def test_a_list_shows_what_is_bound_so(world: World, letters: dict[str, Placement], show: str) -> None:
    wanted = [letters[name] for name in WORDS[show]]
    inbox, first = wanted[0].folder_id, wanted[0]
    with world.acting():
        assert all_pages([inbox], show=show, size=1) == [p.pk for p in wanted]
        found = paging.matching([inbox], show=show, down_from=None)
        assert sorted(found) == sorted(p.pk for p in wanted)
        _newer, older = paging.neighbours([inbox], Key(first.received_at, first.pk), show=show)
        assert (older.id if older else None) == (wanted[1].pk if len(wanted) > 1 else None)
    ann = world.client(world.ann)
    for page in (f"/mail/{inbox}/", "/"):
        answer = ann.get(f"{page}?{urlencode({'show': show})}").content.decode()
        shown = [name for name in letters if f'id="r{letters[name].pk}"' in answer]
        assert shown == WORDS[show], page


def test_what_people_type_leads_to_the_lists_address_and_nonsense_is_named(world: World) -> None:
    ann = world.client(world.ann)
    answer = ann.get("/", {"q": "bound:CRM is:unread"})
    assert answer.headers["Location"] == "/?show=unread+bound%3Acrm"
    page = ann.get("/", {"q": "bound:moon"}, follow=True).content.decode()
    assert "“bound:moon” says nothing here." in page
    assert ann.get("/?show=bound:moon").status_code == 404


def test_a_page_ends_where_it_looked_long_enough_and_the_next_goes_on(
    world: World, letters: dict[str, Placement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(narrowing, "WALKED", 1)
    ann, url = world.client(world.ann), "/mail/rows/?list=all&show=bound:crm"
    seen, before = [], ""
    for _page in letters:
        context = ann.get(f"{url}&before={before}").context["page"]
        seen += [row.id for row in context.rows]
        before = context.next
        if not before:
            break
    assert seen == [letters["crm"].pk, letters["both"].pk]


def test_a_narrowed_page_asks_indexes_key_by_key(world: World) -> None:
    inbox = world.folder(world.ann_box)
    with world.acting():
        fill(inbox, 2_000)
        for show in (
            "bound:task",
            "bound:crm",
            "bound:none",
            "unread bound:none",
            "assigned:me",
            "assigned:none",
        ):
            plan = plan_of([inbox.pk], show=show, before=None)
            # Of people there are five here: to read them all is the quickest way to one.
            nodes = [node for node in walk(plan) if node.get("Relation Name") != "accounts_employee"]
            assert not [
                node for node in nodes if "Seq Scan" in node["Node Type"] or "Hash" in node["Node Type"]
            ], text_of(plan)
            [scan] = [node for node in nodes if node.get("Relation Name") == "mailsync_placement"]
            assert scan["Index Name"] == ("placement_unseen" if "unread" in show else "placement_list")
