"""Signing in and the people's pages in a real browser: by keyboard, by eye (axe), wide and on a phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from accounts import audit
from retention import handing_over
from retention.models import Leaver
from tasks import actions as tasks
from tests.browser.looking import look
from tests.world import PASSWORD, session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def visitor(world, live_server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    problems: list[str] = []

    def note(line: ConsoleMessage) -> None:
        if line.type == "error":
            problems.append(line.text)

    page.on("console", note)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert not [line for line in problems if "422" not in line]
    context.close()


@pytest.fixture
def admin(world, live_server, visitor: Page) -> Page:
    cookie = session_cookie(world.adm)
    visitor.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": live_server.url}])
    return visitor


def test_ann_signs_in_by_keyboard_and_out_again(world, visitor: Page, settings) -> None:
    settings.MAIL_DEMO_NOTE = "This is a trial.\nSign in as ann@acme.example."
    visitor.goto("/")
    expect(visitor).to_have_title("Sign in · Mailbound")
    look(visitor, "login")
    visitor.get_by_label("E-mail address").fill("ann@acme.example")
    visitor.keyboard.press("Tab")
    visitor.keyboard.type("wrong")
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("alert")).to_contain_text("is not right")
    look(visitor, "login-refused")
    visitor.get_by_label("Password").fill(PASSWORD)
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("navigation", name="Main")).to_be_visible()
    visitor.get_by_text("You", exact=True).click()
    visitor.get_by_role("button", name="Sign out").click()
    expect(visitor).to_have_title("Sign in · Mailbound")


def test_adm_invites_dora_who_joins_and_leaves_again(
    world, admin: Page, browser: Browser, live_server
) -> None:
    with world.acting():
        world.cyd.is_active = False
        world.cyd.name = "Cyd Constantinopolitanidou-Featherstonehaugh the Younger"
        world.cyd.save()
    admin.goto("/people/departments/")
    look(admin, "departments-none")
    admin.get_by_label("Name").fill("Sales")
    admin.get_by_role("button", name="Make").click()
    admin.get_by_label("Name", exact=True).fill("sales")
    admin.get_by_role("button", name="Make").click()
    expect(admin.get_by_role("alert")).to_contain_text("of this name already")
    look(admin, "departments")
    admin.goto("/people/")
    look(admin, "people")
    admin.get_by_label("E-mail address").fill("bob@acme.example")
    admin.get_by_role("button", name="Make the link").click()
    expect(admin.get_by_text("already signs in")).to_be_visible()
    look(admin, "people-refused")
    admin.get_by_label("E-mail address").fill("dora@acme.example")
    admin.get_by_label("Department", exact=True).last.select_option("Sales")
    admin.get_by_role("button", name="Make the link").click()
    expect(admin.locator("code.link-once")).to_be_visible()
    look(admin, "link-once")
    link = admin.locator("code.link-once").inner_text()
    admin.get_by_role("link", name="Done").click()
    expect(admin.get_by_role("region", name="Invited")).to_contain_text("dora@acme.example")
    look(admin, "people-invited")

    dora = browser.new_context(base_url=live_server.url, timezone_id="Asia/Tokyo").new_page()
    dora.goto(link)
    look(dora, "join")
    dora.get_by_label("Your name").fill("Dora Dunn")
    dora.get_by_label("Password").fill("short")
    expect(dora.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    dora.get_by_role("button", name="Join").click()
    expect(dora.get_by_text("too short")).to_be_visible()
    dora.get_by_label("Password").fill("a garden of slow stones")
    dora.get_by_role("button", name="Join").click()
    expect(dora.get_by_role("status").first).to_contain_text("Welcome")
    dora.goto(link)
    expect(dora.get_by_role("heading", name="Somebody is signed in here")).to_be_visible()
    dora.context.clear_cookies()
    dora.goto(link)
    expect(dora.get_by_text("was used already")).to_be_visible()
    look(dora, "join-used")
    dora.context.close()

    admin.goto("/people/")
    admin.get_by_label("Choose Ann Archer").check()
    admin.get_by_label("Move to").select_option("Sales")
    admin.get_by_role("button", name="Move", exact=True).click()
    expect(admin.get_by_role("listitem").filter(has_text="Ann Archer")).to_contain_text("Sales")
    admin.get_by_role("link", name="Ann Archer").click()
    expect(admin.get_by_role("heading", name="Ann Archer")).to_be_visible()
    look(admin, "person")
    with world.acting():
        audit.record(
            "mailbox.connected", "x" * 200, account_id=world.acme.pk, by=world.ann, host="mail.acme.example"
        )
    let_ann_go(world, admin)
    admin.goto("/people/departments/")
    admin.get_by_label("Delete Sales").click()
    expect(admin.get_by_role("heading", name="Sales")).to_be_visible()
    look(admin, "department-delete")
    admin.goto("/audit/")
    look(admin, "audit")


def let_ann_go(world, admin: Page) -> None:
    """She has mailboxes and tasks; Bob and Adm inherit, and the page follows the worker to its report."""
    with world.acting():
        for n in range(3):
            tasks.create(f"Call client {n}", by=world.ann)
        tasks.create("Bob's", by=world.bob)
    admin.get_by_role("link", name="Deactivate").click()
    expect(admin.get_by_role("heading", name="Ann Archer leaves")).to_be_visible()
    look(admin, "leaver")
    admin.get_by_role("link", name="Give them to different people").click()
    expect(admin.get_by_text("team@acme.example").first).to_be_visible()
    admin.go_back()
    admin.get_by_label("Who gets it").select_option("Bob Brown")
    admin.get_by_text("Give tasks or records to somebody else").click()
    admin.get_by_label("Open tasks").select_option("Adm Adams")
    look(admin, "leaver-two-heirs")
    admin.get_by_role("button", name="Deactivate").click()
    expect(admin.get_by_text("You can leave this page")).to_be_visible()
    look(admin, "leaver-moving")
    with world.acting():
        leaver = Leaver.objects.get()
    handing_over.work(world.acme.pk, leaver.pk, seconds=60)
    expect(admin.get_by_text("Nothing is left to hand over")).to_be_visible()
    expect(admin.get_by_role("heading", name="What Ann Archer handed over")).to_be_visible()
    look(admin, "leaver-report")
    admin.get_by_role("button", name="Let in again").click()
    expect(admin.get_by_role("button", name="Give it back to Ann Archer")).to_be_visible()
    look(admin, "leaver-back")


def test_settings_and_password(world, admin: Page) -> None:
    admin.goto("/settings/")
    look(admin, "settings")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("status").first).to_contain_text("saved")
    admin.get_by_role("link", name="Change password").click()
    expect(admin.get_by_role("heading", name="Change password")).to_be_visible()
    look(admin, "password")
    admin.goto("/account/logout/")
    look(admin, "logout")
