"""Is everything here? The ledger against a real server: equal, explained, or found and mended."""

import json
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from mailsync import actions, checking, discarding, folders, importing, pausing, replica, schedule
from mailsync.models import (
    Folder,
    FolderCheck,
    Mailbox,
    Message,
    Placement,
    Schedule,
    SkippedMessage,
    Tombstone,
)
from plans.subscriptions import change_plan
from tests.engine.conftest import Box
from tests.rigs.proxy import Proxy, line_to, without


@pytest.fixture(params=["with ESEARCH", "without ESEARCH"])
def either(request: pytest.FixtureRequest, box: Box):
    """The mailbox behind a line on which the server may tell of ESEARCH, or not."""
    if request.param == "with ESEARCH":
        yield box
        return
    with line_to(box.dovecot.host, box.dovecot.port, without("ESEARCH")) as line:
        with box.acting():
            Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_port=line.port)
        yield box


def check(box: Box) -> dict[str, FolderCheck]:
    """One whole comparison, as the workers make it; the rows it wrote, by folder."""
    began = timezone.now()
    for _run in range(20):
        if checking.check(box.mailbox.account_id, box.mailbox.pk):
            break
    with box.acting():
        rows = FolderCheck.objects.filter(mailbox=box.mailbox, at__gte=began)
        return {row.path: row for row in rows}


def causes(row: FolderCheck) -> dict[str, int]:
    return {each["cause"]: each["count"] for each in row.differences}


def counts(row: FolderCheck) -> tuple[int | None, int | None]:
    return row.server_count, row.here_count


def is_due(box: Box) -> bool:
    return Schedule.objects.filter(mailbox=box.mailbox, due_at__lte=timezone.now()).exists()


def lose(box: Box, *subjects: str, message_too: bool = False) -> None:
    """What must never happen: rows go behind the engine's back."""
    with box.acting():
        rows = list(box.chosen(*subjects).values_list("pk", "message_id"))
        actions.remove_placements([pk for pk, _ in rows])
        if message_too:
            Message.objects.filter(pk__in=[message for _, message in rows]).delete()


def test_after_a_sync_every_folder_is_equal(either: Box) -> None:
    for number in range(3):
        either.deliver(f"Mail {number}")
    either.deliver("Filed", folder="Archive")
    either.sync()
    before = either.server_view()

    rows = check(either)

    assert set(rows) == {"INBOX", "Sent", "Drafts", "Junk", "Trash", "Archive"}
    assert (counts(rows["INBOX"]), counts(rows["Archive"]), counts(rows["Sent"])) == ((3, 3), (1, 1), (0, 0))
    assert [row.differences for row in rows.values()] == [[]] * 6
    assert either.server_view() == before
    assert not is_due(either)
    either.assert_equal()


def test_what_is_missing_is_found_and_the_next_sync_brings_it_back(either: Box) -> None:
    for number in range(5):
        either.deliver(f"Mail {number}")
    either.sync()
    lose(either, "Mail 1")
    lose(either, "Mail 3", message_too=True)

    row = check(either)["INBOX"]

    assert (counts(row), causes(row), row.repaired) == ((5, 3), {"missing": 2}, True)
    assert [each["uid"] for each in row.differences[0]["named"]] == [2, 4]
    assert is_due(either)
    outcome = either.sync(thorough=False)
    assert outcome.imported == 1  # what is known is only placed again
    assert check(either)["INBOX"].differences == []
    either.assert_equal()


def test_a_mail_that_another_program_removed_goes_with_the_next_sync(box: Box) -> None:
    box.deliver("Stays")
    box.deliver("Goes")
    box.sync()
    box.on_server("STORE", "2", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "2")

    row = check(box)["INBOX"]

    assert (counts(row), causes(row), row.repaired) == ((1, 2), {"removed": 1}, False)
    box.sync(thorough=False)
    assert check(box)["INBOX"].differences == []


def test_a_row_that_was_never_on_the_server_goes_too(box: Box) -> None:
    """STATUS says nothing of it: only the whole comparison can."""
    box.deliver("Real")
    box.sync()
    with box.acting():
        real = box.chosen("Real").get()
        Placement.objects.create(
            account_id=real.account_id,
            folder=real.folder,
            message=real.message,
            uid=77,
            received_at=real.received_at,
        )

    assert causes(check(box)["INBOX"]) == {"removed": 1}
    box.sync(thorough=False)
    assert check(box)["INBOX"].differences == []


def test_mail_from_before_the_window_is_explained(either: Box) -> None:
    either.deliver("Old", days_ago=200)
    either.deliver("A little too old", days_ago=91)
    either.deliver("In the window", days_ago=89)
    either.sync()

    row = check(either)["INBOX"]

    assert (counts(row), causes(row), row.repaired) == ((3, 1), {"older": 2}, False)
    assert row.differences[0]["since"][:10] == str((either.mailbox.connected_at - timedelta(days=90)).date())
    assert not is_due(either)


def test_a_giant_is_named_with_its_reason(box: Box, settings) -> None:
    settings.MAIL_MAX_MESSAGE_BYTES = 20_000
    box.deliver("Giant", text="x" * 30_000)
    box.deliver("Small")
    box.sync()

    row = check(box)["INBOX"]

    assert causes(row) == {"skipped": 1}
    [giant] = row.differences[0]["named"]
    with box.acting():
        assert giant["why"] == SkippedMessage.objects.get().reason
    assert (giant["uid"], giant["size"] > 30_000, row.repaired) == (1, True, False)


def test_a_move_the_server_has_not_heard_of_is_explained_on_both_sides(box: Box) -> None:
    box.deliver("Done with")
    box.sync()
    with box.acting():
        actions.archive(box.chosen("Done with"), by=box.world.ann)

    rows = check(box)

    assert (causes(rows["INBOX"]), causes(rows["Archive"])) == ({"leaving": 1}, {"coming": 1})
    assert box.dovecot.uids(box.login) != {}
    box.sync()
    rows = check(box)
    assert (counts(rows["INBOX"]), counts(rows["Archive"])) == ((0, 0), (1, 1))


def test_what_came_since_the_last_sync_is_no_alarm_and_is_fetched_now(box: Box) -> None:
    box.sync()
    box.deliver("New")

    row = check(box)["INBOX"]

    assert (causes(row), row.repaired) == ({"arrived": 1}, False)
    assert is_due(box)


def test_a_mailbox_that_was_never_fetched_says_so(box: Box) -> None:
    box.deliver("First")
    with box.acting():
        Folder.objects.create(account=box.world.acme, mailbox=box.mailbox, name=b"INBOX", path="INBOX")

    assert causes(check(box)["INBOX"]) == {"fetching": 1}


def test_what_was_let_go_on_purpose_is_explained_by_its_tombstone(box: Box) -> None:
    raw = box.deliver("Let go")
    box.deliver("Stays")
    box.sync()
    with box.acting():
        message = box.chosen("Let go").get().message
        Tombstone.objects.create(
            account=message.account, mailbox=box.mailbox, identity=message.identity, reason="task deleted",
            header_hash=importing.header_hash(bytes(message.header), len(raw)), received_at=message.received_at,
        )  # fmt: skip
    lose(box, "Let go", message_too=True)

    row = check(box)["INBOX"]

    assert (causes(row), row.repaired) == ({"discarded": 1}, False)


@pytest.fixture
def behind_line(box: Box) -> Iterator[Proxy]:
    with line_to(box.dovecot.host, box.dovecot.port) as line:
        with box.acting():
            Mailbox.objects.filter(pk=box.mailbox.pk).update(imap_port=line.port)
        yield line


def estimate(line: Proxy, off: int) -> None:
    line.rewritten.clear()
    line.rewrite(rb"RFC822\.SIZE (\d+)", lambda found: b"RFC822.SIZE %d" % (int(found[1]) + off))


def let_go(box: Box, *subjects: str) -> None:
    with box.acting():
        discarding.discard(box.chosen(*subjects).values_list("message_id", flat=True), reason="task deleted")


def test_h08_what_was_let_go_is_known_by_the_size_that_was_told(box: Box, behind_line: Proxy) -> None:
    estimate(behind_line, 17)
    box.deliver("Let go")
    box.deliver("Stays")
    box.sync()
    let_go(box, "Let go")

    row = check(box)["INBOX"]

    assert (causes(row), row.repaired) == ({"discarded": 1}, False)
    box.sync()
    assert box.subjects() == ["Stays"]


def test_h08_what_was_let_go_is_not_stored_again_when_its_size_is_told_anew(
    box: Box, behind_line: Proxy
) -> None:
    estimate(behind_line, 17)
    box.deliver("Let go")
    box.deliver("Stays")
    box.sync()
    let_go(box, "Let go")
    estimate(behind_line, 23)
    assert causes(check(box)["INBOX"]) == {"missing": 1}, "no more is known of it than that"

    box.sync()

    assert box.subjects() == ["Stays"]
    assert causes(check(box)["INBOX"]) == {"discarded": 1}


def test_a_copy_with_another_date_of_what_was_let_go_stays_away(box: Box) -> None:
    raw = box.deliver("Let go", days_ago=1)
    box.dovecot.append(box.login, raw, at=timezone.now() - timedelta(days=3))
    box.deliver("Stays")
    box.sync()
    let_go(box, "Let go")

    row = check(box)["INBOX"]

    assert (causes(row), row.repaired) == ({"discarded": 2}, False)
    box.sync()
    assert box.subjects() == ["Stays"]


def test_a_copy_with_another_date_that_comes_after_it_was_let_go_is_not_stored(box: Box) -> None:
    raw = box.deliver("Let go", days_ago=1)
    box.deliver("Stays")
    box.sync()
    let_go(box, "Let go")
    box.dovecot.append(box.login, raw, at=timezone.now() - timedelta(days=3))

    box.sync()

    assert box.subjects() == ["Stays"]
    assert causes(check(box)["INBOX"]) == {"discarded": 2}


def test_what_the_brake_holds_is_said_here_too(box: Box) -> None:
    for number in range(3):
        box.deliver(f"Mail {number}")
    box.sync()
    with box.acting():
        Folder.objects.filter(pk=box.folder().pk).update(held_back=2)
    box.on_server("STORE", "1:2", "+FLAGS", "(\\Deleted)")
    box.on_server("EXPUNGE", "1:2")

    assert causes(check(box)["INBOX"]) == {"held": 2}


def test_a_rebuilt_folder_is_read_anew_and_then_equal(box: Box) -> None:
    box.deliver("Kept")
    box.sync()
    box.dovecot.doveadm("mailbox", "update", "-u", box.login, "--uid-validity", "4242", "INBOX")

    assert causes(check(box)["INBOX"]) == {"fetching": 1, "coming": 1}
    assert is_due(box)
    box.sync()
    assert check(box)["INBOX"].differences == []


def test_a_folder_that_does_not_open_is_noted_and_the_others_are_compared(box: Box) -> None:
    box.deliver("Plan", folder="Projects")
    box.sync()
    with box.dovecot.imap(box.login) as client:
        client.delete("Projects")

    rows = check(box)

    assert "does not open" in rows["Projects"].error
    assert counts(rows["Projects"]) == (None, None)
    assert len(rows) == 7


def test_a_folder_that_is_new_on_the_server_is_named_and_comes_with_the_next_sync(box: Box) -> None:
    box.sync()
    box.deliver("Plan", folder="Projects")

    assert check(box)["Projects"].error == checking.NEW_FOLDER
    box.sync(thorough=False)
    assert counts(check(box)["Projects"]) == (1, 1)


def test_a_folder_that_is_being_made_or_deleted_here_is_left_out(box: Box) -> None:
    box.sync()
    with box.acting():
        unwanted = box.chosen_folder("Unwanted")
        folders.create_folder(box.mailbox, "Wished", by=box.world.ann)
        folders.delete_folder(unwanted, by=box.world.ann)

    assert set(check(box)) == {"INBOX", "Sent", "Drafts", "Junk", "Trash", "Archive"}


def test_a_wrong_password_is_one_row_and_by_night_it_is_not_tried(box: Box) -> None:
    box.sync()
    box.dovecot.set_password(box.login, "another")
    asked(box)
    assert "refuses this login" in check(box)[""].error
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(
            state="refused", last_error="Refused before.", troubled_since=timezone.now()
        )
    assert check(box)[""].error == "Refused before."


@pytest.mark.parametrize("state", ["busy", "refused"])
def test_while_the_server_is_to_be_left_alone_not_even_a_click_tries_it(box: Box, state: str) -> None:
    box.sync()
    box.dovecot.set_password(box.login, "another")
    asked(box)
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(
            state=state, last_error="It wants to rest.", troubled_since=timezone.now()
        )
        mine = Schedule.objects.filter(mailbox=box.mailbox)
        mine.update(rests_until=timezone.now() + timedelta(hours=1))
    assert check(box)[""].error == "It wants to rest."
    asked(box)
    with box.acting():
        mine.update(rests_until=timezone.now())
    assert "refuses this login" in check(box)[""].error


def test_without_mail_in_the_plan_nothing_is_compared(box: Box) -> None:
    with box.acting():
        change_plan(box.world.acme, "free", on=timezone.now().date(), by=None)

    assert check(box)[""].error == checking.NO_MAIL


def test_while_an_admin_pauses_the_mailbox_nothing_is_compared(box: Box) -> None:
    with box.acting():
        pausing.pause([box.mailbox.pk], by=box.world.adm)

    assert check(box)[""].error == checking.PAUSED


def test_a_disconnected_mailbox_is_let_be(box: Box) -> None:
    with box.acting():
        Mailbox.objects.filter(pk=box.mailbox.pk).update(disconnected_at=timezone.now())

    assert check(box) == {}


# Taking turns.


def asked(box: Box) -> None:
    schedule.ask_check(box.mailbox.pk, by_id=box.world.ann.pk)


def test_a_click_is_served_before_the_next_folder_and_the_check_goes_on_afterwards(box: Box) -> None:
    box.deliver("Mail")
    box.sync()
    asked(box)
    with box.acting():
        Schedule.objects.filter(mailbox=box.mailbox).update(due_at=timezone.now())

    assert checking.check(box.mailbox.account_id, box.mailbox.pk) is False
    with box.acting():
        assert [row.path for row in FolderCheck.objects.all()] == ["INBOX"]
    assert is_due(box)
    box.sync()
    assert checking.check(box.mailbox.account_id, box.mailbox.pk) is True
    with box.acting():
        rows = list(FolderCheck.objects.order_by("pk"))
    assert [row.path for row in rows] == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
    assert {row.asked_by_id for row in rows} == {box.world.ann.pk}
    row = Schedule.objects.get(mailbox=box.mailbox)
    assert (row.check_asked_at, row.check_asked_by_id) == (None, None)
    assert row.checked_at is not None


def test_while_a_worker_has_the_mailbox_the_check_waits(box: Box) -> None:
    with box.acting():
        lease = schedule.claim(box.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    assert checking.check(box.mailbox.account_id, box.mailbox.pk) is False
    schedule.release(lease, due_at=None, failures=0)
    assert checking.check(box.mailbox.account_id, box.mailbox.pk) is True


def test_a_check_leaves_the_time_of_the_next_sync_as_it_was(box: Box) -> None:
    box.sync()
    due_at = Schedule.objects.get(mailbox=box.mailbox).due_at
    check(box)
    assert Schedule.objects.get(mailbox=box.mailbox).due_at == due_at


def test_history_older_than_ninety_days_goes(box: Box) -> None:
    with box.acting():
        FolderCheck.objects.create(
            account=box.world.acme, mailbox=box.mailbox, at=timezone.now() - timedelta(days=91)
        )
    box.sync()
    check(box)
    with box.acting():
        assert FolderCheck.objects.count() == 6


def test_by_night_each_mailbox_has_its_minute_and_by_day_only_a_click_counts(
    box: Box, redis_url: str
) -> None:
    Schedule.objects.exclude(mailbox=box.mailbox).update(checked_at=timezone.now() + timedelta(days=1))
    turn = timedelta(minutes=box.mailbox.pk % schedule.NIGHT_MINUTES)
    night = timezone.now().replace(hour=schedule.NIGHT_FROM, minute=0, second=30) + turn
    assert schedule.hint_checks(night - timedelta(minutes=1)) == 0
    assert schedule.hint_checks(night) == 1
    assert schedule.hint_checks(night + timedelta(seconds=5)) == 0  # hinted a moment ago
    Schedule.objects.filter(mailbox=box.mailbox).update(checked_at=night, check_hinted_until=None)
    assert schedule.hint_checks(night + timedelta(minutes=5)) == 0
    noon = night.replace(hour=12)
    assert schedule.hint_checks(noon) == 0
    asked(box)
    assert schedule.hint_checks(noon) == 1


def test_an_operator_asks_and_gets_json(box: Box) -> None:
    box.deliver("Mail")
    box.sync()
    lose(box, "Mail")
    said = StringIO()
    call_command("check_mailbox", box.login, stdout=said)
    *lines, last = said.getvalue().strip().splitlines()
    assert "INBOX: server 1 <> here 0 (1 missing)" in lines
    assert json.loads(last) == {"address": box.login, "folders": 6, "equal": 5, "missing": 1, "errors": 0}
    said = StringIO()
    call_command("check_mailbox", box.login, "--json", stdout=said)
    [line] = said.getvalue().strip().splitlines()
    assert len(json.loads(line)["checks"]) == 6


def test_our_uids_come_as_ranges_from_the_index(box: Box) -> None:
    for number in range(4):
        box.deliver(f"Mail {number}")
    box.sync()
    lose(box, "Mail 1")
    with box.acting():
        assert replica.placed_uids(box.folder()).spans == ((1, 1), (3, 4))
