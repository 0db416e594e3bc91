"""People keep contacts, companies, leads and deals: pages, search, addresses, the bin."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEntry
from crm import directory
from crm.models import Company, Contact, Deal, EmailAddress, Lead


@pytest.fixture
def ann(world):
    return world.client(world.ann)


def test_ann_enters_a_contact_with_a_company_that_is_new(world, ann) -> None:
    answer = ann.post(
        "/crm/contacts/new/",
        {
            "name": "Marieke de Vries", "emails": "M.deVries@Rijnwater.example\nmarieke@home.example",
            "company_typed": "Rijnwater", "position": "Buyer", "responsible": world.bob.pk,
        },
    )  # fmt: skip
    assert answer.status_code == 302
    with world.acting():
        contact = Contact.objects.get()
        assert contact.company is not None
        assert (contact.company.name, contact.responsible) == ("Rijnwater", world.bob)
        assert directory.addresses_of(contact) == ["m.devries@rijnwater.example", "marieke@home.example"]
    page = ann.get(answer["Location"]).content.decode()
    assert "Marieke de Vries" in page
    assert "m.devries@rijnwater.example" in page


def test_an_address_belongs_to_one_record_and_the_form_says_whose(world, ann, clients) -> None:
    clients.contact("Zoe", "zoe@elsewhere.example")
    answer = ann.post(
        "/crm/leads/new/", {"name": "Z.", "emails": "ZOE@elsewhere.example", "responsible": world.ann.pk}
    )
    assert answer.status_code == 422
    assert "zoe@elsewhere.example belongs to “Zoe” already." in answer.content.decode()
    with world.acting():
        assert not Lead.objects.exists()
        assert EmailAddress.objects.count() == 1


@pytest.mark.parametrize(
    ("emails", "sentence"),
    [
        ("not-an-address", "is not an e-mail address"),
        (" ".join(f"a{n}@b.example" for n in range(21)), "At most 20"),
    ],
)
def test_a_wrong_address_is_named_and_nothing_is_lost(world, ann, emails, sentence) -> None:
    answer = ann.post("/crm/contacts/new/", {"name": "Zoe Ö", "emails": emails, "responsible": world.ann.pk})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert "Zoe Ö" in answer.content.decode()


def test_the_database_itself_refuses_an_address_of_two_and_of_none(world, clients) -> None:
    contact, lead = clients.contact("Zoe"), clients.lead("Yan")
    for owner in ({}, {"contact": contact, "lead": lead}):
        with (
            pytest.raises(IntegrityError, match="address_of_one_record"),
            world.acting(),
            transaction.atomic(),
        ):
            EmailAddress.objects.create(account=world.acme, address="a@b.example", **owner)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("?q=rijn", ["Marieke", "Piet"]),
        ("?q=PIET", ["Piet"]),
        ("?q=m.devries%40", ["Marieke"]),
        ("?q=rijn+piet", ["Piet"]),
        ("?mine=1", ["Zoe"]),
        ("?q=%00", ["Marieke", "Piet", "Zoe"]),
        ("?q=%25", []),
    ],
)
def test_contacts_are_found_by_name_company_and_address(world, clients, asked, found) -> None:
    rijnwater = clients.company("Rijnwater")
    clients.contact("Zoe", responsible=world.bob)
    clients.contact("Marieke", "m.devries@rijn.example", company=rijnwater)
    clients.contact("Piet", company=rijnwater)
    page = world.client(world.bob).get(f"/crm/contacts/{asked}").content.decode()
    assert [name for name in ("Marieke", "Piet", "Zoe") if f">{name}</b>" in page] == found


@pytest.mark.parametrize("slug", ["contacts", "deals"])
def test_pages_of_a_list_follow_each_other_without_gap_or_repetition(world, ann, clients, slug) -> None:
    stage = clients.stages()[0]
    common = {"account": world.acme, "responsible": world.ann}
    numbered = [f"n{number % 40:03} É" for number in range(120)]
    with world.acting():
        Contact.objects.bulk_create(Contact(name=name, **common) for name in numbered)
        Deal.objects.bulk_create(Deal(name=name, stage=stage, **common) for name in numbered)
    seen: list[int] = []
    url = f"/crm/{slug}/"
    while url:
        rows = ann.get(url).context["rows"]
        seen += [row.record.pk for row in rows]
        listed = ann.get(url).context["listed"]
        url = listed.next_url if listed.next else ""
    assert len(seen) == len(set(seen)) == 120


def test_nonsense_in_a_lists_address_is_not_found(ann) -> None:
    for url in (
        "contacts/?after=x",
        "contacts/?after=999999999",
        "leads/?state=x",
        "deals/?state=stage-x",
        "board/",
    ):
        assert ann.get(f"/crm/{url}").status_code == 404, url
    assert ann.get("/crm/deals/board/?pipeline=999999999").status_code == 404


def test_a_deleted_contact_leaves_and_comes_back_with_its_address(world, ann, clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    page = ann.post(f"/crm/contacts/{zoe.pk}/delete/", follow=True).content.decode()
    assert "“Zoe” is in the bin for 30 days." in page
    assert f"/crm/contacts/{zoe.pk}/restore/" in page
    assert ann.get(f"/crm/contacts/{zoe.pk}/").status_code == 404
    assert "Zoe" in ann.get("/crm/bin/").content.decode()
    with world.acting():
        assert directory.owner_of(world.acme.pk, "zoe@elsewhere.example") is None
    ann.post(f"/crm/contacts/{zoe.pk}/restore/")
    with world.acting():
        assert directory.owner_of(world.acme.pk, "zoe@elsewhere.example") == zoe
        verbs = AuditEntry.objects.order_by("pk").values_list("verb", flat=True)
        assert list(verbs)[-2:] == ["contact.deleted", "contact.restored"]


def test_an_address_given_to_another_meanwhile_stays_there(world, ann, clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example", "z@elsewhere.example")
    ann.post(f"/crm/contacts/{zoe.pk}/delete/")
    yan = clients.contact("Yan", "zoe@elsewhere.example")
    page = ann.post(f"/crm/contacts/{zoe.pk}/restore/", follow=True).content.decode()
    assert "belong to somebody else by now: zoe@elsewhere.example" in page
    with world.acting():
        assert directory.addresses_of(zoe) == ["z@elsewhere.example"]
        assert directory.addresses_of(yan) == ["zoe@elsewhere.example"]


def test_after_thirty_days_the_bin_is_emptied_and_not_a_day_before(world, ann, clients) -> None:
    zoe = clients.contact("Zoe", "zoe@elsewhere.example")
    deal = clients.deal("Buoys", contact=zoe)
    ann.post(f"/crm/contacts/{zoe.pk}/delete/")
    with world.acting():
        assert directory.empty_bin(world.acme.pk, timezone.now() + timedelta(days=29)) == 0
        assert directory.empty_bin(world.acme.pk, timezone.now() + timedelta(days=31)) == 1
        assert not Contact.objects.exists()
        deal.refresh_from_db()
        assert deal.contact is None


def test_a_deal_is_made_from_its_contact(world, ann, clients) -> None:
    company = clients.company("Rijnwater")
    zoe = clients.contact("Zoe", "zoe@elsewhere.example", company=company)
    page = ann.get(f"/crm/deals/new/?contact={zoe.pk}").content.decode()
    assert "Zoe &lt;zoe@elsewhere.example&gt;" in page
    form = {
        "name": "Ten buoys", "stage": clients.stages()[1].pk, "amount": "1250.50", "currency": "eur",
        "contact_typed": "Zoe <zoe@elsewhere.example>", "responsible": world.ann.pk,
    }  # fmt: skip
    assert ann.post("/crm/deals/new/", form).status_code == 302
    with world.acting():
        deal = Deal.objects.select_related("stage").get()
        assert (deal.contact, deal.company, deal.currency, deal.stage.name) == (
            zoe,
            company,
            "EUR",
            "In talks",
        )


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("Nobody", "There is no contact “Nobody”."),
        ("Jan", "Several records are called “Jan”; give the e-mail address."),
    ],
)
def test_a_contact_that_cannot_be_told_is_asked_for_in_words(world, ann, clients, typed, sentence) -> None:
    clients.contact("Jan")
    clients.contact("jan")
    form = {"name": "D", "stage": clients.stages()[0].pk, "currency": "EUR", "contact_typed": typed,
            "responsible": world.ann.pk}  # fmt: skip
    answer = ann.post("/crm/deals/new/", form)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()


def test_one_domain_belongs_to_one_company(world, ann, clients) -> None:
    clients.company("Rijnwater", domain="rijnwater.example")
    form = {"name": "Rijn", "domain": "@Rijnwater.example", "responsible": world.ann.pk}
    answer = ann.post("/crm/companies/new/", form)
    assert "rijnwater.example belongs to “Rijnwater” already." in answer.content.decode()
    with world.acting():
        assert Company.objects.count() == 1


def test_suggestions_are_what_find_reads(world, ann, clients) -> None:
    clients.contact("Zoe <3", "zoe@elsewhere.example")
    options = ann.get("/crm/contacts/suggest/?contact_typed=zo").content.decode()
    assert options == "<option value='Zoe &lt;3 &lt;zoe@elsewhere.example&gt;'></option>"
