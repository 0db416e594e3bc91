"""Which mailbox feeds CRM, the exceptions, and matching again what is here already."""

import pytest

from accounts.models import AuditEntry
from crm import arrivals, directory, rematching
from crm.models import Activity, Exclusion, Feed, FeedFolder, Lead, Rematch
from mailsync.models import Folder
from tests.crm.conftest import Clients
from tests.crm.test_arrivals import arrive, bound_to
from tests.world import World


@pytest.fixture
def ann(world):
    return world.client(world.ann)


def folder_ids(world: World, *roles: str) -> list[int]:
    with world.acting():
        rows = Folder.objects.filter(mailbox=world.ann_box, special_use__in=roles)
        return list(rows.values_list("pk", flat=True))


def test_ann_lets_her_mailbox_feed_crm(world: World, ann, clients: Clients) -> None:
    url = f"/crm/mailboxes/{world.ann_box.pk}/"
    page = ann.get(url).content.decode()
    assert "Junk" not in page
    assert "Trash" not in page
    form = {
        "enabled": "on",
        "strangers": "lead",
        "folders": folder_ids(world, "inbox"),
        "queue": [world.bob.pk],
    }
    assert ann.post(url, form).status_code == 302
    arrive(world, sender="nel@nowhere.example")
    with world.acting():
        assert Lead.objects.get().responsible == world.bob
        assert AuditEntry.objects.filter(verb="mailbox.crm_changed").count() == 1
    ann.post(url, {"strangers": "nothing", "folders": folder_ids(world, "inbox")})
    with world.acting():
        assert not Feed.objects.get().enabled
        assert not Feed.objects.get().queue.exists()


@pytest.mark.parametrize("role", ["junk", "trash"])
def test_spam_and_trash_cannot_be_chosen(world: World, ann, role: str) -> None:
    form = {"enabled": "on", "strangers": "lead", "folders": folder_ids(world, role)}
    assert ann.post(f"/crm/mailboxes/{world.ann_box.pk}/", form).status_code == 422
    with world.acting():
        assert not FeedFolder.objects.exists()


def test_a_feed_without_folders_is_refused_in_words(world: World, ann) -> None:
    answer = ann.post(f"/crm/mailboxes/{world.ann_box.pk}/", {"enabled": "on", "strangers": "lead"})
    assert "Choose at least one folder." in answer.content.decode()


def test_only_who_manages_the_mailbox_and_admins_change_its_crm(world: World) -> None:
    url = f"/crm/mailboxes/{world.ann_box.pk}/"
    assert [world.client(who).get(url).status_code for who in (world.adm, world.bob)] == [200, 404]
    assert world.client(world.bob).get(f"/crm/mailboxes/{world.team_box.pk}/").status_code == 404


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" @Noise.Example ", "noise.example"), ("A@noise.example", "a@noise.example"), ("x y", "")],
)
def test_exceptions_are_added_and_taken_back(world: World, ann, typed: str, kept: str) -> None:
    answer = ann.post("/crm/exceptions/", {"pattern": typed}, follow=True)
    with world.acting():
        assert list(Exclusion.objects.values_list("pattern", flat=True)) == ([kept] if kept else [])
    if not kept:
        assert "neither an address nor a domain" in answer.content.decode()
        return
    page = ann.post("/crm/exceptions/remove/", {"pattern": kept}, follow=True).content.decode()
    assert f'<input type="hidden" name="pattern" value="{kept}">' in page
    with world.acting():
        assert not Exclusion.objects.exists()


# Matching again


def test_a_contact_that_is_added_later_picks_up_its_older_mail(
    world: World, ann, clients: Clients, django_capture_on_commit_callbacks
) -> None:
    clients.feed(world.ann_box)
    older = [arrive(world, f"{n}@x.example", sender="Zoe <ZOE@elsewhere.example>") for n in range(3)]
    sent = arrive(
        world, "s@x.example", role="sent", sender="ann@acme.example", to="Z <zoe@elsewhere.example>"
    )
    other = arrive(world, "o@x.example", sender="not.zoe@elsewhere.example")
    unfed = arrive(world, "a@x.example", role="archive")
    ann.post(
        "/crm/contacts/new/", {"name": "Zoe", "emails": "zoe@elsewhere.example", "responsible": world.ann.pk}
    )
    with world.acting():
        wish = Rematch.objects.get()
    assert wish.addresses == ["zoe@elsewhere.example"]
    rematching.run(world.acme.pk, wish.pk)
    for message in (*older, sent):
        assert bound_to(world, message) == {"Zoe"}
    assert bound_to(world, other) == bound_to(world, unfed) == set()
    page = ann.get(f"/crm/matching/{wish.pk}/").content.decode()
    assert "Looked through 4 older messages: 4 are kept now." in page


def test_matching_a_mailbox_again_makes_nothing_of_strangers(world: World, clients: Clients) -> None:
    message, stranger = arrive(world), arrive(world, "2@x.example", sender="nel@nowhere.example")
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box, strangers="lead")
    with world.acting():
        wish = rematching.ask(world.ann, mailbox_id=world.ann_box.pk)
    assert wish
    rematching.run(world.acme.pk, wish.pk)
    assert bound_to(world, message) == {"Zoe"}
    assert bound_to(world, stranger) == set()
    with world.acting():
        assert not Lead.objects.exists()


def test_a_matching_that_was_killed_goes_on_where_it_was(world: World, clients: Clients, monkeypatch) -> None:
    messages = [arrive(world, f"{n}@x.example") for n in range(5)]
    clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    monkeypatch.setattr(rematching, "BATCH", 2)
    with world.acting():
        wish = rematching.ask(world.ann, addresses=["zoe@elsewhere.example"])
    assert wish
    keep, calls = arrivals.keep, []

    def killed_at_the_second(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return keep(*args, **options)

    monkeypatch.setattr(arrivals, "keep", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        rematching.run(world.acme.pk, wish.pk)
    with world.acting():
        assert rematching.unfinished(world.acme.pk) == [wish.pk]
        assert Activity.objects.count() == 2
    rematching.run(world.acme.pk, wish.pk)
    for message in messages:
        assert bound_to(world, message) == {"Zoe"}
    with world.acting():
        wish.refresh_from_db()
        assert (wish.total, wish.done, wish.found) == (5, 5, 5)
        assert wish.finished_at


def test_a_companys_new_domain_picks_up_its_peoples_mail(world: World, ann, clients: Clients) -> None:
    clients.feed(world.ann_box)
    message = arrive(world, sender="piet@rijn.example")
    ann.post("/crm/companies/new/", {"name": "Rijn", "domain": "rijn.example", "responsible": world.ann.pk})
    with world.acting():
        wish = Rematch.objects.get()
    rematching.run(world.acme.pk, wish.pk)
    assert bound_to(world, message) == {"Rijn"}


def test_what_a_person_kept_out_stays_out(world: World, ann, clients: Clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    clients.feed(world.ann_box)
    placement_message = arrive(world)
    with world.acting():
        place = placement_message.placements.get()
    ann.post(f"/crm/message/{place.pk}/unlink/", {"scope": "message"})
    with world.acting():
        wish = rematching.ask(world.ann, addresses=directory.addresses_of(zoe))
    assert wish
    rematching.run(world.acme.pk, wish.pk)
    assert bound_to(world, placement_message) == set()


def test_without_a_feeding_mailbox_nothing_is_looked_through(world: World, ann) -> None:
    ann.post("/crm/contacts/new/", {"name": "Zoe", "emails": "z@x.example", "responsible": world.ann.pk})
    with world.acting():
        assert not Rematch.objects.exists()
