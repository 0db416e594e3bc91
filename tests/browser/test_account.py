"""A company signs up and looks after itself in a real browser."""

import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from retention import exporting
from retention.models import Export
from tests.browser.looking import look
from tests.world import PASSWORD, session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def visitor(live_server, browser: Browser) -> Iterator[Page]:
    """Somebody in Tokyo whom nobody knows."""
    context = browser.new_context(
        base_url=live_server.url, viewport={"width": 1440, "height": 900}, timezone_id="Asia/Tokyo"
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    yield page
    assert not [line for line in problems if "422" not in line]
    context.close()


def test_zoe_signs_up_her_company_and_names_it_anew(visitor: Page, settings) -> None:
    settings.SIGN_UP = True
    visitor.goto("/")
    visitor.get_by_role("link", name="Sign up your company").click()
    expect(visitor.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    look(visitor, "sign-up")
    visitor.get_by_label("Company").fill("Zander")
    visitor.get_by_label("Your name").fill("Zoe Zander")
    visitor.get_by_label("Your e-mail address").fill("zoe@zander.example")
    visitor.get_by_label("Password").fill("short")
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_text("must contain at least 10 characters")).to_be_visible()
    look(visitor, "sign-up-refused")
    visitor.get_by_label("Password").fill(PASSWORD)
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("navigation", name="Main")).to_be_visible()
    visitor.get_by_text("You", exact=True).click()
    visitor.get_by_role("link", name="Company settings").click()
    expect(visitor.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    visitor.get_by_label("Name of the company").fill("Zander and Sons")
    visitor.get_by_role("button", name="Save").click()
    expect(visitor.get_by_role("status").get_by_text("The settings of the company are saved")).to_be_visible()
    look(visitor, "company")


@pytest.fixture
def bobs_browser(world, live_server, browser: Browser) -> Iterator[Page]:
    """With a device in it that makes passkeys and recognises Bob's finger."""
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
            }
        },
    )
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    yield page
    assert not problems
    context.close()


def test_bob_makes_a_passkey_and_signs_in_with_it_alone_and_as_the_second_factor(
    world, bobs_browser: Page
) -> None:
    page = bobs_browser
    with world.acting():
        world.acme.two_factor_demanded = True
        world.acme.save()
    page.goto("/")
    look(page, "login-with-passkey")
    page.get_by_label("E-mail address").fill("bob@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Acme demands a second factor")
    look(page, "security-owed")
    page.get_by_role("link", name="Add a passkey").click()
    page.get_by_label("Password").fill(PASSWORD)
    look(page, "again")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("button", name="Make the passkey")).to_be_visible()
    look(page, "passkey-add")
    page.get_by_role("button", name="Make the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    look(page, "recovery-codes")
    page.goto("/account/security/app/add/")
    look(page, "app-add")
    page.goto("/account/security/")
    expect(page.get_by_text("signs you in without the password")).to_be_visible()
    expect(page.get_by_text("here", exact=True)).to_be_visible()
    look(page, "security")

    def sign_out() -> None:
        page.get_by_text("You", exact=True).click()
        page.get_by_role("button", name="Sign out", exact=True).click()

    sign_out()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    sign_out()
    page.get_by_label("E-mail address").fill("bob@acme.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your second factor")).to_be_visible()
    look(page, "second-factor")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("navigation", name="Main")).to_be_visible()
    page.goto("/settings/")
    expect(page.get_by_text("bob@acme.example").first).to_be_attached()


def test_adm_exports_the_company_and_asks_for_its_end(world, live_server, visitor: Page) -> None:
    cookie = session_cookie(world.adm)
    visitor.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": live_server.url}])
    visitor.goto("/retention/exports/")
    visitor.get_by_role("button", name="Export the company").click()
    expect(visitor.get_by_text("Waits for a worker")).to_be_visible()
    look(visitor, "export-waits")
    with world.acting():
        export = Export.objects.get()
    exporting.run(world.acme.pk, export.pk)
    with visitor.expect_download() as download:
        visitor.get_by_role("link", name="Download").click()
    assert zipfile.is_zipfile(download.value.path())
    look(visitor, "export-done")
    visitor.goto("/settings/company/delete/")
    visitor.get_by_label("Type the name of the company").fill("Acme")
    visitor.get_by_label("Your password").fill("wrong")
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_text("This is not your password.")).to_be_visible()
    look(visitor, "company-delete")
    visitor.get_by_label("Your password").fill(PASSWORD)
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_text("is deleted here with everything in it")).to_be_visible()
    expect(visitor.get_by_text("wants Acme deleted with everything in it")).to_be_visible()
    look(visitor, "company-leaving")
    visitor.get_by_role("button", name="Keep the company").click()
    expect(visitor.get_by_text("The company stays.")).to_be_visible()
