"""Reading and handling mail in a real browser: by mouse, by keyboard, by eye (axe), wide and on a phone."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, expect

from mailsync import live
from mailsync.models import Mailbox, Operation, Placement, SpecialUse
from tests.browser.looking import look
from tests.reading.factory import fill
from tests.world import session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

NEWSLETTER = """<html><body style="background:#eee"><h1>Autumn letter</h1><script>document.title = "hacked"</script>
<p onclick="alert(1)">Three gardens</p><img src="https://pixel.example/p.gif"><a href="https://x.example/">Read on</a>
</body></html>"""
AWKWARD = [
    b"Subject: nobody sent this\r\n\r\nbody\r\n",
    b"From: Quiet <q@q.example>\r\n\r\nno subject and no date\r\n",
    "From: משה לוי <moshe@namal.example>\r\nSubject: שלום רב, הצעת מחיר מעודכנת\r\n\r\nשלום\r\n".encode(),
    "From: Team 🚀 <team@acme.example>\r\nSubject: 🎉 We shipped it 👩‍👩‍👧‍👦\r\n\r\n🎉\r\n".encode(),
    b"From: L <l@l.example>\r\nSubject: " + b"a very long subject that never ends " * 6 + b"\r\n\r\nx\r\n",
]


def sign_in_as(context: BrowserContext, who, url: str) -> None:
    cookie = session_cookie(who)
    context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": url}])


@pytest.fixture
def context(world, live_server, browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    sign_in_as(context, world.ann, live_server.url)
    yield context
    context.close()


@pytest.fixture
def ann(context: BrowserContext) -> Iterator[Page]:
    """Ann's browser; whatever the console complains of fails the test, except refusals that it shows
    and pictures that are not to be had."""
    page = context.new_page()
    page.set_default_timeout(30_000)
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert not [line for line in problems if "422" not in line and "404" not in line]


@pytest.fixture
def inbox(world):
    return world.folder(world.ann_box)


def row(page: Page, text: str):
    return page.get_by_role("list", name="Messages").get_by_role("listitem").filter(has_text=text)


def role_of(world, placement: Placement) -> str:
    with world.acting():
        return Placement.objects.get(pk=placement.pk).folder.special_use


def stays(check, page: Page, *, tries: int = 300) -> None:
    """Wait until the database says so: the screen is ahead of it on purpose."""
    for _ in range(tries):
        if check():
            return
        page.wait_for_timeout(100)
    assert check()


def test_new_mail_is_on_the_open_page_at_once(world, ann: Page, inbox) -> None:
    world.message(inbox, subject="Older")
    ann.goto(f"/mail/{inbox.pk}/")
    expect(row(ann, "Older")).to_be_visible()
    with ann.expect_response(lambda response: "/mail/events/" in response.url):
        ann.reload()
    world.message(inbox, subject="Just in")

    live.tell_now(world.ann_box.pk)  # what a worker does after the commit

    expect(row(ann, "Just in")).to_be_visible(
        timeout=12_000
    )  # the page looks by itself after 15 seconds only


def test_who_is_at_a_row_stays_there_when_new_mail_comes(world, ann: Page, inbox) -> None:
    """Else the next key would archive another message."""
    for subject in ("First", "Second", "Third"):
        world.message(inbox, subject=subject)
    with ann.expect_response(lambda response: "/mail/events/" in response.url):
        ann.goto(f"/mail/{inbox.pk}/")
    row(ann, "First").get_by_role("button", name="Star").click()
    expect(row(ann, "First")).to_have_class(re.compile("starred"))
    world.message(inbox, subject="Just in")
    live.tell_now(world.ann_box.pk)
    expect(row(ann, "Just in")).to_be_visible(timeout=12_000)

    ann.keyboard.press("e")

    expect(row(ann, "First")).to_have_count(0)
    expect(row(ann, "Just in")).to_be_visible()
    expect(row(ann, "Third")).to_be_visible()


def test_ann_opens_a_message_and_comes_back(world, ann: Page, inbox) -> None:
    world.message(inbox, subject="Older")
    newer = world.message(inbox, subject="Crane inspection", text="Thursday at ten.\n> Could we move it?")
    ann.goto("/")
    expect(row(ann, "Crane inspection")).to_have_class(re.compile("unread"))
    row(ann, "Crane inspection").get_by_role("link").click()
    expect(ann.get_by_role("heading", name="Crane inspection")).to_be_visible()
    expect(ann.get_by_role("article")).to_contain_text("Thursday at ten.")
    expect(ann).to_have_url(re.compile(rf"/mail/{inbox.pk}/{newer.pk}/"))
    expect(ann).to_have_title("Crane inspection · Mailbound")
    expect(row(ann, "Crane inspection")).not_to_have_class(re.compile("unread"))
    expect(ann.get_by_text("1 unread of 2")).to_be_visible()
    stays(lambda: _reload(world, newer).seen, ann)
    ann.reload()
    expect(ann.get_by_role("heading", name="Crane inspection")).to_be_visible()
    ann.go_back()
    expect(ann.get_by_text("Choose a message")).to_be_visible()


def _reload(world, placement: Placement) -> Placement:
    with world.acting():
        placement.refresh_from_db()
    return placement


def test_html_is_shown_in_a_frame_that_runs_and_fetches_nothing(world, ann: Page, inbox) -> None:
    world.message(inbox, subject="Newsletter", html=NEWSLETTER)
    asked: list[str] = []
    ann.on("request", lambda request: asked.append(request.url))
    ann.goto("/")
    row(ann, "Newsletter").get_by_role("link").click()
    frame = ann.frame_locator("iframe.letter")
    expect(frame.get_by_role("heading", name="Autumn letter")).to_be_visible()
    expect(ann.get_by_text("Pictures from the web are blocked")).to_be_visible()
    assert (
        ann.locator("iframe.letter").get_attribute("sandbox") == "allow-popups allow-popups-to-escape-sandbox"
    )
    assert not [url for url in asked if "pixel.example" in url]
    assert ann.title() == "Newsletter · Mailbound"
    ann.get_by_role("link", name="Show images (1)").click()
    expect(frame.locator("img")).to_have_attribute("src", re.compile(r"^/"))
    assert not [url for url in asked if "pixel.example" in url]
    expect(ann.get_by_text("Pictures from the web are blocked")).to_have_count(0)


def test_archive_is_shown_at_once_and_undone(world, ann: Page, inbox) -> None:
    kept, gone = world.message(inbox, subject="Kept"), world.message(inbox, subject="Gone")
    ann.goto("/")
    row(ann, "Gone").get_by_role("link").click()
    ann.get_by_role("toolbar", name="With this message").get_by_role("button", name="Archive").click()
    expect(row(ann, "Gone")).to_have_count(0)
    expect(ann.get_by_role("heading", name="Kept")).to_be_visible()  # the next one opens
    assert role_of(world, gone) == "archive"
    ann.get_by_role("button", name="Undo").click()
    expect(row(ann, "Gone")).to_be_visible()
    assert role_of(world, gone) == role_of(world, kept) == "inbox"


def test_what_the_server_refuses_comes_back_with_the_reason(world, ann: Page, inbox) -> None:
    placement = world.message(inbox, subject="Stubborn")
    archive = world.folder(world.ann_box, SpecialUse.ARCHIVE)
    with world.acting():
        archive.delete()
    ann.goto("/")
    row(ann, "Stubborn").hover()
    row(ann, "Stubborn").get_by_role("link").focus()
    ann.keyboard.press("e")
    expect(ann.get_by_text("has no folder “Archive”")).to_be_visible()
    expect(row(ann, "Stubborn")).not_to_have_class(re.compile("going"))
    assert role_of(world, placement) == "inbox"


def test_a_star_lights_in_the_row_and_in_the_pane(world, ann: Page, inbox) -> None:
    placement = world.message(inbox, subject="Shine")
    ann.goto("/")
    star = row(ann, "Shine").get_by_role("button", name="Star")
    row(ann, "Shine").hover()
    star.click()
    expect(star).to_have_attribute("aria-pressed", "true")
    stays(lambda: _reload(world, placement).starred, ann)
    ann.goto("/?show=starred")
    expect(row(ann, "Shine")).to_be_visible()
    row(ann, "Shine").get_by_role("link").click()
    in_pane = ann.get_by_role("toolbar", name="With this message").get_by_role("button", name="Star")
    expect(in_pane).to_have_attribute("aria-pressed", "true")
    in_pane.click()
    expect(in_pane).to_have_attribute("aria-pressed", "false")
    stays(lambda: not _reload(world, placement).starred, ann)


def test_a_range_is_selected_with_shift_and_moved_together(world, ann: Page, inbox) -> None:
    placed = [world.message(inbox, subject=f"Number {n}") for n in range(6)]
    ann.goto("/")
    boxes = ann.get_by_role("list", name="Messages").get_by_role("checkbox")
    boxes.nth(1).check(force=True)
    boxes.nth(4).click(modifiers=["Shift"], force=True)
    expect(ann.locator("#picked")).to_have_text("4")
    bulk = ann.get_by_role("toolbar", name="With the selected messages")
    bulk.get_by_label("Move to a folder").click()
    bulk.get_by_role("button", name="Sent").first.click()
    expect(ann.get_by_text("4 moved to Sent")).to_be_visible()
    expect(ann.get_by_role("list", name="Messages").get_by_role("listitem")).to_have_count(2)
    assert [role_of(world, each) for each in placed] == ["inbox", *["sent"] * 4, "inbox"]
    ann.get_by_role("button", name="Undo").click()
    expect(ann.get_by_role("list", name="Messages").get_by_role("listitem")).to_have_count(6)


def test_all_that_match_are_archived_beyond_the_page(world, ann: Page, inbox) -> None:
    with world.acting():
        fill(inbox, 120)
    ann.goto(f"/mail/{inbox.pk}/")
    ann.get_by_label("Select all on this page").check()
    ann.get_by_text("Select all 120 that match").click()
    expect(ann.locator("#picked")).to_have_text("120")
    ann.get_by_role("toolbar", name="With the selected messages").get_by_role(
        "button", name="Archive"
    ).click()
    expect(ann.get_by_text("120 archived")).to_be_visible()
    expect(ann.get_by_text("Nothing left to do here")).to_be_visible()
    with world.acting():
        assert not Placement.objects.filter(folder=inbox).exists()


def test_the_list_goes_on_when_its_end_is_reached(world, ann: Page, inbox) -> None:
    with world.acting():
        fill(inbox, 130)
    ann.goto("/")
    rows = ann.locator("#rows .row")
    expect(rows).to_have_count(50)
    for count in (100, 130):
        ann.locator("#scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
        expect(rows).to_have_count(count)
    ids = rows.evaluate_all("rows => rows.map(row => row.id)")
    assert len(set(ids)) == 130


def test_news_asked_for_before_the_list_went_on_do_not_cut_it_off(world, ann: Page, inbox) -> None:
    with world.acting():
        fill(inbox, 130)
    ann.goto("/")
    rows = ann.locator("#rows .row")
    expect(rows).to_have_count(50)
    ann.evaluate(
        """() => {
            const real = window.fetch;
            window.fetch = async (...asked) => {
                const answer = await real(...asked);
                await new Promise((go) => { window.arrive = go; document.body.dataset.held = ""; });
                window.fetch = real;
                return answer;
            };
        }"""
    )
    world.message(inbox, subject="News")
    ann.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(ann.locator("body[data-held]")).to_be_attached()
    ann.locator("#scroll").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    expect(rows).to_have_count(100)
    ann.evaluate(
        """() => {
            const rows = document.getElementById("rows");
            window.least = rows.children.length;
            new MutationObserver(() => { window.least = Math.min(window.least, rows.children.length); })
                .observe(rows, {childList: true});
            window.arrive();
        }"""
    )
    expect(ann.get_by_text("News", exact=True)).to_be_attached()
    assert ann.evaluate("window.least") > 100


def test_ann_works_by_keyboard_alone(world, ann: Page, inbox) -> None:
    placed = {name: world.message(inbox, subject=name) for name in ("Three", "Two", "One")}
    ann.goto("/")
    ann.keyboard.press("j")
    expect(row(ann, "One").get_by_role("link")).to_be_focused()
    ann.keyboard.press("j")
    expect(row(ann, "Two").get_by_role("link")).to_be_focused()
    ann.keyboard.press("s")
    expect(row(ann, "Two")).to_have_class(re.compile("starred"))
    ann.keyboard.press("Enter")
    expect(ann.get_by_role("heading", name="Two")).to_be_visible()
    ann.keyboard.press("j")
    expect(ann.get_by_role("heading", name="Three")).to_be_visible()
    ann.keyboard.press("Escape")
    expect(ann.get_by_text("Choose a message")).to_be_visible()
    ann.keyboard.press("k")
    expect(row(ann, "Two").get_by_role("link")).to_be_focused()
    ann.keyboard.press("x")
    expect(ann.locator("#picked")).to_have_text("1")
    ann.keyboard.press("Escape")
    ann.keyboard.press("#")
    expect(row(ann, "Two")).to_have_count(0)
    stays(lambda: role_of(world, placed["Two"]) == "trash", ann)
    expect(ann.get_by_role("button", name="Undo")).to_be_visible()
    ann.keyboard.press("z")
    expect(row(ann, "Two")).to_be_visible()
    ann.keyboard.press("?")
    expect(ann.get_by_role("heading", name="Keys")).to_be_visible()
    ann.keyboard.press("Escape")
    ann.goto(f"/mail/{inbox.pk}/")
    ann.keyboard.press("g")
    ann.keyboard.press("i")
    expect(ann).to_have_url(re.compile(r"/$"))


def test_z_takes_back_the_last_of_several_acts_and_then_the_one_before(world, ann: Page, inbox) -> None:
    """Each act's toast stays for a while; the key means what was done last."""
    for name in ("Three", "Two", "One"):
        world.message(inbox, subject=name)
    ann.goto("/")
    ann.keyboard.press("j")
    ann.keyboard.press("e")
    expect(row(ann, "One")).to_have_count(0)
    ann.keyboard.press("e")
    expect(row(ann, "Two")).to_have_count(0)
    expect(ann.get_by_role("button", name="Undo")).to_have_count(2)
    ann.keyboard.press("z")
    expect(row(ann, "Two")).to_be_visible()
    expect(row(ann, "One")).to_have_count(0)
    ann.keyboard.press("z")
    expect(row(ann, "One")).to_be_visible()


def test_unread_by_key_goes_back_to_the_list(world, ann: Page, inbox) -> None:
    placement = world.message(inbox, subject="Later")
    ann.goto("/")
    row(ann, "Later").get_by_role("link").click()
    stays(lambda: _reload(world, placement).seen, ann)
    ann.keyboard.press("u")
    expect(row(ann, "Later")).to_have_class(re.compile("unread"))
    expect(ann.get_by_text("Choose a message")).to_be_visible()
    stays(lambda: not _reload(world, placement).seen, ann)


def test_deleting_for_good_asks_with_the_number(world, ann: Page) -> None:
    trash = world.folder(world.ann_box, SpecialUse.TRASH)
    for n in range(3):
        world.message(trash, subject=f"Old {n}")
    ann.goto(f"/mail/{trash.pk}/")
    ann.get_by_label("Select all on this page").check()
    ann.get_by_role("toolbar", name="With the selected messages").get_by_role(
        "button", name="Delete for good"
    ).click()
    question = ann.get_by_role("dialog")
    expect(question).to_contain_text("Delete 3 messages for good?")
    question.get_by_role("link", name="Keep").click()
    expect(ann.locator("#rows .row")).to_have_count(3)
    ann.get_by_role("toolbar", name="With the selected messages").get_by_role(
        "button", name="Delete for good"
    ).click()
    question.get_by_role("button", name="Delete 3 for good").click()
    expect(ann.get_by_text("3 removed for good")).to_be_visible()
    expect(ann.get_by_text("The Trash is empty")).to_be_visible()


def test_new_mail_appears_by_itself_and_a_selection_survives_it(world, ann: Page, inbox) -> None:
    world.message(inbox, subject="First")
    ann.clock.install()
    ann.goto("/")
    row(ann, "First").get_by_role("checkbox").check(force=True)
    world.message(inbox, subject="Second")
    ann.clock.fast_forward(16_000)
    expect(row(ann, "Second")).to_be_visible()
    expect(row(ann, "First").get_by_role("checkbox")).to_be_checked()


def test_every_screen_passes_axe_light_and_dark_wide_and_narrow(world, ann: Page, inbox) -> None:
    for raw in AWKWARD:
        world.message(inbox, raw=raw)
    world.message(
        inbox, subject="Files", attachments=[("a long name of a file.pdf", "application/pdf", b"%PDF")]
    )
    world.message(inbox, subject="Newsletter", html=NEWSLETTER, flags=["\\Flagged"])
    with world.acting():
        Mailbox.objects.filter(pk=world.team_box.pk).update(
            state="refused", last_error="The server refused the password.",
            troubled_since=timezone.now() - timedelta(days=1),
        )  # fmt: skip
        Operation.objects.create(
            account=world.acme, mailbox=world.ann_box, folder=inbox, kind="flag", state="failed", by=world.ann,
            error="The folder is read-only.",
        )  # fmt: skip
    ann.goto("/")
    look(ann, "inbox")
    for subject in ("nobody sent this", "(no subject)", "שלום", "a very long", "Files", "Newsletter"):
        row(ann, subject).first.get_by_role("link").click()
        expect(ann.locator("#message")).to_be_visible()
        stays(lambda: ann.locator(".row.current").count() == 1, ann)
    look(ann, "message")
    for box in ann.locator("#rows .row > input").all()[:2]:
        box.check(force=True)
    ann.emulate_media(reduced_motion="reduce")
    look(ann, "selection")


def test_empty_folders_say_what_comes_next(world, ann: Page) -> None:
    for role, words in (
        ("inbox", "Nothing left to do here"),
        ("junk", "No spam"),
        ("archive", "This folder is empty"),
    ):
        ann.goto(f"/mail/{world.folder(world.ann_box, role).pk}/")
        expect(ann.get_by_text(words)).to_be_visible()
    look(ann, "empty")


def test_on_a_phone_folders_slide_in_and_back_goes_up_one_level(world, ann: Page, inbox) -> None:
    ann.set_viewport_size({"width": 390, "height": 780})
    world.message(inbox, subject="Pocket")
    ann.goto("/")
    ann.get_by_role("button", name="Folders").click()
    expect(ann.get_by_role("link", name="Archive").first).to_be_visible()
    ann.keyboard.press("Escape")
    row(ann, "Pocket").get_by_role("link").click()
    expect(ann.get_by_role("heading", name="Pocket")).to_be_visible()
    expect(row(ann, "Pocket")).to_be_hidden()
    ann.get_by_role("link", name="Back to the list").click()
    expect(row(ann, "Pocket")).to_be_visible()
    expect(ann).to_have_url(re.compile(r"/$"))


def test_without_scripts_everything_still_works(world, live_server, browser: Browser, inbox) -> None:
    context = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    sign_in_as(context, world.ann, live_server.url)
    page = context.new_page()
    placement = world.message(inbox, subject="Plain", text="Words.")
    page.goto("/")
    row(page, "Plain").get_by_role("link").click()
    expect(page.get_by_role("article")).to_contain_text("Words.")
    page.get_by_role("toolbar", name="With this message").get_by_role("button", name="Mark as read").click()
    expect(page.get_by_text("Choose a message to read it here.")).to_be_visible()
    assert _reload(world, placement).seen
    row(page, "Plain").get_by_role("checkbox").check(force=True)
    page.get_by_role("toolbar", name="With the selected messages").get_by_role(
        "button", name="Archive"
    ).click()
    expect(page.get_by_text("1 archived")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(row(page, "Plain")).to_be_visible()
    assert role_of(world, placement) == "inbox"
    context.close()


def test_the_theme_is_a_choice_that_stays(world, ann: Page) -> None:
    ann.goto("/")
    light = ann.evaluate("getComputedStyle(document.body).backgroundColor")
    ann.get_by_role("button", name="Theme").click()
    dark = ann.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    ann.reload()
    assert ann.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_ann_tags_a_message_and_takes_the_tag_off(world, ann: Page, inbox) -> None:
    world.message(inbox, subject="Invoice 7", flags=["\\Seen", "Quarterly_report", "$label2"])
    ann.goto("/")
    ann.get_by_role("link", name="Invoice 7").click()
    tags = ann.locator("#tags")
    tags.get_by_text("Tag", exact=True).click()
    field = ann.get_by_label("New tag")
    expect(field).to_be_focused()
    expect(tags.get_by_role("button", name="Important")).to_be_visible()
    look(ann, "tags-menu")
    field.fill("Оплатить")
    field.press("Enter")
    expect(tags.get_by_text("Оплатить")).to_be_visible()
    look(ann, "tags")
    tags.get_by_role("button", name="Remove the tag Work").click()
    expect(tags.get_by_text("Work")).to_have_count(0)
    with world.acting():
        assert "$label2" not in Placement.objects.get().flags
