"""Ann writes to a client from the client's page; what happens when it leaves is tests/sending/test_from_crm.py's."""

from crm import tokens, writing
from crm.matching import Ref
from mailsync.models import Mailbox, Outgoing
from tests.crm.conftest import Clients
from tests.world import World


def test_a_letter_from_a_deal_goes_to_the_address_that_was_used_last(world: World, clients: Clients) -> None:
    marieke = clients.contact("Marieke", "a-old@rijn.example", "b-new@rijn.example")
    deal = clients.deal("Buoys", contact=marieke)
    clients.feed(world.ann_box)
    ann = world.client(world.ann)
    with world.acting():
        assert [person.address for person in writing.addresses_of(deal)][:1] == ["a-old@rijn.example"]
    world.message(world.folder(world.ann_box), sender=("Marieke", "b-new@rijn.example"))
    with world.acting():
        Mailbox.objects.filter(account=world.acme).update(smtp_host="smtp.acme.example")
        assert [person.address for person in writing.addresses_of(deal)] == [
            "b-new@rijn.example",
            "a-old@rijn.example",
        ]
    assert b"Write to another address" in ann.get(f"/crm/deals/{deal.pk}/").content
    page = ann.post(f"/crm/deals/{deal.pk}/write/", {"address": "b-new@rijn.example"})
    with world.acting():
        letter = Outgoing.objects.get()
        assert page.headers["Location"] == f"/mail/write/{letter.pk}/"
        assert (letter.origin, letter.to) == ("crm", [["Marieke", "b-new@rijn.example"]])
        assert tokens.record_of([letter.message_id], account_id=world.acme.pk) == Ref("deal", deal.pk)


def test_only_to_the_records_addresses_and_only_by_the_company(world: World, clients: Clients) -> None:
    marieke = clients.contact("Marieke", "m@rijn.example")
    url = f"/crm/contacts/{marieke.pk}/write/"
    assert world.client(world.ann).post(url, {"address": "x@other.example"}).status_code == 404
    assert world.client(world.eve).post(url, {"address": "m@rijn.example"}).status_code == 404
    found = world.client(world.ann).get("/crm/people/", {"q": "marie"}).json()["people"]
    assert found == [{"name": "Marieke", "address": "m@rijn.example", "note": "client"}]
