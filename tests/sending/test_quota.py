"""The monthly quota: exact whoever comes at once, and said in words."""

from datetime import UTC, date, datetime

import pytest
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts import tenancy
from mailsync import outbox, quota
from mailsync.models import LedgerEntry, Outgoing, OutgoingState
from mailsync.quota import QuotaUsedUp
from plans.models import PlanLimits
from plans.subscriptions import change_plan
from tests.sending.conftest import draft
from tests.sending.test_outbox import at_once
from tests.world import World


@pytest.fixture
def ten(writing: World) -> World:
    PlanLimits.objects.filter(plan="professional").update(outgoing_per_month=10)
    return writing


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_with_room_for_ten_are_exactly_ten(ten: World) -> None:
    def click(number: int) -> bool:
        with tenancy.acting_for(ten.acme.pk):
            try:
                outbox.queue(drafts[number], by=ten.ann, key=f"k{number}")
            except QuotaUsedUp:
                return False
            return True

    with ten.acting():
        drafts = [draft(ten, origin="crm") for _ in range(20)]
    assert sum(map(bool, at_once(20, click))) == 10
    with ten.acting():
        assert quota.usage(ten.acme, timezone.now()).used == 10
        assert Outgoing.objects.filter(state=OutgoingState.DRAFT).count() == 10


def test_the_refusal_says_limit_use_and_when_it_begins_anew(ten: World) -> None:
    at = datetime(2026, 3, 31, 23, 30, tzinfo=UTC)
    ten.acme.time_zone = "Europe/Berlin"  # where it is April already
    ten.acme.save()
    with ten.acting():
        change_plan(ten.acme, "professional", on=date(2026, 1, 1), by=None)
        used, mine = draft(ten, origin="crm"), draft(ten)
        quota.reserve(used, 9, at)
        assert quota.usage(ten.acme, at).month == date(2026, 4, 1)
        assert quota.usage(ten.acme, at).is_nearly_used_up
        letter = Outgoing.objects.select_related("account").get(pk=draft(ten, origin="crm").pk)
        with pytest.raises(QuotaUsedUp, match=r"10 recipients a month.*9 are used.*2 more.*1 May"):
            quota.reserve(letter, 2, at)
        quota.reserve(mine, 50, at)  # what Ann writes herself is counted and never refused
        quota.release(used, 4)
        quota.reserve(letter, 2, at)
        assert (quota.usage(ten.acme, at).used, quota.usage(ten.acme, at).webmail) == (7, 50)


def test_campaigns_leave_a_tenth_to_the_others(ten: World) -> None:
    now = timezone.now()
    with ten.acting():
        campaign, rule = draft(ten, origin="marketing"), draft(ten, origin="automation")
        with pytest.raises(QuotaUsedUp, match="Campaigns may send to 9 recipients"):
            quota.reserve(campaign, 10, now)
        quota.reserve(campaign, 9, now)
        quota.reserve(rule, 1, now)
        quota.reserve(draft(ten, origin="service"), 5, now)  # invitations and passwords are outside
        assert quota.usage(ten.acme, now).used == 10
        change_plan(ten.acme, "trial", on=now.date(), by=None)
        with pytest.raises(QuotaUsedUp, match="trial does not include mail from CRM"):
            quota.reserve(rule, 1, now)


def test_the_ledger_is_not_rewritten(ten: World) -> None:
    with ten.acting():
        letter = draft(ten, origin="crm")
        quota.reserve(letter, 3, timezone.now())
        entries = LedgerEntry.objects.all()
        for change in (lambda: entries.update(count=1), entries.delete):
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                change()
        letter.delete()
        assert LedgerEntry.objects.get().outgoing_id is None
