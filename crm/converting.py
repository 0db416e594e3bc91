"""A lead becomes a client: a contact, with a company and a deal where they are wanted."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Employee
from crm import activities, deals
from crm.directory import CannotChange
from crm.models import Company, Contact, Deal, EmailAddress, Lead, LeadStatus, Record, Source, Stage


@dataclass(frozen=True, slots=True)
class Wanted:
    """`deal` is the name of one to make, "" for none; a company without a key is made."""

    company: Company | None = None
    deal: str = ""
    stage: Stage | None = None


def convert(lead: Lead, wanted: Wanted, *, by: Employee) -> Contact:
    """Addresses, mail and notes move to the contact, and show with the company and the deal, too.

    The lead stays, converted, and says what became of it. Raises CannotChange for one that was converted already.
    """
    locked = Lead.objects.select_for_update().get(pk=lead.pk)
    if locked.status == LeadStatus.CONVERTED:
        raise CannotChange(_("This lead was converted already."))
    common = {"account_id": lead.account_id, "responsible_id": lead.responsible_id, "source": Source.LEAD}
    company = wanted.company
    if company and company.pk is None:
        company.source = Source.LEAD
        company.save()
    contact = Contact.objects.create(
        name=lead.name, phone=lead.phone, notes=lead.notes, company=company, **common
    )
    EmailAddress.objects.filter(lead=lead).update(lead=None, contact=contact)
    records: list[Record] = [contact]
    if company:
        records.append(company)
    if wanted.deal and wanted.stage:
        records.append(
            Deal.objects.create(
                name=wanted.deal, stage=wanted.stage, position=deals.on_top(wanted.stage), contact=contact,
                company=company, **common,
            )
        )  # fmt: skip
    refs = [activities.ref_of(record) for record in records]
    activities.take_over(activities.ref_of(lead), refs, account_id=lead.account_id)
    lead.status, lead.contact = LeadStatus.CONVERTED, contact
    lead.save(update_fields=["status", "contact"])
    for record in (lead, *records):
        activities.changed(record, _("Converted from the lead “%(name)s”") % {"name": lead.name}, by=by)
    audit.record("lead.converted", lead.name, account_id=lead.account_id, by=by, contact=contact.pk)
    return contact
