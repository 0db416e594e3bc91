"""Two records become one; a lead becomes a client; and nothing that belonged to them is lost."""

import pytest

from crm import activities, directory
from crm.matching import Ref
from crm.models import Activity, Binding, Company, Contact, Deal, Lead, Ruling
from tests.crm.conftest import Clients
from tests.crm.test_arrivals import arrive, bound_to
from tests.world import World


@pytest.fixture
def ann(world):
    return world.client(world.ann)


def test_everything_of_the_one_moves_to_the_other(world: World, ann, clients: Clients) -> None:
    clients.feed(world.ann_box)
    rijn = clients.company("Rijn")
    keep = clients.contact("Zoe Zander", "zoe@elsewhere.example", phone="1")
    lose = clients.contact("Z. Zander", "z@home.example", phone="2", company=rijn, position="Buyer")
    deal = clients.deal("Buoys", contact=lose)
    message = arrive(world, sender="z@home.example")
    with world.acting():
        activity = activities.of_message(message.pk)
        assert activity
        activities.bind(activity, Ref("contact", keep.pk), by=world.ann, alone=False)
    page = ann.get(f"/crm/contacts/{keep.pk}/merge/?with=z@home.example").content.decode()
    assert "Buyer" in page
    form = {"with": f"#{lose.pk}", "phone": "ours", "company": "theirs", "position": "theirs", "name": "ours"}
    assert ann.post(f"/crm/contacts/{keep.pk}/merge/", form).status_code == 302
    with world.acting():
        keep.refresh_from_db()
        deal.refresh_from_db()
        assert (keep.name, keep.phone, keep.company, keep.position) == ("Zoe Zander", "1", rijn, "Buyer")
        assert directory.addresses_of(keep) == ["zoe@elsewhere.example", "z@home.example"]
        assert deal.contact == keep
        assert Contact.objects.get(pk=lose.pk).binned_at
        assert Ruling.objects.get().bound == [["company", rijn.pk], ["deal", deal.pk], ["contact", keep.pk]]
        assert not Binding.objects.filter(contact=lose).exists()
    assert "Zoe Zander" in bound_to(world, message)
    assert bound_to(world, arrive(world, "2@x.example", sender="z@home.example")) >= {"Zoe Zander"}
    assert "“Z. Zander” was merged into this record" in ann.get(f"/crm/contacts/{keep.pk}/").content.decode()


def test_two_companies_with_one_domain_after_another(world: World, ann, clients: Clients) -> None:
    keep, lose = clients.company("Rijn"), clients.company("Rijn BV", domain="rijn.example")
    clients.contact("Piet", company=lose)
    ann.post(f"/crm/companies/{keep.pk}/merge/", {"with": "Rijn BV", "domain": "theirs"})
    with world.acting():
        keep.refresh_from_db()
        assert keep.domain == "rijn.example"
        assert Contact.objects.get().company == keep


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("Nobody", "There is no contact “Nobody”."),
        ("#99999999", "There is no such record."),
        ("Zoe", "no contact “Zoe”"),
    ],
)
def test_whom_to_merge_with_is_asked_again_in_words(
    world: World, ann, clients: Clients, typed, sentence
) -> None:
    keep = clients.contact("Zoe")
    answer = ann.get(f"/crm/contacts/{keep.pk}/merge/", {"with": typed})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()


def test_a_lead_becomes_contact_company_and_deal_with_its_mail(world: World, ann, clients: Clients) -> None:
    clients.feed(world.ann_box, strangers="lead")
    message = arrive(world, sender="Nel Nauta <nel@nowhere.example>")
    with world.acting():
        lead = Lead.objects.get()
    form = {"company_typed": "Nowhere BV", "deal": "Ten buoys", "stage": clients.stages()[0].pk}
    assert ann.post(f"/crm/leads/{lead.pk}/convert/", form).status_code == 302
    with world.acting():
        contact, company, deal = Contact.objects.get(), Company.objects.get(), Deal.objects.get()
        assert (contact.name, contact.company, deal.contact, deal.company) == (
            "Nel Nauta",
            company,
            contact,
            company,
        )
        assert directory.addresses_of(contact) == ["nel@nowhere.example"]
        lead.refresh_from_db()
        assert (lead.status, lead.contact) == ("converted", contact)
        assert Activity.objects.filter(kind="change").count() == 4
    assert bound_to(world, message) == {"Nel Nauta", "Nowhere BV", "Ten buoys"}
    reply = arrive(world, "2@x.example", sender="nel@nowhere.example")
    assert bound_to(world, reply) == {"Nel Nauta", "Nowhere BV", "Ten buoys"}
    again = ann.post(f"/crm/leads/{lead.pk}/convert/", form)
    assert "This lead was converted already." in again.content.decode()
    with world.acting():
        assert Contact.objects.count() == 1


def test_a_lead_becomes_a_contact_alone(world: World, ann, clients: Clients) -> None:
    lead = clients.lead("Nel", "nel@nowhere.example")
    ann.post(f"/crm/leads/{lead.pk}/convert/", {"stage": clients.stages()[0].pk})
    with world.acting():
        assert Contact.objects.get().company is None
        assert not Deal.objects.exists()
    assert ann.get(f"/crm/contacts/{lead.pk}/convert/").status_code == 404
