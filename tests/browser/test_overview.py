"""An admin looks after everybody's mailboxes, in a real browser: wide, on a phone, in the dark."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import Department, Employee
from mailsync.models import Mailbox, MailboxState
from retention.models import Storage
from tests.browser.looking import look
from tests.browser.test_people import admin, visitor
from tests.world import mailbox

__all__ = ["admin", "visitor"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def company(world):
    """Forty mailboxes, two in trouble, one shared, storage counted."""
    now = timezone.now()
    with world.acting():
        sales = Department.objects.create(account=world.acme, name="Sales")
        Employee.objects.filter(pk=world.cyd.pk).update(department=sales)
        made = [mailbox(world.cyd, f"office{n:02}@acme.example") for n in range(8)]
        Storage.objects.bulk_create(
            Storage(account=world.acme, mailbox=box, counted_at=now, unbound_bytes=7 * 10**8, crm_bytes=3 * 10**8,
                    task_bytes=n * 10**8)
            for n, box in enumerate([world.team_box, *made])
        )  # fmt: skip
        troubled = Mailbox.objects.filter(pk=world.ann_box.pk)
        troubled.update(
            state=MailboxState.REFUSED, last_error="The server refuses this login and password: “no”.",
            troubled_since=now - timedelta(days=2), synced_at=now - timedelta(days=2),
        )  # fmt: skip
    return world


def test_adm_looks_after_everybodys_mailboxes(company, admin: Page) -> None:
    admin.goto("/mailboxes/all/")
    expect(admin.get_by_role("row")).to_have_count(11)
    expect(admin.get_by_role("row").nth(1)).to_contain_text("The server refuses the sign-in")
    look(admin, "all-mailboxes")
    admin.get_by_role("link", name="Storage").click()
    expect(admin.get_by_role("row").nth(1)).to_contain_text("office07@acme.example")
    admin.get_by_text("Filters", exact=True).click()
    admin.get_by_role("combobox", name="Who has access").select_option(label="Shared")
    look(admin, "all-mailboxes-filters")
    admin.get_by_role("button", name="Apply").click()
    expect(admin.get_by_role("row")).to_have_count(2)
    admin.get_by_role("link", name="Who has access: Shared").click()
    admin.locator("summary", has_text="Columns").click()
    admin.get_by_role("checkbox", name="Department").check()
    admin.get_by_role("button", name="Show these").click()
    expect(admin.get_by_role("columnheader", name="Department")).to_be_visible()
    admin.get_by_role("checkbox", name="This page").check()
    admin.get_by_role("button", name="Pause").click()
    expect(admin.get_by_text("You paused 10 mailboxes.")).to_be_visible()
    look(admin, "all-mailboxes-paused")
    admin.get_by_role("button", name="Undo").click()
    expect(admin.get_by_text("10 mailboxes are as they were.")).to_be_visible()
    admin.get_by_role("checkbox", name="office01@acme.example").check()
    for verb in ("CRM …", "Hand over …", "Disconnect …"):
        admin.get_by_role("button", name=verb).click()
        expect(admin.get_by_role("heading", level=1)).to_contain_text("1 mailbox")
        look(admin, f"all-mailboxes-{verb[:3].lower()}")
        admin.get_by_role("link", name="Leave them as they are").click()
        admin.get_by_role("checkbox", name="office01@acme.example").check()
    admin.get_by_role("button", name="Disconnect …").click()
    admin.get_by_role("button", name="Disconnect").click()
    expect(admin.get_by_text("1 mailbox is disconnected")).to_be_visible()


def test_adm_reads_in_an_emergency_and_ann_sees_it(company, admin: Page) -> None:
    admin.goto("/mailboxes/all/")
    admin.get_by_role("link", name="team@acme.example").click()
    admin.get_by_role("button", name="Pause").click()
    expect(admin.get_by_text("An admin paused this mailbox.")).to_be_visible()
    look(admin, "settings-as-admin")
    admin.get_by_role("button", name="Resume").click()
    expect(admin.get_by_role("button", name="Pause")).to_be_visible()
    admin.get_by_role("link", name="Read it in an emergency").click()
    admin.get_by_label("Why must you read it?").fill("Customs want the papers.")
    look(admin, "emergency")
    admin.get_by_role("button", name="Read it for 24 hours").click()
    expect(admin.get_by_role("row", name="team@acme.example")).to_contain_text("in an emergency")
    look(admin, "all-mailboxes-emergency")


def test_adm_reads_a_file_of_mailboxes_in_and_mends_a_row(company, admin: Page) -> None:
    admin.goto("/mailboxes/all/")
    admin.get_by_role("link", name="Connect for others").click()
    expect(admin.get_by_label("CSV file")).to_be_visible()
    look(admin, "connect-for-others")
    content = b"address,owner,password\nsales@acme.example,cyd@acme.example,x\nhelp@acme.example,who@acme.example,x\n"
    admin.get_by_label("CSV file").set_input_files(
        {"name": "boxes.csv", "mimeType": "text/csv", "buffer": content}
    )
    admin.get_by_role("button", name="Read the file").click()
    expect(admin.get_by_text("Nobody of your company signs in with who@acme.example.")).to_be_visible()
    look(admin, "enrolment")
    admin.get_by_role("link", name="Mend row 2").click()
    expect(admin.get_by_label("Owner's e-mail address")).to_be_visible()
    look(admin, "enrolment-row")
    admin.get_by_label("Owner's e-mail address").fill("bob@acme.example")
    admin.get_by_role("button", name="Save the row").click()
    expect(admin.get_by_role("button", name="Test and connect 2 mailboxes")).to_be_visible()
