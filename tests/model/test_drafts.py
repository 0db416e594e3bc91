"""The model of drafts and what is sent (SYNC_CASES 7.4, drafts.py); MODEL_EXAMPLES, MODEL_STEPS, MODEL_SEED as for the
other one."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.model.drafts import Drafts
from tests.model.play import at_length, play
from tests.rigs import smtp
from tests.rigs.mailserver import MailServer
from tests.rigs.proxy import line_to
from tests.world import World

PARTS, EXAMPLES, STEPS = 1, 10, 30


@pytest.fixture
def history(world: World, dovecot: MailServer, settings: Any) -> Iterator[Callable[[], Drafts]]:
    settings.MAIL_SEND_PER_MINUTE = 10_000
    with smtp.outgoing_server() as post, line_to(dovecot.host, dovecot.port) as line:
        yield lambda: Drafts(world, dovecot, line, post)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_drafts(history: Callable[[], Drafts], part: int) -> None:
    play(history, examples=EXAMPLES, steps=STEPS, first=part)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_drafts_at_length(history: Callable[[], Drafts]) -> None:
    at_length(history)
