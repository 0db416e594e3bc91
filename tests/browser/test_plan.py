"""The plan page in a real browser: an admin reads a warning, the limits beside their use, and what other plans mean."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from accounts.models import Account
from mailsync.models import Mailbox
from plans.models import Subscription
from plans.subscriptions import change_plan
from retention import telling
from retention.models import RetentionRun
from tests.browser.looking import look
from tests.retention.scenes import bind_to_client, bind_to_task
from tests.world import World, mailbox, session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DAY = timedelta(days=1)


@pytest.fixture
def page(world: World, live_server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    context.add_cookies([{**session_cookie(world.adm), "url": live_server.url}])  # type: ignore[typeddict-item]
    yield context.new_page()
    context.close()


def busy_company(world: World) -> None:
    """Mail of each bond, a month of purges, a plan that changed, and one that is going to."""
    now = timezone.now()
    today = world.acme.today()
    inbox = world.folder(world.ann_box)
    made = [
        world.message(inbox, subject=f"Mail {n}", received_at=now - n * DAY, text="x" * 4000).message
        for n in range(2, 40, 2)
    ]
    world.message(world.folder(world.team_box), received_at=now - 3 * DAY)
    bind_to_task(world, *made[:4])
    bind_to_client(world, *made[4:9])
    with world.acting():
        Account.objects.update(created_at=now - 400 * DAY)
        Subscription.objects.filter(account=world.acme).delete()
        change_plan(world.acme, "professional", on=today - 200 * DAY, by=None)
        change_plan(world.acme, "standard", on=today - 60 * DAY, by=world.adm)
        change_plan(world.acme, "basic", on=today + 6 * DAY, by=world.adm)
        for n in range(3):
            mailbox(world.cyd, f"cyd{n}@acme.example")
        for night in range(24):
            at = now - (24 - night) * DAY
            run = RetentionRun.objects.create(
                account=world.acme, at=at, cutoff=at - 30 * DAY, plan="standard", storage_days=30,
                crm_bound_stays=False, state="finished", finished_at=at,
            )  # fmt: skip
            for kind, count in (("removed", 20 + night * 7 % 60), ("hidden", night * 5 % 17)):
                run.lines.create(
                    account=world.acme, mailbox=world.ann_box, kind=kind, messages=count, bytes=count * 9000
                )
    telling.tell(world.acme.pk)


def test_an_admin_sees_it_coming_and_cyd_chooses_who_works(world: World, live_server, page: Page) -> None:
    busy_company(world)
    page.goto("/plan/")
    warning = page.locator("#plan-notices .notice")
    expect(warning).to_contain_text("the plan changes from Standard to Basic")
    warning.get_by_text("mailboxes are concerned").click()
    expect(warning).to_contain_text("it is parked")
    compared = page.get_by_role("group", name="Plans side by side")
    expect(compared.get_by_role("columnheader", name="Professional")).to_be_visible()
    expect(compared.get_by_role("row", name="Copies that would leave")).to_contain_text("none")
    expect(page.get_by_role("img", name="4 messages bound to a task, 5 with a client")).to_be_visible()
    page.get_by_text("As a table").click()
    look(page, "plan")
    page.get_by_text("As a table").click()
    warning.get_by_role("button", name="Seen").click()
    expect(warning).to_have_count(0)

    with world.acting():
        change_plan(world.acme, "basic", on=world.acme.today(), by=world.adm)
        Mailbox.objects.filter(pk=world.ann_box.pk).update(fetch_days=1)
    page.context.clear_cookies()
    page.context.add_cookies([{**session_cookie(world.cyd), "url": live_server.url}])  # type: ignore[typeddict-item]
    page.goto("/mailboxes/")
    look(page, "parked")
    page.get_by_role("link", name="cyd2@acme.example", exact=True).click()
    expect(page.get_by_role("heading", name="Parked")).to_be_visible()
    look(page, "parked-settings")
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_role("status").first).to_contain_text("cyd2@acme.example is at work again")
    page.goto("/plan/")
    expect(page.get_by_text("3 of 1")).to_be_visible()
    look(page, "plan-employee")
