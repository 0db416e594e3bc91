"""Several people in one mailbox: whose a message is, notes with mentions, who did what, who is answering."""

from datetime import timedelta

import pytest
import redis
from django.urls import reverse
from django.utils import timezone

from mailsync import (
    access,
    actions,
    assigning,
    conversation,
    live,
    notices,
    noting,
    presence,
    sharing,
    transferring,
)
from mailsync.assigning import CannotAssign
from mailsync.importing import prepare, store
from mailsync.models import Act, Assignment, MailboxGrant, Message, Note, Placement, SpecialUse
from tests.world import World, build

ROOT, MINE = "<first@elsewhere.example>", "<second@acme.example>"


def raw(name: str, *answered: str, subject: str = "Order 1208") -> bytes:
    made = build(
        subject=subject,
        text="Hi.\n",
        sender=("Zoe", "zoe@elsewhere.example"),
        message_id=name,
        at=timezone.now(),
    )
    return (
        made.replace(b"\r\n", f"\r\nReferences: {' '.join(answered)}\r\n".encode(), 1) if answered else made
    )


@pytest.fixture
def thread(world: World) -> list[Placement]:
    """Two messages of one conversation in team@'s inbox, and one besides."""
    inbox = world.folder(world.team_box)
    return [
        world.message(inbox, raw=raw(ROOT)),
        world.message(inbox, raw=raw(MINE, ROOT, subject="Re: Order 1208")),
        world.message(inbox, subject="Anchor chains"),
    ]


def whose(world: World) -> dict[int, str]:
    with world.acting():
        return {a.message_id: a.employee.name for a in Assignment.objects.select_related("employee")}


def page(world: World, person, show: str = "", **more: str) -> str:
    inbox = world.folder(world.team_box)
    return (
        world.client(person)
        .get(reverse("mail:folder", args=[inbox.pk]), {"show": show, **more})
        .content.decode()
    )


def act(world: World, person, verb: str, *places: Placement) -> str:
    form = {"verb": verb, "ids": [p.pk for p in places], "list": world.folder(world.team_box).pk, "rows": "1"}
    answer = world.client(person).post(reverse("mail:act"), form, headers={"HX-Request": "true"})
    return f"{answer.status_code} {answer.content.decode()}"


def test_ann_gives_a_conversation_to_bob_who_is_told_and_later_replies_are_his_too(world, thread):
    first, second, other = thread
    assert "2 assigned to Bob Brown" in act(world, world.ann, f"assign:{world.bob.pk}", second)
    assert whose(world) == {first.message_id: "Bob Brown", second.message_id: "Bob Brown"}
    strip = world.client(world.bob).get("/").content.decode()
    assert "<b>Ann Archer</b> assigned to you:" in strip
    assert "and 1 more" in strip
    inbox = world.folder(world.team_box)
    with world.acting():
        reply = raw("<third@elsewhere.example>", ROOT, MINE, subject="Re: Order 1208")
        store(inbox, [prepare(world.acme.pk, 90, frozenset(), timezone.now(), reply)])
        third = Placement.objects.get(uid=90)
        [told] = notices.unseen(world.bob.pk)
        assert told.placement_id == second.pk
    assert whose(world)[third.message_id] == "Bob Brown"
    shown = page(world, world.bob, "assigned:me")
    assert shown.count('class="tag whose"') == 3
    assert "Anchor chains" not in shown
    assert "Bob Brown</i>" in page(world, world.ann)
    # taken over and back by undo, which gives each to whose it was
    act(world, world.ann, "assign:me", third, other)
    assert set(whose(world).values()) == {"Ann Archer"}
    with world.acting():
        latest = Act.objects.latest("pk")
    world.client(world.ann).post(reverse("mail:undo"), {"act": latest.pk})
    assert sorted(whose(world).values()) == ["Bob Brown"] * 3
    history = world.client(world.bob).get(reverse("mail:history", args=[second.pk])).content.decode()
    assert "Ann Archer assigned it to Bob Brown" in history


@pytest.mark.parametrize(
    ("show", "subjects"),
    [
        ("assigned:me", {"Order 1208", "Re: Order 1208"}),
        ("assigned:none", {"Anchor chains"}),
        ("assigned:ann@acme.example", {"Order 1208", "Re: Order 1208"}),
        ("assigned:bob@acme.example", set()),
        ("unread assigned:me", {"Re: Order 1208"}),
    ],
)
def test_lists_show_mine_unassigned_and_a_colleagues(world, thread, show, subjects):
    act(world, world.ann, "assign:me", thread[0])
    act(world, world.ann, "read", thread[0])
    shown = page(world, world.ann, show)
    assert {
        s for s in ("Order 1208", "Re: Order 1208", "Anchor chains") if f'dir="auto">{s}</span>' in shown
    } == subjects
    typed = page(world, world.ann, q=show)
    assert typed == "", "it leads to an address of its own"
    everywhere = world.client(world.ann).get("/", {"show": "assigned:none"}).content.decode()
    assert "Anchor chains" in everywhere


def test_what_is_no_address_narrows_nothing_and_mail_of_ones_own_is_nobodys_work(world, thread):
    world.message(world.folder(world.ann_box), subject="Private")
    assert "Private" not in world.client(world.ann).get("/", {"show": "assigned:none"}).content.decode()
    for nonsense in ("assigned:", "assigned:x'--@a", "assigned:a@b' OR 1=1", "assigned:%s@a.b"):
        assert world.client(world.ann).get("/", {"show": nonsense}).status_code == 404


def test_what_a_leaver_had_is_nobodys_and_the_pane_says_who_is_shut_out(world, thread):
    act(world, world.ann, f"assign:{world.bob.pk}", thread[0])
    with world.acting():
        world.team_box.grants.all().delete()
        world.team_box.grants.create(account=world.acme, employee=world.cyd, level="read")
    team = reverse("mail:team", args=[thread[0].pk])
    assert "Bob Brown cannot open this mailbox any more" in world.client(world.ann).get(team).content.decode()
    assert "Order 1208" not in page(world, world.ann, "assigned:none")
    with world.acting():
        world.bob.is_active = False
        world.bob.save()
    assert "Order 1208" in page(world, world.ann, "assigned:none")
    assert 'class="tag whose"' not in page(world, world.ann)


def test_nobody_is_given_what_they_cannot_open_and_a_reader_gives_nothing(world, thread):
    assert "422 Cyd Cole cannot open team@acme.example" in act(
        world, world.ann, f"assign:{world.cyd.pk}", thread[0]
    )
    with world.acting():
        with pytest.raises(CannotAssign):
            assigning.assign([thread[0].pk], world.eve, by=world.ann)
        world.team_box.grants.update(level="read")
    assert "422" in act(world, world.bob, "assign:me", thread[0])
    assert whose(world) == {}


def test_an_undo_gives_no_work_to_who_lost_the_mailbox(world: World) -> None:
    placement = world.message(world.folder(world.team_box))
    with world.acting():
        assigning.assign([placement.pk], world.bob, by=world.ann)
        act = assigning.assign([placement.pk], world.ann, by=world.ann)
        MailboxGrant.objects.filter(mailbox=world.team_box).delete()
        actions.undo(act, by=world.ann)
        assert not Assignment.objects.exists()


def test_two_who_take_the_same_message_leave_one_owner_and_the_later_undo_does_not_steal_it(world, thread):
    with world.acting():
        earlier = assigning.assign([thread[0].pk], world.ann, by=world.ann)
        assigning.assign([thread[0].pk], world.bob, by=world.bob)
    world.client(world.ann).post(reverse("mail:undo"), {"act": earlier.pk})
    assert set(whose(world).values()) == {"Bob Brown"}


# Notes


def test_bob_is_mentioned_told_and_only_the_author_takes_the_note_back(world, thread):
    place = thread[0]
    url = reverse("mail:note", args=[place.pk])
    answer = world.client(world.ann).post(
        url, {"text": "@bob <b>call</b> Zoe, @Bob Brown!"}, headers={"HX-Request": "true"}
    )
    assert (
        "<mark>@bob</mark> &lt;b&gt;call&lt;/b&gt; Zoe, <mark>@Bob Brown</mark>!" in answer.content.decode()
    )
    assert "mentioned you on" in world.client(world.bob).get("/").content.decode()
    with world.acting():
        note = Note.objects.get()
        assert note.mentions == [world.bob.pk]
    assert "With notes." in page(world, world.bob)
    delete, restore = (reverse(f"mail:note-{verb}", args=[note.pk]) for verb in ("delete", "restore"))
    assert world.client(world.bob).post(delete).status_code == 404
    team = reverse("mail:team", args=[place.pk])
    world.client(world.ann).post(delete)
    assert "call" not in world.client(world.bob).get(team).content.decode()
    world.client(world.ann).post(restore)
    assert "call" in world.client(world.bob).get(team).content.decode()
    assert world.client(world.cyd).get(team).status_code == 404
    assert world.client(world.cyd).post(url, {"text": "me too"}).status_code == 404


@pytest.mark.parametrize("how", ["unshared", "transferred"])
def test_whose_access_has_ended_reads_no_notice_about_the_mail_any_more(world, thread, how):
    """They have not been here since: neither the subject nor the note was for them to read."""
    reader = world.bob if how == "unshared" else world.ann
    with world.acting():
        message = Message.objects.get(pk=thread[0].message_id)
        noting.write(
            message, f"@{reader.name} ask for less", by=world.ann if how == "unshared" else world.bob
        )
        assert [told.kind for told in notices.unseen(reader.pk)] == ["mentioned"]
        if how == "unshared":
            sharing.unshare(world.team_box, world.bob, by=world.ann)
        else:
            transferring.transfer(world.team_box, world.cyd, by=world.adm)
        assert [told.kind for told in notices.unseen(reader.pk)] == ["lost"]
    strip = world.client(reader).get("/").content.decode()
    assert "Order 1208" not in strip
    assert "ask for less" not in strip


@pytest.mark.parametrize("text", ["", "  \n", "@Cyd look at this", "@cyd.", "x" * 10_001])
def test_a_note_that_cannot_be_written_says_why_and_keeps_the_words(world, thread, text):
    answer = world.client(world.ann).post(reverse("mail:note", args=[thread[0].pk]), {"text": text})
    assert answer.status_code == 422
    assert text.strip() in answer.content.decode()
    assert ("Cyd Cole cannot open team@acme.example" in answer.content.decode()) is ("yd" in text)


def test_what_looks_like_a_mention_and_is_none_is_text(world, thread):
    with world.acting():
        message = Message.objects.get(pk=thread[0].message_id)
        note = noting.write(message, "cyd@acme.example, @home, a @ b, bob@bob, @bobby", by=world.ann)
        assert note.mentions == []


def test_notes_come_back_with_the_message_and_are_forgotten_long_after_it_left(world, thread):
    with world.acting():
        message = Message.objects.get(pk=thread[0].message_id)
        original = access.get_letter(world.bob, thread[0].pk, "read")
        noting.write(message, "Keep this.", by=world.ann)
        Act.objects.all().delete()
        Message.objects.filter(pk=message.pk).delete()
        assert noting.drop_old(timezone.now()) == 0
    again = world.message(world.folder(world.team_box), raw=original.header + original.body)
    assert "Keep this." in world.client(world.bob).get(reverse("mail:team", args=[again.pk])).content.decode()
    with world.acting():
        Note.objects.update(at=timezone.now() - timedelta(days=400))
        assert noting.drop_old(timezone.now()) == 0, "its message is here"
        Message.objects.filter(pk=again.message_id).delete()
        assert noting.drop_old(timezone.now()) == 1


# Who did what, who is answering


def test_the_archive_of_a_shared_mailbox_says_who_archived(world, thread):
    act(world, world.bob, "archive", thread[0])
    archive = reverse("mail:folder", args=[world.folder(world.team_box, SpecialUse.ARCHIVE).pk])
    assert "Archived by Bob Brown, " in world.client(world.ann).get(archive).content.decode()
    assert "Archived by you, " in world.client(world.bob).get(archive).content.decode()
    team = world.client(world.ann).get(reverse("mail:team", args=[thread[0].pk])).content.decode()
    assert "Archived by Bob Brown" in team


def test_ann_sees_that_bob_is_answering_and_is_asked_before_she_does_too(world, thread):
    with world.acting():
        world.team_box.smtp_host = "127.0.0.1"
        world.team_box.save()
    ann, bob = world.client(world.ann), world.client(world.bob)
    team = reverse("mail:team", args=[thread[1].pk])

    def begin(client) -> int:
        url = client.post(
            reverse("mail:answer", args=[thread[1].pk]), {"how": "reply"}, headers={"HX-Request": "true"}
        )
        return int(url.json()["url"].split("/")[3])

    his, hers = begin(bob), begin(ann)
    assert "data-presence" in bob.get(reverse("mail:letter", args=[his])).content.decode()
    at_it = reverse("mail:answering", args=[his])
    bob.post(at_it)
    assert "<b>Bob Brown</b> is answering" in ann.get(team).content.decode()
    assert "is answering" not in bob.get(team).content.decode(), "he knows"
    assert (
        "Bob Brown</b> is answering this, too"
        in ann.post(reverse("mail:answering", args=[hers])).content.decode()
    )
    with world.acting():
        letter = access.get_outgoing(world.ann, hers)
    form = {"revision": letter.revision, "to": "zoe@elsewhere.example", "html": "<p>Yes.</p>", "key": "k"}
    asked = ann.post(reverse("mail:send", args=[hers]), form, headers={"HX-Request": "true"})
    assert "Bob Brown is answering it at this moment." in asked.json()["questions"]
    bob.post(at_it, {"gone": "1"})
    assert "is answering" not in ann.get(team).content.decode()
    sent = bob.post(
        reverse("mail:send", args=[his]),
        {**form, "key": "b", "confirmed": "1"},
        headers={"HX-Request": "true"},
    )
    assert sent.status_code == 200
    form |= {"revision": asked.headers["X-Revision"], "key": "k", "confirmed": ""}
    [question] = ann.post(reverse("mail:send", args=[hers]), form, headers={"HX-Request": "true"}).json()[
        "questions"
    ]
    assert question.startswith("Bob Brown has answered this message already, ")


def test_without_redis_nobody_is_answering(monkeypatch):
    def down(*_args, **_options):
        raise redis.ConnectionError

    monkeypatch.setattr(live, "client", down)
    presence.here(1, "x", 1)
    presence.gone(1, "x", 1)
    assert presence.others(1, "x", 2) == []


def test_a_conversation_is_known_by_what_its_headers_name(world, thread):
    with world.acting():
        first, second, other = (Message.objects.get(pk=p.message_id) for p in thread)
        assert conversation.members(first) == [first.pk, second.pk]
        assert conversation.members(second) == [second.pk, first.pk]
        assert conversation.members(other) == [other.pk]
        roots = {conversation.root(bytes(m.header), m.message_id) for m in (first, second)}
        assert roots == {"first@elsewhere.example"}
