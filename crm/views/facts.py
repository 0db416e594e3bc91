"""What a record says of itself: the cells of a list's row, the facts of its page, and what hangs together with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.urls import reverse
from django.utils import formats
from django.utils.translation import gettext as _

from crm.deals import money
from crm.kinds import DEALS, KINDS, Kind, kind_of
from crm.models import Company, Contact, Deal, EmailAddress, Lead, Record

RELATED = 20


@dataclass(frozen=True, slots=True)
class Row:
    """A record in a list: `under` stands below its name, `cells` beside it."""

    record: Record
    url: str
    under: str
    cells: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    text: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Related:
    """Records of one kind that belong to the page's record, and where one more is made ("" where not here)."""

    kind: Kind
    title: str
    rows: list[Row]
    new_url: str = ""


def url_of(record: Record) -> str:
    return reverse("crm:record", args=[kind_of(record), record.pk])


def row(record: Record) -> Row:
    under, cells = _shown(record)
    return Row(record, url_of(record), under, cells)


def _shown(record: Record) -> tuple[str, tuple[str, str]]:
    responsible = record.responsible.name
    if isinstance(record, Contact):
        company = record.company if record.company and not record.company.binned_at else None
        return record.position, (company.name if company else "", responsible)
    if isinstance(record, Company):
        return record.domain, (record.phone, responsible)
    if isinstance(record, Lead):
        return record.company_name, (str(record.get_status_display()), responsible)
    assert isinstance(record, Deal)
    whose = " · ".join(each.name for each in (record.company, record.contact) if each and not each.binned_at)
    return whose, (f"{record.stage.name} · {money(record.amount, record.currency)}".rstrip(" ·"), responsible)


def facts(record: Record) -> list[Fact]:
    """Whatever is known; what is empty is left out."""
    found = [Fact(_("Responsible"), record.responsible.name)]
    if kind_of(record).has_addresses:
        rows = EmailAddress.objects.filter(**{kind_of(record).link: record}).order_by("pk")
        found += [Fact(_("E-mail"), row.address) for row in rows]
    for name in ("phone", "position", "domain", "company_name"):
        found.append(Fact(_NAMES[name](), getattr(record, name, "")))
    for name in ("company", "contact"):
        other = getattr(record, name, None)
        if other and not other.binned_at:
            found.append(Fact(str(kind_of(other).one), other.name, url_of(other)))
    if isinstance(record, Deal):
        found += _of_deal(record)
    made = formats.date_format(record.created_at, "DATE_FORMAT")
    return [
        *(fact for fact in found if fact.text),
        Fact(_("Since"), f"{made}, {record.get_source_display()}"),
    ]


_NAMES = {
    "phone": lambda: _("Phone"),
    "position": lambda: _("Position"),
    "domain": lambda: _("Domain"),
    "company_name": lambda: _("Company"),
}


def _of_deal(deal: Deal) -> list[Fact]:
    expected = formats.date_format(deal.expected_on, "DATE_FORMAT") if deal.expected_on else ""
    return [
        Fact(_("Amount"), money(deal.amount, deal.currency)),
        Fact(_("Expected on"), expected),
        Fact(
            _("Pipeline"),
            deal.stage.pipeline.name,
            f"{reverse('crm:board')}?pipeline={deal.stage.pipeline_id}",
        ),
    ]


def related(record: Record) -> list[Related]:
    if isinstance(record, Company):
        people = Contact.objects.filter(company=record, binned_at=None).select_related(
            "company", "responsible"
        )
        return [_related(people.order_by("name")[:RELATED], "contacts"), _deals(record, "company")]
    if isinstance(record, Contact):
        return [_deals(record, "contact")]
    return []


def _related(found: Iterable[Record], slug: str) -> Related:
    kind = KINDS[slug]
    return Related(kind, str(kind.many), [row(each) for each in found])


def _deals(record: Record, link: str) -> Related:
    rows = Deal.objects.filter(binned_at=None, **{link: record})
    shown = rows.select_related("contact", "company", "responsible", "stage").order_by("-created_at")[
        :RELATED
    ]
    new_url = f"{reverse('crm:new', args=[DEALS])}?{link}={record.pk}"
    return Related(DEALS, str(DEALS.many), [row(deal) for deal in shown], new_url)
