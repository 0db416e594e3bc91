"""A mail that the server cannot hand out keeps no other away, whatever the server says at it."""

import pytest
from django.utils import timezone

from mailsync.models import SkippedMessage
from mailsync.storing import ENDINGS_APART, MOST_TRIES, MOST_TRIES_FOR_NOW
from tests.catalogue.conftest import Case

BODY_OF = rb"^\* %d FETCH \(UID %d FLAGS \([^)]*\)[^\r\n]* BODY\[\] \{\d+\}\r\n"


def noted(case: Case) -> dict[int, tuple[int, bool]]:
    with case.acting():
        rows = SkippedMessage.objects.filter(folder__mailbox=case.mailbox)
        return {uid: (tries, deadly) for uid, tries, deadly in rows.values_list("uid", "tries", "deadly")}


def until_it_is_left_out(case: Case, uid: int, *, most: int = MOST_TRIES) -> None:
    for _run in range(MOST_TRIES_FOR_NOW + 2):
        case.try_sync(thorough=False)
        with case.acting():
            SkippedMessage.objects.update(last_at=timezone.now() - ENDINGS_APART)
        if noted(case).get(uid, (0, False))[0] >= most:
            case.sync(thorough=False)
            return
    raise AssertionError("it is tried for ever")


def test_a_session_that_ends_at_one_mail_brings_the_others_all_the_same(full: Case) -> None:
    for number in range(4):
        full.deliver(f"Mail {number}")
    full.deliver("Elsewhere", folder="Archive")
    full.line.rewrite(BODY_OF % (2, 2), lambda _found: b"* BYE FETCH failed: Internal error occurred\r\n")
    until_it_is_left_out(full, 2)
    assert noted(full) == {2: (MOST_TRIES, True)}
    assert (full.subjects(), full.subjects("Archive")) == (["Mail 0", "Mail 2", "Mail 3"], ["Elsewhere"])
    full.line.heal()
    full.world.client(full.world.ann).post(f"/mailboxes/{full.mailbox.pk}/ask-again/")
    full.until_quiet()
    assert (len(full.subjects()), noted(full)) == (4, {})


def test_a_line_that_breaks_again_and_again_says_nothing_of_a_mail(full: Case) -> None:
    for number in range(4):
        full.deliver(f"Mail {number}")
    full.line.rewrite(BODY_OF % (2, 2), lambda _found: b"* BYE Idle for too long\r\n")
    for _run in range(3 * MOST_TRIES):
        full.try_sync(thorough=False)
    full.line.heal()
    full.until_quiet()
    assert (len(full.subjects()), noted(full)) == (4, {})


@pytest.mark.parametrize(
    ("answer", "most"), [(b"NO Cannot read it", MOST_TRIES), (b"NO [SERVERBUG] Internal", MOST_TRIES_FOR_NOW)]
)
def test_a_mail_whose_batch_is_refused_is_asked_for_alone_and_left_out_after_some_runs(
    full: Case, answer: bytes, most: int
) -> None:
    for number in range(4):
        full.deliver(f"Mail {number}")
    full.line.answers[rb"^UID FETCH (1:4|2) \(UID FLAGS"] = answer
    until_it_is_left_out(full, 2, most=most)
    assert full.subjects() == ["Mail 0", "Mail 2", "Mail 3"]
    assert (full.folder().error, noted(full)) == ("", {2: (most, False)})
    full.line.heal()
    full.world.client(full.world.ann).post(f"/mailboxes/{full.mailbox.pk}/ask-again/")
    full.until_quiet()
    assert (len(full.subjects()), noted(full)) == (4, {})


def test_a_mail_that_comes_alone_and_is_refused_is_left_out_where_others_are_handed_out(full: Case) -> None:
    full.deliver("Mail 0")
    full.sync()
    full.deliver("Mail 1")
    full.line.answers[rb"^UID FETCH 2 \(UID FLAGS"] = b"NO Cannot read it"
    until_it_is_left_out(full, 2)
    assert (full.subjects(), full.folder().error) == (["Mail 0"], "")
    full.line.heal()
    full.world.client(full.world.ann).post(f"/mailboxes/{full.mailbox.pk}/ask-again/")
    full.until_quiet()
    assert len(full.subjects()) == 2


def test_a_mail_that_is_refused_for_a_moment_comes_in_the_next_run_and_is_noted_no_more(full: Case) -> None:
    for number in range(4):
        full.deliver(f"Mail {number}")
    full.line.answers[rb"^UID FETCH (1:4|2) \(UID FLAGS"] = b"NO [INUSE] Not now"
    full.try_sync(thorough=False)
    assert noted(full) == {2: (1, False)}
    full.line.heal()
    full.until_quiet()
    assert (len(full.subjects()), noted(full)) == (4, {})


def test_a_folder_that_hands_out_nothing_says_nothing_of_its_mail(full: Case) -> None:
    for number in range(5):
        full.deliver(f"Mail {number}")
    full.line.answers[rb"^UID FETCH \S+ \(UID FLAGS[^\r\n]*BODY"] = b"NO [NOPERM] Permission denied"
    for _run in range(MOST_TRIES - 1):
        full.try_sync(thorough=False)
    assert (full.subjects(), noted(full)) == ([], {})
    full.line.heal()
    full.until_quiet()
    assert len(full.subjects()) == 5


def test_a_mail_that_is_much_larger_than_the_server_told_keeps_no_other_away(full: Case, settings) -> None:
    """Its size is told as an estimate (H08), below what is fetched; what comes is above what we take."""
    settings.MAIL_MAX_MESSAGE_BYTES = 100_000
    full.deliver("Small 1")
    full.deliver("Giant", text=("y" * 70 + "\r\n") * 20_000)
    full.deliver("Small 2")
    full.line.rewrite(rb"RFC822\.SIZE \d{6,}", b"RFC822.SIZE 90000")
    until_it_is_left_out(full, 2)
    assert full.subjects() == ["Small 1", "Small 2"]
    full.line.heal()
    full.count_what_is_there()
