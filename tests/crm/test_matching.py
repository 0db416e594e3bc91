"""The order of SPEC.md section 8, as a table: participants, what is known, the mailbox's policy -> decision, reason."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm.matching import (
    Candidates,
    Decision,
    Participants,
    Policy,
    Ref,
    Rule,
    Unknown,
    decide,
    domains_of,
    listed,
)
from crm.natures import Nature, fields, nature
from mailsync.mime.parse import split, summarize

ANN, BOB = "ann@acme.example", "bob@acme.example"
ZOE, YAN, NEW = "zoe@rijn.example", "yan@delta.example", "new@nowhere.example"
C1, C2, C3 = Ref("contact", 1), Ref("contact", 2), Ref("contact", 3)
RIJN, DELTA = Ref("company", 11), Ref("company", 12)
LEAD = Ref("lead", 21)
D1, D2, D3 = Ref("deal", 31), Ref("deal", 32), Ref("deal", 33)
PEOPLE = {ZOE: (C1, RIJN), YAN: (C2,), "office@rijn.example": (RIJN,), "leo@lead.example": (LEAD,)}
DOMAINS = {"rijn.example": RIJN, "delta.example": DELTA}
OWN = frozenset({ANN, BOB, "acme.example"})
MAKE_LEAD, MAKE_DEAL = Policy(Unknown.LEAD, OWN), Policy(Unknown.CONTACT_DEAL, OWN)
NO_STRANGERS = Policy(Unknown.NOTHING, OWN)


def from_(sender: str, *others: str, nature: Nature = Nature.LETTER) -> Participants:
    return Participants(sender, others or (ANN,), wrote=lambda: nature)


def to(*others: str) -> Participants:
    return Participants(ANN, others, outgoing=True)


def known(**options: Any) -> Candidates:
    return Candidates(people=PEOPLE, companies=DOMAINS, **options)


def but(*exceptions: str, unknown: Unknown = Unknown.LEAD) -> Policy:
    return Policy(unknown, OWN, frozenset(exceptions))


def bound(rule: Rule, *refs: Ref, address: str = "", ask: tuple[Ref, ...] = ()) -> Decision:
    return Decision(rule, refs, address, ask=ask)


def made(unknown: Unknown, address: str) -> Decision:
    return Decision(Rule.NEW, (), address, create=unknown)


def out(rule: Rule, address: str = "") -> Decision:
    return Decision(rule, (), address)


ONE_DEAL = {C1: (D1,)}
TABLE: dict[str, tuple[Participants, Candidates, Policy, Decision]] = {
    # 1. A person's decision is final
    "a person bound the thread": (from_(ZOE), known(decided=(D2,)), MAKE_LEAD, bound(Rule.PERSON, D2)),
    "a person kept the thread out": (from_(ZOE), known(decided=()), MAKE_LEAD, out(Rule.PERSON_AGAINST)),
    "a decision beats the record written from": (from_(ZOE), known(decided=(D2,), written_from=D1), MAKE_LEAD, bound(Rule.PERSON, D2)),
    "a decision beats the thread": (from_(ZOE), known(decided=(D2,), thread=(C3,)), MAKE_LEAD, bound(Rule.PERSON, D2)),
    "kept out beats the thread": (from_(ZOE), known(decided=(), thread=(C3,)), MAKE_LEAD, out(Rule.PERSON_AGAINST)),
    "kept out makes no lead of a stranger": (from_(NEW), known(decided=()), MAKE_LEAD, out(Rule.PERSON_AGAINST)),
    "a decision holds among colleagues": (from_(BOB), known(decided=(D1,)), MAKE_LEAD, bound(Rule.PERSON, D1)),
    "a decision holds for a robot": (from_(NEW, nature=Nature.ROBOT), known(decided=(D1,)), MAKE_LEAD, bound(Rule.PERSON, D1)),
    "a decision beats the exceptions": (from_(ZOE), known(decided=(C1,)), but(ZOE), bound(Rule.PERSON, C1)),
    # 2. Written from a record
    "a reply to mail written from a deal": (from_(ZOE), known(written_from=D3), MAKE_LEAD, bound(Rule.WRITTEN_FROM, D3)),
    "the mail itself, written from a deal": (to(ZOE), known(written_from=D3), MAKE_LEAD, bound(Rule.WRITTEN_FROM, D3)),
    "written from beats the thread": (from_(ZOE), known(written_from=D3, thread=(C2,)), MAKE_LEAD, bound(Rule.WRITTEN_FROM, D3)),
    "written from beats the address": (from_(YAN), known(written_from=D3), MAKE_LEAD, bound(Rule.WRITTEN_FROM, D3)),
    "a stranger answers mail written from a deal": (from_(NEW), known(written_from=D3), MAKE_LEAD, bound(Rule.WRITTEN_FROM, D3)),
    "written from beats the exceptions": (from_(ZOE), known(written_from=D3), but(ZOE), bound(Rule.WRITTEN_FROM, D3)),
    # 3. The thread's links
    "the thread is bound": (from_(ZOE), known(thread=(C1, D1)), MAKE_LEAD, bound(Rule.THREAD, C1, D1)),
    "the thread beats the sender's address": (from_(YAN), known(thread=(C1,)), MAKE_LEAD, bound(Rule.THREAD, C1)),
    "the thread beats the only open deal": (from_(ZOE), known(thread=(D2,), open_deals=ONE_DEAL), MAKE_LEAD, bound(Rule.THREAD, D2)),
    "a stranger joins a bound thread": (from_(NEW), known(thread=(C1,)), MAKE_LEAD, bound(Rule.THREAD, C1)),
    "a colleague writes into a bound thread": (from_(BOB, ANN), known(thread=(C1,)), MAKE_LEAD, bound(Rule.THREAD, C1)),
    "an excepted address goes on in its thread": (from_(ZOE), known(thread=(C1,)), but(ZOE), bound(Rule.THREAD, C1)),
    "an excepted domain goes on in its thread": (from_(ZOE), known(thread=(C1,)), but("rijn.example"), bound(Rule.THREAD, C1)),
    "a bounce in a bound thread is shown there": (from_("mailer-daemon@x.example", nature=Nature.BOUNCE), known(thread=(C1,)), MAKE_LEAD, bound(Rule.THREAD, C1)),
    "an absence note in a bound thread is shown there": (from_(ZOE, nature=Nature.ABSENCE), known(thread=(C1,)), MAKE_LEAD, bound(Rule.THREAD, C1)),
    # 4. Addresses
    "a contact writes": (from_(YAN), known(), MAKE_LEAD, bound(Rule.ADDRESS, C2, address=YAN)),
    "a contact comes with its company": (from_(ZOE), known(), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, address=ZOE)),
    "a contact is written to": (to(YAN), known(), MAKE_LEAD, bound(Rule.ADDRESS, C2, address=YAN)),
    "a lead writes": (from_("leo@lead.example"), known(), MAKE_LEAD, bound(Rule.ADDRESS, LEAD, address="leo@lead.example")),
    "a company's own address": (from_("office@rijn.example"), known(), MAKE_LEAD, bound(Rule.ADDRESS, RIJN, address="office@rijn.example")),
    "two contacts are both found": (from_(ZOE, ANN, YAN), known(), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, C2, address=ZOE)),
    "a contact in copy of a stranger's mail": (from_(NEW, ANN, YAN), known(), MAKE_LEAD, bound(Rule.ADDRESS, C2, address=YAN)),
    "the address beats the domain": (from_(YAN), known(), MAKE_DEAL, bound(Rule.ADDRESS, C2, address=YAN)),
    "a colleague forwards to a contact": (from_(BOB, YAN), known(), MAKE_LEAD, bound(Rule.ADDRESS, C2, address=YAN)),
    "a robot at a known address is bound": (from_(YAN, nature=Nature.ROBOT), known(), MAKE_LEAD, bound(Rule.ADDRESS, C2, address=YAN)),
    "an excepted contact is not saved": (from_(YAN), known(), but(YAN), out(Rule.EXCEPTION, YAN)),
    "an excepted domain is not saved": (from_(YAN), known(), but("delta.example"), out(Rule.EXCEPTION, YAN)),
    "another participant is not excepted": (from_(YAN, ZOE), known(), but(YAN), bound(Rule.ADDRESS, C1, RIJN, address=ZOE)),
    # Deals
    "exactly one open deal": (from_(ZOE), known(open_deals=ONE_DEAL), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, D1, address=ZOE)),
    "no open deal": (from_(ZOE), known(open_deals={C2: (D1,)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, address=ZOE)),
    "several open deals: to the contact, and asked": (from_(ZOE), known(open_deals={C1: (D1, D2)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, address=ZOE, ask=(D1, D2))),
    "the contact's deal beats the company's": (from_(ZOE), known(open_deals={C1: (D1,), RIJN: (D1, D2)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, D1, address=ZOE)),
    "the company's only deal": (from_(ZOE), known(open_deals={RIJN: (D2,)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, D2, address=ZOE)),
    "the company's several deals": (from_(ZOE), known(open_deals={RIJN: (D2, D3)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, address=ZOE, ask=(D2, D3))),
    "two contacts with a deal each": (from_(ZOE, YAN), known(open_deals={C1: (D1,), C2: (D2,)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, C2, address=ZOE, ask=(D1, D2))),
    "two contacts with one deal together": (from_(ZOE, YAN), known(open_deals={C1: (D1,), C2: (D1,)}), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, C2, D1, address=ZOE)),
    "a deal of one contact, the other has none": (from_(ZOE, YAN), known(open_deals=ONE_DEAL), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, C2, D1, address=ZOE)),
    "mail to a contact with one deal": (to(ZOE), known(open_deals=ONE_DEAL), MAKE_LEAD, bound(Rule.ADDRESS, C1, RIJN, D1, address=ZOE)),
    # 5. A company by its domain
    "a stranger at a known company": (from_("piet@rijn.example"), known(), MAKE_LEAD, bound(Rule.DOMAIN, RIJN, address="piet@rijn.example")),
    "a domain below a company's": (from_("piet@lab.rijn.example"), known(), MAKE_LEAD, bound(Rule.DOMAIN, RIJN, address="piet@lab.rijn.example")),
    "a domain that only ends alike": (from_("piet@myrijn.example"), known(), MAKE_LEAD, made(Unknown.LEAD, "piet@myrijn.example")),
    "mail to a stranger at a known company": (to("piet@rijn.example"), known(), NO_STRANGERS, bound(Rule.DOMAIN, RIJN, address="piet@rijn.example")),
    "a company's only deal by domain": (from_("piet@rijn.example"), known(open_deals={RIJN: (D1,)}), MAKE_LEAD, bound(Rule.DOMAIN, RIJN, D1, address="piet@rijn.example")),
    "a company's several deals by domain": (from_("piet@rijn.example"), known(open_deals={RIJN: (D1, D2)}), MAKE_LEAD, bound(Rule.DOMAIN, RIJN, address="piet@rijn.example", ask=(D1, D2))),
    "a robot at a known company": (from_("noreply@rijn.example", nature=Nature.ROBOT), known(), MAKE_LEAD, bound(Rule.DOMAIN, RIJN, address="noreply@rijn.example")),
    "a public service is nobody's domain": (from_("x@gmail.com"), Candidates(companies={"gmail.com": RIJN}), NO_STRANGERS, out(Rule.POLICY, "x@gmail.com")),
    # 6. Strangers
    "nothing is made where the mailbox says so": (from_(NEW), known(), NO_STRANGERS, out(Rule.POLICY, NEW)),
    "a lead is made": (from_(NEW), known(), MAKE_LEAD, made(Unknown.LEAD, NEW)),
    "a contact and a deal are made": (from_(NEW), known(), MAKE_DEAL, made(Unknown.CONTACT_DEAL, NEW)),
    "no record of somebody we write to": (to(NEW), known(), MAKE_LEAD, out(Rule.OUTGOING, NEW)),
    "no record of a newsletter": (from_(NEW, nature=Nature.LIST), known(), MAKE_LEAD, out(Rule.MACHINE, NEW)),
    "no record of a robot": (from_(NEW, nature=Nature.ROBOT), known(), MAKE_DEAL, out(Rule.MACHINE, NEW)),
    "no record of a bounce": (from_(NEW, nature=Nature.BOUNCE), known(), MAKE_LEAD, out(Rule.MACHINE, NEW)),
    "no record of an absence note": (from_(NEW, nature=Nature.ABSENCE), known(), MAKE_DEAL, out(Rule.MACHINE, NEW)),
    "no record of an invitation": (from_(NEW, nature=Nature.INVITATION), known(), MAKE_LEAD, out(Rule.MACHINE, NEW)),
    "no record of an excepted stranger": (from_(NEW), known(), but(NEW), out(Rule.EXCEPTION, NEW)),
    "no record of an excepted domain": (from_(NEW), known(), but("nowhere.example"), out(Rule.EXCEPTION, NEW)),
    "no record below an excepted domain": (from_("a@news.nowhere.example"), known(), but("nowhere.example"), out(Rule.EXCEPTION, "a@news.nowhere.example")),
    "an excepted writer brings nobody else in": (from_(NEW, "friend@else.example"), known(), but(NEW), out(Rule.POLICY, "friend@else.example")),
    "a colleague's copy brings no stranger in": (from_(BOB, NEW), known(), MAKE_LEAD, out(Rule.POLICY, NEW)),
    "no record without a sender": (Participants("", (ANN,)), known(), MAKE_LEAD, out(Rule.COLLEAGUES)),
    # Colleagues
    "colleagues among themselves": (from_(BOB), known(), MAKE_LEAD, out(Rule.COLLEAGUES)),
    "an alias at our own domain": (from_("info@acme.example"), known(), MAKE_LEAD, out(Rule.COLLEAGUES)),
    "our own robot": (from_("noreply@acme.example", nature=Nature.ROBOT), known(), MAKE_LEAD, out(Rule.COLLEAGUES)),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_where_a_mail_belongs(case: str) -> None:
    mail, candidates, policy, decision = TABLE[case]
    assert decide(mail, candidates, policy) == decision


def test_the_table_is_as_long_as_it_should_be() -> None:
    assert len(TABLE) >= 60


def test_domains() -> None:
    assert list(domains_of("a@lab.rijn.example")) == ["lab.rijn.example", "rijn.example"]
    assert list(domains_of("a@mail.gmx.de")) == []
    assert list(domains_of("a@localhost")) == []
    assert listed("a@b.c.example", frozenset({"c.example"}))
    assert not listed("a@bc.example", frozenset({"c.example"}))


# What wrote it


@pytest.mark.parametrize(
    ("header", "sender", "parts", "found"),
    [
        ("Subject: Your offer", "zoe@x.example", (), Nature.LETTER),
        ("Auto-Submitted: no", "zoe@x.example", (), Nature.LETTER),
        ("X-Auto-Response-Suppress: DR, OOF", "zoe@x.example", (), Nature.LETTER),
        ("List-Unsubscribe: <mailto:x@y.example>", "zoe@x.example", (), Nature.LIST),
        ("list-id:\r\n Friends <f.example>", "zoe@x.example", (), Nature.LIST),
        ("Precedence: Bulk", "zoe@x.example", (), Nature.LIST),
        ("Auto-Submitted: auto-generated", "zoe@x.example", (), Nature.ROBOT),
        ("Subject: x", "no-reply@x.example", (), Nature.ROBOT),
        ("Subject: x", "orders-noreply@x.example", (), Nature.ROBOT),
        ("Subject: x", "notifications+17@x.example", (), Nature.ROBOT),
        ("Subject: x", "newsletter@x.example", (), Nature.ROBOT),
        ("Subject: x", "norbert.reply@x.example", (), Nature.LETTER),
        ("Subject: x", "newman@x.example", (), Nature.LETTER),
        ("Content-Type: multipart/report; report-type=delivery-status", "a@x.example", (), Nature.BOUNCE),
        ("Content-Type: multipart/report; report-type=disposition-notification", "a@x.example", (), Nature.ROBOT),
        ("Subject: Undelivered", "MAILER-DAEMON@x.example".lower(), (), Nature.BOUNCE),
        ("X-Failed-Recipients: b@y.example", "a@x.example", (), Nature.BOUNCE),
        ("Return-Path: <>", "a@x.example", (), Nature.BOUNCE),
        ("Auto-Submitted: auto-replied\r\nReturn-Path: <>", "a@x.example", (), Nature.ABSENCE),
        ("Subject: Automatic reply: Your offer", "a@x.example", (), Nature.ABSENCE),
        ("Subject: Out of Office: back on Monday", "a@x.example", (), Nature.ABSENCE),
        ("Subject: Automatische Antwort: Angebot", "a@x.example", (), Nature.ABSENCE),
        ("Subject: The absence of rain", "a@x.example", (), Nature.LETTER),
        ("Subject: Workshop", "a@x.example", ("text/calendar",), Nature.INVITATION),
        ("Content-Type: text/calendar; method=REQUEST", "a@x.example", (), Nature.INVITATION),
    ],
)  # fmt: skip
def test_what_wrote_a_mail(header: str, sender: str, parts: tuple[str, ...], found: Nature) -> None:
    told = fields(header.encode() + b"\r\n\r\n")
    assert nature(told, sender=sender, parts=parts) is found


_BULK = re.compile(
    rb"^(list-(id|unsubscribe|post)|mailing-list|x-mailing-list|precedence:\s*(bulk|list|junk)|x-beenthere"
    rb"|auto-submitted:\s*auto|x-failed-recipients|content-type:\s*multipart/report)",
    re.IGNORECASE | re.MULTILINE,
)


def test_no_newsletter_bounce_or_robot_of_the_corpus_becomes_a_lead(corpus: Path, capsys) -> None:
    counts: Counter[str] = Counter()
    wrong = []
    for path, raw in mails(corpus):
        header, body = split(raw)
        author = summarize(header, b"").sender
        sender = author.address.lower() if author else ""
        parts = {"text/calendar"} if b"text/calendar" in body.lower() else set()
        found = nature(fields(header), sender=sender, parts=parts)
        counts[found] += 1
        decision = decide(from_(sender, nature=found), Candidates(), MAKE_LEAD)
        if decision.create is not Unknown.NOTHING and _BULK.search(header):
            wrong.append(path.name)
    with capsys.disabled():
        print("\n", dict(counts))
    assert wrong == []
    assert counts[Nature.LIST] > 500
    assert counts[Nature.BOUNCE] > 10


def mails(corpus: Path) -> Iterator[tuple[Path, bytes]]:
    for path in sorted(corpus.rglob("*")):
        outside = "_oracle" in path.parts or "vectors" in path.parts
        if path.is_file() and not outside and path.suffix not in {".md", ".json", ".mbox"}:
            yield path, path.read_bytes()
