"""Mail has arrived: decide where it belongs, and keep it there. Runs inside of the transaction that stores the mail.

Where no mailbox feeds CRM it costs one look at an index a batch.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from django.db import DataError, IntegrityError, transaction
from django.db.models import F
from django.utils.translation import gettext as _

from crm import activities, deals, directory, known, letters, matching
from crm.activities import Kept
from crm.known import Known
from crm.letters import Letter
from crm.matching import Decision, Policy, Ref, Rule, Unknown
from crm.models import Contact, Deal, Feed, FeedTurn, Lead, Outcome, Source, Stage
from mailsync.importing import Prepared
from mailsync.models import Folder, SpecialUse

# What nobody wrote to us, or is no mail yet, or is shown in another folder, too.
NEVER = (SpecialUse.JUNK, SpecialUse.TRASH, SpecialUse.DRAFTS, SpecialUse.ALL, SpecialUse.FLAGGED)

log = structlog.get_logger(__name__)


def receive(*, folder: Folder, arrived: dict[int, Prepared], **_signal: Any) -> None:
    """The receiver of mailsync.signals.message_arrived."""
    feed = feed_of(folder)
    if feed is None:
        return
    own = known.own(folder.account_id)
    batch = [letters.arrived(pk, item, own=own) for pk, item in arrived.items()]
    # The newest come first from the server; conversations are understood from their beginning.
    order = {pk: item.received_at for pk, item in arrived.items()}
    batch.sort(key=lambda letter: order[letter.id])
    try:
        keep(feed, batch, own=own, create=True)
    except (DataError, IntegrityError) as error:
        # The mail itself must come in whatever CRM makes of it; matching again finds it.
        log.warning("crm_refused_mail", mailbox=folder.mailbox_id, error=type(error).__name__)


def feed_of(folder: Folder) -> Feed | None:
    """The feed that this folder's mail goes through, if the mailbox feeds CRM and the folder is chosen."""
    if folder.special_use in NEVER:
        return None
    return next(iter(Feed.objects.raw(_FEED, [folder.pk])), None)


# By hand: asked for every batch of a first synchronisation, the ORM's writing of it took a tenth of matching.
_FEED = """
SELECT f.* FROM crm_feedfolder chosen JOIN crm_feed f ON f.id = chosen.feed_id
WHERE chosen.folder_id = %s AND f.enabled
"""


def keep(feed: Feed, batch: Sequence[Letter], *, own: frozenset[str], create: bool) -> int:
    """Decide about each letter and carry it out, the oldest first: what is bound brings in the replies after it, also
    within one batch. Returns how many are with CRM now. `create`: strangers, too.

    What the database refuses is rolled back as one, and raised.
    """
    about = known.about(feed.account_id, batch)
    unknown = Unknown(feed.strangers) if create else Unknown.NOTHING
    policy = Policy(unknown=unknown, own=own, exceptions=about.exceptions)
    makes = unknown is not Unknown.NOTHING
    if not makes and not any(map(about.concerns, batch)):
        return 0
    kept: list[Kept] = []
    with transaction.atomic():
        for letter in batch:
            decision = decide(letter, about, policy) if makes or about.concerns(letter) else None
            if decision and (decision.bind or decision.create is not Unknown.NOTHING):
                if not kept:
                    activities.one_at_a_time(feed.account_id)
                kept.append(_carried_out(feed, letter, decision, about))
        if kept:
            activities.record(feed.account_id, kept)
    return len(kept)


def decide(letter: Letter, about: Known, policy: Policy) -> Decision:
    return matching.decide(letter.participants, about.candidates(letter), policy)


def _carried_out(feed: Feed, letter: Letter, decision: Decision, about: Known) -> Kept:
    """What is known grows by it: the next letter may answer it, or be of the same stranger."""
    if decision.create is not Unknown.NOTHING:
        made = _client(feed, letter, decision)
        about.people[decision.address] = tuple(ref for ref in made if ref.kind != "deal")
        about.open_deals |= {
            ref: tuple(d for d in made if d.kind == "deal") for ref in made if ref.kind == "contact"
        }
        decision = Decision(Rule.NEW, made, decision.address)
    thread = about.thread_of(letter)
    about.bound.setdefault(thread, decision.bind)
    about.heard |= {thread, *letter.ids[:1]}
    if letter.message_id:
        about.threads.setdefault(letter.message_id, thread)
    return Kept(letter, thread, decision)


def _client(feed: Feed, letter: Letter, decision: Decision) -> tuple[Ref, ...]:
    """A lead, or a contact with a deal, for somebody nobody knew; with whoever's turn it is."""
    owner = directory.owner_of(feed.account_id, decision.address)
    if owner:  # another mailbox was faster
        return (activities.ref_of(owner),)
    common: dict[str, Any] = {
        "account_id": feed.account_id,
        "responsible_id": _next_in_turn(feed),
        "source": Source.MAIL,
    }
    name = (letter.sender_name or decision.address)[:200]
    if decision.create is Unknown.LEAD:
        lead = Lead.objects.create(name=name, **common)
        directory.set_addresses(lead, [decision.address])
        return (activities.ref_of(lead),)
    contact = Contact.objects.create(name=name, **common)
    directory.set_addresses(contact, [decision.address])
    stage = _first_stage(feed)
    title = letter.subject[:200] or _("Mail from %(name)s") % {"name": name}
    deal = Deal.objects.create(
        name=title[:200], stage=stage, position=deals.on_top(stage), contact=contact, **common
    )
    return (activities.ref_of(contact), activities.ref_of(deal))


def _next_in_turn(feed: Feed) -> int:
    """One after the other through those of the queue who still work here; else the mailbox's owner."""
    queue = FeedTurn.objects.filter(feed=feed, employee__is_active=True).order_by("position", "pk")
    people = list(queue.values_list("employee_id", flat=True))
    if not people:
        return feed.mailbox.owner_id
    Feed.objects.filter(pk=feed.pk).update(turn=F("turn") + 1)
    feed.refresh_from_db(fields=["turn"])
    return people[(feed.turn - 1) % len(people)]


def _first_stage(feed: Feed) -> Stage:
    pipeline = deals.pipelines(feed.account)[0]
    stages = pipeline.stages.filter(outcome=Outcome.OPEN).order_by("position", "pk")
    return next(iter(stages[:1]), None) or pipeline.stages.order_by("position", "pk")[0]
