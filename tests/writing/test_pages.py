"""The pages of writing, without a browser: who may, what is kept, what is refused and why."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from mailsync.mime import doubts
from mailsync.models import (
    GrantLevel,
    Mailbox,
    MailboxGrant,
    Outgoing,
    OutgoingAttachment,
    OutgoingState,
    Placement,
    SpecialUse,
)
from tests.world import World

HTMX = {"HX-Request": "true"}


@pytest.fixture
def ann(world: World) -> Client:
    with world.acting():
        Mailbox.objects.filter(account=world.acme).update(smtp_host="smtp.acme.example")
    return world.client(world.ann)


def begin(client: Client, url: str = "/mail/write/", **form: Any) -> int:
    response = client.post(url, form, headers=HTMX)
    assert response.status_code == 200, response.content
    return int(json.loads(response.content)["url"].split("/")[3])


def kept(world: World, number: int) -> Outgoing:
    with world.acting():
        return Outgoing.objects.get(pk=number)


def fields(world: World, number: int, **changes: Any) -> dict[str, Any]:
    letter = kept(world, number)
    return {
        "revision": letter.revision, "key": "k", "from": f"{letter.mailbox_id}:{letter.from_address}",
        "to": "Bob <bob@x.example>", "subject": "Offer", "html": "<p>Hello</p>",
    } | changes  # fmt: skip


def test_what_the_browser_sends_is_cleaned_before_it_is_kept(world, ann):
    number = begin(ann)
    evil = '<p onclick="x()">Hi</p><script>x()</script><img src="https://t.example/"><a href="javascript:x()">a</a>'
    assert ann.post(f"/mail/write/{number}/save/", fields(world, number, html=evil)).status_code == 200
    assert kept(world, number).html.startswith("<p>Hi</p>")
    for trick in ("x()", "t.example", "script"):
        assert trick not in kept(world, number).html


def test_ann_writes_under_her_own_addresses_only(world, ann):
    number = begin(ann)
    ann.post(
        f"/mail/write/{number}/save/",
        fields(world, number, **{"from": f"{world.eve_box.pk}:eve@other.example"}),
    )
    assert kept(world, number).from_address == "ann@acme.example"
    ann.post(
        f"/mail/write/{number}/save/",
        fields(world, number, **{"from": f"{world.ann_box.pk}:boss@acme.example"}),
    )
    assert kept(world, number).from_address == "ann@acme.example"


def test_bob_answers_in_a_shared_mailbox_only_with_the_right_to_reply(world, ann):
    mail = world.message(world.folder(world.team_box), subject="Question")
    bob = world.client(world.bob)
    number = begin(bob, f"/mail/message/{mail.pk}/answer/", how="reply")
    assert kept(world, number).mailbox_id == world.team_box.pk
    with world.acting():
        MailboxGrant.objects.filter(employee=world.bob).update(level=GrantLevel.READ)
    assert bob.post(f"/mail/message/{mail.pk}/answer/", {"how": "reply"}).status_code == 404
    for page in ("", "quoted/", "text/"):
        assert bob.get(f"/mail/write/{number}/{page}").status_code == 404
    assert bob.post(f"/mail/write/{number}/save/", fields(world, number)).status_code == 404
    assert b"data-answer" not in bob.get(f"/mail/{mail.folder_id}/{mail.pk}/").content


def test_a_reply_stands_in_its_thread_and_brings_the_images_of_its_quotation(world, ann):
    raw = (
        b"From: Zoe <zoe@x.example>\r\nTo: ann@acme.example\r\nSubject: AW: Plan\r\nMessage-ID: <2@x>\r\n"
        b"References: <1@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>See <img src='cid:logo'></p>\r\n"
        b"--b\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n\r\nPNG\r\n--b--\r\n"
    )
    mail = world.message(world.folder(world.ann_box), raw=raw)
    letter = kept(world, begin(ann, f"/mail/message/{mail.pk}/answer/", how="reply"))
    assert (letter.subject, letter.in_reply_to, letter.references) == ("Re: Plan", "<2@x>", "<1@x> <2@x>")
    assert letter.to == [["Zoe", "zoe@x.example"]]
    with world.acting():
        assert [(file.content_id, file.inline) for file in letter.attachments.all()] == [("logo", True)]
    shown = ann.get(f"/mail/write/{letter.pk}/quoted/").content.decode()
    assert "data:image/png;base64,UE5H" in shown
    assert (
        f"/mail/write/{letter.pk}/files/"
        in ann.get(f"/mail/write/{letter.pk}/quoted/?edit=1").content.decode()
    )
    whole = kept(world, begin(ann, f"/mail/message/{mail.pk}/answer/", how="file"))
    with world.acting():
        file = whole.attachments.get()
        assert (file.type, file.size) == ("message/rfc822", len(raw))


def test_a_draft_of_another_program_goes_on_here_and_is_not_doubled(world, ann):
    raw = (
        b"From: ann@acme.example\r\nTo: Bob <bob@x.example>\r\nBcc: cyd@x.example\r\nSubject: Half\r\n"
        b"Message-ID: <d@phone>\r\nIn-Reply-To: <1@x>\r\nReferences: <1@x>\r\n\r\nHalf of it\r\n"
    )
    drafts = world.folder(world.ann_box, SpecialUse.DRAFTS)
    there = world.message(drafts, raw=raw)
    assert b"Go on writing" in ann.get(f"/mail/{drafts.pk}/{there.pk}/").content
    letter = kept(world, begin(ann, f"/mail/message/{there.pk}/answer/", how="draft"))
    assert (letter.subject, letter.html, letter.in_reply_to) == ("Half", "<p>Half of it</p>", "<1@x>")
    assert (letter.to, letter.bcc) == ([["Bob", "bob@x.example"]], [["", "cyd@x.example"]])
    with world.acting():
        assert Placement.objects.get(pk=there.pk).folder.special_use == SpecialUse.TRASH
    own = world.message(
        drafts, raw=b"Message-ID: <" + letter.message_id.encode() + b">\r\nSubject: Half\r\n\r\nx\r\n"
    )
    assert begin(ann, f"/mail/message/{own.pk}/answer/", how="draft") == letter.pk


def test_a_draft_of_another_program_waits_while_its_folder_is_read_anew(world: World, ann: Client) -> None:
    """It cannot go to the Trash then: a letter that was made of it would double it."""
    there = world.message(world.folder(world.ann_box, SpecialUse.DRAFTS), subject="Half")
    with world.acting():
        uid = Placement.objects.get(pk=there.pk).uid
        Placement.objects.filter(pk=there.pk).update(uid=None)
    url = f"/mail/message/{there.pk}/answer/"
    refused = ann.post(url, {"how": "draft"}, headers=HTMX)
    assert (refused.status_code, "Try again in a moment" in refused.content.decode()) == (422, True)
    with world.acting():
        assert not Outgoing.objects.exists()
        Placement.objects.filter(pk=there.pk).update(uid=uid)
    assert kept(world, begin(ann, url, how="draft")).subject == "Half"


def test_two_clicks_send_one_letter_and_its_fate_is_told(world, ann):
    number = begin(ann)
    form = fields(world, number)
    first = ann.post(f"/mail/write/{number}/send/", form, headers=HTMX)
    second = ann.post(f"/mail/write/{number}/send/", form, headers=HTMX)
    assert (first.status_code, second.status_code) == (200, 200)
    assert b"On its way to Bob" in second.content
    with world.acting():
        letter = Outgoing.objects.get()
        assert letter.state == OutgoingState.QUEUED
        now = timezone.now()
        Outgoing.objects.update(state="unsure", due_at=None, data_at=now)
    page = ann.get(f"/mail/write/{number}/").content
    assert b"Nobody knows whether it arrived" in page
    assert b"It arrived" in page
    assert b"Send it again" in page
    assert b"Needs you" in ann.get("/mail/outbox/").content
    ann.post(f"/mail/write/{number}/settle/", {"verb": "arrived"})
    assert kept(world, number).state == OutgoingState.SENT
    with world.acting():
        words = {"bob@x.example": "550 5.1.1 No such user"}
        Outgoing.objects.update(
            state="refused", sent_at=None, refused=words, accepted=[], error="Nobody took it."
        )
    page = ann.get(f"/mail/write/{number}/").content
    assert b"550 5.1.1 No such user" in page
    assert begin(ann, f"/mail/write/{number}/undo/") == number
    assert kept(world, number).state == OutgoingState.DRAFT


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"to": ""}, "Nobody is named"),
        ({"to": "bob"}, "is no mail address"),
        ({"send_at": "2001-01-01T08:00"}, "That moment is over"),
        ({"send_at": "soon"}, "Choose a date"),
    ],
)
def test_what_cannot_be_sent_says_why_and_stays_a_draft(world, ann, changes, sentence):
    number = begin(ann)
    answer = ann.post(f"/mail/write/{number}/send/", fields(world, number, **changes), headers=HTMX)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert kept(world, number).state == OutgoingState.DRAFT


def test_a_field_that_says_nothing_does_not_go_whatever_is_answered(world, ann):
    number = begin(ann)
    form = fields(world, number, html="<p>It costs {<b>deal</b>.amount}.</p>", confirmed="1")
    answer = ann.post(f"/mail/write/{number}/send/", form, headers=HTMX)
    assert (answer.status_code, "{deal.amount}" in answer.content.decode()) == (422, True)
    quoted = "<p>Yes.</p><blockquote><p>Who is {deal.name}?</p></blockquote>"
    moved = {"from": f"{world.team_box.pk}:team@acme.example", "subject": "{my.name}", "html": quoted}
    form = fields(world, number, **moved)
    answer = ann.post(f"/mail/write/{number}/send/", form, headers=HTMX)
    assert "{deal.name}" not in answer.content.decode()
    there = answer.headers["X-Letter"]  # where the draft went with its sender
    assert kept(world, int(there.split("/")[3])).mailbox_id == world.team_box.pk
    assert ann.get(there).status_code == 200


def test_ann_is_asked_before_a_letter_goes_that_a_colleague_would_wonder_about(world, ann):
    inbox = world.folder(world.ann_box)
    first = world.message(inbox, subject="Plan", sender=("Zoe", "zoe@gmial.com"))
    with world.acting():
        name = first.message.message_id
    raw = f"From: Bob <b@x.example>\r\nSubject: Re: Plan\r\nMessage-ID: <n@x>\r\nReferences: <{name}>\r\n\r\nNo\r\n"
    world.message(inbox, raw=raw.encode(), received_at=timezone.now())
    number = begin(ann, f"/mail/message/{first.pk}/answer/", how="reply")
    form = fields(world, number, to="zoe@gmial.com", html="<p>Please find attached</p>")
    answer = ann.post(f"/mail/write/{number}/send/", form, headers=HTMX)
    asked = json.loads(answer.content)["questions"]
    assert ["attachment" in asked[0], "gmail.com" in asked[1], "Bob" in asked[2]] == [True, True, True]
    assert kept(world, number).state == OutgoingState.DRAFT
    form |= {"revision": answer.headers["X-Revision"], "confirmed": "1"}
    assert ann.post(f"/mail/write/{number}/send/", form, headers=HTMX).status_code == 200
    assert kept(world, number).state == OutgoingState.QUEUED


@pytest.mark.parametrize(
    ("html", "speaks"),
    [
        ("<p>See the attached plan</p>", True),
        ("<p>Anbei der Plan</p>", True),
        ("<p>Во вложении план</p>", True),
        ("<p>Yes</p><blockquote><p>Attached is the plan</p></blockquote>", False),
        ('<p>Yes</p><div class="signature"><p>Attachments are scanned</p></div>', False),
        ("<p>I am attached to it? No: a tattoo.</p>", True),
        ("<p>Let us file it.</p>", False),
    ],
)
def test_a_letter_speaks_of_an_attachment(html, speaks):
    assert doubts.speaks_of_attachment(html) is speaks


def test_slips_of_the_finger_are_seen_and_other_domains_left_alone():
    typed = [
        "a@gmial.com",
        "a@gmai.com",
        "a@gmaill.com",
        "a@gnail.com",
        "a@gmail.com",
        "a@acme.exampel",
        "a@x.example",
    ]
    assert [found for found, _meant in doubts.slips(typed, ["acme.example"])] == [*typed[:4], typed[5]]
    assert doubts.slips(["a@gmx.at", "a@gmx.ch", "a@mail.com", "a@live.de"], []) == []


def test_a_file_that_does_not_fit_is_refused_with_the_room_that_is_left(world, ann, settings):
    settings.MAIL_MAX_LETTER_BYTES = 10_000
    number = begin(ann)
    small, large = SimpleUploadedFile("a.txt", b"x" * 1000), SimpleUploadedFile("b.txt", b"x" * 9000)
    assert ann.post(f"/mail/write/{number}/files/", {"file": small}).status_code == 200
    refused = ann.post(f"/mail/write/{number}/files/", {"file": large})
    assert refused.status_code == 422
    assert "there is room for" in refused.content.decode()
    with world.acting():
        assert OutgoingAttachment.objects.count() == 1


def test_signature_and_aliases_are_cleaned_and_stand_in_new_letters(world, ann):
    url = f"/mailboxes/{world.ann_box.pk}/sender/"
    form = {
        "sender_name": "Ann",
        "aliases": "Sales <sales@acme.example>",
        "signature": "<p>Ann<script>x()</script></p>",
    }
    assert ann.post(url, form).status_code == 302
    letter = kept(world, begin(ann))
    assert letter.html == '<p></p><div class="signature"><p>Ann</p></div>'
    assert b"sales@acme.example" in ann.get(f"/mail/write/{letter.pk}/").content
    refused = ann.post(url, form | {"aliases": "Sales <no address>"})
    assert refused.status_code == 422
    assert "is no mail address" in refused.content.decode()


def test_people_are_completed_from_past_mail_and_colleagues_and_robots_are_not(world, ann):
    inbox = world.folder(world.ann_box)
    world.message(inbox, sender=("Marieke de Vries", "marieke@rijn.example"))
    world.message(inbox, sender=("Marieke's robot", "no-reply@rijn.example"))
    world.message(inbox, sender=("Ann Archer", "ann@acme.example"), to=[("Mario", "mario@rossi.example")])
    found = json.loads(ann.get("/mail/people/", {"q": "mari"}).content)["people"]
    assert [each["address"] for each in found] == ["mario@rossi.example", "marieke@rijn.example"]
    assert json.loads(ann.get("/mail/people/", {"q": "bob"}).content)["people"][0]["address"].startswith(
        "bob@"
    )
    group = json.loads(ann.get("/mail/people/", {"q": "everybody"}).content)["people"][0]
    assert len(group["people"]) == 3
    assert json.loads(ann.get("/mail/people/", {"q": "%"}).content)["people"] == []
