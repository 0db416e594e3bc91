"""The tables of CRM, one file a subject."""

from crm.models.activity import Activity, ActivityCopy, ActivityKind, Binding, Rematch, Ruling
from crm.models.deals import Colour, Deal, Outcome, Pipeline, Stage
from crm.models.directory import (
    Company,
    Contact,
    ContactImport,
    EmailAddress,
    Exclusion,
    Lead,
    LeadStatus,
    Record,
    Source,
)
from crm.models.feeding import Feed, FeedFolder, FeedTurn, Strangers
from crm.models.writing import LetterTemplate

__all__ = [
    "Activity",
    "ActivityCopy",
    "ActivityKind",
    "Binding",
    "Colour",
    "Company",
    "Contact",
    "ContactImport",
    "Deal",
    "EmailAddress",
    "Exclusion",
    "Feed",
    "FeedFolder",
    "FeedTurn",
    "Lead",
    "LeadStatus",
    "LetterTemplate",
    "Outcome",
    "Pipeline",
    "Record",
    "Rematch",
    "Ruling",
    "Source",
    "Stage",
    "Strangers",
]
