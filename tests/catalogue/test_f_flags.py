"""F: flags change on both sides; per flag the last intent counts, a person's over a machine's (docs/conflicts.md)."""

import pytest

from mailsync import actions
from mailsync.models import Operation, OperationState
from tests.catalogue.conftest import Case
from tests.rigs.filling import fill


def flag(case: Case, *subjects: str, add: str = "", remove: str = "", folder: str = "INBOX") -> None:
    with case.acting():
        actions.set_flags(
            case.chosen(*subjects, path=folder), add=add.split(), remove=remove.split(), by=case.world.ann
        )


def there(case: Case, folder: str = "INBOX") -> list[set[str]]:
    return list(case.dovecot.uids(case.login, folder).values())


def test_f01_read_here_and_unread_there_ends_as_the_person_here_wished(case: Case) -> None:
    case.deliver("Contested", flags="\\Seen \\Flagged")
    case.sync()
    flag(case, "Contested", remove="\\Seen")
    case.phone_flags("-", "\\Flagged", "Contested")
    case.until_quiet()
    assert there(case) == [set()]


def test_f02_a_star_here_and_a_read_mark_and_a_keyword_there_are_all_kept(case: Case) -> None:
    case.deliver("Both", flags="project-x")
    case.sync()
    flag(case, "Both", add="\\Flagged")
    case.phone_flags("+", "\\Seen", "Both")
    case.until_quiet()
    assert there(case) == [{"\\Seen", "\\Flagged", "project-x"}]
    assert case.line.asked("UID STORE", " FLAGS ") == []


def test_f03_of_five_toggles_only_the_last_wish_is_sent(case: Case) -> None:
    case.deliver("Toggled")
    case.sync()
    for number in range(5):
        flag(case, "Toggled", **{"add" if number % 2 == 0 else "remove": "\\Seen"})
    case.line.forget()
    case.until_quiet()
    assert (there(case), len(case.line.asked("UID STORE"))) == ([{"\\Seen"}], 1)


def test_f04_f05_a_phone_that_changes_flags_between_our_look_and_our_store(case: Case) -> None:
    case.deliver("Raced", flags="\\Answered")
    case.sync()
    flag(case, "Raced", add="\\Flagged")
    case.line.once("UID STORE", lambda: case.phone_flags("-", "\\Answered", "Raced"))
    case.until_quiet()
    assert (there(case), case.one("Raced").flags) == ([{"\\Flagged"}], ["\\Flagged"])


def test_f06_k21_x36_a_folder_that_may_only_be_read_takes_the_flag_back_and_tells_once(case: Case) -> None:
    case.deliver("Read only")
    case.sync()
    case.line.rewrite(rb"\[READ-WRITE\]", b"[READ-ONLY]")
    flag(case, "Read only", add="\\Flagged")
    case.line.forget()
    case.sync(thorough=False)
    case.sync(thorough=False)
    assert (case.one("Read only").flags, case.line.asked("UID STORE")) == ([], [])
    with case.acting():
        failed = Operation.objects.filter(state=OperationState.FAILED, by=case.world.ann)
        assert ["only read" in each.error for each in failed] == [True]


def test_f07_keywords_of_others_are_kept_whatever_we_write(case: Case) -> None:
    keywords = {f"keyword{number}" for number in range(20)} | {"$Label1", "tag-7", "a/b", "x'y"}
    case.deliver("Labelled", flags=" ".join(sorted(keywords)))
    case.sync()
    assert set(case.one("Labelled").flags) == keywords
    flag(case, "Labelled", add="\\Seen")
    case.until_quiet()
    assert there(case) == [keywords | {"\\Seen"}]


@pytest.mark.parametrize("keyword", ["wüchtig", "foo]bar"])
def test_f07_a_keyword_that_no_command_may_hold_stays_and_who_takes_it_off_is_told(
    case: Case, keyword: str
) -> None:
    """There are servers that give such (RFC 9051 9, flag-keyword)."""
    case.deliver("Tagged", flags="odd")
    case.deliver("Other")
    case.line.rewrite(rb"\bodd\b", keyword.encode())
    case.sync()
    assert case.one("Tagged").flags == [keyword]
    flag(case, "Tagged", add="\\Seen", remove=keyword)
    flag(case, "Other", add="\\Flagged")
    case.line.forget()
    case.until_quiet()
    assert (case.one("Tagged").flags, case.one("Other").flags) == ([keyword], ["\\Flagged"])
    assert len(case.line.asked("UID STORE")) == 1, "nothing is sent by half"
    with case.acting():
        (failed,) = Operation.objects.filter(state=OperationState.FAILED, by=case.world.ann)
    assert keyword in failed.error
    case.line.heal()
    case.phone_flags("-", "odd", "Tagged")
    case.until_quiet()


def test_f08_keywords_that_the_server_cannot_keep_stay_here_alone(case: Case) -> None:
    case.deliver("Tagged")
    case.sync()
    keeps = b"[PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Known)]"
    case.line.rewrite(rb"\[PERMANENTFLAGS [^\]]*\]", lambda _found: keeps)
    case.line.forget()
    flag(case, "Tagged", add="\\Flagged $Work known")
    case.sync(thorough=False)
    assert there(case) == [{"\\Flagged", "known"}]
    assert case.line.asked("STORE", "$Work") == []

    case.phone_flags("+", "\\Seen", "Tagged")
    case.phone_flags("-", "known", "Tagged")
    case.sync()
    assert case.one("Tagged").flags == ["$Work", "\\Flagged", "\\Seen"]

    with case.acting():
        actions.archive(case.chosen("Tagged"), by=case.world.ann)
    case.until_quiet()
    assert case.one("Tagged", "Archive").flags == ["$Work", "\\Flagged", "\\Seen"]

    case.line.forget()
    flag(case, "Tagged", remove="$Work", folder="Archive")
    case.until_quiet()
    assert case.one("Tagged", "Archive").flags == ["\\Flagged", "\\Seen"]
    assert case.line.asked("UID STORE") == []
    case.line.heal()


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        (rb"\\Seen", b"\\\\SEEN"),
        (rb"FLAGS \(", b"FLAGS (\\\\Recent "),
        (rb"\\Flagged", b"\\\\fLAGGED \\\\Flagged"),
    ],
)
def test_f09_f10_flags_in_other_case_twice_and_recent(case: Case, said: bytes, instead: bytes) -> None:
    case.deliver("Odd", flags="\\Seen \\Flagged")
    case.line.rewrite(said, instead)
    case.sync(thorough=False)
    assert case.one("Odd").flags == ["\\Flagged", "\\Seen"]
    case.line.heal()


def test_f09_an_answer_without_flags_changes_none(case: Case) -> None:
    case.deliver("Read", flags="\\Seen")
    case.sync()
    case.line.rewrite(rb"^(\* \d+ FETCH .*?) FLAGS \([^)]*\)", rb"\1")
    case.deliver("New")
    case.sync(thorough=False)
    case.line.heal()
    case.until_quiet()
    assert case.one("Read").flags == ["\\Seen"]


@pytest.mark.slow
def test_f11_ten_thousand_marked_as_read_in_twenty_commands(full: Case) -> None:
    fill(full.dovecot, full.login, 10_000)
    full.count_what_is_there()
    full.sync()
    flag(full, add="\\Seen")
    full.line.forget()
    full.until_quiet()
    assert len(full.line.asked("UID STORE")) <= 20
    assert max(len(line) for line in full.line.commands) < 8_000


def test_f12_our_own_change_is_no_news(case: Case) -> None:
    case.deliver("Ours")
    case.sync()
    flag(case, "Ours", add="\\Seen \\Flagged")
    outcome = case.sync(thorough=False)
    assert (outcome.imported, outcome.changed) == (0, 0)


def test_f01_what_is_asked_of_a_mail_that_the_server_cannot_describe_is_done(case: Case) -> None:
    """Its date is asked for before; who refuses that does not refuse the flag."""
    case.deliver("One")
    case.deliver("Two")
    case.sync()
    case.line.answers[rb"^UID FETCH 1"] = b"NO Some messages could not be FETCHed (Failure)"
    flag(case, "One", "Two", add="\\Seen")
    case.try_sync()
    case.line.heal()
    case.until_quiet()
    assert there(case) == [{"\\Seen"}, {"\\Seen"}]
