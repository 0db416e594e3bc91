"""The model of folders (SYNC_CASES 7.4, foldertree.py); play.py says how to play other histories."""

from collections.abc import Callable, Iterator

import pytest

from tests.model.foldertree import FolderTree
from tests.model.play import at_length, play
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import line_to
from tests.world import World

PARTS, EXAMPLES, STEPS = 1, 10, 30


@pytest.fixture
def history(world: World, dovecot: MailServer) -> Iterator[Callable[[], FolderTree]]:
    with line_to(dovecot.host, dovecot.port) as line:
        yield lambda: FolderTree(world, dovecot, line)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_folders(history: Callable[[], FolderTree], part: int) -> None:
    play(history, examples=EXAMPLES, steps=STEPS, first=part)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_folders_at_length(history: Callable[[], FolderTree]) -> None:
    at_length(history)
