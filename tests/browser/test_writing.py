"""Writing in a real browser: by mouse, by keyboard, by eye (axe), wide and on a phone; nothing typed is lost."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, FilePayload, Locator, Page, Route, expect

from mailsync import lettering, outbox
from mailsync.models import Mailbox, Outgoing, SpecialUse
from tests.browser.looking import look
from tests.crm.conftest import Clients
from tests.world import World, session_cookie

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63606060f80f00010401005fe5c34b0000000049454e44ae426082"
)


@pytest.fixture
def ann(world: World, live_server, browser: Browser) -> Iterator[Page]:
    with world.acting():
        Mailbox.objects.filter(account=world.acme).update(smtp_host="smtp.acme.example")
        Mailbox.objects.filter(pk=world.ann_box.pk).update(
            sender_name="Ann Archer",
            signature="<p>-- <br>Ann Archer<br>Acme Ltd</p>",
            aliases=[["Sales at Acme", "sales@acme.example"]],
        )
    context = browser.new_context(base_url=live_server.url, viewport={"width": 1440, "height": 900})
    cookie = session_cookie(world.ann)
    context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": live_server.url}])
    page = context.new_page()
    page.set_default_timeout(30_000)
    problems: list[str] = []
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    yield page
    assert not [line for line in problems if not re.search("422|409|DISCONNECTED", line)]
    context.close()


def text_of(page: Page):
    return page.get_by_role("textbox", name="Text of the message")


def only_letter(world: World) -> Outgoing:
    with world.acting():
        return Outgoing.objects.prefetch_related("attachments").get()


def test_ann_answers_by_keyboard_takes_it_back_and_sends_it_after_a_reload(world, ann: Page) -> None:
    inbox = world.folder(world.ann_box)
    world.message(
        inbox,
        subject="Crane inspection",
        html="<h2>Thursday</h2><p>At <b>ten</b>?</p>",
        to=[("Sales", "sales@acme.example"), ("Cyd", "cyd@acme.example")],
    )
    ann.goto(f"/mail/{inbox.pk}/")
    ann.get_by_role("link", name="Crane inspection").click()
    expect(ann.get_by_role("heading", name="Crane inspection")).to_be_visible()
    ann.keyboard.press("a")
    expect(text_of(ann)).to_be_focused()
    expect(ann.get_by_label("From")).to_have_value(re.compile("sales@acme.example"))
    expect(ann.locator(".chip")).to_have_text(["Zoe Zander×", "Cyd×"])
    expect(text_of(ann)).to_contain_text("Acme Ltd")
    expect(ann.locator(".row.current")).to_contain_text("Crane inspection")
    ann.keyboard.type("Ten is fine. ")
    ann.keyboard.press("Control+b")
    ann.keyboard.type("Bring a hat")
    expect(ann.get_by_role("button", name="Bold")).to_have_attribute("aria-pressed", "true")
    expect(ann.get_by_text("Saved")).to_be_visible()
    look(ann, "write-reply")
    ann.keyboard.type(", Zoe.")
    ann.reload()
    expect(text_of(ann)).to_contain_text("Ten is fine. Bring a hat, Zoe.")
    expect(ann.get_by_text("This draft was changed in another window.")).to_be_hidden()
    ann.get_by_text("Quoted text").click()
    expect(ann.frame_locator(".quoted-frame").get_by_role("heading", name="Thursday")).to_be_visible()
    text_of(ann).click()
    ann.keyboard.press("Control+Enter")
    expect(ann.get_by_text("On its way to Zoe Zander, Cyd")).to_be_visible()
    assert only_letter(world).state == "queued"
    # She is back at what she was reading.
    expect(ann.get_by_role("heading", name="Crane inspection")).to_be_visible()
    expect(ann.locator(".row.current")).to_contain_text("Crane inspection")
    ann.get_by_role("button", name="Undo").click()
    expect(text_of(ann)).to_contain_text("Bring a hat")
    assert only_letter(world).state == "draft"
    text_of(ann).click()
    ann.keyboard.press("Control+End")
    ann.keyboard.type(" (on the site)")
    ann.get_by_label("Subject").fill("Re: Crane inspection")
    ann.get_by_label("Subject").press("Enter")
    ann.keyboard.type("Plan attached. ")
    ann.get_by_role("button", name="Send", exact=True).click()
    expect(ann.get_by_text("nothing is attached")).to_be_visible()
    look(ann, "write-questions")
    ann.get_by_role("button", name="Send anyway").click()
    expect(ann.get_by_text("On its way to")).to_be_visible()
    letter = only_letter(world)
    assert (letter.state, letter.subject) == ("queued", "Re: Crane inspection")
    assert letter.html.startswith("<p>Plan attached. Ten is fine. <strong>Bring a hat, Zoe.</strong></p>")
    assert "(on the site)" in letter.html
    assert 'class="signature"' in letter.html
    assert "<b>ten</b>" in letter.quoted


def test_ann_writes_a_new_letter_with_files_and_an_image(world, ann: Page) -> None:
    world.message(world.folder(world.ann_box), subject="Hello", sender=("Marieke de Vries", "m@rijn.example"))
    ann.goto("/")
    ann.keyboard.press("c")
    to = ann.get_by_role("combobox", name="To", exact=True)
    expect(to).to_be_focused()
    look(ann, "write-new")
    to.press_sequentially("mari")
    expect(ann.get_by_role("option", name="Marieke")).to_be_visible()
    look(ann, "write-completion")
    to.press("Enter")
    to.press_sequentially("bob@acme.example, nonsense")
    to.press("Tab")
    expect(ann.locator(".chip.wrong")).to_have_text("nonsense×")
    ann.get_by_role("button", name="Remove: nonsense").click()
    ann.get_by_label("Subject").fill("Figures and pictures")
    figures: FilePayload = {"name": "figures.csv", "mimeType": "text/csv", "buffer": b"a,b"}
    numbers: FilePayload = {
        "name": "große Zahlen.pdf",
        "mimeType": "application/pdf",
        "buffer": b"x" * 90_000,
    }
    ann.get_by_label("Attach files").set_input_files([figures, numbers])
    expect(ann.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(2)
    ann.get_by_label("Subject").press("Enter")
    expect(text_of(ann)).to_be_focused()
    ann.keyboard.type("Look: ")
    ann.get_by_label("Image in the text").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": PNG}
    )
    expect(text_of(ann).get_by_role("img", name="dot.png")).to_be_visible()
    ann.get_by_role("button", name="Remove figures.csv").click()
    expect(ann.get_by_role("list", name="Attachments").get_by_role("listitem")).to_have_count(1)
    look(ann, "write-files")
    first = only_letter(world).pk
    ann.get_by_label("From").select_option(label="team@acme.example")
    expect(ann.get_by_label("From")).to_have_value(re.compile("team@"))
    expect(text_of(ann)).not_to_contain_text("Acme Ltd")
    # What is turned down at the very click that moves it to the other mailbox goes on there.
    ann.get_by_label("Subject").fill("Figures for {deal.name}")
    ann.get_by_role("button", name="Send", exact=True).click()
    expect(ann.get_by_text("These fields of the template are empty: {deal.name}.")).to_be_visible()
    expect(ann.locator(f"#composer:not([data-id='{first}'])")).to_be_visible()
    ann.get_by_label("Subject").fill("Figures and pictures")
    ann.get_by_role("button", name="Send", exact=True).click()
    expect(ann.get_by_text("On its way to Marieke de Vries")).to_be_visible()
    with world.acting():
        letter = Outgoing.objects.prefetch_related("attachments").get(state="queued")
        assert letter.mailbox_id == world.team_box.pk
        assert sorted(file.name for file in letter.attachments.all()) == ["dot.png", "große Zahlen.pdf"]
        image = next(file for file in letter.attachments.all() if file.inline)
        assert f'src="cid:{image.content_id}"' in letter.html
        assert "bob@acme.example" in letter.recipients
        assert Outgoing.objects.filter(state="discarded").count() == 1  # the draft in the other mailbox
    ann.goto("/mail/outbox/")
    expect(ann.get_by_role("link", name="Figures and pictures")).to_be_visible()
    look(ann, "outbox")
    ann.set_viewport_size({"width": 390, "height": 900})
    expect(ann.get_by_role("link", name="Figures and pictures")).to_be_visible()
    ann.set_viewport_size({"width": 1440, "height": 900})
    ann.get_by_role("link", name="Figures and pictures").click()
    expect(ann.get_by_role("button", name="Take it back")).to_be_visible()
    look(ann, "letter-state")


def test_ann_drags_and_pastes_files_plans_the_letter_and_it_reads_as_she_wrote_it(world, ann: Page) -> None:
    inbox = world.folder(world.team_box)
    ann.goto(f"/mail/{inbox.pk}/")
    ann.keyboard.press("c")
    ann.get_by_role("combobox", name="To", exact=True).press_sequentially("zoe@elsewhere.example,")
    ann.get_by_label("Subject").fill("Пристань и 埠頭")
    hand_over(ann.locator("#composer"), "dragenter", "plan.pdf", "application/pdf", b"%PDF-1.4")
    expect(ann.locator("#composer")).to_have_class(re.compile("dropping"))
    look(ann, "write-dropping")
    hand_over(ann.locator("#composer"), "drop", "plan.pdf", "application/pdf", b"%PDF-1.4")
    expect(ann.get_by_role("list", name="Attachments")).to_contain_text("plan.pdf")
    text_of(ann).click()
    ann.keyboard.type("The new ")
    ann.keyboard.press("Control+b")
    ann.keyboard.type("quay")
    ann.keyboard.press("Control+b")
    ann.keyboard.type(", שלום: ")
    hand_over(text_of(ann), "paste", "quay.png", "image/png", PNG)
    expect(text_of(ann).get_by_role("img", name="quay.png")).to_be_visible()
    expect(ann.get_by_text("Saved")).to_be_visible()
    ann.get_by_label("Send later").click()
    look(ann, "write-later")
    ann.set_viewport_size({"width": 390, "height": 900})
    expect(ann.get_by_role("button", name="Plan it")).to_be_in_viewport(ratio=1)
    ann.set_viewport_size({"width": 1440, "height": 900})
    ann.get_by_role("button", name=re.compile("^Tomorrow morning")).click()
    expect(ann.get_by_text("Will be sent")).to_be_visible()
    with world.acting():
        letter = Outgoing.objects.get()
        assert (letter.state, letter.planned) == ("queued", True)
        assert letter.due_at
        assert letter.due_at > timezone.now()
        world_sees = lettering.sent(letter)
    arrived = world.message(inbox, raw=world_sees)
    ann.goto(f"/mail/{inbox.pk}/{arrived.pk}/")
    expect(ann.get_by_role("heading", name="Пристань и 埠頭")).to_be_visible()
    expect(ann.get_by_text("plan.pdf")).to_be_visible()
    frame = ann.frame_locator("iframe.letter")
    expect(frame.get_by_text("The new quay, שלום:")).to_be_visible()
    expect(frame.locator("strong")).to_have_text("quay")
    assert frame.get_by_role("img").evaluate("image => image.complete && image.naturalWidth") == 1
    look(ann, "write-round-trip")


def hand_over(to: Locator, event: str, name: str, kind: str, content: bytes) -> None:
    """What a browser tells of when a file is dragged or pasted: Playwright itself does neither."""
    to.evaluate(
        """(element, [event, name, type, bytes]) => {
          const files = new DataTransfer();
          files.items.add(new File([Uint8Array.from(bytes)], name, { type }));
          const [Kind, field] = event === "paste" ? [ClipboardEvent, "clipboardData"] : [DragEvent, "dataTransfer"];
          element.dispatchEvent(new Kind(event, { [field]: files, bubbles: true, cancelable: true }));
        }""",
        [event, name, kind, list(content)],
    )


def test_ann_writes_to_a_client_from_the_record_with_a_template(world, ann: Page) -> None:
    clients = Clients(world)
    marieke = clients.contact("Marieke de Vries", "m@rijn.example", company=clients.company("Rijn Water"))
    ann.goto("/crm/templates/")
    expect(ann.get_by_role("heading", name="No templates yet")).to_be_visible()
    ann.get_by_role("link", name="New template").click()
    ann.get_by_label("Name", exact=True).fill("Offer")
    subject = ann.get_by_label("Subject")
    subject.fill("Offer for ")
    ann.get_by_role("button", name="{company.name}").click()
    expect(subject).to_have_value("Offer for {company.name}")
    ann.locator(".written").click()
    ann.keyboard.type("Dear ")
    press = "(button) => { button.focus(); button.click(); return document.activeElement.className; }"
    assert "written" in ann.get_by_role("button", name="{contact.first name}").evaluate(
        press
    )  # in the same moment
    ann.keyboard.type(", it costs {deal.amount}.")
    look(ann, "template-form")
    ann.get_by_role("button", name="Save").click()
    expect(ann.get_by_text("“Offer” is saved.")).to_be_visible()
    look(ann, "templates")
    ann.goto(f"/crm/contacts/{marieke.pk}/")
    ann.get_by_role("button", name="Write", exact=True).click()
    expect(text_of(ann)).to_be_focused()
    ann.keyboard.press("Control+;")
    expect(ann.get_by_role("option", name="Offer")).to_be_visible()
    expect(ann.get_by_label("Preview")).to_contain_text("Dear Marieke, it costs")
    ann.keyboard.type("off")
    look(ann, "template-choice")
    ann.keyboard.press("Enter")
    expect(text_of(ann)).to_contain_text("Dear Marieke, it costs {deal.amount}.")
    expect(ann.get_by_label("Subject")).to_have_value("Offer for Rijn Water")
    ann.keyboard.press("Control+Enter")
    expect(ann.get_by_text("These fields of the template are empty: {deal.amount}.")).to_be_visible()
    expect(text_of(ann)).to_be_focused()
    ann.keyboard.type("1 200 euro")  # in the place of the empty field, which is selected
    ann.keyboard.press("Control+Enter")
    expect(ann.get_by_text("On its way to Marieke de Vries")).to_be_visible()
    letter = only_letter(world)
    assert "<p>Dear Marieke, it costs 1 200 euro.</p>" in letter.html
    assert (letter.state, letter.origin, letter.recipients) == ("queued", "crm", ["m@rijn.example"])
    ann.goto(f"/crm/contacts/{marieke.pk}/")
    expect(ann.get_by_role("list", name="What happened")).to_contain_text("Leaves in a moment")
    look(ann, "record-being-sent")


def test_ann_signs_her_letters(world, ann: Page) -> None:
    ann.goto(f"/mailboxes/{world.team_box.pk}/")
    ann.locator(".written").click()
    ann.keyboard.type("Kind regards, the ")
    ann.keyboard.press("Control+b")
    ann.keyboard.type("team")
    look(ann, "signature")
    ann.get_by_role("button", name="Save sender and signature").click()
    expect(ann.get_by_text("Name and signature are saved.")).to_be_visible()
    with world.acting():
        assert (
            Mailbox.objects.get(pk=world.team_box.pk).signature
            == "<p>Kind regards, the <strong>team</strong></p>"
        )


def test_what_is_typed_before_the_editor_has_come_is_kept(world, ann: Page) -> None:
    on_its_way: list[Route] = []
    ann.route("**/django_prose_editor/**", lambda route, _request: on_its_way.append(route))
    with ann.expect_request("**/django_prose_editor/**"):
        ann.goto(f"/mailboxes/{world.team_box.pk}/", wait_until="domcontentloaded")
    ann.locator("textarea[data-rich]").click()
    ann.keyboard.type("Kind")
    for route in on_its_way:
        route.continue_()
    ann.unroute_all()
    expect(ann.get_by_role("textbox", name="Signature").and_(ann.locator(".written"))).to_be_focused()
    ann.keyboard.type(" regards")
    expect(ann.locator(".written")).to_have_text("Kind regards")


def test_two_tabs_and_a_server_that_is_away_lose_nothing(world, ann: Page) -> None:
    ann.goto("/")
    ann.get_by_role("button", name="Write").click()
    ann.get_by_label("Subject").fill("One")
    expect(ann.get_by_text("Saved")).to_be_visible()
    url = ann.url
    other = ann.context.new_page()
    other.goto(url)
    other.get_by_label("Subject").fill("Two")
    expect(other.get_by_text("Saved")).to_be_visible()
    ann.get_by_label("Subject").fill("Three")
    expect(ann.get_by_text("This draft was changed in another window.")).to_be_visible()
    look(ann, "write-conflict")
    ann.get_by_role("button", name="Keep mine").click()
    expect(ann.get_by_text("Saved")).to_be_visible()
    assert only_letter(world).subject == "Three"
    ann.context.set_offline(True)
    ann.get_by_label("Subject").fill("Four")
    expect(ann.get_by_text("Not saved: the server cannot be reached.")).to_be_visible()
    ann.context.set_offline(False)
    expect(ann.get_by_text(re.compile("^Saved"))).to_be_visible()
    assert only_letter(world).subject == "Four"
    ann.get_by_role("button", name="Throw the draft away").click()
    expect(ann.get_by_text("The draft is thrown away.")).to_be_visible()
    ann.get_by_role("button", name="Undo").click()
    expect(ann.get_by_label("Subject")).to_have_value("Four")
    ann.keyboard.press("Escape")
    expect(ann.get_by_text("Choose a message")).to_be_visible()


@pytest.mark.parametrize("by_way_of", ["our draft", "a phone's draft", "a letter taken back", "the bin"])
def test_a_letter_that_was_only_looked_at_is_still_a_draft(world: World, ann: Page, by_way_of: str) -> None:
    """Only what this very click began is thrown away when nothing was written into it."""
    with world.acting():
        mailbox = Mailbox.objects.get(pk=world.ann_box.pk)
        given: dict[str, Any] = {
            "to": [["Zoe", "zoe@x.example"]],
            "subject": "Offer",
            "html": "<p>Pages of work</p>",
        }
        letter = None if by_way_of == "a phone's draft" else outbox.start(mailbox, by=world.ann, **given)
        if letter and by_way_of == "a letter taken back":
            outbox.queue(letter, by=world.ann, key="", send_at=timezone.now() + timedelta(hours=1))
        elif letter and by_way_of == "the bin":
            outbox.discard(letter)
    if by_way_of in ("our draft", "a phone's draft"):
        drafts = world.folder(world.ann_box, SpecialUse.DRAFTS)
        name = letter.message_id if letter else "d@phone"
        raw = f"To: zoe@x.example\r\nSubject: Offer\r\nMessage-ID: <{name}>\r\n\r\nPages of work\r\n"
        ann.goto(f"/mail/{drafts.pk}/{world.message(drafts, raw=raw.encode()).pk}/")
        ann.get_by_role("button", name="Go on writing").click()
    elif letter:
        ann.goto(f"/mail/write/{letter.pk}/")
        ann.get_by_role("button", name=re.compile("Take it back|Take it out of the bin")).click()
    expect(text_of(ann)).to_contain_text("Pages of work")
    expect(text_of(ann)).to_be_focused()  # the page is ready
    requests: list[str] = []
    ann.on("request", lambda request: requests.append(request.url))
    ann.get_by_role("link", name="Close; the draft is kept").click()
    expect(ann.locator("#composer")).to_have_count(0)
    assert not [url for url in requests if url.endswith("/discard/")]
    assert only_letter(world).state == "draft"
