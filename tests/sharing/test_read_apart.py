"""Read and unread of each person's own, where a mailbox is set so: Ann's is the server's, Bob's is kept here."""

import json
import re
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, Department
from mailsync import access, actions, discarding, paging, settling, sharing, transferring, unread, windows
from mailsync.importing import prepare, store
from mailsync.models import (
    Folder,
    GrantLevel,
    Mailbox,
    MailboxGrant,
    Message,
    Operation,
    Placement,
    SpecialUse,
    Unread,
)
from plans.subscriptions import limits_for
from retention.export_mail import of_folder
from tests.consistency import assert_consistent
from tests.reading.test_lists import text_of, walk
from tests.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def apart(world: World) -> World:
    """Each person reads team@ for themselves."""
    with world.acting():
        unread.switch(world.team_box, apart=True, by=world.ann)
    return world


def mail(world: World, subject: str, **more):
    """Something that has come in just now."""
    return world.message(
        world.folder(world.team_box, more.pop("role", SpecialUse.INBOX)),
        subject=subject,
        **{"received_at": timezone.now() + timedelta(seconds=len(subject)), **more},
    )


def page(world: World, who, show: str = "", folder: Folder | None = None) -> str:
    inbox = folder or world.folder(world.team_box)
    answer = world.client(who).get(reverse("mail:folder", args=[inbox.pk]), {"show": show})
    return answer.content.decode()


def bold(world: World, who, *, show: str = "", folder: Folder | None = None) -> list[str]:
    """The subjects that are unread in the list."""
    shown = page(world, who, show, folder)
    return sorted(re.findall(r'class="row unread.*?class="subject" dir="auto">(.*?)<', shown, re.DOTALL))


def badge(world: World, who, folder: Folder | None = None) -> str:
    shown = page(world, who)
    found = re.search(rf'id="n{(folder or world.folder(world.team_box)).pk}"[^>]*>([^<]*)', shown)
    assert found
    return found[1]


def act(world: World, who, verb: str, *places: Placement, **more: str):
    form = {"verb": verb, "ids": [p.pk for p in places], "list": world.folder(world.team_box).pk} | more
    return world.client(who).post(reverse("mail:act"), form, headers={"HX-Request": "true"})


def undone(world: World, who, answer) -> None:
    button = re.search(r'name="act" value="(\d+)"', answer.content.decode())
    assert button, answer.content.decode()
    world.client(who).post(
        reverse("mail:undo"), {"act": button[1], "list": "all"}, headers={"HX-Request": "true"}
    )


def test_what_bob_reads_stays_unread_for_ann_and_never_reaches_the_server(apart: World) -> None:
    world = apart
    first, second = mail(world, "Order 1208"), mail(world, "Anchor chains!")
    assert bold(world, world.ann) == bold(world, world.bob) == ["Anchor chains!", "Order 1208"]

    assert act(world, world.bob, "read", first).status_code == 200
    assert (bold(world, world.bob), badge(world, world.bob)) == (["Anchor chains!"], "1")
    assert (bold(world, world.ann), badge(world, world.ann)) == (["Anchor chains!", "Order 1208"], "2")
    for show in ("unread", "unread assigned:none", "unread bound:none"):
        assert bold(world, world.bob, show=show) == ["Anchor chains!"]
    at = reverse("mail:message", args=[first.folder_id, first.pk])
    pane = world.client(world.bob).get(at, {"show": "unread"}).content.decode()
    assert f'data-newer="{reverse("mail:message", args=[second.folder_id, second.pk])}?show=unread"' in pane
    assert 'data-seen="1"' in pane
    assert "for you alone" in pane
    with world.acting():
        assert not Operation.objects.exists()
    exported = {
        str(one.facts["subject"]): one.facts["read"]
        for one in of_folder(world.folder(world.team_box), world.bob)
    }
    assert exported == {"Order 1208": True, "Anchor chains!": False}

    act(world, world.ann, "read", first)
    act(world, world.bob, "unread", first)
    assert bold(world, world.ann) == ["Anchor chains!"]
    assert bold(world, world.bob) == ["Anchor chains!", "Order 1208"]
    with world.acting():
        assert list(Operation.objects.values_list("by__name", "add")) == [("Ann Archer", ["\\Seen"])]
        assert access.get_letter(world.ann, first.pk, GrantLevel.READ).seen
        assert_consistent(world.acme)


def test_without_the_setting_what_bob_reads_is_read_for_both(world: World) -> None:
    first = mail(world, "Order 1208")
    act(world, world.bob, "read", first)
    assert bold(world, world.ann) == bold(world, world.bob) == []
    with world.acting():
        assert not Unread.objects.exists()


def test_switching_keeps_what_is_unread_and_switching_back_by_mistake_loses_nothing(world: World) -> None:
    known, _other = mail(world, "Order 1208"), mail(world, "Read by all", flags=["\\Seen"])
    settings = reverse("mail:mailbox-settings", args=[world.team_box.pk])
    url = reverse("mail:mailbox-reading", args=[world.team_box.pk])
    assert "the 1 message that is unread now stays unread for Bob Brown" in shown(world, settings)
    ann = world.client(world.ann)
    assert ann.post(url, {"apart": "1"}).status_code == 302
    assert bold(world, world.bob) == ["Order 1208"]
    act(world, world.bob, "read", known)
    mail(world, "Later!")

    assert "all see what Ann Archer has read" in shown(world, settings)
    ann.post(url, {"apart": "0"})
    assert bold(world, world.bob) == ["Later!", "Order 1208"]
    with world.acting():
        # Stored a moment later than the setting, as if in a transaction of its own.
        Message.objects.filter(pk=mail(world, "Meanwhile").message_id).update(stored_at=timezone.now() + HOUR)
    ann.post(url, {"apart": "1"})
    assert bold(world, world.bob) == ["Later!", "Meanwhile"], "he had read the order"
    assert "Choose one of the two." in ann.post(url, {"apart": "both"}, follow=True).content.decode()

    ann.post(url, {"apart": "0"})
    assert unread.drop_old(timezone.now()) == 0
    assert unread.drop_old(timezone.now() + 25 * HOUR) == 2
    ann.post(url, {"apart": "1"})
    assert bold(world, world.bob) == ["Later!", "Meanwhile", "Order 1208"], (
        "begun anew, from what is unread for all"
    )
    with world.acting():
        verbs = AuditEntry.objects.filter(verb__startswith="mailbox.read").order_by("pk")
        assert [each.verb for each in verbs][:3] == [
            "mailbox.read_apart",
            "mailbox.read_together",
            "mailbox.read_apart",
        ]


def shown(world: World, url: str) -> str:
    return world.client(world.ann).get(url).content.decode()


def test_whoever_gets_access_later_meets_no_old_mail_and_sees_the_new_as_unread(apart: World) -> None:
    world = apart
    mail(world, "Long ago")
    with world.acting():
        sales = Department.objects.create(account=world.acme, name="Sales")
        world.cyd.department = sales
        world.cyd.save()
        sharing.share(world.team_box, sales, GrantLevel.READ, by=world.ann)
    said = shown(world, reverse("mail:mailbox-sharing", args=[world.team_box.pk]))
    assert "whoever is new begins with everything read" in said
    assert bold(world, world.cyd) == []
    fresh = mail(world, "Just now")
    assert bold(world, world.cyd) == ["Just now"]
    assert act(world, world.cyd, "read", fresh).status_code == 200, (
        "with a grant for reading: it is hers alone"
    )
    assert bold(world, world.cyd) == []
    assert act(world, world.cyd, "star", fresh).status_code == 422
    offered = set(re.findall(r'name="verb" value="([a-z-]+)"', page(world, world.cyd)))
    assert offered == {"task", "read", "unread"}, "no button that would be refused"
    with world.acting():
        sharing.unshare(world.team_box, sales, by=world.ann)
        assert list(Unread.objects.values_list("employee__name", flat=True).distinct()) == ["Bob Brown"]


def test_mail_of_ours_and_mail_of_the_past_is_unread_for_nobody(apart: World) -> None:
    world = apart
    mail(world, "A letter", role=SpecialUse.SENT)
    mail(world, "Old", received_at=timezone.now() - 3 * HOUR)
    with world.acting():
        assert not Unread.objects.exists()
        # The letters of the last days come back by a wish, as do those of a mailbox that is connected again.
        Mailbox.objects.filter(pk=world.team_box.pk).update(read_apart_since=timezone.now() - 90 * 24 * HOUR)
        windows.widen(world.team_box, limits_for(world.acme, world.acme.today()), by=world.ann)
    mail(world, "Fetched again", received_at=timezone.now() - 3 * HOUR)
    seen_elsewhere = mail(world, "Read on Ann's phone", flags=["\\Seen"])
    assert bold(world, world.bob) == ["Read on Ann&#x27;s phone"]
    with world.acting():
        # The same bytes under another UID, as after a copy or another UIDVALIDITY: no news.
        unread.mark([seen_elsewhere.message_id], read=True, by=world.bob)
        Message.objects.update(stored_at=timezone.now() - HOUR)
        message = seen_elsewhere.message
        raw = bytes(message.header) + access.get_letter(world.bob, seen_elsewhere.pk, GrantLevel.READ).body
        archive = world.folder(world.team_box, SpecialUse.ARCHIVE)
        assert store(archive, [prepare(world.acme.pk, 77, frozenset(), message.received_at, raw)]) == 1
    assert bold(world, world.bob, folder=archive) == []


def test_it_stays_unread_wherever_it_is_moved_and_goes_with_the_message(apart: World) -> None:
    world = apart
    first = mail(world, "Order 1208")
    archive = world.folder(world.team_box, SpecialUse.ARCHIVE)
    act(world, world.ann, "archive", first)
    assert (bold(world, world.bob, folder=archive), badge(world, world.bob, archive)) == (["Order 1208"], "1")
    assert badge(world, world.bob) == ""
    with world.acting():
        # Another program moved it: gone here, new there, under another UID.
        actions.remove_placements([first.pk])
        assert Unread.objects.count() == 1
        discarding.discard([first.message_id], reason="test")
        assert not Unread.objects.exists()


def test_marking_all_that_match_is_one_act_over_both_kinds_of_mailboxes_and_is_undone(apart: World) -> None:
    world = apart
    with world.acting():
        own = world.folder(Mailbox.objects.get(pk=world.ann_box.pk))
        MailboxGrant.objects.create(
            account=world.acme, mailbox=world.ann_box, employee=world.bob, level=GrantLevel.REPLY
        )
    mail(world, "Of the team"), mail(world, "Of the team, too")
    world.message(own, subject="Of Ann", received_at=timezone.now() - HOUR)
    client = world.client(world.bob)
    inbox = client.get(reverse("mail:inbox"), {"show": "unread"}).content.decode()
    order = re.findall(r'class="subject" dir="auto">(.*?)<', inbox)
    assert order == ["Of the team, too", "Of the team", "Of Ann"]
    top = re.search(r'name="top" value="([^"]+)"', inbox)
    assert top

    everything = {"list": "all", "show": "unread", "all": "1", "top": top[1]}
    answer = act(world, world.bob, "read", **everything)
    assert "3 marked as read" in answer.content.decode()
    assert 'class="row unread' not in client.get(reverse("mail:inbox")).content.decode()
    assert len(bold(world, world.ann)) == 2, "hers is untouched where each has their own"
    with world.acting():
        assert Placement.objects.filter(folder=own, seen=True).count() == 1, (
            "and read for all where it is shared"
        )
    undone(world, world.bob, answer)
    assert client.get(reverse("mail:inbox")).content.decode().count('class="row unread') == 3
    with world.acting():
        assert Placement.objects.filter(folder=own, seen=False).count() == 1


def test_with_another_owner_the_servers_state_is_theirs_and_ann_keeps_hers(apart: World) -> None:
    world = apart
    first, second = mail(world, "Order 1208"), mail(world, "Anchor chains")
    act(world, world.ann, "read", first)
    act(world, world.bob, "read", second)
    with world.acting():
        box = Mailbox.objects.get(pk=world.team_box.pk)
        transferring.transfer(box, world.bob, by=world.ann, keeps=GrantLevel.READ)
        assert_consistent(world.acme)
    assert bold(world, world.bob) == ["Anchor chains"], "what the server says"
    assert bold(world, world.ann) == ["Anchor chains"], "as she left it"
    act(world, world.bob, "read", second)
    assert bold(world, world.ann) == ["Anchor chains"]


def test_only_who_manages_the_mailbox_decides_and_reading_alone_marks_nothing_for_others(
    world: World,
) -> None:
    url = reverse("mail:mailbox-reading", args=[world.team_box.pk])
    assert world.client(world.bob).post(url, {"apart": "1"}).status_code == 404
    assert world.client(world.adm).post(url, {"apart": "1"}).status_code == 302
    with world.acting():
        assert Mailbox.objects.get(pk=world.team_box.pk).read_apart_since
        settling.disconnect(world.team_box, by=world.ann)
    assert act(world, world.bob, "read", mail(world, "Too late")).status_code == 422


def test_more_than_is_counted_is_said_to_be_more(apart: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world = apart
    for n in range(4):
        mail(world, f"Order {n}" + "!" * n)
    monkeypatch.setattr(unread, "MOST", 3)
    assert badge(world, world.bob) == "3+"
    assert ">3+ unread of 4<" in page(world, world.bob)
    assert badge(world, world.ann) == "4"


def test_who_has_no_such_mailbox_asks_not_one_statement_more(world: World) -> None:
    """Ann's is the server's, so it costs her nothing either; Bob's costs one statement for the tree."""
    mail(world, "Order 1208")

    def statements(who) -> int:
        client = world.client(who)
        with CaptureQueriesContext(connection) as asked:
            client.get(reverse("mail:inbox"))
        return len([each for each in asked if "mailsync_" in each["sql"]])

    before = statements(world.ann), statements(world.bob)
    with world.acting():
        unread.switch(world.team_box, apart=True, by=world.ann)
    assert (statements(world.ann), statements(world.bob)) == (before[0], before[1] + 1)


# Long folders


MANY = 20_000
LONG = ("mailsync_unread", "mailsync_placement", "mailsync_message")


def fill(world: World, count: int) -> None:
    """Messages of one minute each in team@'s inbox, none of which Bob has read; the account must be the acting one."""
    inbox, blob = world.folder(world.team_box), world.message(world.folder(world.ann_box)).message.body_id
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH made AS (
                   INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size,
                       message_id, subject, sender_name, sender_address, recipients, received_at, snippet,
                       has_attachments, parse_problem)
                   SELECT %(account)s, %(box)s, decode(md5(n::text), 'hex'), '', '', %(blob)s, 1, '', 'Report ' || n,
                       '', '', '{}', %(newest)s::timestamptz - n * interval '1 minute', '', false, ''
                   FROM generate_series(1, %(count)s) n RETURNING id, received_at),
               placed AS (
                   INSERT INTO mailsync_placement (account_id, folder_id, message_id, uid, flags, received_at)
                   SELECT %(account)s, %(folder)s, id, id, '{}', received_at FROM made)
               INSERT INTO mailsync_unread (account_id, employee_id, mailbox_id, message_id, received_at)
               SELECT %(account)s, %(reader)s, %(box)s, id, received_at FROM made""",
            {
                "account": world.acme.pk, "box": world.team_box.pk, "blob": blob, "newest": NEWEST, "count": count,
                "folder": inbox.pk, "reader": world.bob.pk,
            },
        )  # fmt: skip


NEWEST = timezone.now()


def plans_of(work) -> list[dict]:
    """How PostgreSQL ran each statement."""
    # A plan that was kept would not heed what is set below.
    with override_settings(DATABASE_PREPARES=False), CaptureQueriesContext(connection) as statements:
        work()
    plans = []
    with connection.cursor() as cursor:
        # As in tests.reading.test_lists: nobody has counted these rows.
        cursor.execute("SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off")
        for each in statements:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {each['sql']}")
            found = cursor.fetchone()[0]
            plans.append((found if isinstance(found, list) else json.loads(found))[0]["Plan"])
    return plans


def test_a_page_of_what_bob_has_not_read_reads_one_page_of_his_index(apart: World) -> None:
    world = apart
    inbox = world.folder(world.team_box)
    deep = paging.Key(NEWEST - timedelta(minutes=MANY * 3 // 4), 10**9)
    with world.acting():
        fill(world, MANY)
        own: dict[str, Any] = {"reader": world.bob.pk, "apart": {inbox.pk}}
        for show, before in [("unread", None), ("unread", deep), ("", None), ("", deep)]:
            list_it = partial(paging.entries, [inbox.pk], show=show, before=before, **own)
            [plan] = plans_of(list_it)
            touched = [node for node in walk(plan) if node.get("Relation Name") in LONG]
            assert "Seq Scan" not in {node["Node Type"] for node in touched}, text_of(plan)
            assert all(node["Actual Rows"] * node["Actual Loops"] <= 2 * 51 for node in touched), text_of(
                plan
            )
            assert all(node.get("Rows Removed by Filter", 0) == 0 for node in touched), text_of(plan)
        [counting] = plans_of(lambda: unread.count(world.bob.pk, [world.team_box.pk]))
        assert "Seq Scan" not in {node["Node Type"] for node in walk(counting)}, text_of(counting)
        assert all(node["Actual Rows"] * node["Actual Loops"] <= unread.MOST for node in walk(counting))
        everything = paging.matching([inbox.pk], show="unread", down_from=None, **own)
        assert len(everything) == MANY
        assert len(actions.mark_apart(everything, [], read=True, by=world.bob).undo["unread"]) == MANY
        assert paging.entries([inbox.pk], show="unread", **own) == []
        transaction.set_rollback(True)  # messages without bytes are no sound ones
