"""Contacts from files of every age: shown first, the bad rows named, taken once."""

import io
from typing import Any

import pytest

from crm import cards, directory
from crm.models import Company, Contact, ContactImport, Source
from tests.crm.conftest import Clients
from tests.world import World

GOOGLE = (
    "First Name,Last Name,Organization Name,Organization Title,E-mail 1 - Label,E-mail 1 - Value,Phone 1 - Value\n"
    "Zoe,Zander,Rijn,Buyer,Work,ZOE@rijn.example ::: z@home.example,+31 6 12\n"
)
OUTLOOK = (
    '"First Name";"Last Name";"Company";"Job Title";"E-mail Address";"Business Phone"\r\n'
    '"Jörg";"Müßig";"Stadtwerke";"";"j@stadt.example";"+49"\r\n'
)
VCARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Zoe Zander\r\nN:Zander;Zoe;;;\r\n"
    "ORG:Rijn;Lab\r\nEMAIL;TYPE=WORK:Zoe@rijn.example\r\n"
    "EMAIL:z@home.example\r\nTEL:+31\r\nTITLE:Buyer\r\nNOTE:Likes\\, buoys\r\nEND:VCARD\r\n"
)
OLD_VCARD = (
    "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BC=C3=9Fig;J=C3=B6rg\n"
    "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg M=C3=BC=C3=9Fig\nEMAIL;INTERNET:j@stadt.example\nEND:VCARD\n"
)


def one(data: bytes) -> cards.Card:
    found = cards.read(data)
    assert found.problems == []
    [card] = found.cards
    return card


def test_google_and_outlook_and_excel() -> None:
    zoe = one(GOOGLE.encode())
    assert (zoe.number, zoe.name, zoe.company) == (2, "Zoe Zander", "Rijn")
    assert zoe.addresses == ["zoe@rijn.example", "z@home.example"]
    for data in (OUTLOOK.encode("cp1252"), OUTLOOK.encode("utf-8-sig"), OUTLOOK.encode("utf-16")):
        joerg = one(data)
        assert (joerg.name, joerg.addresses, joerg.phone) == ("Jörg Müßig", ["j@stadt.example"], "+49")


def test_vcards_of_two_ages() -> None:
    zoe = one(VCARD.encode())
    assert (zoe.name, zoe.company, zoe.position, zoe.notes) == ("Zoe Zander", "Rijn", "Buyer", "Likes, buoys")
    assert zoe.addresses == ["zoe@rijn.example", "z@home.example"]
    joerg = one(OLD_VCARD.encode())
    assert (joerg.name, joerg.addresses) == ("Jörg Müßig", ["j@stadt.example"])


@pytest.mark.parametrize(
    ("data", "number", "sentence"),
    [
        ("", 0, "The file is empty."),
        ("a,b\n1,2\n", 0, "The first line must name the columns"),
        ("Name,E-mail\nZoe,zoe at home\n", 2, "“zoe” is not an e-mail address."),
        ("Name,E-mail\n , \nZoe,z@x.example\n,\n", 0, ""),
        ("Name,Phone\n,+31\n", 2, "neither a name nor an address"),
        ("Name,E-mail\nA,z@x.example\nB,Z@X.example\n", 3, "z@x.example is in row 2 already."),
        ("BEGIN:VCARD\nVERSION:3.0\nFN;;;=:::\nEND:VCARD\n", 1, "neither a name"),
        (VCARD + "BEGIN:VCARD\n\x01\x02nonsense\nEND:VCARD\n", 2, ""),
        ('Name,E-mail\n"Zoe,z@x.example\n' + "x" * 140_000, 0, "cannot be read"),
    ],
)  # fmt: skip
def test_bad_rows_are_named_and_keep_no_good_one_out(data: str, number: int, sentence: str) -> None:
    problems = cards.read(data.encode()).problems
    if not sentence and not number:
        assert problems == []
        return
    assert any(sentence in each.sentence and (not number or each.number == number) for each in problems), (
        problems
    )


@pytest.fixture
def ann(world):
    return world.client(world.ann)


def send(client: Any, data: str, name: str = "people.csv") -> Any:
    file = io.BytesIO(data.encode())
    file.name = name
    return client.post("/crm/import/", {"file": file})


def test_ann_sees_what_will_happen_and_then_it_does_once(world: World, ann, clients: Clients) -> None:
    clients.contact("Yan", "yan@x.example")
    clients.company("RIJN")
    data = (
        "Name,E-mail,Company\nZoe,zoe@x.example,Rijn\nXie,xie@x.example,rijn\nY.,yan@x.example,\nBad,bad,\n"
    )
    url = send(ann, data)["Location"]
    page = ann.get(url).content.decode()
    for text in (
        "2 contacts will be made.",
        "Row 4",
        "the address belongs to “Yan” already",
        "Row 5",
        "“bad” is not",
    ):
        assert text in page
    with world.acting():
        assert Contact.objects.count() == 1
    for _twice in range(2):
        assert ann.post(f"{url}take/").status_code == 302
    with world.acting():
        zoe = Contact.objects.get(name="Zoe")
        assert (zoe.source, directory.addresses_of(zoe)) == (Source.IMPORT, ["zoe@x.example"])
        assert Contact.objects.count() == 3
        assert Company.objects.count() == 1
        assert ContactImport.objects.get().cards == []
    assert "2 contacts were imported." in ann.get(url).content.decode()


def test_a_file_is_seen_by_who_uploaded_it(world: World, ann) -> None:
    url = send(ann, "Name\nZoe\n")["Location"]
    for who in (world.bob, world.eve):
        assert world.client(who).get(url).status_code == 404


def test_no_file_and_a_file_too_large_are_refused_in_words(world: World, ann, monkeypatch) -> None:
    assert "Choose a file first." in ann.post("/crm/import/").content.decode()
    monkeypatch.setattr(cards, "MOST_BYTES", 5)
    assert "too large" in send(ann, "Name\nZoe\n").content.decode()
