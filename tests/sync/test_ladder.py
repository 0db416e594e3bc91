"""How much is asked of a server, as a table: a quiet folder costs one STATUS."""

from datetime import UTC, datetime, timedelta

import pytest

from mailsync.sync.ladder import ALL_FLAGS_EVERY, EVERYTHING, FEW, WHOLE_EVERY, Ask, FlagsAsked, Seen, choose

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
RECENTLY = NOW - timedelta(minutes=5)
EARLIER = NOW - ALL_FLAGS_EVERY - timedelta(seconds=1)
BEFORE = Seen(uidvalidity=7, uidnext=101, messages=50, modseq=900)
OLD_STYLE = Seen(uidvalidity=7, uidnext=5001, messages=5000, modseq=None)
NOTHING = Ask(news=False, flags=FlagsAsked.NONE, whole=False)


def seen(base: Seen = BEFORE, **changes: int | None) -> Seen:
    values = {"uidvalidity": base.uidvalidity, "uidnext": base.uidnext, "messages": base.messages}
    return Seen(**{**values, "modseq": base.modseq, **changes})  # type: ignore[arg-type]


TABLE: dict[str, tuple[Seen, Seen, datetime | None, Ask]] = {
    "quiet": (BEFORE, BEFORE, RECENTLY, NOTHING),
    "a letter arrived": (
        seen(uidnext=102, messages=51, modseq=901), BEFORE, RECENTLY, Ask(True, FlagsAsked.CHANGED, False),
    ),
    "a letter arrived and another went": (
        seen(uidnext=102, modseq=901), BEFORE, RECENTLY, Ask(True, FlagsAsked.CHANGED, False),
    ),
    "a flag changed": (seen(modseq=901), BEFORE, RECENTLY, Ask(False, FlagsAsked.CHANGED, False)),
    "a letter went": (
        seen(messages=49, modseq=901), BEFORE, RECENTLY, Ask(False, FlagsAsked.CHANGED, True),
    ),
    "more letters without a new UID": (
        seen(messages=51, modseq=901), BEFORE, RECENTLY, Ask(False, FlagsAsked.CHANGED, True),
    ),
    "the server was restored and counts changes from lower (C11)": (
        seen(modseq=20), BEFORE, RECENTLY, Ask(False, FlagsAsked.ALL, True),
    ),
    "the folder lost its mod-sequences (C12)": (
        seen(modseq=None), BEFORE, RECENTLY, Ask(False, FlagsAsked.ALL, True),
    ),
    "the folder has mod-sequences for the first time": (
        BEFORE, seen(modseq=None), RECENTLY, Ask(False, FlagsAsked.ALL, True),
    ),
    "the folder has mod-sequences for the first time, and many letters": (
        seen(OLD_STYLE, modseq=900), OLD_STYLE, RECENTLY, Ask(False, FlagsAsked.ALL, True),
    ),
    "an empty folder without mod-sequences is no reason to read it for ever (C10)": (
        seen(messages=0, modseq=None), seen(messages=0, modseq=None), RECENTLY, NOTHING,
    ),
    "emptied": (
        seen(messages=0, modseq=950), BEFORE, RECENTLY, Ask(False, FlagsAsked.NONE, True),
    ),
    "rebuilt": (seen(uidvalidity=8), BEFORE, RECENTLY, EVERYTHING),
    "never read whole": (BEFORE, BEFORE, None, EVERYTHING),
    "not read whole for a day": (
        BEFORE, BEFORE, NOW - WHOLE_EVERY - timedelta(seconds=1), EVERYTHING,
    ),
    "a server without UIDNEXT is asked for news each time (C09)": (
        seen(uidnext=0), seen(uidnext=0), RECENTLY, Ask(True, FlagsAsked.NONE, False),
    ),
    "UIDNEXT went down (C09)": (
        seen(uidnext=90), BEFORE, RECENTLY, Ask(True, FlagsAsked.NONE, False),
    ),
    "no CONDSTORE, many letters: the newest flags (G01)": (
        OLD_STYLE, OLD_STYLE, RECENTLY, Ask(False, FlagsAsked.NEWEST, False),
    ),
    "no CONDSTORE, many letters, some minutes later: all, and so the folder is compared whole": (
        OLD_STYLE, OLD_STYLE, EARLIER, Ask(False, FlagsAsked.ALL, True),
    ),
    "no CONDSTORE, few letters: all": (
        seen(OLD_STYLE, messages=FEW), seen(OLD_STYLE, messages=FEW), RECENTLY,
        Ask(False, FlagsAsked.ALL, True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", TABLE)
def test_table(row: str) -> None:
    now_seen, before, full_at, expected = TABLE[row]

    assert choose(now_seen, before, full_at=full_at, now=NOW, thorough=False) == expected


def test_a_thorough_run_reads_all_flags_where_changes_cannot_be_asked_for() -> None:
    asked = choose(OLD_STYLE, OLD_STYLE, full_at=RECENTLY, now=NOW, thorough=True)

    assert asked.flags is FlagsAsked.ALL


def test_a_thorough_run_costs_nothing_where_the_server_knows_its_changes() -> None:
    assert choose(BEFORE, BEFORE, full_at=RECENTLY, now=NOW, thorough=True) == NOTHING


@pytest.mark.parametrize(
    ("ask", "nothing"),
    [
        (NOTHING, True),
        (EVERYTHING, False),
        (Ask(True, FlagsAsked.NONE, False), False),
        (Ask(False, FlagsAsked.CHANGED, False), False),
        (Ask(False, FlagsAsked.NONE, True), False),
    ],
)
def test_only_a_quiet_folder_is_not_opened(ask: Ask, nothing: bool) -> None:
    assert ask.nothing is nothing
