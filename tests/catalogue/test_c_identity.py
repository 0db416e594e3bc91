"""C: UIDVALIDITY, UIDNEXT and mod-sequences: the server's numbers change their meaning, and our rows do not."""

import os
import shutil
import time
from pathlib import Path

import pytest
from django.db import transaction

from mailsync import actions
from mailsync.models import Folder, Operation, OperationState
from tests.catalogue.conftest import Case
from tests.rigs.proxy import NOCOND, Profile


def links(case: Case, folder: str = "INBOX") -> dict[str, int]:
    """What tasks and the CRM point at: message ids by subject."""
    return {each.message.subject: each.message_id for each in case.placements(folder)}


def rebuild(case: Case, validity: int, folder: str = "INBOX") -> None:
    """A new UIDVALIDITY over the same UIDs."""
    case.dovecot.doveadm("mailbox", "update", "-u", case.login, "--uid-validity", str(validity), folder)


def renumber(case: Case, folder: str = "INBOX") -> None:
    """A new UIDVALIDITY, and UIDs from 1 on."""
    maildir = case.dovecot.maildir(case.login)
    before = case.folder(folder).uidvalidity or 0
    while int(time.time()) <= before:  # Dovecot takes the second as the new UIDVALIDITY
        time.sleep(0.05)
    for file in (maildir if folder == "INBOX" else maildir / f".{folder}").glob("dovecot*"):
        file.unlink()


def rewrite_status(file: Path, old: bytes, new: bytes) -> None:
    """The server changes a header; the date of receipt, which is the file's, stays."""
    seconds = file.stat().st_mtime
    file.write_bytes(file.read_bytes().replace(old, new))
    os.utime(file, (seconds, seconds))


def told(case: Case) -> list[str]:
    with case.acting():
        failed = Operation.objects.filter(mailbox=case.mailbox, state=OperationState.FAILED, noticed_at=None)
        return list(failed.values_list("error", flat=True))


def test_c01_a_new_uidvalidity_over_the_same_uids_fetches_no_body(case: Case) -> None:
    for number in range(5):
        case.deliver(f"Mail {number}")
    case.sync()
    before = links(case)
    rebuild(case, 777_777)
    case.line.forget()
    assert case.sync().imported == 0
    assert case.bodies_asked() == []
    assert links(case) == before
    assert case.folder().uidvalidity == 777_777


def test_c02_renumbered_uids_find_their_messages_again(case: Case) -> None:
    for number in range(5):
        case.deliver(f"Mail {number}", flags="\\Seen" if number % 2 else "")
    case.sync()
    before = links(case)
    case.phone_removes("Mail 0")
    renumber(case)
    case.line.forget()
    assert case.sync().imported == 0
    assert case.bodies_asked() == []
    assert links(case) == {subject: pk for subject, pk in before.items() if subject != "Mail 0"}


def test_c02_copies_and_mails_with_one_header_find_themselves_by_their_dates(case: Case) -> None:
    case.deliver("Twice")
    case.phone_copies("Twice", "INBOX")
    header = b"Subject: Same header\r\nMessage-ID: <same@example.org>\r\n\r\n"
    for number, body in enumerate((b"one\r\n", b"two\r\n", b"six\r\n")):
        case.give(header + body, body.decode(), at=case.moment.replace(second=10 + number))
    case.sync()
    before = {each.uid: each.message_id for each in case.placements()}
    renumber(case)
    case.line.forget()
    assert case.sync().imported == 0
    assert case.bodies_asked() == []
    assert sorted(each.message_id for each in case.placements()) == sorted(before.values())


def test_c02_mails_that_nothing_but_their_body_tells_apart_are_fetched_and_not_mixed(case: Case) -> None:
    header = b"Subject: Same in all but the body\r\nMessage-ID: <same@example.org>\r\n\r\n"
    for body in (b"one\r\n", b"two\r\n"):
        case.give(header + body, body.decode(), at=case.moment)
    case.sync()
    before = {each.pk for each in case.placements()}
    renumber(case)
    case.sync()
    assert {each.pk for each in case.placements()} == before


def test_c02_what_only_its_body_tells_apart_has_its_copies_and_the_flags_of_now(case: Case) -> None:
    """Found by the model (flags) and by reading what it had led to: two that wait for a UID took the same one."""
    header = b"Subject: Same in all but the body\r\nMessage-ID: <same@example.org>\r\n\r\n"
    for body in (b"one\r\n", b"two\r\n"):
        case.give(header + body, body.decode(), at=case.moment)
    case.on_server("COPY", "1", "INBOX")
    case.count_what_is_there()
    case.sync()
    before = {each.pk: each.message_id for each in case.placements()}
    case.on_server("STORE", "1:2", "+FLAGS", "(\\Flagged)")
    renumber(case)
    case.sync()
    assert {each.pk: each.message_id for each in case.placements()} == before
    assert sorted(each.flags for each in case.placements()) == [[], ["\\Flagged"], ["\\Flagged"]]


def test_c02_a_header_that_the_server_rewrote_is_known_by_message_id_size_and_date(case: Case) -> None:
    """Mail servers keep states in the header; K18: the bytes that came first stay."""
    header = b"Message-ID: <rewritten@example.org>\r\nSubject: Rewritten\r\nX-Status: %s\r\n\r\n"
    case.give(header % b"OLD" + b"body\r\n", "Rewritten", at=case.moment)
    case.sync()
    before = links(case)
    maildir = case.dovecot.maildir(case.login)
    [file] = [*maildir.glob("cur/*"), *maildir.glob("new/*")]
    rewrite_status(file, b"OLD", b"NEW")
    renumber(case)
    case.line.forget()
    assert case.sync().imported == 0
    assert case.bodies_asked() == []
    assert links(case) == before
    rewrite_status(file, b"NEW", b"OLD")  # what the judge compares with


def test_c03_a_folder_made_anew_under_its_name_with_other_mails(case: Case) -> None:
    case.deliver("Old", folder="Projects")
    case.sync()
    validity = case.folder("Projects").uidvalidity or 0
    with case.dovecot.imap(case.login) as client:
        client.delete("Projects")
    case.removed("Old")
    while int(time.time()) <= validity:
        time.sleep(0.05)
    case.deliver("New", folder="Projects")
    case.until_quiet()
    assert case.subjects("Projects") == ["New"]


def test_c04_two_folders_swap_their_names_and_the_contents_follow(case: Case) -> None:
    for name in ("Left", "Right"):
        for number in range(3 if name == "Left" else 2):
            case.deliver(f"{name} {number}", folder=name)
    case.sync()
    before = {**links(case, "Left"), **links(case, "Right")}
    with case.dovecot.imap(case.login) as client:
        for old, new in (("Left", "Between"), ("Right", "Left"), ("Between", "Right")):
            client.rename(old, new)
    case.line.forget()
    case.until_quiet()
    assert case.bodies_asked() == []
    assert case.subjects("Left") == ["Right 0", "Right 1"]
    assert {**links(case, "Left"), **links(case, "Right")} == before


@pytest.mark.parametrize("act", ["trash", "archive", "expunge"])
def test_c05_what_waits_is_never_done_to_another_mail(case: Case, act: str) -> None:
    folder = "Trash" if act == "expunge" else "INBOX"
    case.deliver("First", folder=folder)
    case.deliver("Wanted away", folder=folder)
    case.deliver("Innocent", folder=folder)
    case.sync()
    with case.acting():
        getattr(actions, act)(case.chosen("Wanted away", path=folder), by=case.world.ann)
    case.phone_removes("First", folder=folder)
    renumber(case, folder)  # UID 2 is now the innocent one
    case.line.forget()
    case.until_quiet()
    assert case.line.asked("MOVE") == case.line.asked("COPY") == case.line.asked("EXPUNGE") == []
    assert sorted(case.subjects(folder)) == ["Innocent", "Wanted away"]
    assert "rebuilt the folder" in told(case)[0]


def test_c05_a_flag_waits_for_its_mail_and_is_set_on_no_other(case: Case) -> None:
    for subject in ("First", "Starred", "Innocent"):
        case.deliver(subject)
    case.sync()
    with case.acting():
        actions.set_flags(case.chosen("Starred"), add=["\\Flagged"], by=case.world.ann)
    case.phone_removes("First")
    renumber(case)
    case.until_quiet()
    assert case.dovecot.uids(case.login) == {1: {"\\Flagged"}, 2: set()}


def run_while_it_is_rebuilt(case: Case) -> None:
    """Dovecot ends a session in which it notices."""
    outcome = case.try_sync(thorough=False)
    assert not outcome.error or "session state is inconsistent" in outcome.error


def test_c06_a_uidvalidity_that_changes_in_mid_sync_mixes_nothing(case: Case) -> None:
    for number in range(3):
        case.deliver(f"Mail {number}")
    case.line.once('^SELECT "Sent"', lambda: rebuild(case, 888_888))
    run_while_it_is_rebuilt(case)
    case.until_quiet()
    before = links(case)
    case.line.forget()
    case.line.once('^SELECT "INBOX"', lambda: rebuild(case, 999_999))
    run_while_it_is_rebuilt(case)
    case.until_quiet()
    assert links(case) == before
    assert case.bodies_asked() == []


def test_c07_a_folder_rebuilt_at_every_look_is_parked_with_a_reason_and_the_others_go_on(
    case: Case, monkeypatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)
    case.deliver("Restless", folder="Restless")
    case.sync()
    restless = case.folder("Restless")
    looks = iter(range(1_000_000, 9_000_000))
    inside: list[bool] = []

    def look(_answer: object) -> bytes:
        return b"[UIDVALIDITY %d]" % next(looks) if inside else _answer[0]  # type: ignore[index]

    case.line.rewrite(rb"\[UIDVALIDITY \d+\]", look)
    for number in range(5):
        case.deliver(f"Mail {number}")
        case.deliver(f"More {number}", folder="Restless")
        case.line.once('^SELECT "Restless"', lambda: inside.append(True))
        case.line.once('^SELECT "Sent"', inside.clear)
        case.line.once("^LOGOUT", inside.clear)
        case.sync(thorough=False)
    assert case.subjects() == [f"Mail {number}" for number in range(5)]
    assert "another UIDVALIDITY" in case.folder("Restless").error
    case.line.forget()
    case.sync(thorough=False)
    assert case.line.asked("SELECT", "Restless") == []
    case.line.heal()
    with case.acting():
        Folder.objects.filter(pk=restless.pk).update(errors_in_row=0)
    case.until_quiet()
    assert case.folder("Restless").error == ""


def test_c08_a_uidvalidity_that_goes_down_is_a_change_like_any_other(case: Case) -> None:
    case.deliver("Kept")
    case.sync()
    before = links(case)
    rebuild(case, 5)
    case.line.forget()
    case.until_quiet()
    assert (links(case), case.folder().uidvalidity) == (before, 5)
    assert case.bodies_asked() == []


@pytest.mark.parametrize("said", [b"", b"[UIDVALIDITY 0] zero"])
def test_c08_without_a_uidvalidity_a_folder_is_left_alone_with_a_reason(case: Case, said: bytes) -> None:
    case.deliver("Kept")
    case.sync()
    case.deliver("Later")
    case.line.rewrite(rb"\[UIDVALIDITY \d+\]", said)
    case.sync(thorough=False)
    assert (case.subjects(), "no UIDVALIDITY" in case.folder().error) == (["Kept"], True)
    case.line.heal()
    case.until_quiet()


@pytest.mark.parametrize("said", ["absent", "0", "2"])
def test_c09_a_uidnext_that_is_absent_or_nonsense_loses_and_repeats_nothing(case: Case, said: str) -> None:
    for number in range(3):
        case.deliver(f"Mail {number}")
    case.line.rewrite(rb"\[UIDNEXT \d+\]", b"" if said == "absent" else b"[UIDNEXT %s]" % said.encode())
    case.line.rewrite(rb" ?UIDNEXT \d+", b"" if said == "absent" else b" UIDNEXT " + said.encode())
    case.sync(thorough=False)
    case.line.forget()
    case.deliver("Later")
    case.phone_removes("Mail 1")
    case.sync(thorough=False)
    case.sync(thorough=False)
    assert case.subjects() == ["Mail 0", "Mail 2", "Later"]
    assert len(case.bodies_asked()) == 1


def test_c10_a_highestmodseq_of_0_means_that_there_are_none(case: Case) -> None:
    case.deliver("Mail")
    case.line.rewrite(rb"HIGHESTMODSEQ \d+", b"HIGHESTMODSEQ 0")
    case.sync()
    case.phone_flags("+", "\\Flagged", "Mail")
    case.sync(thorough=False)
    assert case.one("Mail").flags == ["\\Flagged"]


def test_c11_a_mod_sequence_below_ours_makes_us_read_all_flags_once(full: Case) -> None:
    full.deliver("Mail")
    full.sync()
    with full.acting():
        Folder.objects.filter(pk=full.folder().pk).update(modseq=10**9)
    full.phone_flags("+", "\\Flagged", "Mail")
    full.sync(thorough=False)
    assert full.one("Mail").flags == ["\\Flagged"]
    assert (full.folder().modseq or 0) < 10**9


def test_c12_x38_a_server_that_loses_its_abilities_from_one_session_to_the_next(full: Case) -> None:
    kinds: list[Profile] = [full.line.profile, NOCOND, full.line.profile]
    full.deliver("Mail")
    for number, kind in enumerate(kinds):
        full.line.profile = kind
        full.phone_flags("+", f"step{number}", "Mail")
        full.deliver(f"Mail {number}")
        full.sync(thorough=False)
        assert f"step{number}" in full.one("Mail").flags
    assert len(full.subjects()) == 4


def test_c14_x52_a_mail_server_from_last_weeks_backup_gets_no_deletes_from_us(case: Case, tmp_path) -> None:
    for number in range(3):
        case.deliver(f"Mail {number}")
    case.sync()
    maildir = case.dovecot.maildir(case.login)
    shutil.copytree(maildir, tmp_path / "backup")
    case.deliver("Lost in the restore")
    case.phone_removes("Mail 1")
    case.sync()
    assert case.subjects() == ["Mail 0", "Mail 2", "Lost in the restore"]
    shutil.rmtree(maildir)
    shutil.copytree(tmp_path / "backup", maildir)
    case.copies[case.shas["Mail 1"]] += 1
    case.removed("Lost in the restore")
    case.deliver("After the restore")  # gets the UID of the lost one
    case.line.forget()
    case.until_quiet()
    case.sync(thorough=True)
    assert case.line.asked("UID STORE") == case.line.asked("UID EXPUNGE") == []


def test_c15_x51_our_database_from_yesterday_converges_without_doubles(case: Case) -> None:
    for number in range(4):
        case.deliver(f"Mail {number}")
    case.sync()
    with case.acting():
        actions.archive(case.chosen("Mail 1"), by=case.world.ann)
        actions.set_flags(case.chosen("Mail 2"), add=["\\Seen"], by=case.world.ann)
    yesterday = transaction.savepoint()
    case.sync()
    case.deliver("Today")
    case.phone_moves("Mail 3", "Sent")
    case.phone_removes("Mail 0")
    case.sync()
    transaction.savepoint_rollback(yesterday)
    case.until_quiet()
    assert case.subjects() == ["Mail 2", "Today"]
    assert (case.subjects("Archive"), case.subjects("Sent")) == (["Mail 1"], ["Mail 3"])
