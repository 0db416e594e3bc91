"""Folders in a real browser: by keyboard, wide, on a phone, in the dark, and without scripts."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from mailsync.models import Folder
from tests.browser.looking import look
from tests.world import session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LONG = ("Ein sehr langer Name für einen Ordner, der nirgends hineinpasst " * 3).strip()


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def ann(request: pytest.FixtureRequest, world, live_server, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1440, "height": 900}, java_script_enabled=request.param
    )
    cookie = session_cookie(world.ann)
    context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": live_server.url}])
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def test_ann_makes_renames_takes_back_and_deletes_a_folder(world, ann: Page) -> None:
    box = ann.locator(f"#box-{world.ann_box.pk}")
    ann.goto("/")
    box.get_by_role("link", name="New folder").press("Enter")
    expect(ann.get_by_label("Name")).to_be_focused()
    ann.get_by_label("Name").fill("Projekte 🎉")
    ann.keyboard.press("Enter")
    expect(ann.get_by_text("“Projekte 🎉” is made.")).to_be_visible()
    expect(box.get_by_role("link", name="Projekte 🎉")).to_have_attribute("aria-current", "page")
    ann.locator("summary[aria-label='This folder']").press("Enter")
    ann.get_by_role("link", name="Rename").press("Enter")
    expect(ann.get_by_label("Name")).to_have_value("Projekte 🎉")
    ann.get_by_label("Name").fill("Trash")
    ann.keyboard.press("Enter")
    expect(ann.get_by_text("There is a folder “Trash” already.")).to_be_visible()
    ann.get_by_label("Name").fill("Angebote")
    ann.keyboard.press("Enter")
    expect(box.get_by_role("link", name="Angebote")).to_be_visible()
    ann.get_by_role("button", name="Undo").click()
    expect(box.get_by_role("link", name="Projekte 🎉")).to_be_visible()
    ann.locator("summary[aria-label='This folder']").click()
    ann.get_by_role("link", name="Delete", exact=True).click()
    expect(ann.get_by_text("It holds no message here.")).to_be_visible()
    ann.get_by_role("button", name="Delete the folder").click()
    expect(box.get_by_role("link", name="Projekte 🎉")).to_have_count(0)
    with world.acting():
        assert not Folder.objects.filter(path__startswith="Projekte").exists()


@pytest.mark.parametrize("ann", [True], indirect=True, ids=["with scripts"])
def test_the_pages_are_sound_to_every_eye(world, ann: Page) -> None:
    with world.acting():
        folder = Folder.objects.create(
            account=world.acme, mailbox=world.ann_box, name=b"Long", path=LONG, delimiter="/", uidvalidity=9,
            server_messages=1_204,
        )  # fmt: skip
    world.message(folder)
    for name, url in {
        "list": f"/mail/{folder.pk}/",
        "new": f"/mail/box/{world.ann_box.pk}/folders/new/?in={folder.pk}",
        "rename": f"/mail/{folder.pk}/rename/",
        "delete": f"/mail/{folder.pk}/delete/",
    }.items():
        ann.goto(url)
        if name == "list":
            ann.locator("summary[aria-label='This folder']").click()
        look(ann, f"folder-{name}")
