"""What was written down, told: who did what, when, and what the server said to it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Employee
from mailsync import actions, history
from mailsync.models import Event, Message
from tests.engine.conftest import Box, box
from tests.reading.test_pages import HTMX

__all__ = ["box"]  # a fixture

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ANN, BOB = Employee(pk=1, name="Ann Archer"), Employee(pk=2, name="Bob Brown")


def event(
    minute: float, kind: str, path: str = "INBOX", *, uid: int | None = None, **fields: object
) -> Event:
    words = {"flags": "", "target": "", "note": "", **fields}
    return Event(at=NOON + timedelta(minutes=minute), kind=kind, path=path, uid=uid, **words)


def told(*happened: Event, open_now: tuple[str, ...] = ()) -> list[str]:
    lines = history.lines_of(happened, ANN, open_now)
    return [f"{line.text}. {line.answer}".strip() for line in lines]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("+\\Seen", "marked it as read"),
        ("-\\Seen", "marked it as unread"),
        ("+\\Flagged +\\Seen", "starred it and marked it as read"),
        ("+$label1 +\\Answered +\\Deleted", "set the mark “$label1”, answered it and marked it as deleted"),
        ("-<b>", "took the mark “<b>” away"),
    ],
)
def test_marks_are_said_in_words(flags: str, words: str) -> None:
    assert told(event(0, "flag", flags=flags)) == [f"Another program {words}."]
    assert told(event(0, "flag", flags=flags, by=BOB)) == [f"Bob Brown {words}."]


def test_what_i_did_is_mine_and_says_when_the_server_had_it() -> None:
    happened = [
        event(0, "move", target="Archive", by=ANN),
        event(1, "move sent", "Archive", uid=7, by=ANN),
        event(2, "flag", "Archive", flags="+\\Flagged", by=ANN),
    ]
    assert told(*happened, open_now=("flag",)) == [
        "You moved it from Inbox to Archive. On the server",
        "You starred it. The server has not heard of it yet",
    ]


def test_five_toggles_are_answered_by_one_word_of_the_server() -> None:
    toggles = [event(n, "flag", flags="+\\Seen" if n % 2 else "-\\Seen", by=ANN) for n in range(5)]
    assert all(line.endswith("On the server") for line in told(*toggles, event(6, "flag sent", by=ANN)))


def test_a_refusal_keeps_the_servers_words() -> None:
    [line] = history.lines_of(
        [event(0, "move", target="Vault", by=BOB), event(1, "move refused", "Vault", note="“No.”", by=BOB)],
        ANN,
        (),
    )
    assert (line.text, line.answer) == ("Bob Brown moved it from Inbox to Vault", "The server refused: “No.”")
    assert line.refused


def test_what_was_undone_in_time_never_reached_the_server() -> None:
    there, back = event(0, "move", target="Trash", by=ANN), event(1, "move", "Trash", target="INBOX", by=ANN)
    assert told(there, back) == [
        "You moved it from Inbox to Trash. Undone before the server heard of it",
        "You moved it from Trash to Inbox.",
    ]


@pytest.mark.parametrize(
    ("happened", "shown"),
    [
        ([], True),
        ([("flag", "INBOX", "")], True),
        ([("gone", "INBOX", ""), ("placed", "Archive", "")], False),
        ([("move", "INBOX", "Archive"), ("flag", "Archive", "")], False),
        ([("move", "Archive", "INBOX")], True),
        ([("move", "Archive", "INBOX"), ("move refused", "INBOX", "")], True),
        ([("move", "Archive", "INBOX"), ("move", "INBOX", "Archive")], True),
    ],
)
def test_a_folder_that_was_renumbered_before_the_mail_came_there_is_not_told_of(
    box: Box, happened: list[tuple[str, str, str]], *, shown: bool
) -> None:
    """Archive, where the mail is now."""
    box.deliver("Filed", folder="Archive")
    box.sync()
    box.dovecot.doveadm("mailbox", "update", "-u", box.login, "--uid-validity", "4711", "Archive")
    box.sync()
    with box.acting():
        message = Message.objects.get()
        for number, (kind, path, target) in enumerate(happened, start=1):
            Event.objects.create(
                account=box.world.acme, message=message, kind=kind, path=path, target=target, uid=number
            )
        told = history.of(message.pk, reader=box.world.ann, now=timezone.now())
    assert any("renumbered all messages of Archive" in line.text for line in told.lines) == shown


@pytest.mark.parametrize("order", ["gone first", "placed first"])
def test_two_halves_of_a_move_by_another_program_are_one_line(order: str) -> None:
    halves = [("gone", "INBOX", 88), ("placed", "Archive", 5)]
    if order == "placed first":
        halves.reverse()
    happened = [event(n, kind, path, uid=uid) for n, (kind, path, uid) in enumerate(halves)]
    [line] = history.lines_of(happened, ANN, ())
    assert (line.text, line.uid) == ("Another program moved it from Inbox to Archive", 5)
    assert line.at == NOON + timedelta(minutes=1)


def test_halves_a_day_apart_or_of_one_folder_are_no_move() -> None:
    assert told(event(0, "gone"), event(24 * 60, "placed", "Archive")) == [
        "The server no longer has it in Inbox.",
        "It appeared in Archive.",
    ]
    assert len(told(event(0, "gone", uid=1), event(1, "placed", uid=2))) == 2


@pytest.mark.parametrize(
    ("happened", "places", "came_to"),
    [
        ([], [("Work", 3)], ("Work", 3)),  # where it is now
        ([("flag", "INBOX", 88)], [("Work", 3)], ("INBOX", 88)),
        ([("placed", "Work", 3), ("gone", "INBOX", 88)], [("Work", 3)], ("INBOX", 88)),
        ([("placed", "Copy", 9)], [("Copy", 9), ("Work", 3)], ("Work", 3)),
        ([("placed", "Copy", 9)], [("Copy", 9)], ("", None)),
    ],
)
def test_where_it_came_in_follows_from_what_happened_first(
    happened: list, places: list, came_to: tuple
) -> None:
    events = [event(n, kind, path, uid=uid) for n, (kind, path, uid) in enumerate(happened)]
    assert history.origin(events, places) == came_to


def test_the_page_tells_the_whole_story_newest_first(box: Box) -> None:
    box.deliver("Travelled", days_ago=0)
    box.sync()
    box.on_server("STORE", "1", "+FLAGS", "(\\Seen)")
    box.sync()
    with box.acting():
        actions.archive(box.chosen("Travelled"), by=box.world.bob)
    box.sync()
    placement = box.one("Travelled", "Archive")
    page = (
        box.world.client(box.world.ann).get(f"/mail/message/{placement.pk}/history/", **HTMX).content.decode()
    )
    story = [
        "On the server in Archive, UID 1.",
        "Bob Brown moved it from Inbox to Archive",
        "On the server",
        "Another program marked it as read",
        "It came to Inbox",
        "UID 1",
    ]
    at = -1
    for sentence in story:
        at = page.index(sentence, at + 1)
    assert "<html" not in page
    assert "is not known any more" not in page
    whole = box.world.client(box.world.ann).get(f"/mail/message/{placement.pk}/history/").content.decode()
    assert "<html" in whole
    for stranger in (box.world.cyd, box.world.adm, box.world.eve):
        assert box.world.client(stranger).get(f"/mail/message/{placement.pk}/history/").status_code == 404


def test_mail_from_before_the_history_says_so(box: Box) -> None:
    box.deliver("Ancient", days_ago=5)
    box.sync()
    with box.acting():
        Message.objects.update(stored_at=None)
    placement = box.one("Ancient")
    page = box.world.client(box.world.ann).get(f"/mail/message/{placement.pk}/history/").content.decode()
    assert "The mail server received it" in page
    assert "is not known any more" in page
