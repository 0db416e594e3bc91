"""The night: who has anything to do, the jobs, the operators' command."""

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account
from mailsync.models import Message
from plans.models import Subscription
from plans.subscriptions import change_plan
from retention import jobs, runs, scan
from retention.models import RetentionRun
from tests.reading.factory import fill
from tests.retention.scenes import bind_to_task, mail
from tests.world import World

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def say(*arguments: str) -> str:
    out = StringIO()
    call_command("purge", *arguments, stdout=out)
    return out.getvalue()


def reports(*arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in say(*arguments, "--json").splitlines()]


def test_only_companies_with_old_mail_are_looked_at_and_each_by_its_own_plan(world: World) -> None:
    now = timezone.now()
    mail(world, age=8 * DAY, at=now)
    mail(world, age=8 * DAY, at=now, folder=world.folder(world.eve_box))
    assert list(scan.due(now)) == []
    with world.acting(world.other):
        change_plan(world.other, "basic", on=world.acme.today(), by=None)
    assert list(scan.due(now)) == [world.other.pk]
    with world.acting():
        Subscription.objects.all().delete()
    assert list(scan.due(now)) == [world.acme.pk, world.other.pk]  # without a subscription it is Free


def test_a_night_asks_a_thousand_companies_at_once_and_reads_no_mail(world: World) -> None:
    mail(world, age=8 * DAY, at=timezone.now())
    few = statements_of(lambda: list(scan.due(timezone.now())))
    for number in range(30):
        Account.objects.create(name=f"Company {number}")
    assert len(statements_of(lambda: list(scan.due(timezone.now())))) == len(few)
    with world.acting(), connection.cursor() as cursor:
        fill(world.folder(world.team_box), 1_000)
        # Of a table with hardly a row any index is as good: only what comes by age needs no sorting.
        for way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{way} = off")
        cursor.execute("SELECT prosrc FROM pg_proc WHERE proname = 'retention_oldest'")
        [source] = cursor.fetchone()
        asked = source[source.index("SELECT min(") : source.index("RETURN NEXT")]
        asked = asked.replace("INTO oldest ", "").replace("= account;", f"= {world.acme.pk};")
        cursor.execute(f"EXPLAIN {asked}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using message_by_age on mailsync_message" in plan, plan
    assert plan.count("mailsync_message") == 1


def statements_of(act: Callable[[], object]) -> list[dict[str, str]]:
    with CaptureQueriesContext(connection) as statements:
        act()
    return list(statements)


def test_the_night_hints_and_a_worker_purges(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    mail(world, age=91 * DAY, at=timezone.now())
    hinted: list[int] = []
    monkeypatch.setattr(runs, "hint", hinted.append)
    assert jobs.nightly() == 1
    assert hinted == [world.acme.pk]
    jobs.purge_account(*hinted)
    with world.acting():
        assert not Message.objects.exists()
    assert jobs.nightly() == 0


def test_a_worker_whose_time_is_over_hands_on_and_the_next_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        mail(world, age=91 * DAY, at=timezone.now(), subject=str(number))
    monkeypatch.setattr("retention.purge.BATCH", 2)
    monkeypatch.setattr(jobs, "RUN_SECONDS", -1)
    hinted: list[int] = []
    monkeypatch.setattr(runs, "hint", hinted.append)
    while True:
        jobs.purge_account(world.acme.pk)
        if not hinted:
            break
        hinted.clear()
    with world.acting():
        assert not Message.objects.exists()
        assert [line.messages for line in RetentionRun.objects.get().lines.all()] == [5]


def test_an_operator_asks_first_and_then_does_it(world: World) -> None:
    old = [mail(world, age=91 * DAY, at=timezone.now()) for _ in range(3)]
    bind_to_task(world, old[0])
    [foreseen] = reports("--dry-run")
    with world.acting():
        assert Message.objects.count() == 3
    [done] = reports("--account", "Acme")
    assert foreseen | {"state": "finished"} == done
    assert done["mailboxes"] == {"ann@acme.example": {"removed": 2, "kept_task": 1}}
    assert (done["examined"], done["removed"], done["bytes"]) == (3, 2, old[1].size + old[2].size)
    assert say("--account", "Acme") == "Acme: nothing is too old\n"
    with pytest.raises(CommandError, match="no company"):
        say("--account", "Nobody")


def test_an_operator_lets_a_purge_go_on_that_waits(world: World) -> None:
    with world.acting():
        fill(world.folder(world.ann_box), 150, newest=timezone.now() - 95 * DAY)
    assert "waits for an admin; 150 messages" in say()
    [done] = reports("--account", "Acme", "--approve")
    assert (done["state"], done["removed"]) == ("finished", 150)
    with pytest.raises(CommandError, match="Name the company"):
        say("--approve")
