"""Templates and the fields in them: what `{contact.first name}` says in a letter to this client.

A letter is about the record that it was written from, else about what the mail it answers is bound to. The contact is
the first of its recipients whom CRM knows, and the record's own where it knows none of them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy

from accounts.models import Employee
from crm import deals, tokens
from crm.kinds import BY_LINK, linked
from crm.models import Binding, Company, Contact, Deal, EmailAddress, Lead, LetterTemplate, Record
from mailsync.mime import placeholders, writing
from mailsync.models import Outgoing

MOST = 100  # templates that one letter is offered
_NO_TEXT = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069]")


@dataclass(frozen=True, slots=True)
class Client:
    """Whom a letter is about, as far as CRM knows."""

    person: Contact | Lead | None = None
    company: Company | None = None
    deal: Deal | None = None

    @property
    def names(self) -> list[str]:
        return [record.name for record in (self.person, self.company, self.deal) if record]


@dataclass(frozen=True, slots=True)
class Filled:
    """A template as it goes into a letter; `missing` are its fields about which nothing is known."""

    template: LetterTemplate
    subject: str
    html: str
    missing: list[str]


# Field → how the page that lists them calls it, and what it says.
FIELDS: Mapping[str, tuple[object, Callable[[Client, Outgoing], str]]] = {
    "contact.name": (
        gettext_lazy("name of the person"),
        lambda who, _l: who.person.name if who.person else "",
    ),
    "contact.first name": (
        gettext_lazy("first name of the person"),
        lambda who, _l: first_name(who.person.name) if who.person else "",
    ),
    "contact.position": (
        gettext_lazy("position of the person"),
        lambda who, _l: who.person.position if isinstance(who.person, Contact) else "",
    ),
    "contact.phone": (
        gettext_lazy("phone of the person"),
        lambda who, _l: who.person.phone if who.person else "",
    ),
    "company.name": (gettext_lazy("name of the company"), lambda who, _l: _company_name(who)),
    "deal.name": (gettext_lazy("name of the deal"), lambda who, _l: who.deal.name if who.deal else ""),
    "deal.amount": (
        gettext_lazy("amount of the deal"),
        lambda who, _l: deals.money(who.deal.amount, who.deal.currency) if who.deal else "",
    ),
    "my.name": (gettext_lazy("your name"), lambda _w, letter: _author(letter)),
    "my.first name": (gettext_lazy("your first name"), lambda _w, letter: first_name(_author(letter))),
    "my.address": (gettext_lazy("the address you write from"), lambda _w, letter: letter.from_address),
}


def templates_of(employee: Employee) -> QuerySet[LetterTemplate]:
    """The employee's own and the shared ones, by name."""
    mine = Q(by=employee) | Q(shared=True)
    return LetterTemplate.objects.filter(mine, account_id=employee.account_id, binned_at=None).order_by(
        "name", "pk"
    )


def may_change(employee: Employee, template: LetterTemplate) -> bool:
    """Who wrote it; admins the shared ones, too."""
    return template.by_id == employee.pk or (template.shared and employee.is_admin)


def fill(templates: Iterable[LetterTemplate], letter: Outgoing) -> tuple[Client, list[Filled]]:
    """The templates as they would stand in the letter, and whose fields they have."""
    client = about(letter)

    def value(field: str) -> str:
        known = FIELDS.get(field)
        return _plain(known[1](client, letter)) if known else ""

    return client, [
        Filled(
            template=each,
            subject=placeholders.fill_line(each.subject, value),
            # After the fields: one may stand in the address of a link.
            html=writing.clean(placeholders.fill(each.html, value)),
            missing=[field for field in placeholders.found(each.subject + each.html) if not value(field)],
        )
        for each in templates
    ]


def unknown(text: str) -> list[str]:
    """What looks like a field and is none."""
    return [field for field in placeholders.found(text) if field not in FIELDS]


def about(letter: Outgoing) -> Client:
    records = _records(letter)
    deal = next((each for each in records if isinstance(each, Deal)), None)
    person = _recipient(letter) or _person(records, deal)
    company = next((each for each in records if isinstance(each, Company)), None)
    if company is None:
        company = _company_of(person) or (deal.company if deal else None)
    return Client(person, company if company and company.binned_at is None else None, deal)


def first_name(name: str) -> str:
    """ "Anna Berg", "Berg, Anna" and "Dr. Anna Berg" are Anna."""
    _last, comma, rest = name.partition(",")
    words = (rest if comma and rest.strip() else name).split()
    return next((word for word in words if not word.endswith(".")), words[0] if words else "")


def _records(letter: Outgoing) -> list[Record]:
    """What the letter was written from, or else what the answered mail is bound to; the bin left out."""
    ref = tokens.record_of([letter.message_id], account_id=letter.account_id)
    if ref is not None:
        found = BY_LINK[ref.kind].model._default_manager.filter(pk=ref.id, binned_at=None)
        return list(found)
    if letter.answers_id is None:
        return []
    bindings = Binding.objects.filter(activity__copies__message=letter.answers_id)
    rows = bindings.select_related("contact__company", "lead", "company", "deal__contact", "deal__company")
    return [record for row in rows.order_by("pk")[:20] for record in linked(row)]


def _recipient(letter: Outgoing) -> Contact | Lead | None:
    written = [address.lower() for _name, address in letter.to][:50]
    known = EmailAddress.objects.filter(address__in=written, active=True, company=None)
    people = {
        row.address: row.contact or row.lead for row in known.select_related("contact__company", "lead")
    }
    return next((people[address] for address in written if address in people), None)


def _person(records: Iterable[Record], deal: Deal | None) -> Contact | Lead | None:
    bound = next((each for each in records if isinstance(each, Contact | Lead)), None)
    of_deal = deal.contact if deal else None
    return bound or (of_deal if of_deal and of_deal.binned_at is None else None)


def _company_of(person: Contact | Lead | None) -> Company | None:
    return person.company if isinstance(person, Contact) else None


def _company_name(who: Client) -> str:
    if who.company:
        return who.company.name
    return who.person.company_name if isinstance(who.person, Lead) else ""


def _author(letter: Outgoing) -> str:
    return letter.from_name or (letter.by.name if letter.by else "")


def _plain(text: str) -> str:
    """One line without control characters and marks that turn the writing around: names come from strangers' mail."""
    return " ".join(_NO_TEXT.sub(" ", text).split())
