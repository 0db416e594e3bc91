"""J10: folders that are listed and cannot be opened, and folders of which only the name is left."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mailsync import actions, folderpull, folders, holding
from mailsync.models import Folder, SpecialUse
from mailsync.sync.brake import Brake
from tests.catalogue.conftest import Case

NOSELECT = (
    rb'^\* LIST \([^)]*\) "/" "?Projects"?\r\n',
    rb'* LIST (\\Noselect \\HasChildren) "/" Projects' + b"\r\n",
)


@pytest.fixture(autouse=True)
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """What did not open is tried again in each run, and not in one of ten."""
    monkeypatch.setattr("random.random", lambda: 0.0)


def on_phone(case: Case, command: str, *names: str) -> None:
    with case.dovecot.imap(case.login) as client:
        kind, said = getattr(client, command)(*(f'"{name}"' for name in names))
    assert kind == "OK", said


def an_hour_passes(case: Case) -> None:
    with case.acting():
        refused = Folder.objects.filter(mailbox=case.mailbox).exclude(refused_since=None)
        assert refused.update(refused_since=timezone.now() - folderpull.REFUSED_GRACE - timedelta(minutes=1))


def test_j10_a_folder_renamed_away_while_another_was_made_in_it(case: Case) -> None:
    """Dovecot goes on listing it. What was asked of its mail would wait for ever, and its mail be shown twice."""
    for subject in ("Moved", "Marked", "Left"):
        case.deliver(subject, folder="Projects")
    case.sync()
    on_phone(case, "rename", "Projects", "Renamed")
    with case.acting():
        folders.create_folder(case.mailbox, "Child", case.folder("Projects"), by=case.world.ann)
        actions.archive(case.chosen("Moved", path="Projects"), by=case.world.ann)
        actions.set_flags(case.chosen("Marked", path="Projects"), add=["\\Flagged"], by=case.world.ann)
    for _run in range(3):
        case.sync(thorough=False)
    assert case.waits() == 2, "a refusal need not say that it is only for now"
    assert case.subjects("Projects") == ["Marked", "Left"]
    assert case.folder("Projects").error
    an_hour_passes(case)
    case.sync(thorough=False)
    assert case.waits() == 0
    assert (case.folder("Projects").selectable, case.subjects("Projects")) == (False, [])
    assert sorted(case.subjects("Renamed")) == ["Left", "Marked", "Moved"]
    assert case.subjects("Archive") == []
    case.line.forget()
    case.judge()
    assert not case.line.asked("SELECT", "Projects")
    on_phone(case, "create", "Projects")
    case.deliver("New", folder="Projects")
    case.sync(thorough=False)
    assert (case.folder("Projects").selectable, case.subjects("Projects")) == (True, ["New"])
    case.judge()


def test_j10_what_went_with_a_name_that_stays_is_asked_for_where_it_is_much(case: Case) -> None:
    for number in range(120):
        case.deliver(f"Mail {number}", folder="Projects")
    on_phone(case, "create", "Projects/Child")
    case.sync()
    on_phone(case, "delete", "Projects")
    case.copies = Counter()
    case.sync(thorough=False)
    an_hour_passes(case)
    for _run in range(3):
        case.sync(thorough=False)
    held = case.folder("Projects")
    assert (held.total, held.held_back, held.selectable) == (120, 120, True)
    with case.acting():
        assert holding.answer(held, Brake.FOLLOW, by=case.world.ann)
    case.sync(thorough=False)
    gone = case.folder("Projects")
    assert (gone.total, gone.held_back, gone.selectable, gone.error) == (0, 0, False, "")
    case.judge()


def test_j10_a_folder_that_the_server_closes_and_opens_again(case: Case) -> None:
    case.deliver("Filed", folder="Projects")
    on_phone(case, "create", "Projects/Child")
    case.sync()
    with case.acting():
        Folder.objects.filter(mailbox=case.mailbox, special_use=SpecialUse.ARCHIVE).update(special_use="")
        Folder.objects.filter(pk=case.folder("Projects").pk).update(special_use=SpecialUse.ARCHIVE)
    case.line.rewrite(*NOSELECT)
    case.sync(thorough=False)
    closed = case.folder("Projects")
    assert (closed.selectable, closed.special_use, closed.total) == (False, "", 0)
    case.line.heal()
    case.sync(thorough=False)
    assert case.subjects("Projects") == ["Filed"]
    case.judge()


def test_j10_a_folder_that_was_met_closed_is_synchronised_once_it_opens(case: Case) -> None:
    on_phone(case, "create", "Projects")
    on_phone(case, "create", "Projects/Child")
    case.line.rewrite(*NOSELECT)
    case.sync()
    assert not case.folder("Projects").selectable
    case.line.heal()
    case.deliver("Filed", folder="Projects")
    case.sync(thorough=False)
    assert case.subjects("Projects") == ["Filed"]
    case.judge()


def vault(case: Case) -> Path:
    return case.dovecot.maildir(case.login) / ".Projects"


def test_j10_a_folder_in_trouble_keeps_its_mail_and_is_well_again_without_news(case: Case) -> None:
    """The server's trouble is no word that there is no such folder. And its end changes nothing in the folder."""
    case.deliver("Filed", folder="Projects")
    case.sync()
    vault(case).chmod(0)
    try:
        case.sync(thorough=False)
        an_hour_passes(case)
        case.sync(thorough=False)
        assert case.folder("Projects").error
        assert case.subjects("Projects") == ["Filed"]
    finally:
        vault(case).chmod(0o700)
    case.sync(thorough=False)
    well = case.folder("Projects")
    assert (well.error, well.errors_in_row, well.refused_since) == ("", 0, None)
    case.judge()
