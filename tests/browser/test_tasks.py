"""Tasks in a real browser: made from mail by one key, moved on the board, deleted and taken back."""

import re
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import APIResponse, Browser, BrowserContext, Error, Page, Route, expect

from tasks import actions, details
from tasks.models import Priority, Status, Task, TaskMessage
from tests.browser.looking import look
from tests.browser.test_reading import ann, context, row, sign_in_as, stays
from tests.tasks.people import busy_task

__all__ = ["ann", "context"]  # fixtures

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def letters(world):
    inbox = world.folder(world.ann_box)
    return [
        world.message(inbox, subject="Order 1208", text="Twelve buoys, please."),
        world.message(inbox, subject="Anchor chains", text="How long may they be?\n" * 30),
    ]


def card(page: Page, title: str):
    return page.locator(".task-card").filter(has_text=title)


def column(page: Page, name: str):
    return page.get_by_role("region", name=re.compile(name))


def test_one_key_makes_a_task_and_the_message_says_so(world, ann: Page, letters) -> None:
    with world.acting():
        actions.create("Ask the smith", by=world.ann)
    ann.goto("/")
    row(ann, "Order 1208").get_by_role("link").focus()
    ann.keyboard.press("t")
    toast = ann.locator("[data-toast]")
    expect(toast).to_contain_text("Task “Order 1208” is made.")
    expect(row(ann, "Order 1208").locator(".task-sign")).to_be_visible()
    toast.get_by_role("button", name="Undo").click()
    expect(toast.last).to_contain_text("its mail is as it was")
    expect(row(ann, "Order 1208").locator(".task-sign")).to_have_count(0)

    row(ann, "Anchor chains").get_by_role("link").click()
    panel = ann.get_by_role("region", name="Tasks")
    ann.keyboard.press("t")
    expect(panel.get_by_role("link", name="Anchor chains")).to_be_visible()
    panel.get_by_text("Add to a task").click()
    panel.get_by_role("button", name="Ask the smith").click()
    expect(panel.get_by_role("link", name="Ask the smith")).to_be_visible()
    ann.evaluate("document.getElementById('toasts').replaceChildren()")
    look(ann, "task-panel")
    panel.get_by_role("button", name="Take off “Anchor chains”").click()
    expect(panel.get_by_role("link", name="Anchor chains")).to_have_count(0)
    with world.acting():
        assert TaskMessage.objects.get(task__delete_at=None).task.title == "Ask the smith"
    panel.get_by_role("link", name="Ask the smith").click()
    expect(ann).to_have_title("Ask the smith · Mailbound")
    ann.get_by_role("link", name="Anchor chains").click()
    expect(ann.get_by_role("article")).to_contain_text("How long may they be?")
    look(ann, "task-message")
    ann.goto("/tasks/mail/")
    expect(ann.get_by_role("list", name="Mail on my tasks").get_by_role("listitem")).to_have_count(1)
    look(ann, "task-bound")
    ann.get_by_role("link", name="Anchor chains").click()
    ann.get_by_role("link", name="Open it in the mailbox").click()
    expect(ann.get_by_role("heading", name="Anchor chains")).to_be_visible()


def test_a_task_made_while_the_message_loads_is_shown_beside_it(world, ann: Page, letters) -> None:
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))  # it does not know of the task

    ann.goto("/")
    ann.route(re.compile(r"/of-mail/\d+/$"), hold)
    row(ann, "Anchor chains").get_by_role("link").click()
    stays(lambda: bool(held), ann)
    with ann.expect_response(lambda response: response.request.method == "POST" and "tasks" in response.url):
        ann.keyboard.press("t")
    expect(ann.locator("[data-toast]")).to_contain_text("is made")
    with suppress(Error):  # nobody waits for it any more
        held[0][0].fulfill(response=held[0][1])
    panel = ann.get_by_role("region", name="Tasks")
    expect(panel.get_by_role("link", name="Anchor chains")).to_be_visible()


def test_the_choice_of_a_task_stays_open_when_another_was_made_meanwhile(world, ann: Page, letters) -> None:
    with world.acting():
        actions.create("Ask the smith", by=world.ann)
    ann.goto("/")
    row(ann, "Anchor chains").get_by_role("link").click()
    panel = ann.get_by_role("region", name="Tasks")
    ann.wait_for_load_state("networkidle")  # what comes above it moves it
    panel.get_by_text("Add to a task").click()
    expect(panel.get_by_role("button", name="Ask the smith")).to_be_visible()
    with world.acting():
        actions.create_from([letters[1].message], by=world.ann)
    ann.evaluate("htmx.trigger(document.body, 'tasks-changed')")
    expect(panel.get_by_role("link", name="Anchor chains")).to_be_visible()
    expect(panel.get_by_role("button", name="Ask the smith")).to_be_visible()


def test_a_click_counts_although_the_tasks_are_asked_for_anew_while_the_button_is_down(
    ann: Page, letters
) -> None:
    ann.goto("/")
    row(ann, "Anchor chains").get_by_role("link").click()
    panel = ann.get_by_role("region", name="Tasks")
    expect(panel.get_by_role("heading", name="Tasks")).to_be_visible()
    ann.wait_for_load_state("networkidle")
    panel.get_by_text("Add to a task").hover()
    ann.mouse.down()
    with ann.expect_response(re.compile(r"/of-mail/\d+/$")) as answer:
        ann.evaluate("htmx.trigger(document.body, 'tasks-changed')")
    answer.value.finished()
    ann.evaluate("new Promise((shown) => requestAnimationFrame(() => requestAnimationFrame(shown)))")
    ann.mouse.up()
    expect(ann.get_by_role("searchbox", name="Search my tasks")).to_be_visible()


def test_cards_move_by_drag_and_by_keyboard_and_come_back_when_refused(world, ann: Page, letters) -> None:
    with world.acting():
        first = actions.create("Calibrate buoy 7 before it leaves for the harbour of Tromsø", by=world.ann)
        second = actions.create_from([letters[0].message], by=world.ann)
        Task.objects.filter(pk=first.pk).update(
            deadline=timezone.now() - timedelta(days=1), priority=Priority.HIGH
        )
        details.add_point(second, "Price")
        actions.create("Old", by=world.ann, status=Status.DONE)
    ann.goto("/tasks/board/")
    look(ann, "board")
    card(ann, "Calibrate").drag_to(column(ann, "Waiting"))
    expect(column(ann, "Waiting").locator(".task-card")).to_contain_text("Calibrate")
    link = card(ann, "Order 1208").get_by_role("link")
    link.focus()
    ann.keyboard.press("Shift+ArrowRight")
    expect(column(ann, "In progress").locator(".task-card")).to_contain_text("Order 1208")
    expect(link).to_be_focused()
    expect(ann.locator("#board-said")).to_have_text("Order 1208 is now in In progress.")
    ann.keyboard.press("ArrowRight")
    expect(card(ann, "Calibrate").get_by_role("link")).to_be_focused()
    ann.reload()
    expect(column(ann, "In progress").locator(".task-card")).to_contain_text("Order 1208")
    expect(column(ann, "Waiting").locator("[data-total]")).to_have_text("1")

    with world.acting():
        Task.objects.filter(pk=first.pk).delete()  # somebody else was quicker
    card(ann, "Calibrate").get_by_role("link").focus()
    ann.keyboard.press("Shift+ArrowLeft")
    expect(ann.locator("[data-toast]")).to_contain_text("nothing was changed")
    expect(column(ann, "Waiting").locator(".task-card")).to_contain_text("Calibrate")


def test_the_last_move_of_a_card_stands_though_the_first_is_slow(world, ann: Page) -> None:
    """Each move is a request of its own: sent side by side, the server would take them in any order."""
    with world.acting():
        task = actions.create("Calibrate", by=world.ann)
    asked: list[Route] = []
    ann.route(
        re.compile(r"/tasks/\d+/move/"), lambda route: route.continue_() if asked else asked.append(route)
    )
    ann.goto("/tasks/board/")
    card(ann, "Calibrate").get_by_role("link").focus()
    ann.keyboard.press("Shift+ArrowRight")
    ann.keyboard.press("Shift+ArrowRight")
    expect(column(ann, "Waiting").locator(".task-card")).to_contain_text("Calibrate")
    ann.wait_for_timeout(500)
    expect(ann.locator("#board-said")).to_be_empty()
    with ann.expect_response(re.compile("/move/waiting/")):
        asked[0].continue_()
    expect(ann.locator("#board-said")).to_have_text("Calibrate is now in Waiting.")
    with world.acting():
        task.refresh_from_db()
    assert task.status == Status.WAITING


def test_a_task_is_worked_on_deleted_and_taken_back(world, ann: Page, letters) -> None:
    with world.acting():
        world.ann_box.smtp_host = "smtp.acme.example"
        world.ann_box.save(update_fields=["smtp_host"])
        task = busy_task(world.ann, letters[0].message, world.bob, title="Answer Zoe " + "at length " * 20)
    ann.goto("/tasks/")
    expect(ann.locator("#notices")).to_contain_text("You wanted to be reminded")
    ann.get_by_label("Title of a new task").fill("Water the plants")
    ann.keyboard.press("Enter")
    expect(ann.get_by_role("link", name="Water the plants")).to_be_visible()
    # The strip comes after the page and moves what is below it: not between the button going down and up.
    expect(ann.locator("#notices")).to_contain_text("You wanted to be reminded")
    ann.get_by_role("button", name="Done: Water the plants").click()
    expect(ann.locator("#said")).to_contain_text("is now: Done.")
    look(ann, "task-list")
    ann.get_by_role("link", name="Answer Zoe").first.click()
    ann.get_by_role("region", name="Mail").get_by_role("button", name="Write", exact=True).click()
    expect(ann.get_by_role("textbox", name="Text of the message")).to_be_focused()
    expect(ann.locator(".chip")).to_have_text("Zoe Zander×")
    ann.keyboard.type("At length.")
    ann.keyboard.press("Control+Enter")
    expect(ann.get_by_text("On its way to Zoe Zander")).to_be_visible()
    ann.goto(f"/tasks/{task.pk}/")
    expect(ann.get_by_role("list", name="On their way")).to_contain_text("Leaves in a moment")
    half_written = ann.get_by_label("A new comment")
    half_written.fill("She says")
    ann.get_by_role("checkbox", name="Ask for the price").click()
    expect(ann.get_by_role("checkbox", name="Ask for the price")).to_have_attribute("aria-checked", "true")
    expect(half_written).to_have_value("She says")  # what is half written elsewhere is not lost
    half_written.press("Control+Enter")
    expect(ann.get_by_role("region", name="Comments").get_by_role("listitem")).to_have_count(2)
    ann.get_by_label("A new point of the checklist").fill("Ask for the colour")
    ann.keyboard.press("Enter")
    expect(ann.get_by_role("checkbox", name="Ask for the colour")).to_be_visible()
    ann.get_by_label("When to remind me").fill("2020-01-01T10:00")
    ann.get_by_role("region", name="Remind me").get_by_role("button", name="Add").click()
    expect(ann.locator("#said")).to_contain_text("has passed already")
    look(ann, "task")
    ann.get_by_role("link", name="Delete the task").click()
    expect(ann.get_by_role("button", name="Delete the task and 1 message")).to_be_visible()
    look(ann, "task-delete")
    ann.get_by_role("button", name="Delete the task and 1 message").click()
    expect(ann.get_by_role("link", name="Answer Zoe")).to_have_count(0)
    ann.get_by_role("button", name="Undo").click()
    expect(ann.get_by_role("heading", name="Answer Zoe")).to_be_visible()
    with world.acting():
        assert TaskMessage.objects.filter(task=task).count() == 1


def test_pages_without_tasks_say_what_comes_next_and_pass_axe(world, ann: Page) -> None:
    ann.goto("/tasks/")
    expect(ann.get_by_text("No open tasks")).to_be_visible()
    ann.keyboard.press("n")
    expect(ann.get_by_label("Title of a new task")).to_be_focused()
    look(ann, "no-tasks")
    ann.goto("/tasks/board/")
    expect(ann.get_by_text("Nothing here").first).to_be_visible()


def test_without_scripts_tasks_still_work(world, live_server, browser: Browser, letters) -> None:
    context: BrowserContext = browser.new_context(base_url=live_server.url, java_script_enabled=False)
    from_mail = letters[0]
    with world.acting():
        other = actions.create("Ask the smith", by=world.ann)
    sign_in_as(context, world.ann, live_server.url)
    page = context.new_page()
    page.goto(f"/mail/{from_mail.folder_id}/{from_mail.pk}/")
    page.get_by_role("toolbar", name="With this message").get_by_role("button", name="Make a task").click()
    expect(page.get_by_role("heading", name="Order 1208")).to_be_visible()
    page.get_by_label("A new comment").fill("Called.")
    page.get_by_role("button", name="Comment", exact=True).click()
    expect(page.get_by_role("region", name="Comments")).to_contain_text("Called.")
    page.goto(f"/tasks/of-mail/{from_mail.pk}/choose/")
    page.get_by_role("button", name="Ask the smith").click()
    expect(page.get_by_role("button", name="Take off “Ask the smith”")).to_be_visible()
    with world.acting():
        assert TaskMessage.objects.filter(task=other).count() == 1
    page.goto("/tasks/board/?show=all")
    card(page, "Ask the smith").get_by_label("Move Ask the smith").click()
    card(page, "Ask the smith").get_by_role("button", name="Waiting").click()
    expect(column(page, "Waiting").locator(".task-card")).to_contain_text("Ask the smith")
    context.close()
