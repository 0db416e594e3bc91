"""The demo company's clients: there before the first mail, which finds them by itself."""

from datetime import date

import pytest
from django.utils import timezone

from accounts import tenancy
from crm.models import Activity, Binding, Contact, Deal, Feed, Lead
from demo import clients, correspondence, seeding
from demo.company import PEOPLE
from mailsync.models import Folder
from plans.loading import load_catalogue
from tests.world import place


@pytest.fixture
def account(db: None):
    load_catalogue()
    host = seeding.MailHost("127.0.0.1", 143, 25, "password")
    return seeding.found_company(host, today=date(2026, 11, 1))


def test_the_company_has_clients_deals_and_mailboxes_that_feed(account) -> None:
    with tenancy.acting_for(account.pk):
        assert Contact.objects.count() == len(clients.CLIENTS)
        assert Deal.objects.count() == len(clients.DEALS)
        assert Feed.objects.filter(enabled=True).count() == 3
        for contact in Contact.objects.select_related("company"):
            assert contact.company
            for address in contact.addresses.all():
                assert address.address.endswith(f"@{contact.company.domain}"), contact


def test_its_letters_find_their_clients_and_its_newsletters_nobody(account) -> None:
    now = timezone.now()
    ben = PEOPLE["ben"]
    letters = [each for each in correspondence.conversations(now) if ben in each.people][:40]
    assert letters
    with tenancy.acting_for(account.pk):
        folder = Folder.objects.select_related("mailbox").get(
            mailbox__address=ben.address, special_use="inbox"
        )
        Folder.objects.filter(pk=folder.pk).update(uidvalidity=1)
        for letter in letters:
            place(folder, letter.as_bytes(), received_at=letter.sent_at)
        known = {PEOPLE[client.key].address for client in clients.CLIENTS}
        kept = set(Activity.objects.filter(kind="mail").values_list("sender_address", flat=True))
        assert kept & known
        assert not Lead.objects.exists()
        assert Binding.objects.exclude(contact=None).exists()
