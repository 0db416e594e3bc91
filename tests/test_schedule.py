"""A mailbox is in one worker's hands, comes back when that worker dies, and no wake is lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import redis
from celery import current_app
from django.conf import settings
from django.db import connections, transaction
from django.urls import reverse
from django.utils import timezone

from accounts import tenancy
from mailsync import health, lanes, outages, replica, schedule
from mailsync.models import Folder, Mailbox, Schedule
from mailsync.schedule import Lease, LeaseLost
from tests.world import World


def row(mailbox: Mailbox) -> Schedule:
    return Schedule.objects.get(mailbox=mailbox)


def make_due(mailbox: Mailbox, at: datetime | None = None) -> None:
    Schedule.objects.filter(mailbox=mailbox).update(due_at=at or timezone.now() - timedelta(seconds=1))


def claimed(mailbox: Mailbox, now: datetime | None = None) -> Lease:
    lease = schedule.claim(mailbox.pk, now or timezone.now())
    assert lease
    return lease


def lease_runs_out(mailbox: Mailbox) -> datetime:
    """The moment after the lease; nothing is written."""
    until = row(mailbox).leased_until
    assert until
    return until + timedelta(seconds=1)


@pytest.fixture
def hints(redis_url: str, monkeypatch: pytest.MonkeyPatch):
    """Asks how many hints wait in a queue of the real broker."""
    client = redis.Redis.from_url(redis_url)

    def waiting(queue: str) -> int:
        schedule._messenger.submit(int).result(10)  # the thread that sends has come to its end
        return client.llen(queue)

    yield waiting
    client.close()


# Claiming.


@pytest.mark.django_db(transaction=True)
def test_one_of_eight_workers_gets_the_mailbox(world: World) -> None:
    for _round in range(5):
        Schedule.objects.filter(mailbox=world.ann_box).update(leased_until=None)
        make_due(world.ann_box)
        before = row(world.ann_box).epoch
        gate = threading.Barrier(8)

        def try_it(gate: threading.Barrier = gate) -> Lease | None:
            try:
                gate.wait(10)
                return schedule.claim(world.ann_box.pk, timezone.now())
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            results = [done.result(30) for done in [pool.submit(try_it) for _ in range(8)]]

        winners = [lease for lease in results if lease]
        assert len(winners) == 1
        assert winners[0].epoch == before + 1


def test_what_is_not_due_is_not_claimed(world: World) -> None:
    make_due(world.ann_box, timezone.now() + timedelta(minutes=1))

    assert schedule.claim(world.ann_box.pk, timezone.now()) is None
    assert schedule.claim(world.team_box.pk, timezone.now()) is None  # due at no time


def test_an_operator_may_claim_what_is_not_due_but_not_what_is_taken(world: World) -> None:
    assert schedule.claim(world.ann_box.pk, timezone.now(), even_if_not_due=True)

    assert schedule.claim(world.ann_box.pk, timezone.now(), even_if_not_due=True) is None


def test_the_mailbox_of_a_worker_that_died_comes_back_when_its_lease_is_over(world: World) -> None:
    make_due(world.ann_box)
    dead = claimed(world.ann_box)
    over = lease_runs_out(world.ann_box)

    assert schedule.claim(world.ann_box.pk, over - timedelta(seconds=2)) is None
    successor = claimed(world.ann_box, over)

    assert successor.epoch == dead.epoch + 1


def test_a_lease_lasts_as_long_as_the_settings_say(world: World) -> None:
    make_due(world.ann_box)
    now = timezone.now()
    claimed(world.ann_box, now)

    assert row(world.ann_box).leased_until == now + timedelta(seconds=settings.MAIL_LEASE_SECONDS)


def test_a_mailbox_at_rest_is_not_claimed(world: World) -> None:
    """Given back without a time (the provider refused the password): only a wake brings it back."""
    make_due(world.ann_box)
    schedule.release(claimed(world.ann_box), due_at=None, failures=3)

    assert schedule.claim(world.ann_box.pk, timezone.now() + timedelta(days=9)) is None
    with world.acting():
        schedule.wake(world.ann_box.pk)
    assert schedule.claim(world.ann_box.pk, timezone.now())


def test_e11_what_a_clock_that_ran_a_day_ahead_made_due_is_not_left_alone_for_a_day(
    world: World, hints
) -> None:
    now = timezone.now()
    tomorrow = now + timedelta(days=1)
    Schedule.objects.filter(mailbox=world.ann_box).update(due_at=tomorrow, hinted_until=tomorrow)

    assert schedule.hint_due(now) == 1
    assert schedule.claim(world.ann_box.pk, now)


def test_e11_a_machine_whose_clock_is_a_day_slow_does_not_take_for_wrong_what_the_others_wrote(
    world: World, hints
) -> None:
    now = timezone.now()
    make_due(world.ann_box, now + timedelta(minutes=1))

    assert schedule.hint_due(now - timedelta(days=1)) == 0
    assert schedule.claim(world.ann_box.pk, now - timedelta(days=1)) is None


# Lanes to a server.


def at_one_server(world: World, *mailboxes: Mailbox, login: str = "") -> None:
    for each in mailboxes:
        make_due(each)
        with world.acting(each.account):
            Mailbox.objects.filter(pk=each.pk).update(imap_host="Mail.Example", login=login or each.address)


def test_a_server_that_has_its_share_of_workers_gets_no_more(world: World, settings) -> None:
    settings.MAIL_WORKERS_PER_HOST = lanes.CLICK_LANES + 1
    at_one_server(world, world.ann_box, world.team_box, world.eve_box)
    claimed(world.ann_box)
    now = timezone.now()
    assert schedule.claim(world.eve_box.pk, now) is None, "another company's workers stand at the same server"
    waiting = row(world.eve_box)
    assert waiting.due_at is not None
    assert waiting.hinted_until is not None
    assert waiting.hinted_until < now + timedelta(seconds=10)


def test_a_click_finds_a_lane_where_nobody_else_does(world: World, settings) -> None:
    settings.MAIL_WORKERS_PER_HOST = lanes.CLICK_LANES + 1
    at_one_server(world, world.ann_box, world.team_box)
    claimed(world.ann_box)
    assert schedule.claim(world.team_box.pk, timezone.now()) is None
    assert schedule.claim(world.team_box.pk, timezone.now(), click=True)


def test_a_server_that_is_down_does_not_hold_all_the_workers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L14: there each run ends by a timeout, and the mailboxes of others wait for a worker."""
    monkeypatch.setattr(lanes, "FAILED_LANES", 1)
    at_one_server(world, world.ann_box, world.team_box, world.eve_box)
    down = [world.ann_box.pk, world.team_box.pk]
    Schedule.objects.filter(mailbox__in=down).update(failures=4)
    claimed(world.ann_box)
    now = timezone.now()
    assert schedule.claim(world.team_box.pk, now) is None
    waits_until = row(world.team_box).hinted_until
    assert waits_until
    assert waits_until > now + timedelta(seconds=30), "hundreds would ask again at once"
    assert schedule.claim(world.eve_box.pk, timezone.now()), "it has not failed"
    assert schedule.claim(world.team_box.pk, timezone.now(), click=True), "somebody waits for it"


def a_server_goes_down(box: Mailbox) -> None:
    with tenancy.acting_for(box.account_id):
        lane = lanes.lane_of(box.pk)
    for _try in range(outages.FEW):
        outages.failed(lane.server)


def test_a_server_that_is_down_is_tried_once_a_minute_for_all(world: World, settings) -> None:
    """L14. Clicks are no exception: five hundred people click."""
    settings.MAIL_PROBE_SECONDS = 60
    at_one_server(world, world.ann_box, world.team_box, world.eve_box)
    a_server_goes_down(world.ann_box)
    now = timezone.now()
    for box in (world.ann_box, world.team_box):
        assert schedule.claim(box.pk, now, click=True) is None
    later = now + timedelta(seconds=61)
    lease = schedule.claim(world.eve_box.pk, later)
    assert lease
    assert schedule.claim(world.ann_box.pk, later) is None
    outages.end(lease.server)
    assert schedule.claim(world.ann_box.pk, later)
    assert schedule.claim(world.team_box.pk, later)


def test_whose_server_others_could_not_reach_reads_of_it(world: World, settings) -> None:
    settings.MAIL_PROBE_SECONDS = 60
    at_one_server(world, world.ann_box, world.eve_box)
    a_server_goes_down(world.eve_box)
    assert schedule.claim(world.ann_box.pk, timezone.now()) is None
    page = world.client(world.ann).get(reverse("mail:mailboxes")).content.decode()
    assert "cannot be reached at present" in page
    with world.acting():
        [known] = health.of_ids([world.ann_box.pk])
    assert known.next_at
    assert known.next_at > timezone.now()


def test_who_has_a_wrong_port_keeps_nobody_from_the_server(world: World, settings) -> None:
    settings.MAIL_PROBE_SECONDS = 60
    at_one_server(world, world.ann_box, world.eve_box)
    with tenancy.acting_for(world.eve_box.account_id):
        Mailbox.objects.filter(pk=world.eve_box.pk).update(imap_port=81)
    a_server_goes_down(world.eve_box)
    assert schedule.claim(world.eve_box.pk, timezone.now()) is None
    assert schedule.claim(world.ann_box.pk, timezone.now())


def test_not_even_clicks_go_to_one_login_all_at_once(world: World, settings) -> None:
    settings.MAIL_WORKERS_PER_LOGIN = 1
    at_one_server(world, world.ann_box, world.eve_box, login="office")
    claimed(world.ann_box)
    assert schedule.claim(world.eve_box.pk, timezone.now(), click=True) is None


def test_a_worker_that_died_leaves_its_lane(world: World, settings) -> None:
    settings.MAIL_WORKERS_PER_HOST = lanes.CLICK_LANES + 1
    at_one_server(world, world.ann_box, world.team_box)
    claimed(world.ann_box)
    assert schedule.claim(world.team_box.pk, lease_runs_out(world.ann_box))


# Fencing.


def test_a_worker_that_lost_its_lease_cannot_write(world: World) -> None:
    """X08: stopped for minutes and continued, it finds its epoch over, and what it wrote is gone."""
    make_due(world.ann_box)
    slept = claimed(world.ann_box)
    claimed(world.ann_box, lease_runs_out(world.ann_box))
    inbox = world.folder(world.ann_box)

    with pytest.raises(LeaseLost), replica.writing(slept, inbox.pk):
        Folder.objects.filter(pk=inbox.pk).update(error="written by the dead")

    assert world.folder(world.ann_box).error == ""


def test_a_lease_taken_while_writing_takes_the_write_back(world: World) -> None:
    make_due(world.ann_box)
    lease = claimed(world.ann_box)
    inbox = world.folder(world.ann_box)
    with replica.writing(lease, inbox.pk):
        Folder.objects.filter(pk=inbox.pk).update(error="first")
    claimed(world.ann_box, lease_runs_out(world.ann_box))

    with pytest.raises(LeaseLost), world.acting():  # noqa: PT012 (the transaction is the point)
        Folder.objects.filter(pk=inbox.pk).update(error="second")
        schedule.renew(lease)

    assert world.folder(world.ann_box).error == "first"


def test_renewing_prolongs_the_lease(world: World) -> None:
    make_due(world.ann_box, timezone.now() - timedelta(minutes=1))
    lease = claimed(world.ann_box, timezone.now() - timedelta(seconds=30))
    before = row(world.ann_box).leased_until
    assert before

    schedule.renew(lease)

    after = row(world.ann_box).leased_until
    assert after
    assert after > before + timedelta(seconds=25)


def test_a_transaction_that_took_its_time_prolongs_the_lease_and_keeps_none_that_it_gave_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next worker would take it for that of a dead one."""
    monkeypatch.setattr(replica, "_often", lambda: -1.0)
    make_due(world.ann_box)
    lease = claimed(world.ann_box)
    with replica.writing(lease):
        Schedule.objects.filter(mailbox=world.ann_box).update(leased_until=timezone.now())
    until = row(world.ann_box).leased_until
    assert until
    assert until > timezone.now() + timedelta(seconds=30)
    with replica.writing(lease):
        schedule.release(lease, due_at=None, failures=0)
    assert row(world.ann_box).leased_until is None


def test_the_release_of_a_worker_that_lost_its_lease_changes_nothing(world: World) -> None:
    make_due(world.ann_box)
    dead = claimed(world.ann_box)
    claimed(world.ann_box, lease_runs_out(world.ann_box))
    before = row(world.ann_box)

    schedule.release(dead, due_at=timezone.now(), failures=7)

    now = row(world.ann_box)
    assert (now.leased_until, now.due_at, now.failures) == (before.leased_until, None, 0)


# Waking and giving back.


def test_a_wake_during_a_run_is_not_lost(world: World) -> None:
    make_due(world.ann_box)
    lease = claimed(world.ann_box)
    with world.acting():
        schedule.wake(world.ann_box.pk)

    assert schedule.claim(world.ann_box.pk, timezone.now()) is None  # still in the worker's hands
    schedule.release(lease, due_at=timezone.now() + timedelta(minutes=5), failures=0)

    assert schedule.claim(world.ann_box.pk, timezone.now())


def test_a_quiet_mailbox_is_due_when_the_run_says(world: World) -> None:
    make_due(world.ann_box)
    due_at = timezone.now() + timedelta(minutes=5)
    schedule.release(claimed(world.ann_box), due_at=due_at, failures=2)

    assert (row(world.ann_box).due_at, row(world.ann_box).failures) == (due_at, 2)
    assert schedule.claim(world.ann_box.pk, due_at - timedelta(seconds=1)) is None
    assert schedule.claim(world.ann_box.pk, due_at)


def test_a_stranger_cannot_be_woken_by_accident(world: World) -> None:
    """Schedules have no wall, so that the tick sees all; the hint carries the mailbox's own account."""
    schedule.wake(world.eve_box.pk)

    assert row(world.eve_box).account_id == world.other.pk


# Hints.


@pytest.mark.django_db(transaction=True)
def test_a_wake_hints_the_interactive_workers_after_the_commit(world: World, hints) -> None:
    with transaction.atomic():
        schedule.wake(world.ann_box.pk)
        assert hints("interactive") == 0

    assert hints("interactive") == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_wakes_nobody(world: World, hints) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():  # noqa: PT012 (the transaction is the point)
        schedule.wake(world.ann_box.pk)
        raise RuntimeError

    assert hints("interactive") == 0
    assert row(world.ann_box).due_at is None


def test_the_tick_hints_each_due_mailbox_once_a_minute(world: World, hints) -> None:
    now = timezone.now()
    make_due(world.ann_box)
    make_due(world.eve_box)

    sent = [schedule.hint_due(now + timedelta(seconds=later)) for later in (0, 5, 59, 61)]

    assert sent == [2, 0, 0, 2]
    assert hints("sync") == 4


def test_the_tick_leaves_alone_what_a_worker_has(world: World, hints) -> None:
    make_due(world.ann_box)
    claimed(world.ann_box)

    assert schedule.hint_due(timezone.now()) == 0
    assert schedule.hint_due(lease_runs_out(world.ann_box)) == 1


def test_the_longest_due_is_hinted_first(world: World, hints) -> None:
    make_due(world.ann_box, timezone.now() - timedelta(minutes=1))
    make_due(world.team_box, timezone.now() - timedelta(minutes=9))

    schedule.hint_due(timezone.now(), limit=1)

    assert row(world.team_box).hinted_until is not None
    assert row(world.ann_box).hinted_until is None


def test_who_waits_for_a_lane_to_a_full_server_does_not_keep_the_others_from_their_hint(
    world: World, hints, settings
) -> None:
    """Thousands at one host are due longest, and are told again and again that there is no room."""
    settings.MAIL_WORKERS_PER_HOST = lanes.CLICK_LANES
    at_one_server(world, world.ann_box, world.team_box)
    now = timezone.now()
    make_due(world.ann_box, now - timedelta(minutes=9))
    make_due(world.team_box, now - timedelta(minutes=8))
    make_due(world.eve_box, now - timedelta(minutes=1))

    for _tick in range(2):
        assert schedule.hint_due(now, limit=2) == 2
        for waiting in (world.ann_box, world.team_box):
            assert schedule.claim(waiting.pk, now) is None
        now += timedelta(seconds=schedule.LANE_SECONDS + 1)

    assert row(world.eve_box).hinted_until is not None


def test_a_claim_ends_the_silence_after_a_hint(world: World, hints) -> None:
    """The run ends at once and is due again: the tick must not wait out the minute of the last hint."""
    make_due(world.ann_box)
    schedule.hint_due(timezone.now())
    schedule.release(claimed(world.ann_box), due_at=timezone.now(), failures=0)

    assert schedule.hint_due(timezone.now()) == 1


@pytest.mark.django_db(transaction=True)
def test_redis_down_is_no_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with current_app.pool.acquire(block=True) as kept:
        kept.release()
    monkeypatch.setattr(current_app.conf, "broker_write_url", "redis+socket:///nowhere/redis.sock")
    monkeypatch.setattr(current_app.amqp, "_producer_pool", None)
    monkeypatch.setattr(current_app, "_pool", None)

    with transaction.atomic():
        schedule.wake(world.ann_box.pk)
    make_due(world.team_box)

    assert schedule.hint_due(timezone.now()) == 0
    assert row(world.ann_box).due_at is not None
