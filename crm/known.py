"""What CRM knows about a batch of mail, read in a few statements whatever the size of the batch.

Rows are looked up key by key (LATERAL … LIMIT): tables that grow while nobody has counted them would otherwise be
joined as a whole.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from crm import tokens
from crm.kinds import BY_LINK
from crm.letters import Letter
from crm.matching import PUBLIC, Candidates, Ref, domains_of, parents
from crm.models import Deal, Outcome, Ruling

# The order in which the statements below name a binding's columns.
COLUMNS = ("contact", "company", "lead", "deal")


@dataclass(slots=True)
class Known:
    """Grows while a batch is carried out: the second letter of a stranger finds the lead that the first made."""

    account_id: int
    # By Message-ID, the thread of the activity that has it.
    threads: dict[str, str] = field(default_factory=dict)
    # By thread.
    bound: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    rulings: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    people: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    companies: dict[str, Ref] = field(default_factory=dict)
    open_deals: dict[Ref, tuple[Ref, ...]] = field(default_factory=dict)

    def thread_of(self, letter: Letter) -> str:
        return next((self.threads[each] for each in letter.ids if each in self.threads), letter.root)

    def candidates(self, letter: Letter) -> Candidates:
        thread = self.thread_of(letter)
        written_from = tokens.record_of(letter.ids, account_id=self.account_id)
        return Candidates(
            decided=self.rulings.get(thread),
            written_from=written_from if written_from and alive([written_from]) else None,
            thread=self.bound.get(thread, ()),
            people=self.people,
            companies=self.companies,
            open_deals=self.open_deals,
        )


def about(account_id: int, letters: Sequence[Letter]) -> Known:
    known = Known(account_id)
    ids = {each for letter in letters for each in letter.ids}
    known.threads = dict(_rows(_THREADS, ids, account_id))
    threads = {known.thread_of(letter) for letter in letters}
    known.rulings = rulings(account_id, threads)
    known.bound = _bound(account_id, threads)
    addresses = {address for letter in letters for address in letter.participants.all}
    known.people = _people(account_id, addresses)
    domains = {domain for address in addresses for domain in domains_of(address)}
    known.companies = {domain: Ref("company", pk) for domain, pk in _rows(_COMPANIES, domains, account_id)}
    clients = {ref for refs in known.people.values() for ref in refs} | {*known.companies.values()}
    known.open_deals = open_deals(clients)
    return known


_THREADS = """
SELECT k.key, a.thread FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT thread FROM crm_activity WHERE account_id = %s AND message_id = k.key LIMIT 1) a
"""
_COMPANIES = """
SELECT k.key, c.id FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT id FROM crm_company WHERE account_id = %s AND domain = k.key AND domain <> '' AND binned_at IS NULL
    LIMIT 1) c
"""
_PEOPLE = """
SELECT k.key, e.contact_id, e.company_id, e.lead_id, c.company_id
FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT contact_id, company_id, lead_id FROM crm_emailaddress
    WHERE account_id = %s AND address = k.key AND active LIMIT 1) e
LEFT JOIN LATERAL (
    SELECT o.id AS company_id FROM crm_contact p JOIN crm_company o ON o.id = p.company_id
    WHERE p.id = e.contact_id AND o.binned_at IS NULL LIMIT 1) c ON true
"""
_BOUND = """
SELECT k.key, b.contact_id, b.company_id, b.lead_id, b.deal_id
FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT DISTINCT contact_id, company_id, lead_id, deal_id FROM (
        SELECT id FROM crm_activity WHERE account_id = %s AND thread = k.key LIMIT 200) a
    JOIN crm_binding ON crm_binding.activity_id = a.id LIMIT 50) b
"""
_EXCEPTIONS = """
SELECT k.key FROM unnest(%s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT id FROM crm_exclusion WHERE account_id = %s AND pattern = k.key LIMIT 1) e
"""
_OWN = """
SELECT lower(address) FROM mailsync_mailbox WHERE account_id = %(account)s
UNION SELECT email FROM accounts_employee WHERE account_id = %(account)s
"""


def own(account_id: int) -> frozenset[str]:
    """The addresses of the company's mailboxes and employees, and their domains, unless everybody may live there."""
    with connection.cursor() as cursor:
        cursor.execute(_OWN, {"account": account_id})
        addresses = {address for (address,) in cursor.fetchall()}
    domains = {address.rpartition("@")[2] for address in addresses} - PUBLIC
    return frozenset(addresses | domains)


def exceptions(account_id: int, addresses: Collection[str]) -> frozenset[str]:
    """What the list says about these addresses: itself, its domain, or one above."""
    names = {*addresses, *(domain for address in addresses for domain in parents(address))}
    return frozenset(name for (name,) in _rows(_EXCEPTIONS, names, account_id))


def rulings(account_id: int, threads: Collection[str]) -> dict[str, tuple[Ref, ...]]:
    """What people decided. A decision for records that are all gone by now decides nothing."""
    rows = Ruling.objects.filter(account_id=account_id, thread__in=threads).values_list("thread", "bound")
    found = {thread: tuple(Ref(kind, pk) for kind, pk in bound) for thread, bound in rows}
    living = alive({ref for refs in found.values() for ref in refs})
    kept = {thread: tuple(ref for ref in refs if ref in living) for thread, refs in found.items()}
    return {thread: refs for thread, refs in kept.items() if refs or not found[thread]}


def _bound(account_id: int, threads: Collection[str]) -> dict[str, tuple[Ref, ...]]:
    found: dict[str, list[Ref]] = defaultdict(list)
    for thread, *ids in _rows(_BOUND, threads, account_id):
        found[thread] += refs_of(ids)
    living = alive({ref for refs in found.values() for ref in refs})
    kept = {thread: tuple(ref for ref in refs if ref in living) for thread, refs in found.items()}
    return {thread: refs for thread, refs in kept.items() if refs}


def refs_of(ids: Sequence[int | None]) -> list[Ref]:
    """From the four columns of a binding, in the order of COLUMNS."""
    return [Ref(kind, pk) for kind, pk in zip(COLUMNS, ids, strict=True) if pk is not None]


def _people(account_id: int, addresses: Collection[str]) -> dict[str, tuple[Ref, ...]]:
    found = {}
    for address, contact, company, lead, employer in _rows(_PEOPLE, addresses, account_id):
        found[address] = tuple(refs_of([contact, company or employer, lead, None]))
    return found


def alive(refs: Collection[Ref]) -> set[Ref]:
    """Those of the records that exist and are not in the bin."""
    living = set()
    for kind in {ref.kind for ref in refs}:
        ids = [ref.id for ref in refs if ref.kind == kind]
        rows = BY_LINK[kind].model._default_manager.filter(pk__in=ids, binned_at=None)
        living |= {Ref(kind, pk) for pk in rows.values_list("pk", flat=True)}
    return living


def open_deals(clients: Iterable[Ref]) -> dict[Ref, tuple[Ref, ...]]:
    """The open deals of contacts and companies, in the order of the board."""
    found: dict[Ref, tuple[Ref, ...]] = {}
    deals = Deal.objects.filter(binned_at=None, stage__outcome=Outcome.OPEN)
    for kind in ("contact", "company"):
        ids = [ref.id for ref in clients if ref.kind == kind]
        if not ids:
            continue
        rows = deals.filter(**{f"{kind}__in": ids}).order_by("stage__position", "position", "pk")
        for pk, owner in rows.values_list("pk", kind):
            client = Ref(kind, owner)
            found[client] = (*found.get(client, ()), Ref("deal", pk))
    return found


def _rows(sql: str, keys: Collection[str], account_id: int) -> list[tuple[Any, ...]]:
    if not keys:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, [list(keys), account_id])
        return list(cursor.fetchall())
