"""Templates of letters: whose they are, what their fields say in a letter, and what no name can smuggle in."""

import pytest

from crm import filling, writing
from crm.models import LetterTemplate
from mailsync import asking, composing, outbox
from mailsync.mime.headers import Address
from mailsync.models import Outgoing
from tests.crm.conftest import Clients
from tests.world import World

HOSTILE = 'Zoë <img src=x onerror="alert(1)"> {my.address}\u202e\r\nBcc: x@evil.example'


def saved(
    world: World, html: str, *, who: str = "ann", subject: str = "", shared: str = "", name: str = "Offer"
) -> int:
    """Through the form; the status."""
    form = {"name": name, "subject": subject, "html": html, **({"shared": "on"} if shared else {})}
    return world.client(world.ann).post("/crm/templates/new/", form).status_code


def filled(world: World, letter: Outgoing) -> filling.Filled:
    [only] = filling.fill(filling.templates_of(world.ann), letter)[1]
    return only


def letter_to(world: World, *addresses: str) -> Outgoing:
    return composing.blank(
        composing.of_mailbox(world.ann_box)[0], by=world.ann, to=[Address("", a) for a in addresses]
    )


def test_a_template_is_its_authors_own_until_she_shares_it(world: World) -> None:
    assert saved(world, "<p>Mine</p>", name="Mine") == 302
    assert saved(world, "<p>Ours</p>", name="Ours", shared="yes") == 302
    with world.acting():
        mine, ours = LetterTemplate.objects.order_by("name")
        assert [row.name for row in filling.templates_of(world.bob)] == ["Ours"]
    bob, adm, eve = (world.client(who) for who in (world.bob, world.adm, world.eve))
    assert bob.get(f"/crm/templates/{mine.pk}/").status_code == 404
    assert bob.get(f"/crm/templates/{ours.pk}/").status_code == 404  # he uses it, and does not change it
    assert adm.get(f"/crm/templates/{ours.pk}/").status_code == 200
    assert adm.post(f"/crm/templates/{mine.pk}/delete/").status_code == 404
    assert eve.get("/crm/templates/").content.count(b"Ours") == 0
    ann = world.client(world.ann)
    ann.post(f"/crm/templates/{ours.pk}/delete/")
    with world.acting():
        assert not filling.templates_of(world.bob).exists()
    ann.post(f"/crm/templates/{ours.pk}/restore/")
    with world.acting():
        assert filling.templates_of(world.bob).exists()


@pytest.mark.parametrize(
    ("html", "said"),
    [
        ("<p>Dear {contact.frist name}</p>", "There is no field {contact.frist name}."),
        ("<p> </p>", "Write what the letter is to say."),
    ],
)
def test_a_template_that_would_go_wrong_is_refused_with_a_reason(world: World, html: str, said: str) -> None:
    page = world.client(world.ann).post("/crm/templates/new/", {"name": "Offer", "html": html})
    assert page.status_code == 422
    assert said in page.content.decode()


def test_fields_are_those_of_the_deal_it_is_written_from_and_of_the_person_it_goes_to(
    world: World, clients: Clients
) -> None:
    rijn = clients.company("Rijn Water")
    marieke = clients.contact("Dr. Marieke de Vries", "m@rijn.example", company=rijn)
    clients.contact("Piet", "piet@rijn.example", company=rijn)
    deal = clients.deal("Buoys", contact=marieke, amount=1200)
    person, bought = "{contact.first name} of {company.name}", "{deal.name}, {Deal.Amount}, {contact.phone}"
    text = f"<p>Dear {person}: {bought}. {{my.address}}</p>"
    assert saved(world, text, subject="{deal.name} for {contact.first&nbsp;name}") == 302
    with world.acting():
        sender = composing.of_mailbox(world.ann_box)[0]
        begun = writing.begin(deal, Address("", "m@rijn.example"), sender, by=world.ann)
        offer = filled(world, begun)
        assert offer.subject == "Buoys for Marieke"
        assert (
            offer.html
            == "<p>Dear Marieke of Rijn Water: Buoys, 1,200 EUR, {contact.phone}. ann@acme.example</p>"
        )
        assert offer.missing == ["contact.phone"]
        outbox.save(begun, revision=1, to=[["", "piet@rijn.example"]], subject=offer.subject, html=offer.html)
        begun.refresh_from_db()
        assert "Dear Piet of Rijn Water: Buoys" in filled(world, begun).html
        assert asking.obstacle(begun).startswith(
            "These fields of the template are empty: {contact.phone}. Fill"
        )


def test_fields_of_a_reply_come_from_what_the_answered_mail_is_bound_to(
    world: World, clients: Clients
) -> None:
    clients.lead("Berg, Anna", "anna@elsewhere.example", company_name="Berg & Co")
    clients.feed(world.ann_box)
    mail = world.message(world.folder(world.ann_box), sender=("A", "anna@elsewhere.example"))
    assert saved(world, "<p>{contact.first name}, {company.name}</p>") == 302
    with world.acting():
        reply = outbox.start(world.ann_box, by=world.ann, answers=mail.message, how="reply")
        assert filled(world, reply).html == "<p>Anna, Berg &amp; Co</p>"
        stranger = letter_to(world, "nobody@elsewhere.example")
        assert filled(world, stranger).missing == ["contact.first name", "company.name"]


def test_a_hostile_name_is_text_and_nothing_else(world: World, clients: Clients) -> None:
    clients.contact(HOSTILE, "z@evil.example")
    clients.contact("javascript:alert(1)", "j@evil.example")
    text = '<p>{contact.name}</p><p><a href="{contact.name}">x</a></p>'
    assert saved(world, text, subject="For {contact.name}") == 302
    with world.acting():
        offer = filled(world, letter_to(world, "z@evil.example"))
        assert "&lt;img src=x" in offer.html
        assert "<img" not in offer.html
        assert "{my.address}" in offer.html  # what a name says is not filled again
        assert not {"\r", "\n", "\u202e"} & set(offer.subject)
        assert (
            "javascript:alert"
            not in filled(world, letter_to(world, "j@evil.example")).html.partition("<a")[2]
        )
    with world.acting():
        letter = letter_to(world, "z@evil.example")
    page = world.client(world.ann).get(f"/crm/letters/{letter.pk}/templates/").content.decode()
    assert "<img" not in page
    assert world.client(world.cyd).get(f"/crm/letters/{letter.pk}/templates/").status_code == 404
