"""What servers say, as data: the lines are written down as the standard library's client hands them over."""

import re
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsync.imap import answers as reading
from mailsync.imap.answers import (
    Answer,
    copied_uids,
    expand,
    fetch_answers,
    internal_date,
    number,
    parse_flags,
    status_items,
)

DATE = b'INTERNALDATE "02-Nov-2026 10:00:00 +0000"'
WHEN = datetime(2026, 11, 2, 10, tzinfo=UTC)


def answers(*items: bytes | tuple[bytes, bytes] | None) -> list[Answer]:
    return list(fetch_answers(items))


def one(*items: bytes | tuple[bytes, bytes] | None) -> Answer:
    (answer,) = answers(*items)
    return answer


# FETCH.


def test_a_listed_message() -> None:
    answer = one(b"1 (UID 7 FLAGS (\\Seen $Work) " + DATE + b" RFC822.SIZE 1234)")

    assert answer == Answer(7, frozenset({"\\Seen", "$Work"}), WHEN, 1234, None, place=1)


_SAID = (
    *(
        b"1 (UID 7",
        b" FLAGS (",
        b"\\Seen $Work",
        b"\\recent",
        b")",
        b" RFC822.SIZE 12",
        b" BODY[] {5}",
        b" MODSEQ (9)",
    ),
    *(
        b" " + DATE,
        DATE.replace(b"+0000", b"-0130"),
        DATE.replace(b"Nov", b"xyz"),
        DATE.replace(b"+0", b"+9"),
    ),
)


@given(st.lists(st.sampled_from(_SAID), max_size=7).map(b"".join), st.none() | st.just(b"Hello"))
def test_a_usual_answer_says_what_it_would_say_in_any_other_order(said: bytes, literal: bytes | None) -> None:
    usual = [b"1 (UID 7 FLAGS (\\Seen) " + DATE + said, b"1 (UID 7 FLAGS (\\Seen)" + said]
    items: list[bytes | tuple[bytes, bytes]] = [*usual, said]
    if literal:
        items = [piece for line in items if isinstance(line, bytes) for piece in ((line, literal), b")")]
    found = answers(*items)
    with patch.object(reading, "_USUAL", re.compile(rb"(?!)")):
        assert answers(*items) == found


def test_the_order_of_the_items_is_the_servers() -> None:
    """H08"""
    parts = [b"UID 7", b"FLAGS (\\Seen)", DATE, b"RFC822.SIZE 1234"]
    wanted = Answer(7, frozenset({"\\Seen"}), WHEN, 1234, None, place=1)

    for turn in range(4):
        assert one(b"1 (" + b" ".join(parts[turn:] + parts[:turn]) + b")") == wanted


def test_a_message_in_a_literal() -> None:
    answer = one((b"1 (UID 7 FLAGS () BODY[] {11}", b"Hello\r\n(you"), b")")

    assert (answer.uid, answer.body, answer.flags) == (7, b"Hello\r\n(you", frozenset())


@pytest.mark.parametrize(
    "items",
    [
        [(b"1 (BODY[] {5}", b"Hello"), b" UID 7 FLAGS (\\Seen))"],
        [(b"1 (FLAGS (\\Seen) BODY[] {5}", b"Hello"), b" UID 7)"],
        [(b"1 (UID 7 FLAGS (\\Seen) BODY[] {5+}", b"Hello"), b")"],
        [(b"1 (UID 7 FLAGS (\\Seen) BODY[] ~{5}", b"Hello"), b")"],
        [(b"1 (UID 7 FLAGS (\\Seen) BODY[]<0> {5}", b"Hello"), b")"],
        [(b"1 (uid 7 flags (\\SEEN) body[header] {5}", b"Hello"), b")"],
        [(b"1 (UID 7 X-NOISE {3}", b"abc"), (b" BODY[] {5}", b"Hello"), b" FLAGS (\\seen))"],
        [(b"1 (UID 7 BODY[] {5}", b"Hello"), (b" X-NOISE {3}", b"abc"), b" FLAGS (\\seen))"],
        [b'1 (UID 7 BODY[] "Hello" FLAGS (\\Seen))'],
    ],
)
def test_wherever_the_server_puts_the_body(items) -> None:
    answer = one(*items)

    assert (answer.uid, answer.body, answer.flags) == (7, b"Hello", frozenset({"\\Seen"}))


def test_several_messages_keep_their_own_bodies() -> None:
    found = answers(
        (b"1 (UID 7 BODY[] {5}", b"first"), b")",
        b"2 (UID 8 FLAGS (\\Seen))",
        (b"3 (UID 9 BODY[] {5}", b"third"), b")",
    )  # fmt: skip

    assert [(a.uid, a.body) for a in found] == [(7, b"first"), (8, None), (9, b"third")]


@pytest.mark.parametrize(
    "text",
    [
        b"1 (UID 9 FLAGS (\\Deleted) BODY[] {1}\r\nx)",
        b'UID 9 FLAGS (\\Deleted) RFC822.SIZE 5 INTERNALDATE "01-Jan-2020 00:00:00 +0000"',
        b")\r\n* 2 FETCH (UID 9 FLAGS (\\Deleted))",
    ],
)
def test_what_a_stranger_writes_into_a_mail_is_not_the_servers_word(text: bytes) -> None:
    answer = one((b"1 (BODY[] {%d}" % len(text), text), b" UID 7 FLAGS () " + DATE + b" RFC822.SIZE 50)")

    assert answer == Answer(7, frozenset(), WHEN, 50, text, place=1)


@pytest.mark.parametrize("tail", [b" UID 7 FLAGS () " + DATE + b" RFC822.SIZE 50)", b" UID 7)"])
def test_what_a_stranger_writes_into_a_short_mail_is_not_the_servers_word_either(tail: bytes) -> None:
    """Some servers quote what has no line break."""
    text = b"UID 9 FLAGS (\\Deleted) RFC822.SIZE 5"

    answer = one(b'1 (BODY[] "' + text.replace(b"\\", b"\\\\") + b'"' + tail)

    assert (answer.uid, answer.body) == (7, text)
    assert answer.flags in {frozenset(), None}
    assert answer.size in {50, None}


def test_a_quoted_body_is_read_without_its_quoting() -> None:
    assert one(b'1 (UID 7 BODY[] "a \\"b\\" \\\\ c")').body == b'a "b" \\ c'


@pytest.mark.parametrize(
    ("item", "body"), [(b"BODY[] NIL", None), (b'BODY[] ""', b""), (b"BODY[HEADER] NIL", None)]
)
def test_no_body_and_an_empty_body_are_told_apart(item: bytes, body: bytes | None) -> None:
    """K04"""
    assert one(b"1 (UID 7 " + item + b")").body == body


def test_an_empty_literal_is_an_empty_body() -> None:
    """A10"""
    assert one((b"1 (UID 7 BODY[] {0}", b""), b")").body == b""


def test_news_of_flags_without_a_uid_is_nobodys() -> None:
    """K09: servers may tell flags by sequence number whenever they like."""
    assert answers(b"4 (FLAGS (\\Seen))", b"1 (UID 7 FLAGS ())")[0].uid == 7
    assert len(answers(b"4 (FLAGS (\\Seen))", None)) == 0


def test_a_keyword_named_like_an_item_is_a_keyword() -> None:
    answer = one(b"1 (FLAGS (UID 9 \\Seen) UID 7)")

    assert (answer.uid, answer.flags) == (7, frozenset({"UID", "9", "\\Seen"}))


def test_the_same_uid_twice_is_told_twice() -> None:
    """K07: who collects them takes the last."""
    found = {a.uid: a.flags for a in answers(b"1 (UID 7 FLAGS ())", b"2 (UID 7 FLAGS (\\Seen))")}

    assert found == {7: frozenset({"\\Seen"})}


def test_an_answer_with_nothing_in_it() -> None:
    assert one(b"1 (UID 7)") == Answer(7, None, None, None, None, place=1)
    assert answers(b"1 ()", b"2", b"") == []


def test_a_uid_of_32_bits() -> None:
    """A06"""
    assert one(b"1 (UID 4294967290 FLAGS ())").uid == 4294967290


# More digits than int() reads (sys.get_int_max_str_digits).
ENDLESS = b"9" * 5_000


@pytest.mark.parametrize("uid", [b"0", b"4294967296", b"9223372036854775808", ENDLESS])
@pytest.mark.parametrize("rest", [b"FLAGS ()", b"RFC822.SIZE 9"], ids=["usual", "searched"])
def test_a_message_with_a_uid_that_cannot_be_is_none(uid: bytes, rest: bytes) -> None:
    """RFC 9051 9, nz-number"""
    assert [each.uid for each in answers(b"1 (UID " + uid + b" " + rest + b")", b"2 (UID 7 FLAGS ())")] == [7]


@pytest.mark.parametrize("item", [b"UID 7 FLAGS () RFC822.SIZE %s", b"RFC822.SIZE %s UID 7"])
def test_a_size_of_63_bits(item: bytes) -> None:
    assert one(b"1 (" + item % b"9223372036854775807" + b")").size == 2**63 - 1
    for beyond in (b"9223372036854775808", b"18446744073709551615", ENDLESS):  # -1 printed unsigned
        assert one(b"1 (" + item % beyond + b")").size is None


@pytest.mark.parametrize("size", [b"RFC822.SIZE NIL", b"RFC822.SIZE -1", b'RFC822.SIZE "9"', b""])
def test_a_size_that_is_none(size: bytes) -> None:
    """K02"""
    assert one(b"1 (UID 7 " + size + b")").size is None


# Flags.


@pytest.mark.parametrize(
    ("said", "flags"),
    [
        (b"", set()),
        (b"\\SEEN \\flagged \\AnSwErEd", {"\\Seen", "\\Flagged", "\\Answered"}),
        (b"\\draft \\DELETED", {"\\Draft", "\\Deleted"}),
        (b"\\Seen \\Seen \\seen", {"\\Seen"}),
        (b"\\Recent \\RECENT \\Seen", {"\\Seen"}),
        (b"$Forwarded NonJunk $label1", {"$Forwarded", "NonJunk", "$label1"}),
        (b"Work work", {"Work", "work"}),
        ("Größe".encode(), {"Größe"}),
        (b"caf\xe9", {"caf\N{REPLACEMENT CHARACTER}"}),
        (b"a\0b \\Seen", {"\\Seen"}),
        (b"[tag] x{y}", {"[tag]", "x{y}"}),
        (b"\\*", {"\\*"}),
    ],
)  # fmt: skip
def test_flags(said: bytes, flags: set[str]) -> None:
    """F07, F09, F10, K15"""
    assert parse_flags(said) == flags


def test_a_hundred_keywords() -> None:
    assert len(parse_flags(b" ".join(b"tag%d" % number for number in range(100)))) == 100


# Dates.


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        (b"02-Nov-2026 10:00:00 +0000", WHEN),
        (b" 2-Nov-2026 10:00:00 +0000", WHEN),
        (b"2-Nov-2026 10:00:00 +0000", WHEN),
        (b"02-NOV-2026 12:30:00 +0230", WHEN),
        (b"02-nov-2026 02:00:00 -0800", WHEN),
        (b"01-Nov-2026 20:00:00 -1400", WHEN),
    ],
)
def test_a_date_of_receipt(said: bytes, moment: datetime) -> None:
    assert internal_date(b'1 (UID 7 INTERNALDATE "' + said + b'")') == moment


@pytest.mark.parametrize(
    "said",
    [
        b"NIL", b'""', b'"00-Jan-0000 00:00:00 +0000"', b'"30-Dec-1899 00:00:00 +0000"',
        b'"01-Jan-4459332 00:00:00 +0000"', b'"31-Feb-2026 00:00:00 +0000"', b'"01-Foo-2026 00:00:00 +0000"',
        b'"01-Jan-2026 25:00:00 +0000"', b'"01-Jan-2026 10:00:60 +0000"', b'"01-Jan-2026 10:00:00 +9900"',
        b'"01-Jan-0001 00:00:00 +1200"', b'"31-Dec-9999 23:00:00 -1200"', b'"2026-01-01 10:00:00"',
        b'"Mon, 02 Nov 2026 10:00:00 +0000"', b'"01-Jan-1970 00:00:00 +0000"',
    ],
)  # fmt: skip
def test_a_date_of_receipt_that_is_none(said: bytes) -> None:
    """K05, M14: then the moment at which we first saw it counts."""
    assert internal_date(b"1 (UID 7 INTERNALDATE " + said + b")") is None


# STATUS.


@pytest.mark.parametrize(
    "lines",
    [
        [b'"INBOX" (MESSAGES 5 UIDNEXT 9)'],
        [b"INBOX (messages 5 uidnext 9)"],
        [b'"odd (MESSAGES 1) name" (MESSAGES 5 UIDNEXT 9)'],
        [b'"INBOX" (UIDNEXT 9 MESSAGES 5) '],
        [(b"{16}", b"a (MESSAGES 77) "), b" (MESSAGES 5 UIDNEXT 9)"],
    ],
)
def test_status(lines) -> None:
    assert status_items(lines) == {"MESSAGES": 5, "UIDNEXT": 9}


def test_a_status_of_numbers_that_no_column_holds() -> None:
    said = b'"INBOX" (MESSAGES 18446744073709551615 UIDNEXT %s HIGHESTMODSEQ 9223372036854775807)' % ENDLESS
    assert status_items([said]) == {"HIGHESTMODSEQ": 2**63 - 1}


def test_a_folder_named_like_an_answer_says_nothing() -> None:
    assert status_items([(b"{14}", b"(UNSEEN 12345)"), b" (MESSAGES 5)"]) == {"MESSAGES": 5}


@pytest.mark.parametrize(
    "line",
    [b'"INBOX"', b'"INBOX" ()', b'"INBOX" (MESSAGES)', b'"INBOX" (MESSAGES NIL UIDNEXT -1)', b"", b"("],
)
def test_a_status_without_numbers(line: bytes) -> None:
    """C09"""
    assert status_items([line]) == {}


# Codes.


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([b"7"], 7), ([b" 7 "], 7), ([b"x", b"8"], 8),
        ([], None), (None, None), ([None], None), ([b"-1"], None), ([b""], None),
        ([b"9223372036854775807"], 2**63 - 1), ([b"9223372036854775808"], None), ([ENDLESS, b"8"], 8),
    ],
)  # fmt: skip
def test_number(values, found) -> None:
    assert number(values) == found


@pytest.mark.parametrize(
    ("code", "pairs"),
    [
        (b"99 7 31", {7: 31}),
        (b"99 7:9 31:33", {7: 31, 8: 32, 9: 33}),
        (b"99 9:7 31:33", {7: 31, 8: 32, 9: 33}),
        (b"99 7,9,12:13 31:34", {7: 31, 9: 32, 12: 33, 13: 34}),
        (b"99 9,7 31:32", {9: 31, 7: 32}),  # RFC 4315 3: in the order in which they were copied
        (b"99 7:9 31:32", {}),
        (b"99 7 ", {}),
        (b"99 x y", {}),
        (b"99 7 *", {}),
        (b"99 7 0", {}),
        (b"99 7 4294967296", {}),
        (b"99 %s 7" % ENDLESS, {}),
        (b"7 31", {}),
        (b"", {}),
    ],
)
def test_copyuid(code: bytes, pairs: dict[int, int]) -> None:
    assert copied_uids([code], 99) == pairs
    assert copied_uids([code], 98) == copied_uids([code], None) == {}


def test_copyuid_absent() -> None:
    assert copied_uids(None, 1) == copied_uids([], 1) == copied_uids([None], 1) == {}


def test_a_set_that_lies_about_its_size_costs_no_memory() -> None:
    """G05: 4 billion UIDs in 12 bytes."""
    assert sum(1 for _ in expand(b"1:4294967295", limit=1000)) == 1000
    assert sum(1 for _ in expand(b",".join([b"1:4294967295"] * 50), limit=1000)) == 1000
    assert copied_uids([b"99 1:4294967295 7"], 99) == {}


def test_half_a_pair_of_huge_sets_is_not_trusted() -> None:
    """Both are cut at the same length: what is left still pairs up, wrongly or not, so it must not be used."""
    assert copied_uids([b"99 1:4294967295 1:4294967294"], 99) == {}


@pytest.mark.parametrize("said", [b"*", b"1:*", b"a:b", b"1:2:3", b"-1", b"", b"1,,2", b"0x1"])
def test_a_set_that_is_none_ends_where_it_stops_making_sense(said: bytes) -> None:
    assert set(expand(said)) <= {1, 2}
