"""What a downgrade lets rest, what an upgrade brings back, and who is refused at the edge of a limit."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts import tenancy
from accounts.models import AuditEntry
from mailsync import checking, connecting, engine, health, parking, schedule, watcher, windows
from mailsync.connecting import CannotConnect
from mailsync.models import FolderCheck, GrantLevel, Mailbox, MailboxState, Placement, Schedule
from plans.limits import Limits, window_start
from plans.models import PlanLimits, Subscription
from plans.subscriptions import change_plan, limits_for
from tests.engine.conftest import connect as connect_to
from tests.rigs.mailserver import MailServer
from tests.world import World, mailbox

DAY = timedelta(days=1)


def on_plan(world: World, plan: str) -> Limits:
    with world.acting():
        change_plan(world.acme, plan, on=world.acme.today(), by=None)
        return limits_for(world.acme, world.acme.today())


def cyds(world: World, count: int) -> list[Mailbox]:
    """Mailboxes of Cyd, connected one day after the other."""
    begun = timezone.now() - 30 * DAY
    with world.acting():
        return [
            mailbox(world.cyd, f"cyd{n}@acme.example", connected_at=begun + n * DAY) for n in range(count)
        ]


def resting(world: World, limits: Limits) -> set[str]:
    with world.acting():
        ids = parking.parked(limits, account_id=world.acme.pk)
        return set(Mailbox.objects.filter(pk__in=ids).values_list("address", flat=True))


@pytest.mark.parametrize(
    ("on", "plan", "connected", "at_work"),
    [
        ("2019-05-01", "standard", 7, 5),
        ("2019-05-01", "demo", 11, 10),
        ("2019-05-01", "crm-plus", 3, 3),
        ("2024-01-01", "basic", 3, 1),
        ("2024-01-01", "standard", 6, 5),
        ("2024-01-01", "trial", 3, 3),
        ("2024-01-01", "professional", 11, 10),
    ],
)
def test_after_a_downgrade_the_newest_mailboxes_rest(
    world: World, on: str, plan: str, connected: int, at_work: int
) -> None:
    boxes = cyds(world, connected)
    limits = PlanLimits.objects.get(plan=plan, effective_from=date.fromisoformat(on)).as_limits()
    of_cyd = {address for address in resting(world, limits) if address.startswith("cyd")}
    assert of_cyd == {box.address for box in boxes[at_work:]}


def test_what_others_share_takes_no_place_and_free_parks_nothing_because_all_stands_still(
    world: World,
) -> None:
    basic = on_plan(world, "basic")
    with world.acting():
        mailbox(world.bob, "bob@acme.example")  # and team@, which Ann shares with him
    assert resting(world, basic) == {"team@acme.example"}  # the second of Ann, who owns two
    assert resting(world, on_plan(world, "free")) == set()
    assert resting(world, on_plan(world, "standard")) == set()  # with room it goes on by itself


def test_cyd_chooses_which_one_rests_and_the_choice_holds(world: World) -> None:
    first, second, third = cyds(world, 3)
    basic = on_plan(world, "basic")
    client = world.client(world.cyd)
    page = client.get(reverse("mail:mailboxes")).content.decode()
    assert page.count("Use instead of cyd0@acme.example") == 2
    client.post(reverse("mail:mailbox-bring-back", args=[third.pk]), {"instead_of": first.pk})
    assert resting(world, basic) >= {first.address, second.address}
    with world.acting():
        assert Schedule.objects.get(mailbox=third).due_at is not None
        entry = AuditEntry.objects.get(verb="mailbox.brought_back")
        mailbox(world.cyd, "cyd9@acme.example")  # connected later: it comes last
        assert third not in Mailbox.objects.filter(pk__in=parking.parked(basic, account_id=world.acme.pk))
    assert (entry.subject, entry.details) == (third.address, {"parked": first.address})
    again = client.post(reverse("mail:mailbox-bring-back", args=[third.pk]), follow=True)
    assert "is at work" in again.content.decode()
    wrong = client.post(
        reverse("mail:mailbox-bring-back", args=[second.pk]), {"instead_of": world.ann_box.pk}, follow=True
    )
    assert "Choose one of your mailboxes" in wrong.content.decode()


def test_only_the_owner_chooses(world: World) -> None:
    on_plan(world, "basic")
    with world.acting():
        world.team_box.grants.update(level=GrantLevel.MANAGE)
    url = reverse("mail:mailbox-bring-back", args=[world.team_box.pk])
    for somebody in (world.bob, world.adm, world.eve):
        assert world.client(somebody).post(url).status_code == 404
    shown = world.client(world.bob).get(reverse("mail:mailbox-settings", args=[world.team_box.pk]))
    assert "Ann Archer chooses which mailboxes are at work" in shown.content.decode()


def test_a_parked_mailbox_is_asked_nothing_and_keeps_what_it_has(world: World) -> None:
    placement = world.message(world.folder(world.team_box))
    on_plan(world, "basic")
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(imap_port=1)  # who tried would be refused
        lease = schedule.claim(world.team_box.pk, timezone.now(), even_if_not_due=True)
    assert lease
    outcome = engine.synchronise(lease, seconds=5)
    checking.check(world.acme.pk, world.team_box.pk)
    watched = {each.mailbox_id for each in watcher.watchables([world.acme.pk])[world.acme.pk]}
    assert outcome.state == engine.PARKED
    assert watched == {world.ann_box.pk}
    with world.acting():
        box = Mailbox.objects.get(pk=world.team_box.pk)
        assert (box.state, box.last_error) == (MailboxState.OK, "")
        assert FolderCheck.objects.get(mailbox=box).error == checking.PARKED
        assert Placement.objects.filter(pk=placement.pk).exists()
        assert box.grants.filter(employee=world.bob).exists()
        [told] = health.of(Mailbox.objects.filter(pk=box.pk))
        assert told.title == "Parked: the plan has no room for it"
        due = Schedule.objects.get(mailbox=box).due_at
        assert due is not None
        assert due > timezone.now()


@pytest.mark.django_db(transaction=True)
def test_two_tabs_that_bring_back_at_once_do_not_pass_the_limit(world: World) -> None:
    _first, second, third = cyds(world, 3)
    basic = on_plan(world, "basic")

    def tab(box: Mailbox) -> None:
        with tenancy.acting_for(world.acme.pk):
            parking.bring_back(box, instead_of=None, by=world.cyd)

    together(lambda: tab(second), lambda: tab(third))
    assert len([address for address in resting(world, basic) if address.startswith("cyd")]) == 2


def together(*acts) -> list[str]:
    """Runs them at the same time; the sentences of those that were refused."""
    start, refusals = threading.Barrier(len(acts)), []

    def run(act) -> None:
        try:
            start.wait()
            act()
        except CannotConnect as refusal:
            refusals.append(refusal.sentence)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return refusals


# Refusals


def test_a_refusal_says_limit_use_and_which_plans_have_more(world: World) -> None:
    cyds(world, 3)
    on_plan(world, "basic")
    with world.acting():
        sentence = connecting.why_not(world.cyd, world.acme.today())
    assert sentence.startswith(
        "Your plan Basic has room for 1 mailbox per employee, and you have 3. Disconnect"
    )
    assert "Standard" in sentence
    assert "Basic," not in sentence


# How far back


NOW = datetime(2027, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("received", "comes"),
    [
        (NOW - 20 * DAY, False),  # what the purge took stays away
        (NOW - 10 * DAY, False),  # the newest that it took, too
        (NOW - 10 * DAY + timedelta(seconds=1), True),
        (NOW - 3 * DAY, True),
    ],
)
def test_a_longer_rule_alone_brings_nothing_back(received: datetime, comes: bool) -> None:
    limits = PlanLimits(
        plan="p", effective_from=NOW.date(), sync_enabled=True, storage_days=90, fetch_days=90,
        crm_bound_stays=False,
    ).as_limits()  # fmt: skip
    start = window_start(
        limits, connected_at=NOW - 200 * DAY, fetch_days=7, now=NOW, purged_until=NOW - 10 * DAY
    )
    assert (received >= start) is comes


def test_after_an_upgrade_older_mail_comes_by_a_wish_and_within_the_new_window(
    world: World, dovecot: MailServer
) -> None:
    box = connect_to(world, dovecot, fetch_days=7)
    on_plan(world, "basic")
    with world.acting():
        Mailbox.objects.filter(owner=world.ann).exclude(pk=box.mailbox.pk).update(
            disconnected_at=timezone.now()
        )
    for days in (3, 20, 60, 95):
        box.deliver(f"{days} days", days_ago=days)
    box.sync()
    assert box.subjects() == ["3 days"]
    with world.acting():  # as a purge would have it
        bodies = dict(Placement.objects.filter(folder__mailbox=box.mailbox).values_list("message", "pk"))
        windows.keep_away(box.mailbox.pk, timezone.now() - 15 * DAY)

    on_plan(world, "professional")
    box.sync()
    assert box.subjects() == ["3 days"]
    client = world.client(world.ann)
    settings_page = reverse("mail:mailbox-settings", args=[box.mailbox.pk])
    assert "Fetch again" in client.get(settings_page).content.decode()
    url = reverse("mail:mailbox-fetch-again", args=[box.mailbox.pk])
    assert "Fetching older mail" in client.post(url, follow=True).content.decode()
    box.sync()
    assert sorted(box.subjects()) == ["20 days", "3 days", "60 days"]
    with world.acting():
        assert (
            bodies.items()
            <= dict(
                Placement.objects.filter(folder__mailbox=box.mailbox).values_list("message", "pk")
            ).items()
        )
        assert AuditEntry.objects.filter(verb="mailbox.fetched_again").count() == 1
    assert "Fetch again" not in client.get(settings_page).content.decode()
    assert "no further back" in client.post(url, follow=True).content.decode()
    assert box.operations() == []
    assert len(box.server_view()["INBOX"]) == 4


def test_a_floor_never_goes_down_by_a_purge(world: World) -> None:
    with world.acting():
        windows.keep_away(world.ann_box.pk, NOW)
        windows.keep_away(world.ann_box.pk, NOW - DAY)
        assert Mailbox.objects.get(pk=world.ann_box.pk).purged_until == NOW


def test_the_plan_in_force_follows_the_dated_rows_of_the_subscription(world: World) -> None:
    cyds(world, 2)
    with world.acting():
        today = world.acme.today()
        change_plan(world.acme, "basic", on=today + DAY, by=None)
        days = [limits_for(world.acme, today + n * DAY) for n in range(2)]
        assert Subscription.objects.filter(account=world.acme).count() == 2
    assert [len(resting(world, limits)) for limits in days] == [0, 2]
