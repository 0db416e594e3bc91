"""CRM in a real browser: entering, finding, dragging; by mouse, by keyboard, by eye (axe), wide and on a phone."""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from accounts.models import Employee, Role
from crm.models import Deal
from tests.browser.looking import SHOTS, assert_passable, look
from tests.crm.conftest import Clients
from tests.world import World, session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def clients(world: World) -> Clients:
    return Clients(world)


@pytest.fixture
def ann(world, live_server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    cookie = session_cookie(world.ann)
    context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": live_server.url}])
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


def clean(page: Page, name: str) -> None:
    """Nothing serious for axe and nothing cut off on a page of mail, wide and on a phone."""
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert_passable(page, f"{name} at {width}")
        if SHOTS:
            page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png")
    page.set_viewport_size({"width": 1440, "height": 900})


def stage_of(world: World, deal: Deal) -> str:
    with world.acting():
        return Deal.objects.select_related("stage").get(pk=deal.pk).stage.name


def test_ann_drags_a_deal_and_moves_another_by_keyboard(world, ann: Page, clients: Clients) -> None:
    rijn = clients.company("Waterschap Rijn en IJssel")
    marieke = clients.contact("Marieke de Vries", "m.devries@rijnwater.example", company=rijn)
    buoys = clients.deal("Ten buoys for the IJssel", contact=marieke, company=rijn, amount=Decimal(48500))
    probes = clients.deal("Probes " + "with a very long name " * 4, amount=Decimal("1200.50"), currency="USD")
    clients.deal("بحيرة القياس 🌊", stage="Offer sent")
    ann.goto("/crm/")
    look(ann, "crm-board")
    ann.get_by_role("link", name="Ten buoys").drag_to(ann.get_by_label("Contract").first)
    expect(ann.get_by_text("“Ten buoys for the IJssel” is in “Contract” now.")).to_be_visible()
    expect(ann.locator("[data-name=Contract] .sum")).to_have_text("48,500 EUR")
    assert stage_of(world, buoys) == "Contract"
    ann.get_by_role("link", name="Probes").focus()
    ann.keyboard.press("Shift+ArrowRight")
    ann.keyboard.press("Shift+ArrowRight")
    expect(ann.locator("[data-name='Offer sent'] h2 .num").first).to_contain_text("2")
    expect(ann.get_by_role("link", name="Probes")).to_be_focused()
    assert stage_of(world, probes) == "Offer sent"
    ann.keyboard.press("ArrowDown")
    expect(ann.get_by_role("link", name="بحيرة")).to_be_focused()
    ann.keyboard.press("ArrowRight")
    ann.keyboard.press("Enter")
    expect(ann.get_by_role("heading", name="Ten buoys for the IJssel")).to_be_visible()
    look(ann, "crm-deal")


def test_ann_enters_finds_and_throws_away_a_contact(world, ann: Page, clients: Clients) -> None:
    clients.company("Rijnwater")
    ann.goto("/crm/contacts/")
    look(ann, "crm-empty")
    ann.get_by_role("link", name="New").first.click()
    ann.get_by_label("Name").fill("Marieke de Vries")
    ann.get_by_label("E-mail addresses").fill("m.devries@rijnwater.example")
    ann.get_by_label("Company").press_sequentially("rijn")
    expect(ann.locator("datalist option")).to_have_count(1)
    ann.get_by_label("Company").fill("Rijnwater")
    look(ann, "crm-form")
    ann.get_by_role("button", name="Save").click()
    expect(ann.get_by_text("“Marieke de Vries” is saved.")).to_be_visible()
    look(ann, "crm-contact")
    ann.goto("/crm/contacts/")
    ann.get_by_label("Search").fill("rijnw")
    ann.keyboard.press("Enter")
    expect(ann).to_have_url(re.compile("q=rijnw"))
    look(ann, "crm-list")
    ann.get_by_role("link", name="Marieke").click()
    ann.get_by_label("More", exact=True).click()
    ann.get_by_role("button", name="Delete").click()
    ann.get_by_role("button", name="Undo").click()
    expect(ann.get_by_role("heading", name="Marieke de Vries")).to_be_visible()


def test_ann_links_a_message_by_keyboard_and_reads_it_with_the_client(
    world, ann: Page, clients: Clients
) -> None:
    marieke = clients.contact("Marieke de Vries", "m.devries@rijnwater.example")
    for name in ("Ten buoys", "Probes"):
        clients.deal(name, contact=marieke)
    clients.contact("Zoe Zander")
    inbox = world.folder(world.ann_box)
    plan = ("plan.pdf", "application/pdf", b"%PDF")
    world.message(inbox, subject="The plan", html="<p>Here <b>it</b> is.</p>", attachments=[plan])
    clients.feed(world.ann_box)
    world.message(inbox, subject="Prices", sender=("Marieke", "m.devries@rijnwater.example"))
    ann.goto("/")
    expect(ann.locator(".row .crm-sign")).to_have_count(1)
    ann.locator(".bound-menu:not(.team-menu) summary").click()
    clean(ann, "mail-bound-menu")
    ann.get_by_role("link", name="In CRM", exact=True).click()
    expect(ann.locator(".row")).to_have_count(1)
    clean(ann, "mail-in-crm")
    ann.locator(".bound-menu:not(.team-menu) summary").click()
    ann.get_by_label("Several at once").fill("bound:none is:starred")
    ann.keyboard.press("Enter")
    expect(ann.get_by_text("Nothing here matches")).to_be_visible()
    ann.get_by_role("link", name="Show all messages").click()
    ann.get_by_role("link", name="The plan").click()
    expect(ann.get_by_text("is not known, and this mailbox makes no records of strangers")).to_be_visible()
    ann.keyboard.press("l")
    expect(ann.get_by_label("Find a record")).to_be_focused()
    ann.keyboard.type("zoe")
    expect(ann.locator("#crm-found button")).to_have_count(1)
    clean(ann, "crm-choosing")
    for _step in range(2):
        ann.keyboard.press("Tab")
    ann.keyboard.press("Enter")
    expect(ann.get_by_text("Linked to “Zoe Zander”.")).to_be_visible()
    expect(ann.locator(".bound-record")).to_have_count(1)
    expect(ann.locator(".row .crm-sign")).to_have_count(2)
    clean(ann, "crm-bound")
    ann.get_by_role("button", name="Undo").click()
    expect(ann.locator(".bound-record")).to_have_count(0)
    choosing = ann.locator("[data-crm-link]").get_attribute("href") or ""
    ann.get_by_role("link", name="Prices").click()
    expect(ann.get_by_text("Which deal is this about?")).to_be_visible()
    clean(ann, "crm-asked")
    ann.get_by_role("button", name="Ten buoys").click()
    expect(ann.locator(".bound-record")).to_have_count(2)
    ann.locator(".bound-record a", has_text="Marieke").click()
    expect(ann.get_by_placeholder("Write a note")).to_be_visible()
    look(ann, "crm-timeline")
    ann.get_by_placeholder("Write a note").fill("Called: she likes the price.")
    ann.get_by_role("button", name="Add").click()
    ann.get_by_role("link", name="Prices").click()
    expect(ann.get_by_text("CRM's own copy")).to_be_visible()
    look(ann, "crm-activity")
    ann.goto(choosing)
    ann.get_by_label("Find a record").fill("zoe")
    expect(ann.locator("#crm-found button")).to_have_count(1)
    ann.get_by_role("button", name="Zoe Zander").click()
    expect(ann.get_by_text("Linked to “Zoe Zander”.")).to_be_visible()


def test_an_admin_shapes_the_pipeline_by_keyboard(world, ann: Page, clients: Clients) -> None:
    clients.deal("Buoys", stage="Offer sent")
    with world.acting():
        Employee.objects.filter(pk=world.ann.pk).update(role=Role.ADMIN)
    ann.goto("/crm/pipelines/")
    look(ann, "crm-pipelines")
    ann.get_by_label("Colour of In talks").select_option("Amber")
    ann.get_by_label("Name of another stage").fill("Pilot")
    ann.keyboard.press("Enter")
    expect(ann.get_by_label("Colour of In talks")).to_have_value("amber")
    ann.get_by_role("button", name="Pilot: up").click()
    expect(ann.get_by_label("Name of the stage").nth(3)).to_have_value("Pilot")
    ann.get_by_role("link", name="Delete Offer sent").click()
    expect(ann.get_by_label("One deal is there")).to_be_visible()
    look(ann, "crm-stage-delete")
    ann.get_by_label("One deal is there").select_option("Pilot")
    ann.get_by_role("button", name="Delete").click()
    expect(ann.get_by_text("The stage “Offer sent” is gone.")).to_be_visible()
    expect(ann.get_by_label("Name of the stage").nth(2)).to_have_value("Pilot")


def test_ann_sets_up_her_mailbox_and_imports_her_address_book(world, ann: Page, clients: Clients) -> None:
    ann.goto(f"/mailboxes/{world.ann_box.pk}/")
    ann.get_by_role("link", name="Mail and CRM").click()
    expect(ann.get_by_label("Save this mailbox's mail to CRM")).to_be_visible()
    look(ann, "crm-feed")
    ann.get_by_label("Save this mailbox's mail to CRM").check()
    ann.get_by_label("Make a lead").check()
    ann.get_by_role("button", name="Save", exact=True).click()
    expect(ann.get_by_text("are saved.")).to_be_visible()
    ann.get_by_role("button", name="Look through it").click()
    expect(ann.get_by_text("Looking through older mail")).to_be_visible()
    look(ann, "crm-feed-on")
    ann.goto("/crm/import/")
    look(ann, "crm-import")
    people = "Name,E-mail,Company\nZoe,zoe@x.example,Rijn\nZoe Z,zoe2@x.example,Rijn\nBad,bad,\n"
    ann.get_by_label("File").set_input_files(
        {"name": "people.csv", "mimeType": "text/csv", "buffer": people.encode()}
    )
    ann.get_by_role("button", name="Read the file").click()
    expect(ann.get_by_role("button", name="Import 2 contacts")).to_be_visible()
    look(ann, "crm-import-preview")
    ann.get_by_role("button", name="Import 2 contacts").click()
    ann.get_by_role("link", name="To the contacts").click()
    ann.get_by_role("link", name="Zoe Z").click()
    ann.get_by_label("More", exact=True).click()
    ann.get_by_role("link", name="Merge with another").click()
    ann.get_by_label("Which one becomes part").fill("zoe@x.example")
    ann.get_by_role("button", name="Compare").click()
    expect(ann.get_by_role("button", name="Merge")).to_be_visible()
    look(ann, "crm-merge")
    ann.get_by_role("button", name="Merge").click()
    expect(ann.get_by_text("“Zoe” is part of “Zoe Z” now.")).to_be_visible()
    ann.goto("/crm/exceptions/")
    ann.get_by_label("Address or domain").fill("noise.example")
    ann.get_by_role("button", name="Add").click()
    expect(ann.get_by_role("listitem").filter(has_text="noise.example")).to_be_visible()
    look(ann, "crm-exceptions")
    lead = clients.lead("Nel", "nel@nowhere.example", company_name="Nowhere")
    ann.goto(f"/crm/leads/{lead.pk}/")
    ann.get_by_role("link", name="Convert").click()
    expect(ann.get_by_role("button", name="Convert")).to_be_visible()
    look(ann, "crm-convert")
    ann.get_by_role("button", name="Convert").click()
    expect(ann.get_by_text("“Nel” is a contact now, with all mail.")).to_be_visible()
    ann.goto("/crm/bin/")
    look(ann, "crm-bin")
