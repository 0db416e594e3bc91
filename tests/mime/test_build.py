"""What Ann writes arrives as she wrote it, whoever reads it; nothing she pastes becomes a header."""

import email
import email.policy
import json
import re
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsync.mime import parse, plain
from mailsync.mime.build import File, Letter, Unfit, build, needs_smtputf8, recipients, wire_address
from mailsync.mime.headers import Address
from tests.outside import CORPUS, needs_corpus

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
ANN = Address("Ann Archer", "ann@acme.example")
BOB = Address("Bob", "bob@acme.example")

LANGUAGES = {
    "Arabic": "مرحبا بالعالم، عرض السعر",
    "Bengali": "ওহে বিশ্ব, মূল্য প্রস্তাব",
    "Bulgarian": "Здравей, свят: оферта",
    "Chinese": "你好，世界：报价单",
    "Czech": "Příliš žluťoučký kůň, nabídka",
    "Danish": "Rødgrød med fløde, tilbud",
    "English": 'Hello, "world" (offer) <1> = 50 % off; really?',
    "Finnish": "Hyvää päivää, tarjous",
    "French": "Où êtes-vous ? Le devis n° 5, s’il vous plaît",
    "Georgian": "გამარჯობა მსოფლიო",
    "German": "Größe prüfen: Überweisung für Straße",
    "Greek": "Γειά σου Κόσμε, προσφορά",
    "Hebrew": "שלום עולם, הצעת מחיר",
    "Hindi": "नमस्ते दुनिया, मूल्य प्रस्ताव",
    "Hungarian": "Árvíztűrő tükörfúrógép",
    "Icelandic": "Þjóðarbókhlaðan, tilboð",
    "Japanese": "こんにちは世界、見積書の件",
    "Korean": "안녕하세요 세계, 견적서",
    "Polish": "Zażółć gęślą jaźń",
    "Portuguese": "Olá, você recebeu a cotação?",
    "Russian": "Здравствуй, мир: коммерческое предложение № 7",
    "Spanish": "¿Qué tal, mañana? Año nuevo",
    "Tamil": "வணக்கம் உலகம்",
    "Thai": "สวัสดีชาวโลก ใบเสนอราคา",
    "Turkish": "İstanbul'da ığüşöç, teklif",
    "Ukrainian": "Привіт, світе: пропозиція ґ",
    "Vietnamese": "Chào thế giới, báo giá",
    "emoji": "Party 🎉👩‍👩‍👧 tonight",
}


def letter(**changes: Any) -> Letter:
    given: dict[str, Any] = {
        "sender": ANN, "to": [BOB], "subject": "Hello", "html": "<p>Hi</p>", "date": NOW,
        "message_id": "one@acme.example",
    }  # fmt: skip
    return Letter(**(given | changes))


def ours(raw: bytes) -> dict[str, Any]:
    """What our own parser makes of it."""
    halves = parse.split(raw)
    said, read = parse.summarize(*halves), parse.read(*halves)
    return {
        "subject": said.subject,
        "sender": (said.sender.name, said.sender.address) if said.sender else None,
        "to": said.recipients.get("to", []),
        "text": read.text.strip(),
        "html": read.html.strip(),
        "files": [
            (part.name, part.type, parse.part_bytes(*halves, part.part)[1]) for part in read.attachments
        ],
    }


def theirs(raw: bytes) -> dict[str, Any]:
    """What the standard library makes of it."""
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    rich, words = message.get_body(("html",)), message.get_body(("plain",))
    files = [
        (part.get_filename(), part.get_content_type(), part.get_payload(decode=True))
        for part in message.walk()
        if part.get_content_disposition()
    ]
    return {
        "subject": message["Subject"],
        "sender": people(raw, "From")[0],
        "to": people(raw, "To"),
        "text": words.get_content().strip() if words else "",
        "html": rich.get_content().strip() if rich else "",
        "files": files,
    }


def people(raw: bytes, field: str) -> list[tuple[str, str]]:
    """By the library's older parser: the newer one puts blanks between the encoded words of a long name."""
    found = getaddresses([str(email.message_from_bytes(raw)[field])])
    return [(str(make_header(decode_header(name))), address) for name, address in found]


def assert_fit_to_travel(raw: bytes) -> None:
    """Short lines, CRLF only, ASCII: nothing on the way has a reason to change it and break DKIM."""
    lines = raw.split(b"\r\n")
    assert raw.isascii()
    assert all(b"\r" not in line and b"\n" not in line for line in lines)
    assert max(map(len, lines)) <= 78


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_parsers_read_what_was_written_in_any_language(language):
    words = LANGUAGES[language]
    long_name = f"{words[:40].replace('/', '-')} {words[:30]}.pdf"
    raw = build(
        letter(
            subject=f"{words} {words} {words}",
            sender=Address(words, "ann@acme.example"),
            to=[Address(words, "bob@acme.example"), BOB],
            html=f"<p>{words * 20}</p>",
            inline=[File("bild.png", "image/png", b"\x89PNG\0", "image1@acme.example")],
            attachments=[File(long_name, "application/pdf", bytes(range(256)) * 20)],
        )
    )
    assert_fit_to_travel(raw)
    read, second = ours(raw), theirs(raw)
    assert read["subject"] == second["subject"] == f"{words} {words} {words}"
    assert read["sender"] == second["sender"] == (words, "ann@acme.example")
    assert read["to"] == second["to"] == [(words, "bob@acme.example"), ("Bob", "bob@acme.example")]
    assert read["html"] == second["html"].replace("\r\n", "\n")
    assert words in read["text"]
    assert read["text"] == second["text"]
    assert read["files"][-1][2] == bytes(range(256)) * 20
    assert second["files"][-1] == (long_name, "application/pdf", bytes(range(256)) * 20)


_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=80)


@settings(max_examples=40, deadline=None)
@given(subject=_TEXT, name=_TEXT, file_name=_TEXT, html=_TEXT)
def test_whatever_is_typed_no_line_is_long_and_the_subject_is_the_same(subject, name, file_name, html):
    raw = build(
        letter(
            subject=subject,
            sender=Address(name, "ann@acme.example"),
            html=html,
            attachments=[File(file_name, "text/plain", b"x\n")],
        )
    )
    assert_fit_to_travel(raw)
    assert ours(raw)["subject"] == " ".join(subject.split(" ")).strip()[:1000]
    assert (
        email.message_from_bytes(raw, policy=email.policy.default).get("Subject", "").strip()
        == subject.strip()
    )


def test_bcc_gets_the_letter_and_is_not_named_in_it():
    secret = letter(bcc=[Address("Cyd", "cyd@acme.example"), Address("", "BOB@acme.example")])
    assert recipients(secret) == ["bob@acme.example", "cyd@acme.example", "BOB@acme.example"]
    assert b"cyd" not in build(secret).lower()
    only_bcc = letter(to=[], bcc=[BOB])
    assert b"undisclosed-recipients:;" in build(only_bcc)
    assert b"bob@" not in build(only_bcc)


@pytest.mark.parametrize("stop", ["\r\n", "\n", "\r", "\0", "\r\n ", "\u2028"])
@pytest.mark.parametrize("place", ["subject", "name", "address", "file", "cid", "id", "more"])
def test_no_line_break_gets_into_a_field(place, stop):
    bad = f"x{stop}Bcc: victim@example.com"
    changes: dict[str, dict[str, Any]] = {
        "subject": {"subject": bad},
        "name": {"sender": Address(bad, "ann@acme.example")},
        "address": {"to": [Address("", f"bob@acme.example{stop}Bcc: v@example.com")]},
        "file": {"attachments": [File(bad, "text/plain", b"")]},
        "cid": {"inline": [File("a.png", "image/png", b"", bad)]},
        "id": {"message_id": bad},
        "more": {"more": [("X-Note", bad)]},
    }
    with pytest.raises(Unfit):
        build(letter(**changes[place]))


@needs_corpus
def test_injections_of_the_corpus_add_no_field_and_no_recipient():
    rows = [json.loads(line) for line in (CORPUS / "vectors/injection.jsonl").read_text().splitlines()]
    clean_fields = set(
        email.message_from_bytes(build(letter(in_reply_to="<a@b>", references="<a@b>"))).keys()
    )
    for row in rows:
        for field in ("subject", "in_reply_to", "references", "html"):
            try:
                raw = build(letter(**{field: row["input"]}))
            except Unfit:
                continue
            message = email.message_from_bytes(raw)
            assert set(message.keys()) <= clean_fields, row
            assert message.get_all("To") == ["Bob <bob@acme.example>"]


def test_an_address_is_written_for_the_wire():
    assert wire_address("info@bücher.example") == "info@xn--bcher-kva.example"
    assert wire_address('"john smith"@acme.example') == '"john smith"@acme.example'
    assert not needs_smtputf8(letter(to=[Address("Jörg", "info@bücher.example")]))
    assert needs_smtputf8(letter(to=[Address("", "jörg@bücher.example")]))
    for wrong in (
        "",
        "bob",
        "bob@",
        "@acme.example",
        "a b@acme.example",
        "a@b c",
        "a@b>",
        "a,b@c.example",
        "a@..",
    ):
        with pytest.raises(Unfit):
            wire_address(wrong)


def test_a_long_thread_keeps_its_first_and_latest_ids_and_drops_what_is_none():
    ids = [f"<{n}.{'x' * 70}@mail.example>" for n in range(100)]
    raw = build(letter(references=f"rubbish {' '.join(ids)} <no id>", in_reply_to=ids[-1]))
    assert_fit_to_travel_but_for_ids = re.sub(rb"<[^<>]{60,}>", b"<id>", raw)
    assert_fit_to_travel(assert_fit_to_travel_but_for_ids)
    found = email.message_from_bytes(raw, policy=email.policy.default)["References"].split()
    assert found == [ids[0], *ids[-39:]]


def test_a_mail_is_attached_as_a_mail_where_that_is_allowed():
    simple = b"From: a@b.example\nSubject: x\n\nFrom me\n.\n"
    wild = "From: a@b.example\n\nGrüße\n".encode("latin-1")
    raw = build(
        letter(attachments=[File("a.eml", "message/rfc822", simple), File("b.eml", "message/rfc822", wild)])
    )
    assert_fit_to_travel(raw)
    assert [(name, kind) for name, kind, _ in ours(raw)["files"]] == [
        ("a.eml", "message/rfc822"),
        ("b.eml", "application/octet-stream"),
    ]
    assert ours(raw)["files"][0][2].replace(b"\r\n", b"\n").strip() == simple.strip()
    assert ours(raw)["files"][1][2] == wild


def test_building_twice_gives_the_same_bytes_and_robots_say_so():
    assert build(letter()) == build(letter())
    assert b"Auto-Submitted" not in build(letter())
    assert b"Auto-Submitted: auto-generated\r\n" in build(letter(automatic="auto-generated"))


def test_the_plain_text_reads_like_a_letter():
    html = """<p>Hello <b>Bob</b>,<br>see <a href="https://acme.example/a?b">the page</a> and
    <a href="https://acme.example/x">https://acme.example/x</a>.</p><p></p>
    <ul><li><p>one</p><ul><li><p>in</p></li></ul></li><li><p>two</p></li></ul><ol><li>eins</li><li>zwei</li></ol>
    <table><tr><td>a</td><td>b</td></tr></table><pre>x\n  y</pre><p>-- <br>Ann</p>
    <p>Bob wrote:</p><blockquote><p>Hi <img alt="Logo" src="cid:1"></p><blockquote>deep<br>er</blockquote>
    <p>end</p></blockquote>"""
    assert plain.text(html) == (
        "Hello Bob,\nsee the page <https://acme.example/a?b> and https://acme.example/x.\n\n"
        "- one\n  - in\n- two\n\n1. eins\n2. zwei\n\na  b\n\nx\n  y\n\n-- \nAnn\n\n"
        "Bob wrote:\n\n> Hi [Logo]\n>\n>> deep\n>> er\n>\n> end\n"
    )
    assert plain.text("<blockquote>" * 5000 + "x" + "</blockquote>" * 5000).endswith("x\n")
