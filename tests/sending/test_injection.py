"""Hostile text in every field of a letter, at an outgoing server that writes down all that it is told."""

import email
import json
import re
from collections.abc import Callable
from email import policy
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from mailsync import outbox, smtp
from mailsync.outbox import CannotSend
from mailsync.smtp import Accepted, Later, Outcome, Refused, SmtpCredentials, SmtpTrouble
from tests.rigs.smtp import Fault, outgoing_server
from tests.rigs.smtp import Outgoing as Post
from tests.sending.conftest import ZOE, credentials, draft, due_now, work
from tests.world import World

QUICK = ("smtp-header", "smtp-address", "attachment-name")


@pytest.fixture(params=["mail", pytest.param("all", marks=pytest.mark.slow)])
def rows(request: pytest.FixtureRequest, corpus: Path) -> list[str]:
    """Hostile texts; in the quick suite every third one of those that were made for mail."""
    lines = (corpus / "vectors" / "injection.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    if request.param == "all":
        return [row["input"] for row in found]
    return [row["input"] for row in found if row["kind"] in QUICK][::3]


FIELDS: dict[str, Any] = {
    "subject": lambda text: {"subject": text},
    "from_name": lambda text: {"from_name": text[:200]},
    "name": lambda text: {"to": [[text, ZOE[1]]]},
    "address": lambda text: {"to": [ZOE, ["", text]]},
    "cc": lambda text: {"cc": [["", f"{text}@elsewhere.example"]]},
    "bcc": lambda text: {"bcc": [[text, f"a{text}"]]},
    "sender": lambda text: {"from_address": text[:254]},
    "in_reply_to": lambda text: {"in_reply_to": f"<{text}@x.example>", "references": text},
    "html": lambda text: {"html": f"<p>{text}</p>"},
    "text": lambda text: {"html": "", "text": text},
}
USUAL = {
    "from", "to", "cc", "subject", "date", "message-id", "in-reply-to", "references", "mime-version", "content-type",
    "content-transfer-encoding",
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_makes_a_header_a_recipient_or_a_command(
    writing: World, post: Post, field: str, rows: list[str]
) -> None:
    left = 0
    for row in rows:
        letter = draft(writing, **FIELDS[field](row))
        try:
            with transaction.atomic():
                letter = outbox.queue(letter, by=writing.ann, key="")
        except CannotSend:
            continue
        left += 1
        letter = work(due_now(letter))
        if letter.state != "sent":
            continue
        delivery = post.delivered[-1]
        assert delivery.message_id == letter.message_id
        assert set(delivery.recipients) <= set(letter.recipients)
        names = {name.lower() for name in email.message_from_bytes(delivery.raw, policy=policy.compat32)}
        assert names <= USUAL, row
    commands = {line.split(b" ")[0].strip().upper() for line in post.heard}
    assert commands <= {b"EHLO", b"AUTH", b"MAIL", b"RCPT", b"DATA", b"QUIT"}
    assert not any(
        b"victim" in line for line in post.heard if field not in ("address", "cc", "bcc", "sender")
    )
    assert not re.search(rb"victim@example\.com>", b"".join(post.heard))
    assert left or field in ("address", "cc", "bcc", "sender")


@pytest.mark.parametrize("field", ["name", "content_type", "content_id"])
def test_no_file_makes_a_part_of_its_own(writing: World, post: Post, field: str, rows: list[str]) -> None:
    for row in rows:
        letter = draft(writing)
        given = {"name": "a.txt", "content_type": "text/plain", "content_id": "a@b"} | {field: row[:200]}
        outbox.attach(letter, content=b"hello", inline=field == "content_id", **given)
        try:
            with transaction.atomic():
                letter = work(due_now(outbox.queue(letter, by=writing.ann, key="")))
        except CannotSend:
            continue
        message = email.message_from_bytes(post.delivered[-1].raw, policy=policy.compat32)
        assert {name.lower() for name in message} <= USUAL, row
        assert len([part for part in message.walk() if not part.is_multipart()]) == 3, row


# The server itself


def test_an_answer_with_a_nul_is_stored_without_it(writing: World, post: Post) -> None:
    """The database takes none, and the letter would be sent again and again."""
    post.answers[ZOE[1]] = ["550 no\0such\x1b user"]
    letter = work(due_now(outbox.queue(draft(writing), by=writing.ann, key="")))
    assert (letter.state, letter.refused) == ("refused", {ZOE[1]: "no such user"})
    assert letter.error == "The outgoing server refuses the recipients: “no such user”."


def test_a_server_that_repeats_the_password_does_not_get_it_stored() -> None:
    with outgoing_server() as server:
        server.faults = [Fault.LOGIN_REPEATED]
        outcome = smtp.deliver(credentials(server), TEXT, "ann@acme.example", ["zoe@elsewhere.example"])
    assert isinstance(outcome, Later)
    assert outcome.kind == "login"
    assert "repeated:" in outcome.sentence
    assert not re.search("secret|AGFubgBzZWNyZXQ=", outcome.sentence)


@pytest.mark.parametrize("ask", [smtp.greet, smtp.try_login])
def test_a_server_that_does_not_stop_talking_is_not_listened_to(
    ask: Callable[[SmtpCredentials], object],
) -> None:
    with outgoing_server() as server:
        server.endless = "EHLO"
        with pytest.raises(SmtpTrouble, match="is it an SMTP server"):
            ask(credentials(server))


@pytest.mark.parametrize(("command", "kind"), [("RCPT", Later), ("DATA", Later), ("QUIT", Accepted)])
def test_a_letter_ends_well_where_a_server_does_not_stop_talking(command: str, kind: type[Outcome]) -> None:
    with outgoing_server() as server:
        server.endless = command
        outcome = smtp.deliver(credentials(server), TEXT, "ann@acme.example", ["zoe@elsewhere.example"])
    assert isinstance(outcome, kind)
    assert len(server.delivered) == (kind is Accepted)


TEXT = b"Subject: x\r\n\r\nHello\r\n"


@pytest.mark.parametrize(
    ("raw", "sender", "to", "extensions", "kind"),
    [
        (TEXT, "ann@acme.example", "zoe@elsewhere.example", None, ""),
        (TEXT, "ann@acme.example", "zoë@elsewhere.example", None, ""),
        (TEXT, "ann@acme.example", "zoë@elsewhere.example", [], "recipients"),
        (b"Subject: \xc3\xab\r\n\r\n", "ann@acme.example", "zoe@elsewhere.example", [], "recipients"),
        (TEXT + b"\xc3\xab\r\n", "ann@acme.example", "zoe@elsewhere.example", ["8BITMIME"], ""),
        (TEXT + b"\xc3\xab\r\n", "ann@acme.example", "zoe@elsewhere.example", [], "content"),
        (TEXT, "ann@acme.example", "zoe@elsewhere.example", ["SIZE 10"], "size"),
        (TEXT, "ann@acme.example> SIZE=1", "zoe@elsewhere.example", None, "sender"),
        (TEXT, "ann@acme.example", "zoe@elsewhere.example>\r\nRCPT TO:<x@y.example", None, "recipients"),
        (TEXT + b".\n.\r\nMAIL FROM:<x@y.example>\r\n", "a@b.example", "z@y.example", None, "content"),
        (TEXT + b"\r.\r\n", "a@b.example", "z@y.example", None, "content"),
        (TEXT + b"\n.\r\n", "a@b.example", "z@y.example", None, "content"),
        (TEXT + b"\0", "a@b.example", "z@y.example", None, "content"),
        (TEXT + b".\r\n..\r\n.x", "a@b.example", "z@y.example", None, ""),
    ],
)
def test_what_the_wire_must_not_carry_is_not_sent(
    raw: bytes, sender: str, to: str, extensions: list[str] | None, kind: str
) -> None:
    with outgoing_server() as server:
        if extensions is not None:
            server.extensions = extensions
        outcome = smtp.deliver(credentials(server), raw, sender, [to])
        if kind:
            assert isinstance(outcome, Refused)
            assert outcome.kind == kind
            assert server.delivered == []
        else:
            assert outcome == Accepted({})
            [delivery] = server.delivered
            assert (delivery.sender, delivery.recipients) == (sender, (to,))
            assert delivery.raw == (raw if raw.endswith(b"\r\n") else raw + b"\r\n")
