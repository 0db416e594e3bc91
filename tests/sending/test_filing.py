"""What lies on the mail server of a letter: its draft once, its sent copy once, the mark on what it answers."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone

from mailsync import bounces, filing, letterpush, outbox, pushing, schedule, settling
from mailsync.models import (
    DeliveryReport,
    Folder,
    Mailbox,
    Operation,
    Outgoing,
    OutgoingState,
    SentCopies,
    SpecialUse,
)
from tests.engine.conftest import Box, connect
from tests.rigs import smtp
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import Proxy, line_to
from tests.rigs.smtp import Fault
from tests.sending.conftest import ZOE, due_now, work
from tests.sending.test_faults import Killed, Scythe
from tests.world import World


@pytest.fixture
def post(settings: Any) -> Iterator[smtp.Outgoing]:
    settings.MAIL_SEND_PER_MINUTE = 10_000
    with smtp.outgoing_server() as server:
        yield server


@pytest.fixture
def box(world: World, dovecot: MailServer, post: smtp.Outgoing) -> Box:
    made = connect(world, dovecot, smtp_host="127.0.0.1", smtp_port=post.port, smtp_security="none")
    made.sync()
    return made


def write(box: Box, **fields: Any) -> Outgoing:
    given: dict[str, Any] = {"to": [ZOE], "subject": "Offer", "html": "<p>Dear Zoe</p>"} | fields
    with box.acting():
        return outbox.start(box.mailbox, by=box.world.ann, **given)


def save(box: Box, letter: Outgoing, **fields: Any) -> Outgoing:
    with box.acting():
        return outbox.save(letter, revision=letter.revision, **fields)


def send(box: Box, letter: Outgoing) -> Outgoing:
    with box.acting():
        return work(due_now(outbox.queue(letter, by=box.world.ann, key="")))


def again(box: Box, letter: Outgoing) -> Outgoing:
    with box.acting():
        letter.refresh_from_db()
    return letter


def on_server(box: Box, folder: str) -> list[bytes]:
    """The messages of a folder as another program reads them."""
    with box.dovecot.imap(box.login) as client:
        assert client.select(folder, readonly=True)[0] == "OK"
        _, parts = client.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        return [part[1] for part in parts if isinstance(part, tuple) and b"\\Deleted" not in part[0]]


@pytest.mark.parametrize(("how", "mark"), [("reply", "\\Answered"), ("forward", "$Forwarded")])
def test_a_sent_letter_is_in_sent_once_and_marks_what_it_answers(
    box: Box, post: smtp.Outgoing, how: str, mark: str
) -> None:
    box.deliver("Question")
    box.sync()
    question = box.one("Question").message
    letter = write(
        box, subject="Re: Question", how=how, answers=question, bcc=[["", "boss@acme.example"]],
        in_reply_to=f"<{question.message_id}>", references=f"<{question.message_id}>",
    )  # fmt: skip
    letter = send(box, letter)
    assert letter.state == OutgoingState.SENT
    box.sync()
    box.sync()
    [copy] = on_server(box, "Sent")
    assert b"Bcc: boss@acme.example" in copy
    [delivery] = post.delivered
    assert delivery.recipients == ("zoe@elsewhere.example", "boss@acme.example")
    assert b"boss@" not in delivery.raw
    assert copy.replace(b"Bcc: boss@acme.example\r\n", b"") == delivery.raw
    assert [p.message.message_id for p in box.placements("Sent")] == [letter.message_id]
    assert "\\Seen" in box.placements("Sent")[0].flags
    [flags] = box.dovecot.uids(box.login).values()
    assert mark in flags
    box.assert_equal()


@pytest.mark.parametrize("choice", list(SentCopies))
def test_who_files_the_sent_copy(box: Box, choice: SentCopies) -> None:
    """The server did, whatever was believed of it: no second one. It did not: ours, unless a person said it does."""
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(sent_copies=choice)
    filed = send(box, write(box, subject="Filed by the server"))
    box.dovecot.append(box.login, bytes(filed.header or b"") + b"Dear Zoe\r\n", folder="Sent")
    send(box, write(box, subject="Not filed"))
    box.sync()
    box.sync()
    expected = (
        ["Filed by the server"] if choice == SentCopies.SERVER else ["Filed by the server", "Not filed"]
    )
    assert sorted(box.subjects("Sent")) == expected


@pytest.mark.parametrize("late", [True, False])
def test_a_provider_that_files_sent_mail_is_waited_for_however_many_runs_there_are(
    box: Box, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    monkeypatch.setattr(filing, "server_files", lambda mailbox: True)
    letter = write(box)
    box.sync()
    letter = send(box, again(box, letter))
    with box.acting():
        Operation.objects.filter(state="pending").update(tries=pushing.MOST_TRIES)
    box.sync()
    # What is sent is no draft any more, whoever files it.
    assert (on_server(box, "Drafts"), on_server(box, "Sent")) == ([], [])
    page = box.world.client(box.world.ann).get(f"/mail/write/{letter.pk}/").content.decode()
    assert "The provider has not put the letter into Sent yet. It is tried again at" in page
    if late:
        box.dovecot.append(
            box.login, bytes(letter.header or b"") + b"Filed by the provider\r\n", folder="Sent"
        )
    with box.acting():
        Operation.objects.update(not_before=timezone.now())
        Outgoing.objects.update(sent_at=timezone.now() - letterpush.FILED_WITHIN)
    box.sync()
    box.sync()
    [copy] = on_server(box, "Sent")
    assert (b"Filed by the provider" in copy) == late
    assert {op.state for op in box.operations()} == {"done"}


def test_how_much_the_server_takes_is_said_before_anything_is_uploaded(box: Box, post: smtp.Outgoing) -> None:
    send(box, write(box))
    letter = write(box)
    ann = box.world.client(box.world.ann)
    page = ann.get(f"/mail/write/{letter.pk}/").content.decode()
    assert "That is too much: 127.0.0.1 takes letters with at most 704.3\xa0KB of files." in page
    large = SimpleUploadedFile("large.bin", b"x" * 750_000)
    refused = ann.post(f"/mail/write/{letter.pk}/files/", {"file": large})
    assert (refused.status_code, "does not fit" in refused.content.decode()) == (422, True)
    with box.acting(), pytest.raises(outbox.CannotSend, match="at most 976"):
        outbox.queue(save(box, letter, html=f"<p>{'long ' * 300_000}</p>"), by=box.world.ann, key="")
    post.extensions = ["8BITMIME"]
    send(box, write(box))
    with box.acting():
        assert Mailbox.objects.get(pk=box.mailbox.pk).smtp_most_bytes is None


def test_a_draft_is_on_the_server_once_however_often_it_is_saved(box: Box) -> None:
    letter = write(box, subject="First words")
    box.sync()
    letter = save(box, again(box, letter), subject="Second words", to=[["", "not yet an addr"]])
    letter = save(box, letter, subject="Third words")
    box.sync()
    box.sync()
    [draft] = on_server(box, "Drafts")
    assert b"Third words" in draft
    assert box.subjects("Drafts") == ["Third words"]
    letter = send(box, save(box, again(box, letter), to=[ZOE]))
    box.sync()
    assert (on_server(box, "Drafts"), len(on_server(box, "Sent"))) == ([], 1)
    thrown = write(box, subject="Never mind")
    box.sync()
    assert len(on_server(box, "Drafts")) == 1
    with box.acting():
        outbox.discard(again(box, thrown))
    box.sync()
    assert on_server(box, "Drafts") == []


def test_a_letter_with_nothing_but_the_signature_is_on_the_server_when_a_file_is_in_it(box: Box) -> None:
    """Each new one begins with the signature: who only presses "Write" has written nothing."""
    letter = write(box, to=[], subject="", html='<p></p><div class="signature"><p>Ann</p></div>')
    box.sync()
    assert on_server(box, "Drafts") == []
    with box.acting():
        outbox.attach(letter, name="plan.txt", content_type="text/plain", content=b"A plan")
    box.sync()
    assert len(on_server(box, "Drafts")) == 1


def test_a_draft_that_was_thrown_away_while_the_server_was_away_for_long_goes_from_there(box: Box) -> None:
    """Its letter is forgotten only then, or with the mailbox that is let go."""
    letter, other = write(box, subject="Never mind"), write(box, subject="Nor that")
    box.sync()
    with box.acting():
        outbox.discard(again(box, letter))
    assert outbox.forget_discarded(timezone.now() + timedelta(days=8)) == 0
    box.sync()
    box.sync()
    assert box.subjects("Drafts") == ["Nor that"]
    assert outbox.forget_discarded(timezone.now() + timedelta(days=8)) == 1
    with box.acting():
        outbox.discard(again(box, other))
        settling.disconnect(box.mailbox, by=box.world.ann)
    assert outbox.forget_discarded(timezone.now() + timedelta(days=8)) == 1


def test_a_draft_that_another_program_edited_stays_beside_ours(box: Box) -> None:
    letter = write(box, subject="Ours")
    box.sync()
    [draft] = on_server(box, "Drafts")
    theirs = re.sub(rb"X-Mailbound-Revision: [^\r]+\r\n", b"", draft).replace(b"Ours", b"Theirs")
    box.on_server("STORE", "1", "+FLAGS", "(\\Deleted)", folder="Drafts")
    box.on_server("EXPUNGE", "1", folder="Drafts")
    box.dovecot.append(box.login, theirs, folder="Drafts", flags="\\Draft")
    name = letter.message_id
    letter = save(box, again(box, letter), subject="Ours, later")
    box.sync()
    box.sync()
    assert sorted(box.subjects("Drafts")) == ["Ours, later", "Theirs"]
    letter = again(box, letter)
    assert (letter.state, letter.message_id == name) == (OutgoingState.DRAFT, False)


def test_a_draft_that_another_program_deleted_is_gone_here_and_can_be_had_back(box: Box) -> None:
    letter = write(box, subject="Ours")
    box.sync()
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(\\Deleted)", folder="Drafts")
    box.on_server("EXPUNGE", "1", folder="Drafts")
    box.sync()
    letter = again(box, letter)
    assert letter.state == OutgoingState.DISCARDED
    with box.acting():
        outbox.restore(letter)
    box.sync()
    assert len(on_server(box, "Drafts")) == 1


def test_an_unsure_letter_is_settled_by_what_lies_in_sent(box: Box, post: smtp.Outgoing) -> None:
    post.faults = [Fault.DOT_TAKEN, Fault.DOT_LOST]
    arrived, lost = send(box, write(box, subject="Arrived")), send(box, write(box, subject="Lost"))
    assert (arrived.state, lost.state) == (OutgoingState.UNSURE, OutgoingState.UNSURE)
    box.dovecot.append(box.login, post.delivered[0].raw, folder="Sent")
    box.sync()
    assert again(box, arrived).state == OutgoingState.SENT
    assert again(box, lost).state == OutgoingState.UNSURE
    with box.acting():
        lost = work(due_now(outbox.send_again(lost)))
    box.sync()
    box.sync()
    assert lost.state == OutgoingState.SENT
    assert sorted(box.subjects("Sent")) == ["Arrived", "Lost"]
    assert len({each.message_id for each in post.delivered}) == len(post.delivered) == 2


@pytest.mark.parametrize(
    ("where", "role", "flags", "marked"),
    [
        ("Thrown away", SpecialUse.TRASH, "", True),  # by a phone
        ("Thrown away", SpecialUse.TRASH, "\\Draft", False),  # edited there before
        ("All", SpecialUse.ALL, "", False),  # as Gmail shows each
    ],
)
def test_its_own_draft_is_no_proof_that_an_unsure_letter_arrived(
    box: Box, post: smtp.Outgoing, where: str, role: SpecialUse, flags: str, marked: bool
) -> None:
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox, special_use=role).update(special_use="")
        Folder.objects.filter(pk=box.chosen_folder(where).pk).update(special_use=role)
    letter = write(box)
    box.sync()
    [draft] = on_server(box, "Drafts")
    if not marked:
        draft = re.sub(rb"X-Mailbound-Revision: [^\r]+\r\n", b"", draft)
    box.dovecot.append(box.login, draft, folder=where, flags=flags)
    box.sync()
    post.faults = [Fault.DOT_LOST]
    assert send(box, again(box, letter)).state == OutgoingState.UNSURE
    box.sync()
    assert again(box, letter).state == OutgoingState.UNSURE
    assert (post.delivered, on_server(box, "Sent")) == ([], [])
    box.dovecot.append(box.login, bytes(letter.header or b"") + b"Dear Zoe\r\n")
    box.sync()
    assert again(box, letter).state == OutgoingState.SENT


BOUNCE = """From: MAILER-DAEMON@acme.example\r
To: {to}\r
Subject: Undelivered\r
Message-ID: <bounce@acme.example>\r
MIME-Version: 1.0\r
Content-Type: multipart/report; report-type=delivery-status; boundary="B"\r
\r
--B\r
Content-Type: text/plain\r
\r
It failed.\r
--B\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; acme.example\r
\r
Final-Recipient: rfc822; zoe@elsewhere.example\r
Action: failed\r
Status: 5.1.1\r
Diagnostic-Code: smtp; 550 5.1.1 no such user\r
\r
--B\r
Content-Type: text/rfc822-headers\r
\r
Message-ID: <{message_id}>\r
--B--\r
"""


def test_a_bounce_is_shown_with_the_letter_it_is_about(box: Box) -> None:
    letter = send(box, write(box))
    raw = BOUNCE.format(to=box.login, message_id=letter.message_id).encode()
    box.dovecot.append(box.login, raw)
    box.dovecot.append(box.login, raw.replace(letter.message_id.encode(), b"somebody@elses.example"))
    box.sync()
    with box.acting():
        [report] = DeliveryReport.objects.all()
    assert (report.outgoing_id, report.recipient, report.action) == (
        letter.pk,
        "zoe@elsewhere.example",
        "failed",
    )
    assert (report.status, report.words) == ("5.1.1", "550 5.1.1 no such user")
    assert bounces.ACTIONS[0] == report.action
    box.sync()
    ann = box.world.client(box.world.ann)
    [copy] = box.placements("Sent")
    told = "It did not reach zoe@elsewhere.example."
    for page in (f"/mail/write/{letter.pk}/", f"/mail/{copy.folder_id}/{copy.pk}/"):
        assert told in ann.get(page).content.decode(), page
    assert "Came back from zoe@elsewhere.example" in ann.get("/mail/outbox/").content.decode()


# Whatever is lost on the way to the Sent folder


@pytest.fixture
def line(box: Box) -> Iterator[Proxy]:
    with line_to(box.dovecot.server.host, box.dovecot.port) as proxy, box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_host="127.0.0.1", imap_port=proxy.port)
        yield proxy


def test_an_append_that_is_refused_or_whose_answer_is_lost_leaves_one_copy(box: Box, line: Proxy) -> None:
    lost = (re.compile(rb"\S+ OK \[APPENDUID[^\r\n]*"), b"* BYE lost")
    table = [
        ({b"APPEND": b"NO [UNAVAILABLE] not now"}, []),
        ({}, [lost]),
        ({b"APPEND": b"NO [CANNOT] not here"}, []),
    ]
    for number, (answers, rewritten) in enumerate(table):
        letter = send(box, write(box, subject=f"Letter {number}"))
        line.answers, line.rewritten = dict(answers), list(rewritten)
        box.try_sync()
        line.answers, line.rewritten = {}, []
        box.sync()
        box.sync()
        assert again(box, letter).state == OutgoingState.SENT
    # What is refused for good is told once, and the letter stays here.
    assert box.subjects("Sent") == ["Letter 0", "Letter 1"]
    assert [op.error for op in box.operations() if op.state == "failed"] == ["“[CANNOT] not here”"]


def test_a_copy_for_which_there_is_no_room_waits_for_some(box: Box, line: Proxy) -> None:
    letter = send(box, write(box))
    line.answers = {b"APPEND": b"NO [OVERQUOTA] Quota exceeded"}
    for _ in range(3):
        box.sync()
    page = f"/mail/write/{letter.pk}/"
    ann = box.world.client(box.world.ann)
    shown = ann.get(page).content.decode()
    assert "The mailbox is full on the mail server: “Quota exceeded”. It is tried again at" in shown
    assert [verb.split()[0] for verb in line.commands].count(b"APPEND") == 1  # it is not asked at every turn
    line.heal()
    box.sync()
    assert box.subjects("Sent") == []
    with box.acting():
        Operation.objects.update(not_before=timezone.now())
    box.sync()
    box.sync()
    assert box.subjects("Sent") == ["Offer"]
    assert "The mailbox is full" not in ann.get(page).content.decode()


@pytest.mark.parametrize("only_inside", [False, True])
def test_a_server_without_a_folder_for_sent_mail_gets_one(box: Box, line: Proxy, only_inside: bool) -> None:
    """Some servers take folders only below INBOX. Dovecot shows its Sent at once again: it is hidden here."""
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox, special_use="sent").delete()
    line.rewrite(rb'\* (LIST [^\r\n]*"/"|STATUS) "?Sent"?[ \r][^\n]*\n', b"")
    line.answers = {rb'CREATE "?Sent': b"NO [CANNOT] only below INBOX" if only_inside else b"OK made"}
    send(box, write(box))
    box.sync()
    line.heal()
    box.sync()
    box.sync()
    with box.acting():
        [sent] = Folder.objects.filter(mailbox=box.mailbox, special_use="sent")
    assert (sent.path, sent.total) == ("INBOX/Sent" if only_inside else "Sent", 1)
    box.assert_equal()


@pytest.mark.parametrize(
    ("role", "before", "after"),
    [(SpecialUse.SENT, "Gesendet", "Sent"), (SpecialUse.DRAFTS, "Entwurf", "Drafts")],
)
def test_a_folder_that_goes_before_a_letter_is_filed_there_takes_no_copy_along(
    box: Box, role: SpecialUse, before: str, after: str
) -> None:
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox, special_use=role).delete()
        Folder.objects.filter(pk=box.chosen_folder(before).pk).update(special_use=role)
    letter = write(box)
    if role == SpecialUse.SENT:
        send(box, letter)
    with box.dovecot.imap(box.login) as client:
        assert client.delete(before)[0] == "OK"
    box.sync()
    box.sync()
    assert {op.state for op in box.operations()} == {"done"}
    assert len(on_server(box, after)) == 1
    box.sync()
    box.assert_equal()


def test_sent_mail_is_filed_although_its_folder_was_renamed_before(box: Box) -> None:
    """Whatever stands in its place then is known to nobody as that: as where there was none, one is made."""
    with box.acting():
        Folder.objects.filter(mailbox=box.mailbox, special_use=SpecialUse.SENT).update(special_use="")
        Folder.objects.filter(pk=box.chosen_folder("Gesendet").pk).update(special_use=SpecialUse.SENT)
    send(box, write(box))
    with box.dovecot.imap(box.login) as client:
        assert client.rename("Gesendet", "Alt")[0] == "OK"
    box.sync()
    box.sync()
    assert len(on_server(box, "Sent")) == 1


@pytest.mark.parametrize("stride", [53, pytest.param(7, marks=pytest.mark.slow)])
def test_a_worker_killed_at_any_statement_files_one_copy(box: Box, stride: int) -> None:
    letter = write(box, subject="Draft")
    step, lived, count = 1 - stride, False, 0
    while not lived:
        step, count = step + stride, count + 1
        letter = save(box, again(box, letter), subject=f"Revision {step}")
        send(box, write(box, subject=f"Letter {step}"))
        lived = True
        with box.acting():
            schedule.wake(box.mailbox.pk)
        try:
            with connection.execute_wrapper(Scythe(step)):
                box.try_sync()
        except Killed:
            lived = False
            with connection.cursor() as cursor:
                cursor.execute("UPDATE mailsync_schedule SET leased_until = now()")
        box.sync()
        assert len(on_server(box, "Sent")) == count, f"killed at {step}"
        assert len(on_server(box, "Drafts")) == 1, f"killed at {step}"
    assert timedelta() <= timezone.now() - again(box, letter).updated_at


def test_a_draft_that_waits_for_room_does_not_make_the_sent_letter_wait(
    box: Box, post: smtp.Outgoing
) -> None:
    letter = write(box)
    with box.acting():
        Operation.objects.update(not_before=timezone.now() + timedelta(hours=6), tries=9)
    send(box, again(box, letter))
    box.sync()
    assert len(on_server(box, "Sent")) == 1
