"""Each short way through usual mail leads where the long one does: whichever is taken, Ann reads the same."""

import re
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from mailsync.mime import headers, parse, structure, text

READ = (b"bcc", b"cc", b"content-disposition", b"content-id", b"content-transfer-encoding", b"content-type",
        b"date", b"from", b"message-id", b"reply-to", b"sender", b"subject", b"to")  # fmt: skip
NEVER = re.compile(rb"(?!)")


def soup(*words: bytes) -> st.SearchStrategy[bytes]:
    """Bytes made of the words that matter, in any order."""
    return st.lists(st.sampled_from(words), max_size=25).map(b"".join)


@given(soup(*READ, b"Subject", b"TO", b"X-", b" ", b"\t", b":", b"\n", b"\r\n", b"\r", b"a", b"\xff"))
def test_the_fields_that_are_read_are_those_of_the_whole_header(header):
    first: dict[bytes, bytes] = {}
    for name, value in headers.pairs(header):
        if name.lower() in READ:
            first.setdefault(name.lower(), value)
    fields = headers.Fields(header)
    for name in READ:
        assert fields.raw(name.decode()) == headers.unfold(first.get(name, b""))


@given(
    soup(b"--b", b"--", b"b", b" ", b"\t", b"\n", b"\r\n", b"\r", b"x", b"Content-Type: text/html\n", b"\n\n")
)
def test_a_usual_delimiter_divides_a_mail_as_any_other(body):
    header = b"Content-Type: multipart/mixed; boundary=b\n\n"
    usual = parse.summarize(header, body), parse.read(header, body)
    with patch.object(structure, "_USUAL_DELIMITER_END", NEVER):
        assert usual == (parse.summarize(header, body), parse.read(header, body))


@given(soup(b"\n", b"\r", b"\r\n", b"x"), st.integers(0, 9), st.integers(0, 50))
def test_the_first_empty_line_is_found(data, start, end):
    part = data[start:end]
    places = [part.find(line) + len(line) for line in (b"\n\n", b"\n\r\n") if line in part]
    found = structure.blank_line(data, start, min(end, len(data)))
    assert found == (start + min(places) if places else min(end, len(data)))


@given(st.text(st.sampled_from("a \t\n\r\f\v\u00a0\u2003é")))
def test_blanks_become_one_blank_whether_or_not_there_are_many(words):
    assert text._one_blank(words) == re.sub("[ \t\f\v\u00a0]+", " ", words.replace("\n", " "))
