"""PURE: the published tables of plans as data, each row with where it is written and how we read it.

These rows are shipped, not obeyed: the database's rows decide, and operators edit those. A limit that
changes is a new row with a later date, here and there; a row that was shipped is never rewritten.
"""

from dataclasses import dataclass
from datetime import date

from plans.limits import FREE, Limits

TRIAL = "trial"

NOTICE_2019 = "Bitrix24 notice about e-mail synchronization, 19 April 2019"
PAGE_2024 = "Bitrix24 Mail limitations (help page of the plans since 2024)"

KEEPS_CRM = "CRM-bound mail is kept for ever, on Free too, as the notice says."
ONLY_STORAGE = (
    "The notice names storage days only; mailboxes and outgoing mail follow the rules of 2018 "
    "or the newer table, the first fetch reaches as far back as the storage."
)
NOT_AVAILABLE = "'-' for outgoing mail means not available (0), not unlimited."
LEAVES_WEBMAIL = "CRM-bound mail leaves Webmail with the rest; its activity stays."


@dataclass(frozen=True, slots=True)
class Published:
    """One row of a published table."""

    limits: Limits
    source: str
    reading: str


def _row(
    day: date,
    plan: str,
    *,
    days: int,
    mailboxes: int,
    shared: int | None,
    outgoing: int | None,
    stays: bool,
    source: str,
    reading: str,
) -> Published:
    limits = Limits(
        plan=plan,
        effective_from=day,
        sync_enabled=days > 0,
        storage_days=days,
        fetch_days=days,
        mailboxes_per_employee=mailboxes,
        shared_mailboxes=shared,
        outgoing_per_month=outgoing,
        crm_bound_stays=stays,
    )
    return Published(limits, source, reading)


def _of_2019(
    plan: str, *, days: int, mailboxes: int, shared: int | None, outgoing: int | None, also: str = ""
) -> Published:
    reading = " ".join(filter(None, [KEEPS_CRM, ONLY_STORAGE if days else "", also]))
    return _row(
        date(2019, 5, 1),
        plan,
        days=days,
        mailboxes=mailboxes,
        shared=shared,
        outgoing=outgoing,
        stays=True,
        source=NOTICE_2019,
        reading=reading,
    )


def _of_2024(
    plan: str, *, days: int, mailboxes: int, shared: int | None, outgoing: int | None, also: str = ""
) -> Published:
    return _row(
        date(2024, 1, 1),
        plan,
        days=days,
        mailboxes=mailboxes,
        shared=shared,
        outgoing=outgoing,
        stays=False,
        source=PAGE_2024,
        reading=" ".join(filter(None, [LEAVES_WEBMAIL, also])),
    )


CATALOGUE: tuple[Published, ...] = (
    _of_2019(FREE, days=0, mailboxes=0, shared=0, outgoing=0, also=NOT_AVAILABLE),
    _of_2019("crm-plus", days=30, mailboxes=10, shared=None, outgoing=None),
    _of_2019("demo", days=30, mailboxes=10, shared=3, outgoing=0, also=NOT_AVAILABLE),
    _of_2019("standard", days=60, mailboxes=5, shared=None, outgoing=50_000),
    _of_2019("professional", days=90, mailboxes=10, shared=None, outgoing=100_000),
    _of_2019("nfr", days=90, mailboxes=10, shared=None, outgoing=100_000),
    _of_2024(FREE, days=0, mailboxes=0, shared=0, outgoing=0, also=NOT_AVAILABLE),
    _of_2024(TRIAL, days=30, mailboxes=10, shared=3, outgoing=0, also=f"{NOT_AVAILABLE} It lasts 15 days."),
    _of_2024("basic", days=7, mailboxes=1, shared=None, outgoing=10_000),
    _of_2024("standard", days=30, mailboxes=5, shared=None, outgoing=50_000),
    _of_2024("professional", days=90, mailboxes=10, shared=None, outgoing=100_000),
    _of_2024(
        "enterprise",
        days=90,
        mailboxes=10,
        shared=None,
        outgoing=100_000,
        also="Enterprise is named only for mailboxes; the rest follows Professional.",
    ),
)
