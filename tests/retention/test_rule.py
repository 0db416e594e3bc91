"""SPEC.md sections 2 and 3 as tables: who stays, who leaves, and from which moment on."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mailsync.models import Message
from plans.limits import Limits
from retention import policy, preview
from retention.policy import Bond, Fate, Rule
from tests.retention.scenes import AT, bind_to_client, bind_to_task, limits_of, mail
from tests.world import World

pytestmark = pytest.mark.django_db
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)

# Section 2: generation, plan, for how many days a copy stays, whether what is with a client stays in Webmail.
PLANS = [
    (2019, "free", 0, True),
    (2019, "crm-plus", 30, True),
    (2019, "demo", 30, True),
    (2019, "standard", 60, True),
    (2019, "professional", 90, True),
    (2019, "nfr", 90, True),
    (2024, "free", 0, False),
    (2024, "trial", 30, False),
    (2024, "basic", 7, False),
    (2024, "standard", 30, False),
    (2024, "professional", 90, False),
    (2024, "enterprise", 90, False),
]

# Section 3: bound to a task, bound to a client, older than the plan's days -> in Webmail where a client keeps, and
# where it does not.
IN_WEBMAIL, GONE = True, False
LIFE = [
    (True, True, True, IN_WEBMAIL, IN_WEBMAIL),
    (True, False, True, IN_WEBMAIL, IN_WEBMAIL),
    (True, True, False, IN_WEBMAIL, IN_WEBMAIL),
    (True, False, False, IN_WEBMAIL, IN_WEBMAIL),
    (False, True, False, IN_WEBMAIL, IN_WEBMAIL),
    (False, False, False, IN_WEBMAIL, IN_WEBMAIL),
    (False, True, True, IN_WEBMAIL, GONE),
    (False, False, True, GONE, GONE),
]


def leaving(world: World, limits: Limits, at: datetime = AT) -> set[int]:
    with world.acting():
        rows = Rule.of(limits, at).leaving(Message.objects.filter(mailbox=world.ann_box))
        return set(rows.values_list("pk", flat=True))


def test_every_plan_keeps_its_days_and_the_table_of_section_3_holds(world: World) -> None:
    """Each bond at each plan's boundary: a second before it, at it (that is keeping), a second after it."""
    ages = {days * DAY + seconds * SECOND for _, _, days, _ in PLANS for seconds in (-1, 0, 1)}
    scene = {
        (task, client, age): mail(world, age=age, at=AT)
        for task in (True, False)
        for client in (True, False)
        for age in ages
        if age >= timedelta()
    }
    bind_to_task(world, *(message for (task, _, _), message in scene.items() if task))
    bind_to_client(world, *(message for (_, client, _), message in scene.items() if client))

    for generation, plan, days, client_keeps in PLANS:
        kept = {row[:3]: row[3 if client_keeps else 4] for row in LIFE}
        gone = {
            message.pk
            for (task, client, age), message in scene.items()
            if not kept[task, client, age > days * DAY]
        }
        assert leaving(world, limits_of(plan, generation)) == gone, (generation, plan)


def test_the_class_the_preview_and_the_clock_say_what_the_rule_does(world: World) -> None:
    limits = limits_of("standard", 2024)
    kinds = {kind: mail(world, age=31 * DAY, at=AT) for kind in ("task", "client", "both", "none")}
    bind_to_task(world, kinds["task"], kinds["both"])
    bind_to_client(world, kinds["client"], kinds["both"])
    young = mail(world, age=26 * DAY, at=AT)
    with world.acting():
        [box] = preview.removal(world.acme, limits, AT)
        clocks = {kind: policy.clock(message.pk, limits, AT) for kind, message in kinds.items()}
        clock = policy.clock(young.pk, limits, AT)

    assert box.mailbox == world.ann_box
    assert {fate: amount.messages for fate, amount in box.amounts.items()} == {
        Fate.KEPT_TASK: 2,
        Fate.HIDDEN: 1,
        Fate.REMOVED: 1,
    }
    assert box.leaving == preview.Amount(2, kinds["client"].size + kinds["none"].size)
    assert {kind: each and (each.bond, each.days) for kind, each in clocks.items()} == {
        "task": (Bond.TASK, None),
        "both": (Bond.TASK, None),
        "client": (Bond.CRM, 0),
        "none": (Bond.NONE, 0),
    }
    assert clock
    assert (clock.days, clock.leaves_at) == (4, AT + 4 * DAY)
    assert leaving(world, limits) == {kinds["client"].pk, kinds["none"].pk}


def test_what_was_taken_away_from_its_client_leaves_with_the_rest(world: World) -> None:
    message = mail(world, age=61 * DAY, at=AT)
    with world.acting():
        from_nobody = message.pk
    assert leaving(world, limits_of("standard", 2019)) == {from_nobody}
    bind_to_client(world, message)
    assert leaving(world, limits_of("standard", 2019)) == set()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Pacific/Kiritimati"])
def test_a_day_is_24_hours_whatever_the_clocks_of_a_country_do(world: World, zone: str) -> None:
    """Seven days that hold the end of summer time are an hour longer on the wall and no hour longer here."""
    at = datetime(2026, 11, 3, 12, tzinfo=ZoneInfo(zone))
    exactly = mail(world, age=timedelta(), at=at.astimezone(UTC) - 7 * DAY)
    older = mail(world, age=timedelta(), at=at.astimezone(UTC) - 7 * DAY - SECOND)
    assert leaving(world, limits_of("basic", 2024), at) == {older.pk}
    with world.acting():
        clock = policy.clock(exactly.pk, limits_of("basic", 2024), at - SECOND)
    assert clock
    assert (clock.days, clock.leaves_at) == (0, at.astimezone(UTC))


@pytest.mark.parametrize(
    "received_at",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1970, 1, 2, 12, tzinfo=UTC),
        datetime(2031, 1, 1, tzinfo=UTC),
    ],
)
def test_where_the_server_knows_no_date_or_one_to_come_age_counts_from_when_we_saw_it(
    world: World, received_at: datetime
) -> None:
    message = world.message(world.folder(world.ann_box), received_at=received_at).message
    with world.acting():
        message.refresh_from_db()
        seen = message.stored_at
    assert seen
    assert message.ages_from == seen
    limits = limits_of("basic", 2024)
    assert leaving(world, limits, seen + 7 * DAY) == set()
    assert leaving(world, limits, seen + 7 * DAY + SECOND) == {message.pk}
