"""The four kinds of record, and how each is called, found and ordered: pages and acts are the same for all."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Model
from django.urls import register_converter
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.models import Company, Contact, Deal, Lead, Record


@dataclass(frozen=True, slots=True)
class Kind:
    """`slug` stands in URLs; `link` is the foreign key by which an address (or a binding) points at the record."""

    slug: str
    link: str
    model: type[Record]
    icon: str
    one: Promise
    many: Promise
    # Lists go by name, or else the newest come first.
    by_name: bool
    has_addresses: bool


CONTACTS = Kind("contacts", "contact", Contact, "user", _("Contact"), _("Contacts"), True, True)
COMPANIES = Kind("companies", "company", Company, "building-2", _("Company"), _("Companies"), True, True)
LEADS = Kind("leads", "lead", Lead, "funnel", _("Lead"), _("Leads"), False, True)
DEALS = Kind("deals", "deal", Deal, "handshake", _("Deal"), _("Deals"), False, False)
KINDS = {kind.slug: kind for kind in (DEALS, LEADS, CONTACTS, COMPANIES)}
BY_LINK = {kind.link: kind for kind in KINDS.values()}


def kind_of(record: Model) -> Kind:
    return next(kind for kind in KINDS.values() if isinstance(record, kind.model))


class KindConverter:
    """The part of a URL that names a kind."""

    regex = "|".join(KINDS)

    def to_python(self, value: str) -> Kind:
        return KINDS[value]

    def to_url(self, value: Kind | str) -> str:
        return value if isinstance(value, str) else value.slug


register_converter(KindConverter, "kind")


def linked(row: Model) -> Iterator[Record]:
    """The record (or records) that a row with the four links, or some of them, points at; the bin left out."""
    for link in BY_LINK:
        record = getattr(row, link, None)
        if record is not None and record.binned_at is None:
            yield record
