"""To which records a mail belongs, and why. Pure: what is known comes in, a decision with its evidence comes out.

The order is SPEC.md section 8's, and the first that says something decides:

1. what a person decided for the thread, final, also when it was "not to CRM";
2. the record that the mail was written from, or answers a mail written from;
3. what the earlier mail of the thread is bound to;
4. the participants' addresses: contacts (with their company), leads, companies;
5. a company by the domain of an address, public mail services left out;
6. a sender nobody knows: what the mailbox's policy says, for letters by people only.

Steps 4 and 5 add a deal if exactly one is open; if several are, the employee is asked. Steps 4 to 6 do not look at
colleagues, and not at what is on the list of exceptions; so replies in threads that are saved already still are.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from crm.natures import Nature


class Ref(NamedTuple):
    """A record: "contact", "company", "lead" or "deal", and its id."""

    kind: str
    id: int


class Unknown(StrEnum):
    """What a mailbox does with a letter of somebody nobody knows."""

    NOTHING = "nothing"
    LEAD = "lead"
    CONTACT_DEAL = "contact+deal"


class Rule(StrEnum):
    """What decided. Those above the line bind, those below leave the mail out of CRM."""

    PERSON = "person"
    WRITTEN_FROM = "written from"
    THREAD = "thread"
    ADDRESS = "address"
    DOMAIN = "domain"
    NEW = "new"

    PERSON_AGAINST = "person against"
    EXCEPTION = "exception"
    COLLEAGUES = "colleagues"
    MACHINE = "machine"
    OUTGOING = "outgoing"
    POLICY = "policy"


@dataclass(frozen=True, slots=True)
class Participants:
    """Addresses in lower case: the sender ("" if it names none) and everybody it went to.

    `wrote` tells what wrote it; it is asked about strangers only, for it costs more than all the rest.
    """

    sender: str
    others: tuple[str, ...] = ()
    outgoing: bool = False
    wrote: Callable[[], Nature] = lambda: Nature.LETTER

    @property
    def nature(self) -> Nature:
        return self.wrote()

    @property
    def all(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (self.sender, *self.others))))


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is known about one mail. `people` gives the records of an address: a contact comes with its company."""

    # None: nobody decided. Empty: somebody decided that this thread does not go to CRM.
    decided: tuple[Ref, ...] | None = None
    written_from: Ref | None = None
    thread: tuple[Ref, ...] = ()
    people: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    companies: Mapping[str, Ref] = field(default_factory=dict)
    # By contact or company.
    open_deals: Mapping[Ref, tuple[Ref, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """The mailbox's choice, and what holds for the whole account: addresses, and domains with all below them."""

    unknown: Unknown = Unknown.NOTHING
    own: AbstractSet[str] = frozenset()
    exceptions: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Decision:
    """`bind` is empty where the mail stays out. `address` matched, or kept it out; `ask` are deals to choose from."""

    rule: Rule
    bind: tuple[Ref, ...] = ()
    address: str = ""
    create: Unknown = Unknown.NOTHING
    ask: tuple[Ref, ...] = ()


def decide(mail: Participants, known: Candidates, policy: Policy) -> Decision:
    if known.decided is not None:
        return Decision(Rule.PERSON if known.decided else Rule.PERSON_AGAINST, known.decided)
    if known.written_from:
        return Decision(Rule.WRITTEN_FROM, (known.written_from,))
    if known.thread:
        return Decision(Rule.THREAD, known.thread)
    outside = [address for address in mail.all if not listed(address, policy.own)]
    if not outside:
        return Decision(Rule.COLLEAGUES)
    heard = [address for address in outside if not listed(address, policy.exceptions)]
    if not heard:
        return Decision(Rule.EXCEPTION, address=outside[0])
    return _by_address(heard, known) or _by_domain(heard, known) or _stranger(mail, heard, policy)


def _by_address(heard: Iterable[str], known: Candidates) -> Decision | None:
    """Everybody whom CRM knows among them; the first is the one named as evidence."""
    matched = [address for address in heard if known.people.get(address)]
    if not matched:
        return None
    records = dict.fromkeys(ref for address in matched for ref in known.people[address])
    return _with_deal(Rule.ADDRESS, tuple(records), matched[0], known)


def _by_domain(heard: Iterable[str], known: Candidates) -> Decision | None:
    for address in heard:
        for domain in domains_of(address):
            if domain in known.companies:
                return _with_deal(Rule.DOMAIN, (known.companies[domain],), address, known)
    return None


def _with_deal(rule: Rule, records: tuple[Ref, ...], address: str, known: Candidates) -> Decision:
    """The contacts' deals; only where none of them has one, those of the companies."""
    for kind in ("contact", "company"):
        of_kind = (known.open_deals.get(record, ()) for record in records if record.kind == kind)
        deals = tuple(dict.fromkeys(deal for found in of_kind for deal in found))
        if len(deals) == 1:
            return Decision(rule, (*records, *deals), address)
        if deals:
            return Decision(rule, records, address, ask=deals)
    return Decision(rule, records, address)


def _stranger(mail: Participants, heard: list[str], policy: Policy) -> Decision:
    if mail.outgoing:
        return Decision(Rule.OUTGOING, address=heard[0])
    if mail.nature is not Nature.LETTER:
        return Decision(Rule.MACHINE, address=mail.sender)
    if mail.sender not in heard:  # a colleague, or an exception, wrote to people we do not know
        return Decision(Rule.POLICY, address=heard[0])
    if policy.unknown is Unknown.NOTHING:
        return Decision(Rule.POLICY, address=mail.sender)
    return Decision(Rule.NEW, address=mail.sender, create=policy.unknown)


def listed(address: str, names: AbstractSet[str]) -> bool:
    """Whether the list has the address, its domain, or a domain above that."""
    return address in names or not names.isdisjoint(parents(address))


def domains_of(address: str) -> tuple[str, ...]:
    """The domains under which a company may be known; none where anybody may have an address."""
    found = parents(address)
    return found if PUBLIC.isdisjoint(found) else ()


def parents(address: str) -> tuple[str, ...]:
    """mail.rijnwater.example, then rijnwater.example; a single label is nobody's."""
    return _and_above(address.rpartition("@")[2])


@lru_cache(maxsize=10_000)  # a mailbox has few domains and many letters
def _and_above(domain: str) -> tuple[str, ...]:
    labels = domain.split(".")
    return tuple(".".join(labels[start:]) for start in range(len(labels) - 1))


# Where people have addresses who have nothing else in common.
_SERVICES = """
126.com 163.com aliyun.com aol.com arcor.de att.net bk.ru bluewin.ch bol.com.br btinternet.com centrum.cz
charter.net comcast.net cox.net daum.net earthlink.net email.cz fastmail.com foxmail.com free.fr freenet.de
gmail.com gmx.at gmx.ch gmx.com gmx.de gmx.net googlemail.com hanmail.net hey.com home.nl hotmail.co.uk
hotmail.com hotmail.de hotmail.fr hotmail.it icloud.com inbox.lv inbox.ru interia.pl kpnmail.nl laposte.net
libero.it list.ru live.com live.nl mac.com mail.com mail.de mail.ee mail.ru mailbox.org me.com msn.com naver.com
o2.pl online.de optonline.net orange.fr outlook.com outlook.de outlook.fr pm.me posteo.de proton.me
protonmail.com qq.com rambler.ru rediffmail.com rocketmail.com sapo.pt sbcglobal.net seznam.cz sfr.fr sina.com
sohu.com t-online.de terra.com.br tiscali.it tuta.com tutanota.com ukr.net uol.com.br verizon.net virgilio.it
wanadoo.fr web.de wp.pl xs4all.nl ya.ru yahoo.co.jp yahoo.co.uk yahoo.com yahoo.de yahoo.fr yahoo.it yandex.com
yandex.ru yeah.net ymail.com zeelandnet.nl ziggo.nl zoho.com
"""
PUBLIC = frozenset(_SERVICES.split())
