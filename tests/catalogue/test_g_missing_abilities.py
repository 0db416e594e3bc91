"""G: what a server cannot do, or says it can. (Where a whole kind of server lacks it: the profiles of A to F and J.)"""

import pytest

from mailsync import actions
from mailsync.imap.session import Session
from tests.catalogue.conftest import Case

MUTE = rb"\[COPYUID [^\]]*\] ?"


def test_g01_without_condstore_flags_are_read_and_not_asked_for(full: Case, monkeypatch) -> None:
    hide(monkeypatch, "CONDSTORE", "QRESYNC")
    full.deliver("Mail")
    full.sync()
    full.phone_flags("+", "\\Flagged", "Mail")
    full.line.forget()
    full.until_quiet()
    assert full.one("Mail").flags == ["\\Flagged"]
    assert not full.line.asked("CHANGEDSINCE")


def test_g02_without_qresync_what_is_gone_is_found_by_its_uid(full: Case) -> None:
    full.deliver("Stays")
    full.deliver("Goes")
    full.sync()
    full.phone_removes("Goes")
    full.until_quiet()
    assert full.subjects() == ["Stays"]


@pytest.mark.parametrize("verb", ["MOVE", "COPY"])
def test_g06_a_move_of_which_the_server_does_not_tell_the_new_uid_is_one_mail(
    full: Case, verb: str, monkeypatch
) -> None:
    """G04, G05 of a copy: UIDPLUS is announced, and no COPYUID comes."""
    if verb == "COPY":
        hide(monkeypatch, "MOVE")
    full.deliver("Moved")
    full.sync()
    message = full.one("Moved").message_id
    full.line.rewrite(MUTE, b"")
    full.line.forget()
    with full.acting():
        actions.archive(full.chosen("Moved"), by=full.world.ann)
    full.until_quiet()
    assert (full.subjects(), full.subjects("Archive")) == ([], ["Moved"])
    assert full.one("Moved", "Archive").message_id == message
    assert not full.bodies_asked()


def test_g08_move_is_announced_and_answered_with_bad(full: Case) -> None:
    """Copied and removed instead, and nothing else that another program has marked."""
    for subject in ("Moved", "Marked by the phone"):
        full.deliver(subject)
    full.sync()
    full.phone_flags("+", "\\Deleted", "Marked by the phone")
    full.line.answers[rb"^UID MOVE"] = b"BAD Unknown command"
    with full.acting():
        actions.archive(full.chosen("Moved"), by=full.world.ann)
    full.until_quiet()
    assert full.subjects("Archive") == ["Moved"]
    assert "Marked by the phone" in full.subjects()


def test_g15_abilities_that_are_told_only_after_the_login_are_used(full: Case) -> None:
    full.line.rewrite(rb"^(\* OK) \[CAPABILITY [^\]]*\]", rb"\1 [CAPABILITY IMAP4rev1 AUTH=PLAIN]")
    full.deliver("Moved")
    full.sync()
    full.line.forget()
    with full.acting():
        actions.archive(full.chosen("Moved"), by=full.world.ann)
    full.until_quiet()
    assert full.line.asked("UID MOVE")


def hide(monkeypatch, *names: str) -> None:
    """From us; the server would still obey (the profiles refuse it, too)."""
    can = Session.can
    monkeypatch.setattr(Session, "can", lambda self, name: name not in names and can(self, name))
