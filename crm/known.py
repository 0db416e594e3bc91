"""What CRM knows about a batch of mail, read in a few statements whatever the size of the batch.

Where tables meet, rows are looked up key by key (LATERAL … LIMIT): tables that grow while nobody has counted them would
otherwise be joined as a whole. What chooses between keys is CASE: row-level security trusts no COALESCE with an index.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from crm import tokens
from crm.kinds import BY_LINK
from crm.letters import Letter
from crm.matching import PUBLIC, Candidates, Ref, parents

# The order in which the statements below name a binding's columns.
COLUMNS = ("contact", "company", "lead", "deal")


@dataclass(slots=True)
class Known:
    """Grows while a batch is carried out: the second letter of a stranger finds the lead that the first made."""

    account_id: int
    # Message-IDs, threads, addresses and domains of which CRM has heard at all.
    heard: set[str] = field(default_factory=set)
    # By Message-ID, the thread of the activity that has it.
    threads: dict[str, str] = field(default_factory=dict)
    # By thread.
    bound: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    rulings: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    # By letter, the record that it was written from or answers.
    written_from: dict[int, Ref] = field(default_factory=dict)
    people: dict[str, tuple[Ref, ...]] = field(default_factory=dict)
    companies: dict[str, Ref] = field(default_factory=dict)
    open_deals: dict[Ref, tuple[Ref, ...]] = field(default_factory=dict)
    exceptions: set[str] = field(default_factory=set)

    def concerns(self, letter: Letter) -> bool:
        """Whether anything is known by which it could be bound; what is bound before it in its batch counts, too."""
        return (
            letter.id in self.written_from
            or letter.root in self.heard
            or not self.heard.isdisjoint(letter.ids)
            or any(
                address in self.heard or not self.heard.isdisjoint(parents(address))
                for address in letter.participants.all
            )
        )

    def thread_of(self, letter: Letter) -> str:
        return next((self.threads[each] for each in letter.ids if each in self.threads), letter.root)

    def candidates(self, letter: Letter) -> Candidates:
        thread = self.thread_of(letter)
        return Candidates(
            decided=self.rulings.get(thread),
            written_from=self.written_from.get(letter.id),
            thread=self.bound.get(thread, ()),
            people=self.people,
            companies=self.companies,
            open_deals=self.open_deals,
        )


def about(account_id: int, letters: Sequence[Letter]) -> Known:
    """Most mail of a mailbox is nothing to CRM: one statement finds what of a batch it knows at all, and only about
    that is asked further."""
    known = Known(account_id)
    ids = {each for letter in letters for each in (*letter.ids, letter.root)}
    addresses = {address for letter in letters for address in letter.participants.all}
    found = _heard(account_id, ids, addresses)
    known.heard = {key for keys in found.values() for key, _thread in keys}
    known.threads = dict(found["begun"])
    threads = {thread for _key, thread in (*found["begun"], *found["thread"])}
    _hear_conversations(known, letters, threads)
    _hear_names(known, {name for name, _same in found["name"]})
    return known


# Of many Message-IDs each part is one walk through one index; of few names each is looked up in a table that is large
# already. No joins: there is nothing for the planner to get wrong where nobody has counted the rows.
# Of a Message-ID: the conversation that its activity belongs to.
_HEARD = """
SELECT 'begun', message_id, thread FROM crm_activity
WHERE account_id = %(account)s AND message_id = ANY(%(ids)s::text[])
UNION ALL
SELECT DISTINCT 'thread', thread, thread FROM crm_activity
WHERE account_id = %(account)s AND thread = ANY(%(ids)s::text[])
UNION ALL
SELECT 'thread', thread, thread FROM crm_ruling WHERE account_id = %(account)s AND thread = ANY(%(ids)s::text[])
UNION ALL
SELECT 'name', k.key, '' FROM unnest(%(addresses)s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT FROM crm_emailaddress WHERE account_id = %(account)s AND address = k.key AND active LIMIT 1) e
UNION ALL
SELECT 'name', k.key, '' FROM unnest(%(domains)s::text[]) AS k(key) CROSS JOIN LATERAL (
    SELECT FROM crm_company
    WHERE account_id = %(account)s AND domain = k.key AND domain <> '' AND binned_at IS NULL LIMIT 1) c
UNION ALL
SELECT 'name', pattern, '' FROM crm_exclusion
WHERE account_id = %(account)s AND (pattern = ANY(%(addresses)s::text[]) OR pattern = ANY(%(domains)s::text[]))
"""


def _heard(
    account_id: int, ids: Collection[str], addresses: Collection[str]
) -> dict[str, list[tuple[str, str]]]:
    domains = {domain for address in addresses for domain in parents(address)}
    found: dict[str, list[tuple[str, str]]] = {"begun": [], "thread": [], "name": []}
    values: dict[str, Any] = {
        "account": account_id,
        "ids": list(ids),
        "addresses": list(addresses),
        "domains": list(domains),
    }
    with connection.cursor() as cursor:
        cursor.execute(_HEARD, values)
        for what, key, more in cursor.fetchall():
            found[what].append((key, more))
    return found


# Conversations: what people decided, and what is bound.

_CONVERSATIONS = """
SELECT k.key, r.bound, b.contact_id, b.company_id, b.lead_id, b.deal_id
FROM unnest(%(keys)s::text[]) AS k(key)
LEFT JOIN LATERAL (
    SELECT bound FROM crm_ruling WHERE account_id = %(account)s AND thread = k.key LIMIT 1) r ON true
LEFT JOIN LATERAL (
    SELECT DISTINCT contact_id, company_id, lead_id, deal_id FROM (
        SELECT id FROM crm_activity WHERE account_id = %(account)s AND thread = k.key LIMIT 200) mails
    CROSS JOIN LATERAL (
        SELECT contact_id, company_id, lead_id, deal_id FROM crm_binding WHERE activity_id = mails.id LIMIT 50) links
    LIMIT 50) b ON true
WHERE r.bound IS NOT NULL OR num_nonnulls(contact_id, company_id, lead_id, deal_id) > 0
"""


def _hear_conversations(known: Known, letters: Sequence[Letter], threads: Collection[str]) -> None:
    """A decision for records that are all gone by now decides nothing."""
    rulings: dict[str, list[Ref]] = {}
    bound: dict[str, dict[Ref, None]] = defaultdict(dict)
    for thread, ruling, *ids in _rows(_CONVERSATIONS, threads, known.account_id):
        if ruling is not None:
            rulings[thread] = [Ref(kind, pk) for kind, pk in json.loads(ruling)]
        bound[thread].update(dict.fromkeys(refs_of(ids)))
    written = {each.id: tokens.record_of(each.ids, account_id=known.account_id) for each in letters}
    living = alive(
        {ref for refs in (*rulings.values(), *bound.values(), written.values()) for ref in refs if ref}
    )
    for thread, refs in rulings.items():
        kept = tuple(ref for ref in refs if ref in living)
        if kept or not refs:
            known.rulings[thread] = kept
    for thread, found in bound.items():
        if kept := tuple(ref for ref in found if ref in living):
            known.bound[thread] = kept
    known.written_from = {pk: ref for pk, ref in written.items() if ref in living}


# Names: addresses and domains, and what the list of exceptions says about either.

_NAMES = """
SELECT k.key, e.contact_id, w.company_id, e.lead_id, x.id IS NOT NULL,
    ARRAY(SELECT d.id FROM crm_deal d JOIN crm_stage s ON s.id = d.stage_id
        WHERE d.contact_id = e.contact_id AND d.binned_at IS NULL AND s.outcome = 'open'
        ORDER BY s.position, d.position, d.id),
    ARRAY(SELECT d.id FROM crm_deal d JOIN crm_stage s ON s.id = d.stage_id
        WHERE d.company_id = w.company_id AND d.binned_at IS NULL AND s.outcome = 'open'
        ORDER BY s.position, d.position, d.id)
FROM unnest(%(keys)s::text[]) AS k(key)
LEFT JOIN LATERAL (
    SELECT contact_id, company_id, lead_id FROM crm_emailaddress
    WHERE account_id = %(account)s AND address = k.key AND active LIMIT 1) e ON true
LEFT JOIN LATERAL (
    SELECT o.id FROM crm_contact p JOIN crm_company o ON o.id = p.company_id
    WHERE p.id = e.contact_id AND o.binned_at IS NULL LIMIT 1) employer ON true
LEFT JOIN LATERAL (
    SELECT id FROM crm_company
    WHERE account_id = %(account)s AND domain = k.key AND domain <> '' AND binned_at IS NULL LIMIT 1) at ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN e.company_id IS NOT NULL THEN e.company_id WHEN employer.id IS NOT NULL THEN employer.id
        ELSE at.id END AS company_id) w
LEFT JOIN LATERAL (
    SELECT id FROM crm_exclusion WHERE account_id = %(account)s AND pattern = k.key LIMIT 1) x ON true
WHERE num_nonnulls(e.contact_id, w.company_id, e.lead_id, x.id) > 0
"""


def _hear_names(known: Known, names: Collection[str]) -> None:
    for name, contact, company, lead, excepted, of_contact, of_company in _rows(
        _NAMES, names, known.account_id
    ):
        if excepted:
            known.exceptions.add(name)
        refs = tuple(refs_of([contact, company, lead, None]))
        if "@" in name:
            known.people[name] = refs
        elif refs:
            known.companies[name] = refs[0]
        for kind, pk, found in (("contact", contact, of_contact), ("company", company, of_company)):
            if found:
                known.open_deals[Ref(kind, pk)] = tuple(Ref("deal", each) for each in found)


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


def refs_of(ids: Sequence[int | None]) -> list[Ref]:
    """From the four columns of a binding, in the order of COLUMNS."""
    return [Ref(kind, pk) for kind, pk in zip(COLUMNS, ids, strict=True) if pk is not None]


def alive(refs: Collection[Ref]) -> set[Ref]:
    """Those of the records that exist and are not in the bin."""
    ids = {kind: [ref.id for ref in refs if ref.kind == kind] for kind in {ref.kind for ref in refs}}
    if not ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(_ALIVE[kind] for kind in ids), ids)
        return {Ref(kind, pk) for kind, pk in cursor.fetchall()}


_ALIVE = {
    kind: f"SELECT '{kind}', id FROM {BY_LINK[kind].model._meta.db_table} "  # noqa: S608 (names of ours)
    f"WHERE id = ANY(%({kind})s::bigint[]) AND binned_at IS NULL"
    for kind in COLUMNS
}


def _rows(sql: str, keys: Collection[str], account_id: int) -> list[tuple[Any, ...]]:
    if not keys:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, {"keys": list(keys), "account": account_id})
        return list(cursor.fetchall())
