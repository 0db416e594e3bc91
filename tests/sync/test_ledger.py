"""The completeness ledger: every UID on one side only has exactly one cause, and none is invented."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsync.sync.ledger import (
    MOST_NAMED,
    ONLY_HERE,
    Cause,
    Comparison,
    Named,
    OurSide,
    ServerSide,
    UidRanges,
    compare,
)
from mailsync.sync.state import RemoteMessage

TODAY = datetime(2026, 5, 20, 12, tzinfo=UTC)
WINDOW = TODAY - timedelta(days=90)
UIDS = st.sets(st.integers(1, 60))


def mail(uid: int, at: datetime = TODAY, size: int = 100, flags: str = "") -> RemoteMessage:
    return RemoteMessage(uid=uid, flags=frozenset(flags.split()), received_at=at, size=size)


def server(*messages: RemoteMessage, older: Iterable[int] = (), left: Iterable[int] = ()) -> ServerSide:
    described = {message.uid: message for message in messages}
    return ServerSide(UidRanges.of({*described, *older, *left}), UidRanges.of(older), described)


def ours(*uids: int, seen: int = 100, **more: Any) -> OurSide:
    return OurSide(UidRanges.of(uids), seen, WINDOW, **more)


def causes(compared: Comparison) -> dict[str, int]:
    return {each.cause.value: each.count for each in compared.differences}


old = mail(5, at=WINDOW - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("there", "here", "found"),
    [
        (server(mail(5)), ours(5), {}),
        (server(), ours(), {}),
        (server(mail(5)), ours(), {"missing": 1}),
        (server(mail(5, at=WINDOW)), ours(), {"missing": 1}),
        (server(old), ours(), {"older": 1}),
        (server(older={5}), ours(), {"older": 1}),
        (server(older={5}), ours(5), {}),
        (server(mail(5)), ours(discarded={5}), {"discarded": 1}),
        (server(mail(5)), ours(skipped={5: "It is larger than 50 MB."}), {"skipped": 1}),
        (server(mail(5)), ours(leaving={5}), {"leaving": 1}),
        (server(older={5}), ours(leaving={5}), {"leaving": 1}),
        (server(mail(5)), ours(seen=4), {"arrived": 1}),
        (server(old), ours(seen=4), {"older": 1}),
        (server(mail(5)), ours(seen=4, fetching=True), {"fetching": 1}),
        (server(mail(5)), ours(seen=5, fetching=True), {"missing": 1}),
        (server(mail(5, flags="\\Deleted \\Seen")), ours(), {"marked": 1}),
        (server(mail(5, flags="\\Deleted")), ours(seen=4), {"arrived": 1}),
        (server(mail(5, flags="\\Deleted")), ours(leaving={5}), {"leaving": 1}),
        (server(mail(5, flags="\\Deleted")), ours(5), {}),
        (server(left={5}), ours(), {"left": 1}),
        (server(), ours(5), {"removed": 1}),
        (server(), ours(5, held=True), {"held": 1}),
        (server(), ours(waiting=2), {"coming": 2}),
        (server(mail(5), mail(6)), ours(5, waiting=1, seen=5), {"arrived": 1, "coming": 1}),
    ],
)
def test_each_difference_has_its_cause(there: ServerSide, here: OurSide, found: dict[str, int]) -> None:
    compared = compare(there, here)
    assert causes(compared) == found
    assert compared.equal == (not found)


def test_what_is_missing_is_named_and_the_cursor_goes_back_before_the_first_of_it() -> None:
    compared = compare(server(mail(7, size=9), mail(9), mail(12)), ours(9))
    [missing] = compared.differences
    assert missing.named == (Named(7, TODAY, 9), Named(12, TODAY, 100))
    assert compared.rewind_to == 6
    assert compare(server(older={5}), ours()).rewind_to is None


def test_a_skipped_mail_says_why() -> None:
    [skipped] = compare(server(mail(5)), ours(skipped={5: "It is larger than 50 MB."})).differences
    assert skipped.named == (Named(5, TODAY, 100, "It is larger than 50 MB."),)


def test_at_most_fifty_are_named_and_all_are_counted() -> None:
    [missing] = compare(server(*(mail(uid) for uid in range(1, 80))), ours()).differences
    assert (missing.count, len(missing.named)) == (79, MOST_NAMED)


@given(UIDS, UIDS, UIDS, UIDS, UIDS, UIDS, st.integers(0, 60), st.booleans())
def test_every_uid_of_one_side_has_one_cause_and_the_counts_add_up(
    there: set[int], here: set[int], older: set[int], gone: set[int], leaving: set[int], skipped: set[int],
    seen: int, fetching: bool,
) -> None:  # fmt: skip
    described = {uid: mail(uid) for uid in there - here - older - gone}
    side = ServerSide(UidRanges.of(there), UidRanges.of(older & there), described)
    mine = ours(*here, seen=seen, leaving=leaving, skipped=dict.fromkeys(skipped, "bad"), fetching=fetching)
    compared = compare(side, mine)
    named = [each.uid for difference in compared.differences for each in difference.named]
    assert sorted(named) == sorted(there ^ here)  # at most 60: all of them are named
    only_here = sum(each.count for each in compared.differences if each.cause in ONLY_HERE)
    only_there = sum(each.count for each in compared.differences if each.cause not in ONLY_HERE)
    assert compared.server_count - compared.here_count == only_there - only_here
    missing = (there - here) - older - gone - leaving - skipped
    assert compared.count(Cause.MISSING) == len({uid for uid in missing if uid <= seen})


@given(UIDS, UIDS)
def test_ranges_are_sets(left: set[int], right: set[int]) -> None:
    one, other = UidRanges.of(left), UidRanges.of(right)
    assert set(one) == left
    assert len(one) == len(left)
    assert all((uid in one) == (uid in left) for uid in range(62))
    assert one - other == UidRanges.of(left - right)
    assert one & other == UidRanges.of(left & right)
    assert UidRanges.joined([*one.spans, *other.spans]) == UidRanges.of(left | right)


def test_what_is_no_uid_is_in_no_set() -> None:
    assert "5" not in UidRanges.of([5])


def test_a_large_folder_stays_a_few_numbers() -> None:
    whole = UidRanges.joined([(1, 90_000), (90_001, 180_000)])
    assert whole.spans == ((1, 180_000),)
    compared = compare(
        ServerSide(whole, older=UidRanges.joined([(1, 170_000)])), ours(*range(170_001, 180_001))
    )
    assert causes(compared) == {"older": 170_000}
