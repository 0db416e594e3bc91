"""J: names of folders, as servers and people write them."""

import random

import pytest

from mailsync.models import Folder
from tests.catalogue.conftest import Case
from tests.rigs import judge
from tests.world import FOLDERS

# PostgreSQL cannot make it short enough for an index.
ENDLESS = bytes(
    random.Random(1).choices(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=4000)
)
INBOX = rb'^(\* LIST \([^)]*\) "/" "?INBOX"?\r\n)'
NAMES = [
    "&BBAEQARFBDgEMg-", "&ZeVnLIqe-", "a&-b", "&Jjo-!", "+123", "a+1", 'say "hi"', "back\\slash", "100 %", "{5}",
    "(x)", "blank end ", "a" * 200, "007", "NIL", "Archive2", "archive2", "inbox2", "~home", "[Gmail]",
]  # fmt: skip


def paths(case: Case) -> set[str]:
    with case.acting():
        return set(Folder.objects.filter(mailbox=case.mailbox).values_list("path", flat=True))


def test_j01_to_j09_a_mail_in_a_folder_of_each_name(case: Case) -> None:
    made = 0
    with case.dovecot.imap(case.login) as client:
        for name in NAMES:
            quoted = judge.quoted(name.encode())
            if client.create(quoted)[0] == "OK":
                raw = f"Subject: in {made}\r\nMessage-ID: <{made}@names>\r\n\r\nx\r\n".encode()
                client.append(quoted, "", None, raw)
                case.put(raw, name)
                made += 1
    assert made >= 15
    case.sync()
    assert {"Архив", "日本語", "a&b", "+123", "archive2", "Archive2"} <= paths(case)
    case.phone_flags("+", "\\Seen", "+123", folder="+123")
    case.until_quiet()


def test_j07_an_inbox_that_is_written_otherwise_today_is_the_same(case: Case) -> None:
    case.deliver("Once")
    case.deliver("Below", folder="INBOX/Sub")
    case.sync()
    before = case.folder().pk
    case.line.rewrite(rb'^(\* (?:LIST|STATUS) (?:\([^)]*\) "/" )?)"?INBOX"?(?=[ \r])', rb"\1Inbox")
    case.deliver("New")
    case.until_quiet()
    assert paths(case) == {*FOLDERS, "INBOX/Sub"}
    assert (case.folder().pk, case.subjects(), case.subjects("INBOX/Sub")) == (
        before,
        ["Once", "New"],
        ["Below"],
    )


@pytest.mark.parametrize(
    "said", [b"{9}\r\nArc\r\nhive", b'"Arc\0hive"', ENDLESS], ids=["line break", "nul", "too long"]
)
def test_j08_j09_a_name_of_no_use_keeps_nobody_from_the_other_folders(case: Case, said: bytes) -> None:
    case.deliver("Once")
    case.deliver("Filed", folder="Projects")
    case.line.rewrite(INBOX, lambda found: found[1] + b'* LIST () "/" ' + said + b"\r\n")
    case.until_quiet()
    assert (case.subjects(), case.subjects("Projects")) == (["Once"], ["Filed"])
    assert paths(case) == {*FOLDERS, "Projects"}


def test_j08_a_folder_from_when_such_names_were_taken_in_goes(case: Case) -> None:
    with case.acting():
        Folder.objects.create(
            account=case.world.acme, mailbox=case.mailbox, name=b"Arc\r\nhive", path="Arc hive", delimiter="/"
        )
    case.until_quiet()
    assert paths(case) == {*FOLDERS}


def test_j06_a_delimiter_that_is_none_leaves_a_folder_at_the_top(case: Case) -> None:
    case.deliver("Filed", folder="Projects")
    case.line.rewrite(rb'^(\* LIST \([^)]*\)) "/" ("?Projects"?\r\n)', rb'\1 "/////" \2')
    case.until_quiet()
    assert (case.folder("Projects").delimiter, case.subjects("Projects")) == ("", ["Filed"])


def test_j10_a_folder_that_is_listed_and_does_not_open_is_not_hammered(case: Case, monkeypatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    case.deliver("Real")
    case.line.rewrite(INBOX, rb'\1* LIST () "/" Phantom' + b"\r\n")
    for _run in range(5):
        case.sync(thorough=False)
    assert case.subjects() == ["Real"]
    assert "Phantom" in paths(case)
    assert 1 <= len(case.line.asked("SELECT", "Phantom")) <= 4
    case.line.heal()
    case.until_quiet()
    assert "Phantom" not in paths(case)


@pytest.mark.parametrize("coded", [True, False], ids=["with a code", "without"])
@pytest.mark.parametrize("name", ["Rate limit alerts", "Throttled"])
def test_j10_the_name_of_a_folder_that_went_does_not_make_the_server_busy(
    case: Case, name: str, coded: bool
) -> None:
    """Dovecot repeats the name in its refusal."""
    case.deliver("Alert", folder=name)
    case.sync()
    with case.dovecot.imap(case.login) as client:
        assert client.delete(f'"{name}"')[0] == "OK"
    case.removed("Alert")
    if not coded:
        case.line.rewrite(rb" NO \[NONEXISTENT\]", b" NO")
    case.deliver("New")
    case.until_quiet()
    assert (case.subjects(), name in paths(case)) == (["New"], False)


@pytest.mark.parametrize("half", [False, True])
def test_j13_an_answer_to_list_that_is_empty_or_half_wipes_nothing(case: Case, half: bool) -> None:
    case.deliver("Filed", folder="Projects")
    case.deliver("Mail")
    case.sync()
    before = paths(case)
    case.line.rewrite(
        rb"^\* LIST [^\r\n]*(?:Projects|Archive|Sent)[^\r\n]*\r\n" if half else rb"^\* LIST [^\r\n]*\r\n", b""
    )
    case.sync(thorough=False)
    assert (paths(case), case.subjects("Projects")) == (before, ["Filed"])


def test_j14_a_folder_that_is_not_subscribed_is_synchronised_all_the_same(case: Case) -> None:
    case.deliver("Hidden", folder="Quiet")
    with case.dovecot.imap(case.login) as client:
        client.unsubscribe("Quiet")
    case.sync()
    assert case.subjects("Quiet") == ["Hidden"]


def test_j_k22_one_folder_named_many_times_is_one(case: Case) -> None:
    case.deliver("Once")
    case.line.rewrite(INBOX, rb"\1" * 50)
    case.sync(thorough=False)
    assert case.subjects() == ["Once"]
