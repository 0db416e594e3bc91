"""Who we do business with: companies, contacts and leads, their addresses, and whom we keep out."""

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee


class Source(models.TextChoices):
    """How a record came to be."""

    HAND = "hand", _("entered by hand")
    MAIL = "mail", _("made from a mail")
    IMPORT = "import", _("imported")
    LEAD = "lead", _("converted from a lead")


class Record(models.Model):
    """What every kind of record has. In the bin while `binned_at` is set; 30 days later it is gone for good."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    name = models.CharField(max_length=200)
    responsible = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    notes = models.TextField(blank=True)
    source = models.CharField(max_length=10, choices=Source, default=Source.HAND)
    created_at = models.DateTimeField(default=timezone.now)
    binned_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class Company(Record):
    """An organisation. `domain` is where its people's addresses end; mail of strangers there belongs to it."""

    domain = models.CharField(max_length=253, blank=True)
    phone = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(domain=Lower("domain")), name="company_domain_lower_case"),
            # Two companies with one domain would make every match by domain a guess.
            models.UniqueConstraint(
                fields=["account", "domain"],
                name="company_domain_once",
                condition=~Q(domain="") & Q(binned_at=None),
            ),
        ]
        indexes = [models.Index(F("account"), Lower("name"), F("id"), name="company_by_name")]


class Contact(Record):
    company = models.ForeignKey(Company, null=True, on_delete=models.SET_NULL, related_name="contacts")
    position = models.CharField(max_length=120, blank=True)
    phone = models.CharField(max_length=60, blank=True)

    class Meta:
        indexes = [models.Index(F("account"), Lower("name"), F("id"), name="contact_by_name")]


class LeadStatus(models.TextChoices):
    NEW = "new", _("New")
    WORKING = "working", _("In work")
    CONVERTED = "converted", _("Converted")
    LOST = "lost", _("Lost")


class Lead(Record):
    """Somebody who may become a client. Converting makes a contact (and what else is wanted) of it."""

    status = models.CharField(max_length=10, choices=LeadStatus, default=LeadStatus.NEW)
    company_name = models.CharField(max_length=200, blank=True)
    phone = models.CharField(max_length=60, blank=True)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.SET_NULL, related_name="leads")

    class Meta:
        indexes = [models.Index(F("account"), F("created_at").desc(), F("id").desc(), name="lead_newest")]


class EmailAddress(models.Model):
    """One address of one record. `active` while that record is not in the bin: then nobody else has the address."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    address = models.EmailField(max_length=254)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.CASCADE, related_name="addresses")
    company = models.ForeignKey(Company, null=True, on_delete=models.CASCADE, related_name="addresses")
    lead = models.ForeignKey(Lead, null=True, on_delete=models.CASCADE, related_name="addresses")
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(address=Lower("address")), name="address_lower_case"),
            models.UniqueConstraint(
                fields=["account", "address"], name="address_once", condition=Q(active=True)
            ),
            models.CheckConstraint(
                condition=(
                    Q(contact__isnull=False, company=None, lead=None)
                    | Q(contact=None, company__isnull=False, lead=None)
                    | Q(contact=None, company=None, lead__isnull=False)
                ),
                name="address_of_one_record",
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Exclusion(models.Model):
    """An address, or a whole domain, whose new mail is not saved to CRM. Threads that are saved already go on."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    # "someone@example.com", or "example.com" for everybody there and below.
    pattern = models.CharField(max_length=254)
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(pattern=Lower("pattern")), name="exclusion_lower_case"),
            models.UniqueConstraint(fields=["account", "pattern"], name="exclusion_once"),
        ]

    def __str__(self) -> str:
        return self.pattern


class ContactImport(models.Model):
    """A file that somebody uploaded: what was read of it, until they say yes, and what became of it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    file_name = models.CharField(max_length=200)
    # crm.cards.Card and Problem as JSON.
    cards = models.JSONField(default=list)
    problems = models.JSONField(default=list)
    done_at = models.DateTimeField(null=True)
    made = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["account", "-at"], name="import_newest")]

    def __str__(self) -> str:
        return self.file_name
