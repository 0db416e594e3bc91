"""The tables of CRM, one file a subject."""

from crm.models.deals import Deal, Outcome, Pipeline, Stage
from crm.models.directory import Company, Contact, EmailAddress, Exclusion, Lead, LeadStatus, Record, Source

__all__ = [
    "Company",
    "Contact",
    "Deal",
    "EmailAddress",
    "Exclusion",
    "Lead",
    "LeadStatus",
    "Outcome",
    "Pipeline",
    "Record",
    "Source",
    "Stage",
]
