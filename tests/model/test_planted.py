"""Could the model miss a fault? Each of these is planted into the product, and what CI plays must find it (-m slow)."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from django.db import DatabaseError

from crm import arrivals
from mailsync import folderpush, pulling, pushing, replica, schedule
from mailsync.imap.server import ImapServer, uid_chunks
from mailsync.imap.session import Sent, flag_list
from mailsync.models.message import MessageQuerySet
from mailsync.sync import ladder, plan
from mailsync.sync.ladder import FlagsAsked
from retention import purge
from tests.model.machine import TwoWay
from tests.model.play import play
from tests.model.test_two_way import EXAMPLES, PARTS, STEPS, history

__all__ = ["history"]  # a fixture


def _nothing(*_arguments: Any, **_options: Any) -> None:
    return None


def _none_of_them(*_arguments: Any, **_options: Any) -> list[Any]:
    return []


def _replaces_flags(
    server: ImapServer, uids: Iterable[int], *, add: Iterable[str], remove: Iterable[str]
) -> None:
    for chunk in uid_chunks(uids):
        server.session.command("UID", b"STORE", chunk, b"FLAGS.SILENT", flag_list(set(add) - set(remove)))


def _expunges_all(server: ImapServer, chunk: bytes) -> None:
    server.session.command("UID", b"STORE", chunk, b"+FLAGS.SILENT", b"(\\Deleted)")
    server.session.command("EXPUNGE")


def _never_expunges(server: ImapServer, chunk: bytes) -> None:
    server.session.command("UID", b"STORE", chunk, b"+FLAGS.SILENT", b"(\\Deleted)")


def _reads_as_people_do(server: ImapServer, uids: Iterable[int]) -> list[Sent]:
    return [server.session.send("UID", b"FETCH", chunk, b"(UID FLAGS BODY[])") for chunk in uid_chunks(uids)]


def _a_uid_too_far(run: Any, folder: Any, opened: Any, highest: int, **how: Any) -> None:
    _advance(run, folder, opened, highest + 1, **how)


def _as_of_now(run: Any, folder: Any, opened: Any, highest: int, **how: Any) -> None:
    """The cursor is what the server says after we read, not before."""
    _advance(run, folder, run.server.open(bytes(folder.name)), highest, **how)


def _no_flags_changed(*arguments: Any, **options: Any) -> Any:
    ask = _choose(*arguments, **options)
    return replace(ask, flags=FlagsAsked.NONE) if ask.flags is FlagsAsked.CHANGED else ask


def _goes_on_blindly(run: Any, folder: Any, walk: Any) -> Any:
    return pulling._open(run, folder), walk


_advance, _choose = pulling.advance, ladder.choose

FAULTS: dict[str, tuple[object, str, Any]] = {
    "what waits is shown as the server has it": (plan, "rebase", lambda flags, *_: flags),
    "flags are replaced, not added": (ImapServer, "store", _replaces_flags),
    "flags that changed are not read": (ladder, "choose", _no_flags_changed),
    "EXPUNGE takes what others marked": (ImapServer, "_delete", _expunges_all),
    "what is removed is only marked": (ImapServer, "_delete", _never_expunges),
    "reading sets Seen": (ImapServer, "ask_messages", _reads_as_people_do),
    "another UIDVALIDITY is not noticed": (pulling, "_is_rebuilt", lambda *_: False),
    "UIDs outlive their UIDVALIDITY": (replica, "_void_uids", _nothing),
    "the cursor goes a UID too far": (pulling, "advance", _a_uid_too_far),
    "the cursor is as of after the reading": (pulling, "advance", _as_of_now),
    "a look that goes on sees no news": (pulling, "_go_on", _goes_on_blindly),
    "what is gone stays": (pulling, "plan_vanished", _none_of_them),
    "what changed its place is fetched as another": (replica, "possibly_known", _none_of_them),
    "what a killed worker left is not sent again": (pushing, "revive", _nothing),
    "marks that wait for a UID wait for ever": (pushing, "_fill_coordinates", _nothing),
    "an overtaken worker goes on": (schedule, "renew", _nothing),
    "a folder is not renamed": (folderpush, "send", _nothing),
    "what a purge took comes back": (purge, "keep_away", _nothing),
    "a client's mail is not kept": (arrivals, "keep", lambda *_, **__: 0),
    "a task does not hold its mail": (MessageQuerySet, "free", lambda messages, **_: messages),
}


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_model_finds_a_planted_fault(history: Callable[[], TwoWay], fault: str) -> None:
    with patch.object(*FAULTS[fault]):
        part, found = next(_failures(history))
    print(f"{fault}: part {part}: {found.splitlines()[0][:150]}")


def _failures(history: Callable[[], TwoWay]) -> Iterator[tuple[int, str]]:
    for part in range(1, PARTS + 1):
        try:
            play(history, examples=EXAMPLES, steps=STEPS, first=part)
        except (AssertionError, DatabaseError) as error:
            yield part, str(error)
