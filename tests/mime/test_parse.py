"""Whatever a stranger sends, Ann sees as much of it as there is, and the mailbox goes on."""

import base64
import email
import email.header
import os
import re
import sys
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailsync.mime import parse
from mailsync.mime.headers import Fields
from mailsync.mime.parse import Address
from mailsync.mime.structure import Walk
from tests.outside import CORPUS, needs_corpus


def summary(raw: str | bytes) -> parse.Summary:
    return parse.summarize(*parse.split(raw.encode() if isinstance(raw, str) else raw))


def content(raw: str | bytes) -> parse.Content:
    return parse.read(*parse.split(raw.encode() if isinstance(raw, str) else raw))


def corpus_messages() -> list[tuple[str, bytes]]:
    paths = [path for path in sorted(CORPUS.rglob("*.eml")) if "_oracle" not in path.parts]
    found = [(str(path.relative_to(CORPUS)), path.read_bytes()) for path in paths]
    for path in sorted(CORPUS.rglob("*.mbox")):
        if path.is_file():
            pieces = path.read_bytes().removeprefix(b"From ").split(b"\nFrom ")
            found += [(f"{path.name}#{n}", piece.partition(b"\n")[2]) for n, piece in enumerate(pieces)]
    return found


def strings(value: object) -> list[str]:
    """Every text anywhere inside a result."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in strings(part)]
    if isinstance(value, (list, tuple)):
        return [text for item in value for text in strings(item)]
    if hasattr(value, "__slots__"):
        return [text for name in value.__slots__ for text in strings(getattr(value, name))]
    return []


def assert_storable(result: object) -> None:
    for text in strings(result):
        assert "\0" not in text
        text.encode("utf-8")  # fails on a lone surrogate


def assert_readable_within(raw: bytes, seconds: float) -> parse.Summary:
    header, body = parse.split(raw)
    assert header + body == raw
    start = time.process_time()
    result = parse.summarize(header, body)
    shown = parse.read(header, body)
    assert time.process_time() - start < seconds
    assert_storable((result, shown, parse.header_fields(header)))
    for found in shown.attachments[:3]:
        parse.part_bytes(header, body, found.part)
    return result


# Splitting


@pytest.mark.parametrize(
    ("raw", "header"),
    [
        (b"A: b\r\n\r\nbody", b"A: b\r\n\r\n"),
        (b"A: b\n\nbody\r\n\r\nmore", b"A: b\n\n"),
        (b"A: b\r\n\nbody", b"A: b\r\n\n"),
        (b"A: b\n\r\nbody\n\n", b"A: b\n\r\n"),
        (b"A: b\rC: d\r\rbody", b"A: b\rC: d\r\r"),
        (b"\r\nbody", b"\r\n"),
        (b"\nbody", b"\n"),
        (b"A: b", b"A: b"),
        (b"", b""),
    ],
)
def test_a_message_is_split_behind_its_first_empty_line(raw, header):
    assert parse.split(raw) == (header, raw[len(header) :])


@given(st.binary(max_size=300))
def test_both_halves_are_always_the_message(raw):
    assert b"".join(parse.split(raw)) == raw


# Header fields


@pytest.mark.parametrize(
    ("field", "subject"),
    [
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?utf-8?B?0J/RgNC40LLQtdGC?= =?utf-8?B?INC80LjRgA==?=", "Привет мир"),
        ("=?utf-8?B?0J/RgNC40LLQ?=\r\n =?utf-8?B?tdGC?=", "Привет"),  # a character cut in two
        ("=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?= and more", "Привет and more"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?gb2312?B?xOO6ww==?=", "你好"),
        ("=?us-ascii*en?Q?hello?=", "hello"),
        ("=?utf-8?Q?two words inside?=", "two words inside"),
        ("=?utf-8?B?SGVsbG8?=", "Hello"),  # padding missing
        ("=?x-nonsense?Q?abc?=", "abc"),
        ("folded\r\n\tsubject\r\n goes on", "folded subject goes on"),
        ("=?utf-8?Q?line=0Abreak=00and_NUL?=", "line breakand NUL"),
        ("Gr\u00fc\u00dfe in raw UTF-8", "Grüße in raw UTF-8"),
        ("a =?= b =?utf-8?X?y?=", "a =?= b =?utf-8?X?y?="),
    ],
)
def test_ann_reads_the_subject_as_it_was_meant(field, subject):
    assert summary(f"Subject: {field}\r\n\r\n").subject == subject


@pytest.mark.parametrize("charset", ["koi8-r", "windows-1251"])
def test_a_raw_header_is_read_in_the_charset_of_the_text(charset):
    raw = (
        b"Subject: "
        + "Привет".encode(charset)
        + f"\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode()
    )
    assert summary(raw + "мир".encode(charset)).subject == "Привет"
    assert summary(raw + "мир".encode(charset)).snippet == "мир"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("ann@acme.example", [("", "ann@acme.example")]),
        ("Ann Lee <ann@acme.example>,Bob <b@x.example>", [("Ann Lee", "ann@acme.example"), ("Bob", "b@x.example")]),
        ('"Lee, Ann" <ann@acme.example>', [("Lee, Ann", "ann@acme.example")]),
        ('"Ann \\"A\\" Lee" <ann@acme.example>', [('Ann "A" Lee', "ann@acme.example")]),
        ("ann@acme.example (Ann (the owner) Lee)", [("Ann (the owner) Lee", "ann@acme.example")]),
        ("=?utf-8?Q?J=C3=BCrgen?= <j@acme.example>", [("Jürgen", "j@acme.example")]),
        ("=?utf-8?Q?Lee,_Ann?= <ann@acme.example>", [("Lee, Ann", "ann@acme.example")]),
        ("Team: ann@acme.example, Bob <bob@acme.example>;", [("", "ann@acme.example"), ("Bob", "bob@acme.example")]),
        ("undisclosed-recipients:;", []),
        ("ann@acme.example; bob@acme.example", [("", "ann@acme.example"), ("", "bob@acme.example")]),
        ("Ann ann@acme.example", [("Ann", "ann@acme.example")]),
        ("Ann <ann@acme.example", [("Ann", "ann@acme.example")]),
        ("Ann <ann@acme.example>> , <<bob@acme.example>>", [("Ann", "ann@acme.example"), ("", "bob@acme.example")]),
        ("<a@acme.example> <b@acme.example>", [("", "a@acme.example"), ("", "b@acme.example")]),
        ("<@relay.example,@two.example:ann@acme.example>", [("", "ann@acme.example")]),
        ("Ann < ann @ acme.example >", [("Ann", "ann@acme.example")]),
        ("'ann@acme.example' <ann@acme.example>", [("", "ann@acme.example")]),
        ("mailer-daemon", [("mailer-daemon", "")]),
        (",,;,", []),
    ],
)  # fmt: skip
def test_everybody_in_an_address_field_is_found(field, expected):
    assert summary(f"To: {field}\r\n\r\n").recipients.get("to", []) == expected


def test_the_sender_stands_in_when_there_is_no_from():
    assert summary("Sender: Bob <bob@acme.example>\r\n\r\n").sender == Address("Bob", "bob@acme.example")
    assert summary("Subject: nobody\r\n\r\n").sender is None


@pytest.mark.parametrize(
    ("field", "moment"),
    [
        ("Fri, 21 Nov 2025 10:00:00 +0200", datetime(2025, 11, 21, 8, tzinfo=UTC)),
        ("21 Nov 2025 10:00:00 GMT", datetime(2025, 11, 21, 10, tzinfo=UTC)),
        ("Fri, 21 Nov 2025 10:00:00 -0000", datetime(2025, 11, 21, 10, tzinfo=UTC)),
        ("Fri, 21 Nov 25 10:00 EST", datetime(2025, 11, 21, 15, tzinfo=UTC)),
        ("2025-11-21T10:00:00+02:00", datetime(2025, 11, 21, 8, tzinfo=UTC)),
        ("31 Dec 2025 23:59:60 +0000", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("Fri, 99 Nov 2025 10:00:00 +0000", None),
        ("Fri, 21 Nov 2025 10:00:00 +9999999999", None),
        ("yesterday", None),
        ("Fri, 21 Nov 99999 10:00:00 +0000", None),
        ("", None),
    ],
)
def test_the_date_is_aware_or_absent(field, moment):
    assert summary(f"Date: {field}\r\n\r\n").sent_at == moment


def test_the_message_id_loses_its_brackets_and_its_excess():
    assert summary("Message-ID: <abc@acme.example>\r\n\r\n").message_id == "abc@acme.example"
    assert summary("Message-ID:\r\n <folded@acme.example>\r\n\r\n").message_id == "folded@acme.example"
    assert summary("Message-ID: bare@acme.example\r\n\r\n").message_id == "bare@acme.example"
    assert len(summary(f"Message-ID: <{'x' * 5000}>\r\n\r\n").message_id) == 500


def test_all_fields_are_shown_decoded_and_in_order():
    header = b"Received: one\r\nReceived: two\r\nSubject: =?utf-8?Q?=C3=BC?=\r\n\r\n"
    assert parse.header_fields(header) == [("Received", "one"), ("Received", "two"), ("Subject", "ü")]


# Bodies


MIXED = """\
Subject: files
Content-Type: multipart/mixed; boundary="out"

A preamble that nobody sees.
--out
Content-Type: multipart/alternative; boundary=in

--in
Content-Type: text/plain; charset=utf-8

Hello Ann
--in
Content-Type: multipart/related; boundary=rel

--rel
Content-Type: text/html; charset=utf-8

<p>Hello <b>Ann</b> <img src="cid:logo@acme"></p>
--rel
Content-Type: image/png; name=logo.png
Content-ID: <logo@acme>
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--rel--
--in--
--out
Content-Type: text/plain; name="notes.txt"
Content-Disposition: attachment; filename*0*=utf-8''na%C3%AF; filename*1="ve.txt"

notes
--out
Content-Type: application/pdf
Content-Disposition: attachment; filename="C:\\\\temp\\\\offer.pdf"
Content-Transfer-Encoding: quoted-printable

=25PDF
--out
Content-Type: message/rfc822

Subject: =?utf-8?Q?Re:_offer?=

inside
--out--
An epilogue that nobody sees.
"""


def test_ann_sees_text_html_and_files_of_a_nested_mail():
    shown = content(MIXED)
    assert shown.text == "Hello Ann"
    assert shown.html == '<p>Hello <b>Ann</b> <img src="cid:logo@acme"></p>'
    assert [(a.part, a.name, a.type, a.size, a.inline) for a in shown.attachments] == [
        (2, "logo.png", "image/png", 8, True),
        (3, "naïve.txt", "text/plain", 5, False),
        (4, "offer.pdf", "application/pdf", 4, False),
        (5, "Re: offer.eml", "message/rfc822", 38, False),
    ]
    assert summary(MIXED).attachments == shown.attachments
    assert summary(MIXED).snippet == "Hello Ann"


def test_a_part_comes_back_as_its_bytes_and_an_unknown_part_does_not():
    header, body = parse.split(MIXED.encode())
    assert parse.part_bytes(header, body, 2)[1] == b"\x89PNG\r\n\x1a\n"
    assert parse.part_bytes(header, body, 4)[1] == b"%PDF"
    for part in (-1, 6, 10**9):
        with pytest.raises(LookupError):
            parse.part_bytes(header, body, part)


def test_a_missing_last_boundary_loses_nothing():
    shown = content(MIXED.replace("--out--\nAn epilogue that nobody sees.\n", ""))
    assert [a.name for a in shown.attachments][-1] == "Re: offer.eml"


def test_a_multipart_without_its_boundary_is_shown_as_text():
    shown = content("Content-Type: multipart/mixed; boundary=gone\n\nJust words.\n")
    assert shown.text == "Just words."
    assert shown.problem


def test_an_undeclared_boundary_is_found():
    shown = content("Content-Type: multipart/mixed\n\n--b\nContent-Type: text/plain\n\nfound\n--b--\n")
    assert shown.text == "found"


def test_boundaries_that_begin_alike_are_told_apart():
    raw = (
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: multipart/mixed; boundary=xy\n\n"
        "--xy\n\ninner\n--xy--\n--x\n\nouter\n--x--\n"
    )
    assert content(raw).text == "inner\n\nouter"


@pytest.mark.parametrize(
    ("charset", "data"),
    [
        ("utf-8", "Grüße".encode()),
        ("us-ascii", "Grüße".encode()),  # a lie
        ("iso-8859-1", "Grüße".encode("latin-1")),
        ("utf-8", "Grüße".encode("cp1252")),  # a lie
        ("", "Grüße".encode("cp1252")),
        ("unknown-8bit", "Grüße".encode()),
        ("zip", "Grüße".encode()),  # a codec of Python's that is no charset
        ("unicode_escape", "Grüße".encode()),
        ("utf-7", b"Gr+APwA3w-e"),
        ("utf-16", "Grüße".encode("utf-16")),
        ('"utf-8"', "Grüße".encode()),
        ("'utf-8'", "Grüße".encode()),
    ],
)
def test_the_text_is_read_even_if_its_charset_is_a_lie(charset, data):
    raw = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode() + data
    assert content(raw).text == "Grüße"
    assert summary(raw).snippet == "Grüße"


def test_one_broken_character_does_not_turn_a_whole_mail_into_noise():
    raw = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + "Привет мир ".encode() * 20 + b"\xff"
    assert content(raw).text.startswith("Привет мир")


def test_text_that_was_cut_inside_a_character_still_has_a_snippet():
    raw = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + b"x" + "я".encode() * 10_000
    assert "\ufffd" not in summary(raw).snippet


def test_uuencoded_files_in_the_text_are_files():
    raw = "Subject: old\n\nSee the file.\nbegin 644 a.txt\n%:&5L;&\\\n`\nend\nBye.\n"
    shown = content(raw)
    assert shown.text.replace("\n", " ").split() == ["See", "the", "file.", "Bye."]
    assert [(a.part, a.name, a.size) for a in shown.attachments] == [(1, "a.txt", 5)]
    assert parse.part_bytes(*parse.split(raw.encode()), 1)[1] == b"hello"
    assert summary(raw).attachments == shown.attachments


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_mail_without_its_empty_line_is_read_from_where_the_fields_end(end):
    raw = f"Subject: hello{end}\tyou{end}To: ann@acme.example{end}Here are the words.{end}And: more{end}"
    assert summary(raw).subject == "hello you"
    assert summary(raw).snippet == "Here are the words. And: more"
    assert content(raw).text == "Here are the words.\nAnd: more"
    assert content(f"Subject: hello{end}To: ann@acme.example{end}").text == ""


def test_words_that_begin_a_line_with_begin_are_words():
    assert content("Subject: x\n\nbegin 644 times\nand again\n").attachments == ()


@pytest.mark.parametrize(
    ("encoded", "decoded"),
    [
        ("aGVsbG8=", b"hello"),
        ("aGVs\r\nbG8=\r\n", b"hello"),
        ("aGVsbG8", b"hello"),
        ("aGVs*bG8=", b"hello"),
        ("aGVsbG8=\r\naGVsbG8=", b"hellohello"),  # two pieces, each padded
        ("aGVsbG8=\r\n_______\r\nfooter of a list.", b"hello"),
        ("aGVsbG8x2", b"hello1"),
        ("", b""),
    ],
)
def test_damaged_base64_gives_what_there_is(encoded, decoded):
    raw = f"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n{encoded}".encode()
    found, data = parse.part_bytes(*parse.split(raw), 0)
    assert data == decoded
    assert found.size == len(decoded)


def test_the_size_of_a_large_file_is_known_without_decoding_it():
    data = os.urandom(100_001)
    for encoded in (
        base64.encodebytes(data),
        base64.b64encode(data),
        base64.encodebytes(data).replace(b"\n", b"\r\n"),
    ):
        raw = b"Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n" + encoded
        assert summary(raw).attachments[0].size == len(data)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\temp\\\\a.doc", "a.doc"),
        ("in\u202efdp.exe", "infdp.exe"),
        ("=?utf-8?B?0YTQsNC50LsudHh0?=", "файл.txt"),
        ("a\tb\x01.txt", "a b .txt"),
        ("..", "image.png"),
        ("", "image.png"),
        ("x" * 300 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
def test_a_file_name_has_no_folders_and_no_tricks(name, shown):
    raw = f'Content-Type: image/png\r\nContent-Disposition: attachment; filename="{name}"\r\n\r\nx'
    assert [a.name for a in content(raw).attachments] == [shown]


def test_flowed_text_is_rejoined_and_delsp_obeyed():
    flowed = "Content-Type: text/plain; format=flowed\n\nOne long \nline.\n> quoted \n> line\n-- \nAnn\n"
    assert content(flowed).text == "One long line.\n> quoted line\n-- \nAnn"
    delsp = "Content-Type: text/plain; format=flowed; delsp=yes\n\nOnew \nord.\n"
    assert content(delsp).text == "Oneword."


# Snippets


@pytest.mark.parametrize(
    ("text", "snippet"),
    [
        ("Hello\n\n  world\t!\n", "Hello world !"),
        ("New words.\n\nOn Fri, 21 Nov 2025, Bob wrote:\n> old words\n", "New words."),
        ("New words.\n\nOn Fri, 21 Nov 2025 at 10:00, Bob Baker\n<bob@acme.example> wrote:\n> old\n", "New words."),
        ("Am 21.11.2025 um 10:00 schrieb Bob:\n> alt\n\nNeue Worte", "Neue Worte"),
        ("21.11.2025, 10:00, Боб пишет:\n> старое\nНовое", "Новое"),
        ("> only\n> quoted", "only quoted"),
        ("Words\n-- \nAnn Lee\nAcme", "Words"),
        ("Words\n\n-----Original Message-----\nFrom: Bob", "Words"),
        ("====================\nTitle\n====================", "Title"),
        ("Pay <https://track.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa> now", "Pay now"),
        ("https://track.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "https://track.example/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ("On the whole: fine", "On the whole: fine"),
    ],
)  # fmt: skip
def test_the_list_shows_the_first_new_words(text, snippet):
    assert summary(f"Content-Type: text/plain; charset=utf-8\n\n{text}").snippet == snippet


def test_the_snippet_of_a_newsletter_skips_style_padding_and_comments():
    page = (
        "<html><head><title>No</title><style>p { color: red }"
        + " " * 20_000
        + "</style></head><body><!-- no -->"
        "<div>Sale&nbsp;today&zwnj;&nbsp;&#847;&zwnj;</div><script>no()</script><p>All &lt;shoes&gt;</p></body></html>"
    )
    assert summary(f"Content-Type: text/html; charset=utf-8\n\n{page}").snippet == "Sale today All <shoes>"


# Bombs


def nested(depth: int) -> bytes:
    head = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))
    return head + b"Content-Type: text/plain\n\ndeep\n"


def envelopes(depth: int) -> bytes:
    return b"Content-Type: message/rfc822\n\n" * depth + b"Subject: deep\n\nwords"


ALTERNATING = b"".join(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" for _ in range(100_000))
BOMBS = {
    "nested 100 000 deep": nested(100_000),
    "100 000 envelopes": envelopes(100_000),
    "nested in itself": ALTERNATING,
    "a million parts": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 1_000_000,
    "a million empty delimiters": b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n" * 1_000_000,
    "a header of 10 MB": b"Subject: " + b"x" * 10_000_000 + b"\n\nwords",
    "a header of a million fields": b"X: y\n" * 1_000_000 + b"Subject: late\n\nwords",
    "100 000 recipients": b"To: "
    + b", ".join(b"p%d@acme.example" % n for n in range(100_000))
    + b"\n\nwords",
    "open comments": b"To: " + b"(" * 100_000 + b"\n\nwords",
    "open angles": b"To: " + b"<," * 50_000 + b"\n\nwords",
    "colons after an address": b"To: a@b" + b":" * 60_000 + b"\n\nwords",
    "open quotes": b'To: "' + b'\\"' * 50_000 + b"\n\nwords",
    "a million encoded words": b"Subject: " + b"=?utf-8?q?x?= " * 1_000_000 + b"\n\nwords",
    "open encoded words": b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\n\nwords",
    "100 000 parameters": b"Content-Type: text/plain" + b"; a*1*=b" * 100_000 + b"\n\nwords",
    "50 MB quoted-printable": b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=41=42=\n" * 6_250_000,
    "50 MB of base64": b"Content-Type: image/png\nContent-Transfer-Encoding: base64\n\n"
    + b"QUJD\n" * 10_000_000,
    "20 MB of begin": b"Subject: x\n\n" + b"begin 644 a\n" * 1_700_000,
    "open tags": b"Content-Type: text/html\n\n" + b"<a" * 2_000_000,
    "open comments in HTML": b"Content-Type: text/html\n\n" + b"<!--" * 1_000_000,
    "open quotes in tags": b"Content-Type: text/html\n\n" + b"<a \"'" * 800_000,
    "open styles": b"Content-Type: text/html\n\n" + b"<style>" * 500_000,
    "entities": b"Content-Type: text/html\n\n" + b"&#x41;&amp" * 400_000,
    "angles in text": b"Subject: x\n\n" + b"<" * 4_000_000,
    "a long line that looks like an introduction": b"Subject: x\n\nOn " + b"wrote " * 500_000 + b":\n",
    "quotes": b"Subject: x\n\n" + b">" * 4_000_000,
    "dashes": b"Subject: x\n\n" + b"-" * 4_000_000,
    "links": b"Subject: x\n\n" + b"https://a" * 400_000,
    "punycode": b"Content-Type: text/plain; charset=punycode\n\n" + b"a-" + b"z" * 2_000_000,
    "padding of base64": b"Content-Transfer-Encoding: base64\n\n" + b"= =\n" * 200_000,
    "NULs": b"Subject: \0x\0\nContent-Type: text/plain\n\n" + b"\0" * 1_000_000 + b"x",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_no_bomb_holds_a_worker_for_two_seconds(bomb):
    assert_readable_within(bomb, 2)


@pytest.mark.parametrize("name", ["100 000 recipients", "a million encoded words", "a million parts"])
def test_what_is_kept_of_a_bomb_is_bounded(name):
    kept = summary(BOMBS[name])
    assert len(kept.recipients.get("to", [])) <= 50
    assert len(kept.subject) <= 1000
    assert len(kept.attachments) <= 500


def test_a_mail_with_too_many_parts_says_so():
    assert "500 parts" in summary(BOMBS["a million parts"]).problem


# Real mail


@needs_corpus
def test_every_real_message_is_read_in_time():
    seconds = []
    for name, raw in corpus_messages():
        start = time.process_time()
        assert_readable_within(raw, 2)
        seconds.append((time.process_time() - start, name))
    assert len(seconds) > 3000
    seconds.sort()
    assert seconds[len(seconds) * 99 // 100][0] < 0.1, seconds[-5:]


@needs_corpus
def test_nothing_needs_the_guard_that_catches_everything(monkeypatch):
    """The guard is for the mail we have never seen; real mail must not lean on it."""
    monkeypatch.setattr(parse, "_guarded", lambda _, function, *args: function(*args))
    for _, raw in corpus_messages():
        header, body = parse.split(raw)
        parse.summarize(header, body)
        parse.read(header, body)
        parse.header_fields(header)


@needs_corpus
def test_subjects_and_structure_are_as_mimekit_expects():
    """The origin's own dump of one mailbox: subject and tree of types of each message."""
    dump = next(CORPUS.rglob("jwz-summary.txt")).read_text("utf-8")
    expected: dict[str, list[list[str]]] = {}
    for block in re.split(r"^From .*\n", dump, flags=re.MULTILINE)[1:]:
        lines = block.splitlines()
        subject = next((line[9:] for line in lines if line.startswith("Subject: ")), "").strip()
        types = [
            (len(line) - len(line.lstrip()), line.split(": ")[1].lower())
            for line in lines
            if "Content-Type: " in line
        ]
        expected.setdefault(subject, []).append(leaf_types(types))
    folder = next(CORPUS.rglob("content-length.mbox.d"))
    for path in sorted(folder.glob("*.eml")):
        header, body = parse.split(path.read_bytes())
        subject = parse.summarize(header, body).subject
        message = Walk(Fields(header), body)
        assert [leaf.type for leaf in message.leaves] in expected[subject], subject


def leaf_types(types: list[tuple[int, str]]) -> list[str]:
    """The leaves of an indented dump; what is below an embedded message belongs to that message."""
    leaves, closed = [], sys.maxsize
    for depth, kind in types:
        if depth > closed:
            continue
        closed = depth if kind == "message/rfc822" else sys.maxsize
        if not kind.startswith("multipart/"):
            leaves.append(kind)
    return leaves


@needs_corpus
def test_subjects_and_file_names_agree_with_the_standard_library():
    """Another parser as a witness: where it finds no fault with a mail, both must read the same in it."""
    compared = disagreed = 0
    for _, raw in corpus_messages():
        theirs = email.message_from_bytes(raw)
        if theirs.defects or b"=?" in raw.split(b"\n\n")[0] or not raw.isascii():
            continue
        ours = summary(raw)
        subject = " ".join(str(theirs.get("subject", "")).replace("\r", "").split())[:900]
        names = {
            part.get_filename() for part in theirs.walk() if part.get_content_disposition() == "attachment"
        }
        found = {a.name for a in ours.attachments}
        compared += 1
        inside_messages = any(part.get_content_type() == "message/rfc822" for part in theirs.walk())
        missing = {name for name in names if name and not inside_messages} - found
        disagreed += " ".join(ours.subject.split())[:900] != subject or bool(missing)
    assert compared > 1500
    assert disagreed <= compared // 100


SAMPLE = MIXED.encode()


@settings(deadline=2000, max_examples=300)
@given(st.data())
def test_a_mail_with_flipped_bytes_is_still_read(data):
    raw = bytearray(SAMPLE)
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=30)):
        raw[place] = data.draw(st.integers(0, 255))
    assert_readable_within(bytes(raw), 2)


@settings(deadline=2000, max_examples=200)
@given(st.integers(0, len(SAMPLE)), st.integers(0, len(SAMPLE)))
def test_a_torn_mail_is_still_read(start, length):
    assert_readable_within(SAMPLE[start : start + length], 2)


@settings(deadline=2000, max_examples=200)
@given(st.binary(max_size=2000))
def test_noise_is_read_as_well(raw):
    assert_readable_within(raw, 2)
    assert_readable_within(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n" + raw, 2)
