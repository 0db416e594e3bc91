"""The clock in a real browser: beside a message, in the list, on the list of what leaves, and the admins' page."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from retention.purge import purge
from tests.browser.looking import look
from tests.browser.test_reading import ann, context, row, sign_in_as
from tests.reading.factory import fill
from tests.retention.scenes import mail

__all__ = ["ann", "context"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
DAY = timedelta(days=1)


def test_ann_sees_it_coming_and_keeps_it(world, ann: Page) -> None:
    now = timezone.now()
    mail(world, age=88.5 * DAY, at=now, subject="Offer for the harbour of Tromsø")
    mail(world, age=88.6 * DAY, at=now, subject="Newsletter")
    mail(world, age=10 * DAY, at=now, subject="Anchor chains")
    ann.goto("/")
    expect(row(ann, "Offer").locator(".clock-sign")).to_have_attribute("title", "Leaves Webmail in 1 day")
    expect(row(ann, "Anchor").locator(".clock-sign")).to_have_count(0)
    row(ann, "Offer").get_by_role("link").click()
    clock = ann.get_by_role("region", name="Clock")
    expect(clock).to_contain_text("Leaves Webmail in 1 day: not bound, plan Professional.")
    look(ann, "clock")
    ann.keyboard.press("t")
    expect(clock).to_contain_text("Stays in Webmail for as long as its task")
    expect(row(ann, "Offer").locator(".clock-sign")).to_have_count(0)

    ann.locator(".bound-menu:not(.team-menu) summary").click()
    ann.get_by_role("link", name="Leaves within 3 days").click()
    expect(row(ann, "Newsletter").locator(".clock-sign .when")).to_have_text("in 1 day")
    expect(row(ann, "Anchor")).to_have_count(0)
    expect(row(ann, "Offer")).to_have_count(0)
    look(ann, "leaving-in-the-list")
    ann.locator(".bound-menu:not(.team-menu) summary").click()
    ann.get_by_role("link", name="What leaves, from all folders").click()
    expect(ann.get_by_role("list", name="Messages").get_by_role("listitem")).to_have_count(1)
    look(ann, "leaving")
    ann.get_by_label("All on this page").check()
    ann.get_by_role("button", name="Keep these").click()
    expect(ann.get_by_role("button", name=re.compile("Offer for the harbour"))).to_be_visible()
    look(ann, "keep")
    ann.get_by_role("button", name=re.compile("Offer for the harbour")).click()
    expect(ann.get_by_text("1 message stays with")).to_be_visible()
    expect(ann.get_by_text("Nothing leaves so soon")).to_be_visible()
    look(ann, "leaving-empty")


def test_an_admin_reads_the_numbers_and_lets_a_purge_go_on(world, context, live_server) -> None:
    now = timezone.now()
    with world.acting():
        fill(world.folder(world.ann_box), 150, newest=now - 95 * DAY)
    purge(world.acme.pk, now)
    sign_in_as(context, world.adm, live_server.url)
    adm = context.new_page()
    adm.goto("/retention/")
    expect(adm.get_by_text("not bound: removed here")).to_be_visible()
    look(adm, "retention")
    adm.get_by_label("Plan").select_option(label="Basic: 7 days")
    adm.get_by_role("button", name="Count").click()
    expect(adm.get_by_text("Supposed: plan Basic, 7 days")).to_be_visible()
    look(adm, "retention-supposed")
    adm.get_by_role("button", name=re.compile("Remove 150 copies")).click()
    expect(adm.get_by_text("The purge goes on now")).to_be_visible()
    purge(world.acme.pk, now)
    adm.reload()
    expect(adm.get_by_text("Nothing leaves")).to_be_visible()
    look(adm, "retention-history")
    adm.get_by_role("link", name=re.compile(r"\d{4}-\d\d-\d\d")).first.click()
    expect(adm.get_by_text("Not bound: removed")).to_be_visible()
    look(adm, "retention-run")
