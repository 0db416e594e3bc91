"""What every page of CRM needs for its frame."""

from crm.kinds import KINDS

SECTION = {"section": "crm", "kinds": tuple(KINDS.values())}
