"""Names as people type them and as servers keep them (RFC 3501 5.1.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsync.foldernames import encode, moved, path_of, within


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Projects", b"Projects"),
        ("Проекты", b"&BB8EQAQ+BDUEOgRCBEs-"),
        ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("Q & A", b"Q &- A"),
        ("&&", b"&-&-"),
        ("a+1", b"a+1"),
        ("🎉", b"&2DzfiQ-"),
        ("Größe", b"Gr&APYA3w-e"),
    ],
)
def test_j01_a_name_is_sent_in_modified_utf7_and_comes_back(typed: str, sent: bytes) -> None:
    assert encode(typed) == sent
    assert path_of(sent) == typed


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_j01_any_name_survives_the_way_there_and_back(typed: str) -> None:
    assert path_of(encode(typed)) == typed


@pytest.mark.parametrize("name", [b"&x", b"&AGE", b"&", b"a&b-c", b"&2Dw-"])
def test_j03_a_broken_name_is_shown_raw(name: bytes) -> None:
    assert path_of(name) == name.decode()


def test_what_lies_below_a_renamed_folder_follows_and_nothing_else() -> None:
    assert moved(b"A/x/y", b"A/x", b"B", "/") == b"B/y"
    assert moved(b"A", b"A", b"B", "/") == b"B"
    assert moved(b"Ab", b"A", b"B", "/") == b"Ab"
    assert moved(b"A/x", b"A", b"B", "") == b"A/x"
    assert not within(b"A", b"A/x", "/")
