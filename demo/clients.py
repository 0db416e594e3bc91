"""Whom the demo company does business with: their mail finds them by itself when it is synchronised."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from accounts.models import Account
from accounts.models import Employee as EmployeeRow
from crm import activities, deals, directory
from crm.models import Company, Contact, Deal, Exclusion, Feed, FeedFolder, FeedTurn, Stage, Strangers
from demo.company import PEOPLE
from mailsync.models import Folder, Mailbox, SpecialUse


@dataclass(frozen=True, slots=True)
class Client:
    """A person of demo.company.PEOPLE, where they work, and who of ours looks after them."""

    key: str
    company: str
    domain: str
    position: str
    ours: str = "ben"


@dataclass(frozen=True, slots=True)
class Business:
    """A deal; `expected` in days from today."""

    client: str
    name: str
    stage: int
    amount: int | None
    expected: int
    ours: str = "ben"


CLIENTS = (
    Client("marieke", "Waterschap Rijnwater", "rijnwater.example", "Water quality"),
    Client("joao", "Águas do Norte", "aguas-do-norte.example", "Engenharia"),
    Client("irina", "Водоканал-Север", "vodokanal-sever.example", "Закупки"),
    Client("fatima", "Gulf Water Authority", "gulf-water.example", "Procurement", "nora"),
    Client("noa", "Marine Lab", "marine-lab.example", "Research", "ines"),
    Client("claire", "Eaux du Léman", "eaux-du-leman.example", "Direction technique"),
    Client("joerg", "Stadtwerke Köln", "stadtwerke-koeln.example", "Einkauf"),
    Client("haruka", "琵琶湖環境研究所", "biwako-kankyo.example", "研究員", "ines"),
    Client("sindre", "Tromsø Havn", "tromso-havn.example", "Harbour master"),
    Client("petra", "Povodí", "povodi.example", "Hydrologie"),
    Client("oskar", "Vänern Vatten", "vanern-vatten.example", "Drift"),
    Client("giulia", "Consorzio Laguna", "consorzio-laguna.example", "Monitoraggio", "nora"),
    Client("kwame", "Volta Water", "voltawater.example", "Operations", "nora"),
)
DEALS = (
    Business("marieke", "Twelve buoys for the IJssel", 2, 48_500, 21),
    Business("marieke", "Service contract 2027", 0, 6_400, 60),
    Business("joao", "Probes for the Douro", 3, 23_750, 9),
    Business("irina", "Северная Двина: десять буёв", 1, 39_000, 45),
    Business("fatima", "Gulf monitoring network", 1, 182_000, 120, "nora"),
    Business("claire", "Bouées du Léman", 2, 31_200, 30),
    Business("joerg", "Rheinkilometer 688", 4, 18_900, -12),
    Business("haruka", "琵琶湖のブイ", 0, None, 90, "ines"),
    Business("sindre", "Harbour sensors", 5, 9_800, -30),
    Business("giulia", "Laguna nord", 3, 54_000, 14, "nora"),
    Business("kwame", "Volta pilot", 0, 12_000, 75, "nora"),
)
NEVER = ("the-estuary.example", "workbench-weekly.example")
# Who of the mailboxes feeds CRM, and what it does with strangers.
FEEDS = {"ben": Strangers.NOTHING, "nora": Strangers.NOTHING, "support": Strangers.LEAD}


def make_clients(
    account: Account, people: Mapping[str, EmployeeRow], mailboxes: Mapping[str, Mailbox], *, today: date
) -> None:
    """Before the first sync: what arrives is matched as it would be in a company that has worked for long."""
    contacts = {client.key: _contact(account, client, people[client.ours]) for client in CLIENTS}
    stages = list(deals.pipelines(account)[0].stages.order_by("position"))
    for business in DEALS:
        _deal(account, business, contacts[business.client], people[business.ours], stages, today=today)
    activities.note(
        contacts["marieke"],
        "Met her at HydroSense: she wants one contract for all twelve buoys.",
        by=people["ben"],
    )
    Exclusion.objects.bulk_create(
        Exclusion(account=account, pattern=pattern, by=people["ben"]) for pattern in NEVER
    )
    for key, strangers in FEEDS.items():
        _feed(account, mailboxes[key], strangers, queue=[people["ben"], people["ines"]])


def _contact(account: Account, client: Client, responsible: EmployeeRow) -> Contact:
    person = PEOPLE[client.key]
    common = {"account": account, "responsible": responsible}
    company = Company.objects.create(name=client.company, domain=client.domain, **common)
    contact = Contact.objects.create(name=person.name, position=client.position, company=company, **common)
    directory.set_addresses(contact, [person.address])
    return contact


def _deal(
    account: Account,
    business: Business,
    contact: Contact,
    responsible: EmployeeRow,
    stages: list[Stage],
    *,
    today: date,
) -> None:
    stage = stages[business.stage]
    Deal.objects.create(
        account=account, name=business.name, stage=stage, position=deals.on_top(stage), contact=contact,
        company=contact.company, responsible=responsible, expected_on=today + timedelta(days=business.expected),
        amount=Decimal(business.amount) if business.amount else None,
    )  # fmt: skip


def _feed(account: Account, mailbox: Mailbox, strangers: str, *, queue: list[EmployeeRow]) -> None:
    feed = Feed.objects.create(account=account, mailbox=mailbox, enabled=True, strangers=strangers)
    for position, employee in enumerate(queue):
        FeedTurn.objects.create(account=account, feed=feed, employee=employee, position=position)
    shut = (SpecialUse.JUNK, SpecialUse.TRASH, SpecialUse.DRAFTS)
    for folder in Folder.objects.filter(mailbox=mailbox, syncing=True).exclude(special_use__in=shut):
        FeedFolder.objects.create(account=account, feed=feed, folder=folder)
