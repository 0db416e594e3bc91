"""A line that brings little, but steadily: what came of it is kept, and no worker or click waits for all of it."""

import pytest
from django.utils import timezone

from accounts import tenancy
from mailsync import engine, fetching, schedule
from mailsync.engine import Outcome
from mailsync.models import MailboxState, Schedule, SkippedMessage
from mailsync.storing import ENDINGS_APART, MOST_TRIES
from tests.catalogue.conftest import Case
from tests.rigs.proxy import Way

LARGE = 60_000  # bytes of a mail


def run(case: Case, *, seconds: float, patience: float) -> Outcome:
    with tenancy.acting_for(case.mailbox.account_id):
        lease = schedule.claim(case.mailbox.pk, timezone.now(), even_if_not_due=True)
    assert lease
    return engine.synchronise(lease, seconds=seconds, patience=patience)


def deliver(case: Case, subject: str, size: int = LARGE) -> None:
    case.deliver(subject, text="x" * 70 + "\r\n" + ("y" * 70 + "\r\n") * (size // 72))


@pytest.fixture
def thin(full: Case, monkeypatch: pytest.MonkeyPatch, settings) -> Case:
    """A mail takes 0.3 s; whoever waits looks at the time twice a second."""
    monkeypatch.setattr(fetching, "LEAST_BATCH_BYTES", LARGE)
    monkeypatch.setattr(fetching, "BATCH_SECONDS", 0.15)
    settings.MAIL_LEASE_SECONDS = 2
    full.line.pace = 200_000
    return full


def test_a_run_keeps_what_came_and_waits_for_no_more_when_its_time_is_over(thin: Case) -> None:
    for number in range(40):
        deliver(thin, f"Mail {number}")
    assert run(thin, seconds=2, patience=60).again
    stored, asked = len(thin.subjects()), len(thin.bodies_asked())
    assert 0 < stored <= asked < 30
    assert asked - stored <= 8, "a click would wait for all that was asked for"
    assert thin.line.carried[Way.TO_US] < 40 * LARGE / 2
    thin.line.pace = 0
    thin.until_quiet()
    assert len(thin.subjects()) == 40


def test_a_fast_line_is_asked_for_much_at_once(thin: Case) -> None:
    thin.line.pace = 0
    for number in range(60):
        deliver(thin, f"Mail {number}", 3000)
    thin.sync()
    deliver(thin, "Small")
    thin.line.forget()
    for number in range(60):
        deliver(thin, f"More {number}", LARGE // 10)
    thin.sync()
    assert len(thin.bodies_asked()) < 20


def test_a_mail_for_which_a_worker_has_no_patience_is_for_those_who_have_more(thin: Case) -> None:
    deliver(thin, "Giant", 2_000_000)
    deliver(thin, "After it")
    thin.line.forget()
    Schedule.objects.filter(mailbox=thin.mailbox).update(failures=1)
    outcome = run(thin, seconds=60, patience=5)
    assert (outcome.again, outcome.error, thin.subjects()) == (True, "", ["After it"])
    assert thin.line.carried[Way.TO_US] < 1_500_000, "it was waited for"
    row = Schedule.objects.get(mailbox=thin.mailbox)
    assert (row.leased_until, row.deaths, row.failures) == (None, 0, 1)
    assert row.due_at
    assert row.due_at <= timezone.now()
    assert not run(thin, seconds=60, patience=schedule.PATIENCE_SECONDS[schedule.BULK]).again
    thin.line.pace = 0
    thin.until_quiet()
    assert sorted(thin.subjects()) == ["After it", "Giant"]


def test_a_mail_that_never_comes_in_time_keeps_no_other_away(thin: Case, monkeypatch) -> None:
    monkeypatch.setitem(schedule.PATIENCE_SECONDS, schedule.BULK, 3)
    deliver(thin, "Elsewhere", 100)
    thin.on_server("MOVE", "1:*", "Archive")
    deliver(thin, "Before it", 100)
    deliver(thin, "Giant", 1_500_000)
    deliver(thin, "After it", 100)
    outcome = run(thin, seconds=60, patience=3)
    assert (outcome.state, "so slow" in outcome.error) == (MailboxState.UNREACHABLE, True)
    for _run in range(MOST_TRIES + 2):
        run(thin, seconds=60, patience=3)
        with thin.acting():
            SkippedMessage.objects.update(last_at=timezone.now() - ENDINGS_APART)
    assert (thin.subjects(), thin.subjects("Archive")) == (["Before it", "After it"], ["Elsewhere"])
    assert thin.reload().state == MailboxState.OK
    thin.line.pace = 0
    thin.world.client(thin.world.ann).post(f"/mailboxes/{thin.mailbox.pk}/ask-again/")
    thin.until_quiet()
    assert thin.subjects() == ["Before it", "Giant", "After it"]
