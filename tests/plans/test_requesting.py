"""Where only operators change plans, admins ask them: seen, answered once, written down on both sides."""

from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import call_command
from django.test import Client

from accounts.models import AuditEntry
from plans.jobs import mail_request
from plans.models import Answer, PlanRequest, Subscription
from plans.subscriptions import plan_of
from retention.models import PlanNotice
from tests.world import World

LIST, ASK = "/operate/plans/planrequest/", "/plan/change/enterprise/"
DAY = timedelta(days=1)


@pytest.fixture
def operator(world: World, settings, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Eve, of another company; letters to operators go at once."""
    settings.ADMINS_CHANGE_PLANS = False
    settings.EMAIL_URL, settings.OPERATOR_EMAILS = "smtp://mail.example", ["ops@host.example"]
    monkeypatch.setattr("plans.requesting._hint", mail_request)
    call_command("set_operator", world.eve.email, verbosity=0)
    return world.client(world.eve)


def answer(operator: Client, act: str, asked: PlanRequest) -> str:
    chosen = {"action": act, "_selected_action": [asked.pk]}
    return operator.post(LIST, chosen, follow=True).content.decode()


def verbs(world: World, account) -> list[str]:
    with world.acting(account):
        return list(
            AuditEntry.objects.filter(verb__startswith="plan").order_by("pk").values_list("verb", flat=True)
        )


@pytest.mark.django_db(transaction=True)  # letters go when a request is committed
def test_adm_asks_for_a_plan_and_an_operator_of_another_company_gives_it(
    world: World, operator: Client
) -> None:
    adm, today = world.client(world.adm), world.acme.today()
    assert "Ask for Enterprise" in adm.get(ASK).content.decode()
    assert world.client(world.cyd).post(ASK, {"on": today.isoformat()}).status_code == 403
    assert adm.post(ASK, {"on": (today - DAY).isoformat()}).status_code == 422
    shown = adm.post(ASK, {"on": (today + 9 * DAY).isoformat()}, follow=True).content.decode()
    assert "adm@acme.example asked for the plan Enterprise" in shown
    with world.acting():
        assert plan_of(world.acme, today + 9 * DAY) == "professional", "asking changes nothing"
    [letter] = mail.outbox
    assert (letter.to, "Acme asks for the plan Enterprise" in letter.subject) == (["ops@host.example"], True)
    assert "adm@acme.example" in letter.body

    assert world.client(world.adm).get(LIST).status_code == 404
    page = operator.get(LIST).content.decode()
    assert "Acme" in page
    assert "adm@acme.example" in page
    asked = PlanRequest.objects.get()
    assert "is answered" in answer(operator, "give", asked)
    with world.acting():
        assert (plan_of(world.acme, today), plan_of(world.acme, today + 9 * DAY)) == (
            "professional",
            "enterprise",
        )
    # A second click, and a second operator, change nothing more.
    answer(operator, "decline", asked)
    asked.refresh_from_db()
    assert asked.answer == Answer.GIVEN
    with world.acting():
        assert Subscription.objects.filter(plan="enterprise").count() == 1
    assert verbs(world, world.acme)[-2:] == ["plan.asked_for", "plan.changed"]
    assert verbs(world, world.other)[-1] == "plan_request.given"
    assert "asked for the plan" not in adm.get("/plan/").content.decode()
    log = adm.get("/audit/").content.decode()
    assert "asked operators for the plan enterprise" in log


@pytest.mark.django_db
def test_a_request_is_replaced_withdrawn_or_declined(world: World, operator: Client, settings) -> None:
    adm, today = world.client(world.adm), world.acme.today()
    for plan in ("basic", "enterprise"):
        adm.post(f"/plan/change/{plan}/", {"on": today.isoformat()})
    first, second = PlanRequest.objects.order_by("pk")
    assert (first.answer, second.answer) == (Answer.WITHDRAWN, Answer.OPEN)
    assert "The request is withdrawn." in adm.post("/plan/withdraw/", follow=True).content.decode()
    assert "Nothing waits" in adm.post("/plan/withdraw/", follow=True).content.decode()
    answer(operator, "give", second)
    with world.acting():
        assert plan_of(world.acme, today) == "professional", "what was withdrawn is not given"
    adm.post(ASK, {"on": today.isoformat()})
    answer(operator, "decline", PlanRequest.objects.get(answer=Answer.OPEN))
    assert "was declined by those who run Mailbound" in adm.get("/plan/").content.decode()
    with world.acting():
        assert plan_of(world.acme, today) == "professional"
        assert not PlanNotice.objects.exists()
    assert verbs(world, world.acme)[-1] == "plan.request_declined"
    settings.ADMINS_CHANGE_PLANS = True
    adm.post(ASK, {"on": today.isoformat()})
    with world.acting():
        assert plan_of(world.acme, today) == "enterprise", "where admins may, they need not ask"
