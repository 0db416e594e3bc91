"""Mail taken apart in a process of its own: the same comes out, and no mail takes another one with it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailsync import apart
from mailsync.apart import Mail, Parser
from mailsync.mime import process
from mailsync.mime.parse import split, summarize
from tests.test_corpus import messages

PLAIN = b"From: Zoe <zoe@elsewhere.example>\r\nSubject: Lunch\r\n\r\n"
# Every line of a part's header continues it, and there are 500 parts: a tenth of a second.
HEAVY = (
    b"Subject: Heavy\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
    (b"--b\r\nContent-Type: text/plain; name=" + b"=?utf-8?q?=41?= " * 1_000 + b"\r\n\r\nx\r\n") * 490
    + b"--b--",
)


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parser]:
    """One that begins a process with the first mail."""
    monkeypatch.setattr(apart, "MANY", 1)
    with Parser() as made:
        yield made


def child(parser: Parser) -> int:
    assert parser._beside is not None
    return parser._beside._process.pid


def test_the_process_says_what_we_would_say(corpus: Path, parser: Parser) -> None:
    mails = [split(raw) for raw in messages(corpus)[::5]]
    taken = parser.begin(mails)()
    found = [each and each.summary for each in taken]

    assert taken == [process.take_apart(*mail) for mail in mails]
    assert found == [summarize(*mail) for mail in mails]
    assert any(each and each.attachments for each in found)
    assert any(each and each.sent_at for each in found)


def test_few_mails_are_read_without_a_process() -> None:
    with Parser() as parser:
        assert parser.begin([(PLAIN, b"At noon?")])() == [process.take_apart(PLAIN, b"At noon?")]
        assert parser._beside is None


def test_a_process_that_is_killed_loses_no_mail(parser: Parser) -> None:
    mails: list[Mail] = [(PLAIN, b"At noon?")] * 3
    parser.begin(mails)()
    os.kill(child(parser), signal.SIGKILL)

    assert [each and each.summary.snippet for each in parser.begin(mails)()] == ["At noon?"] * 3


def test_a_mail_that_takes_too_long_stays_unread_and_the_others_do_not(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS", 0.02)
    found = parser.begin([(PLAIN, b"Before"), HEAVY, (PLAIN, b"After")])()

    assert [each and each.summary.snippet for each in found] == ["Before", None, "After"]


def test_the_process_has_no_keys_and_ends_with_us(parser: Parser) -> None:
    parser.begin([(PLAIN, b"At noon?")])()
    pid = child(parser)
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""

    parser.__exit__(None, None, None)
    assert not Path(f"/proc/{pid}").exists()
