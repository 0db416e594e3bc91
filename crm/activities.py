"""Activities: keeping a mail with a client, and what people decide about where it belongs.

Every function runs in a transaction that acts for the account. Locks: one for the account's bindings, taken before
anything of CRM is written, so that two mailboxes which receive the same mail at once wait for each other instead of
colliding; the message's row before it, so that a purge either waits or was first.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg2 import sql

from accounts.models import Employee
from crm import known, letters
from crm.kinds import kind_of
from crm.letters import Letter
from crm.matching import Decision, Ref, Rule
from crm.models import Activity, ActivityCopy, ActivityKind, Binding, Exclusion, Record, Ruling

# A decision for a conversation reaches so many of its mails; the ones after it follow the ruling.
MOST_OF_A_THREAD = 500


class MessageLeft(Exception):
    """The message was discarded before it could be bound; the text is a sentence for the page."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter that becomes an activity, where the conversation is known, and why."""

    letter: Letter
    thread: str
    decision: Decision


def ref_of(record: Record) -> Ref:
    return Ref(kind_of(record).link, record.pk)


def one_at_a_time(account_id: int) -> None:
    """Until the transaction ends, nobody else of the account writes bindings."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('crm.activities'), %s::int)", [account_id])


# Mail becomes an activity


# One statement for a batch. `found` sees what was there before it and what it makes, each mail once.
_RECORD = """
WITH kept AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(prints)s::bytea[], %(outgoing)s::boolean[], %(threads)s::text[],
        %(reasons)s::text[]) AS k(message_id, fingerprint, outgoing, thread, reason)
), made AS (
    INSERT INTO crm_activity (account_id, kind, at, text, fingerprint, header, body_id, outgoing, message_id, thread,
        subject, sender_name, sender_address, recipients, snippet, has_attachments, reason)
    SELECT m.account_id, 'mail', m.received_at, '', k.fingerprint, m.header, m.body_id, k.outgoing, m.message_id,
        k.thread, m.subject, m.sender_name, m.sender_address, m.recipients, m.snippet, m.has_attachments,
        k.reason::jsonb
    FROM kept k CROSS JOIN LATERAL (SELECT * FROM mailsync_message WHERE id = k.message_id LIMIT 1) m
    ON CONFLICT (account_id, fingerprint) DO NOTHING
    RETURNING id, fingerprint, at
), found AS (
    SELECT k.message_id, made.id, made.at, true AS free, false AS unbound FROM kept k JOIN made USING (fingerprint)
    UNION ALL
    SELECT k.message_id, a.* FROM kept k CROSS JOIN LATERAL (
        SELECT id, at, decided_at IS NULL, unbound_at IS NOT NULL FROM crm_activity
        WHERE account_id = %(account)s AND fingerprint = k.fingerprint LIMIT 1) a
), copied AS (
    INSERT INTO crm_activitycopy (account_id, activity_id, message_id)
    SELECT %(account)s, id, message_id FROM found ON CONFLICT DO NOTHING
), bound AS (
    INSERT INTO crm_binding (account_id, activity_id, at, by_id, bound_at, contact_id, company_id, lead_id, deal_id)
    SELECT %(account)s, f.id, f.at, %(by)s, %(now)s, contact, company, lead, deal
    FROM unnest(%(bound)s::bigint[], %(contact)s::bigint[], %(company)s::bigint[], %(lead)s::bigint[],
        %(deal)s::bigint[]) AS b(message_id, contact, company, lead, deal)
    JOIN found f USING (message_id) WHERE f.free ON CONFLICT DO NOTHING
)
SELECT message_id, id, free AND unbound FROM found
"""


def record(account_id: int, kept: Sequence[Kept], *, by: Employee | None = None) -> dict[int, int]:
    """Make the letters activities and bind them as decided; returns the activities' ids by Message.

    What is an activity already (another mailbox has the mail, too) gets this copy and what it lacks, unless a person
    decided about it alone.
    """
    bindings = [(each.letter.id, ref) for each in kept for ref in each.decision.bind]
    values: dict[str, Any] = {
        "account": account_id,
        "ids": [each.letter.id for each in kept],
        "prints": [each.letter.fingerprint for each in kept],
        "outgoing": [each.letter.participants.outgoing for each in kept],
        "threads": [each.thread for each in kept],
        "reasons": [json.dumps(reason_of(each.decision)) for each in kept],
        "bound": [message_id for message_id, _ref in bindings],
        **{kind: [ref.id if ref.kind == kind else None for _id, ref in bindings] for kind in known.COLUMNS},
        "by": by.pk if by else None,
        "now": timezone.now(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, values)
        rows = cursor.fetchall()
    again = {activity for message, activity, unbound in rows if unbound and message in set(values["bound"])}
    if again:
        Activity.objects.filter(pk__in=again).update(unbound_at=None)
    return {message: activity for message, activity, _unbound in rows}


def reason_of(decision: Decision) -> dict[str, Any]:
    """The evidence as it is kept."""
    return {
        "rule": decision.rule.value,
        "address": decision.address,
        "ask": [list(ref) for ref in decision.ask],
    }


# What people write and change


def note(record_: Record, text: str, *, by: Employee) -> Activity:
    return _written(ActivityKind.NOTE, record_, text, by)


def changed(record_: Record, text: str, *, by: Employee) -> Activity:
    """A line of the record's history; `text` is a sentence without its subject: "moved from New to Won"."""
    return _written(ActivityKind.CHANGE, record_, text, by)


def _written(kind: ActivityKind, record_: Record, text: str, by: Employee) -> Activity:
    activity = Activity.objects.create(account_id=record_.account_id, kind=kind, text=text, by=by)
    link = {kind_of(record_).link: record_}
    Binding.objects.create(account_id=record_.account_id, activity=activity, at=activity.at, by=by, **link)
    return activity


# What people decide


def of_message(message_id: int) -> Activity | None:
    copy = ActivityCopy.objects.filter(message_id=message_id).select_related("activity").first()
    return copy.activity if copy else None


def kept_for(account_id: int, message_id: int) -> Activity:
    """The message's activity, made unbound if there is none yet. Raises MessageLeft."""
    with connection.cursor() as cursor:
        # What a foreign key's check would take at the commit, taken now.
        cursor.execute("SELECT FROM mailsync_message WHERE id = %s FOR KEY SHARE", [message_id])
        if not cursor.rowcount:
            raise MessageLeft(_("This message has just left Webmail."))
    one_at_a_time(account_id)
    found = of_message(message_id)
    if found:
        return found
    [letter] = letters.stored([message_id], own=known.own(account_id))
    thread = known.about(account_id, [letter]).thread_of(letter)
    ids = record(account_id, [Kept(letter, thread, Decision(Rule.PERSON_AGAINST))])
    Activity.objects.filter(pk=ids[message_id]).update(unbound_at=timezone.now())
    return Activity.objects.get(pk=ids[message_id])


def refs_of(activity: Activity) -> tuple[Ref, ...]:
    rows = Binding.objects.filter(activity=activity).order_by("pk")
    columns = [f"{link}_id" for link in known.COLUMNS]
    return tuple(ref for ids in rows.values_list(*columns) for ref in known.refs_of(ids))


def bind(activity: Activity, to: Ref, *, by: Employee, alone: bool) -> dict[str, Any]:
    """Add a record. Like the two below: for the whole conversation unless `alone`; returns what `undo` needs."""
    return _decide(activity, {None: to}, by=by, alone=alone)


def rebind(activity: Activity, away: Ref, to: Ref, *, by: Employee, alone: bool) -> dict[str, Any]:
    """Move from one record to another."""
    return _decide(activity, {away: to}, by=by, alone=alone)


def unbind(activity: Activity, away: Ref | None, *, by: Employee, alone: bool) -> dict[str, Any]:
    """Take one record away, or (None) all of them. The activity stays, unbound, for as long as the bin keeps things."""
    gone: Mapping[Ref | None, Ref | None] = dict.fromkeys(refs_of(activity)) if away is None else {away: None}
    return _decide(activity, gone, by=by, alone=alone)


def settle(activity: Activity, refs: Sequence[Ref], *, by: Employee, alone: bool) -> dict[str, Any]:
    """Exactly these records, for the conversation unless `alone`."""
    one_at_a_time(activity.account_id)
    affected = [activity] if alone else _of_thread(activity)
    before = _state(affected, None if alone else activity.thread)
    now = timezone.now()
    if alone:
        Activity.objects.filter(pk=activity.pk).update(decided_at=now)
    else:
        Ruling.objects.update_or_create(
            account_id=activity.account_id,
            thread=activity.thread,
            defaults={"bound": [list(ref) for ref in refs], "by": by, "at": now},
        )
    _set_bound(affected, refs, by=by)
    return before


def _decide(
    activity: Activity, changes: Mapping[Ref | None, Ref | None], *, by: Employee, alone: bool
) -> dict[str, Any]:
    """`changes` names what goes and what comes instead; None stands for nothing."""
    refs = [ref for ref in refs_of(activity) if ref not in changes]
    refs += [ref for ref in changes.values() if ref and ref not in refs]
    return settle(activity, refs, by=by, alone=alone)


def _of_thread(activity: Activity) -> list[Activity]:
    """The newest of the conversation's mails, those left out that a person decided about alone."""
    rows = Activity.objects.filter(
        account_id=activity.account_id, thread=activity.thread, kind=ActivityKind.MAIL, decided_at=None
    ).order_by("-at", "-pk")
    found = list(rows[:MOST_OF_A_THREAD])
    return found if activity in found else [activity, *found]


def _set_bound(affected: Sequence[Activity], refs: Sequence[Ref], *, by: Employee) -> None:
    for activity in affected:
        there = refs_of(activity)
        for ref in there:
            if ref not in refs:
                Binding.objects.filter(activity=activity, **{f"{ref.kind}_id": ref.id}).delete()
        _add(activity, [ref for ref in refs if ref not in there], by=by)
    pks = [activity.pk for activity in affected]
    reason = {"rule": (Rule.PERSON if refs else Rule.PERSON_AGAINST).value, "address": "", "ask": []}
    Activity.objects.filter(pk__in=pks).update(reason=reason, unbound_at=None if refs else timezone.now())


def _add(activity: Activity, refs: Iterable[Ref], *, by: Employee | None) -> None:
    Binding.objects.bulk_create(
        (
            Binding(
                account_id=activity.account_id,
                activity=activity,
                at=activity.at,
                by=by,
                **{f"{ref.kind}_id": ref.id},
            )
            for ref in refs
        ),
        ignore_conflicts=True,
    )


# One record takes over from another


def take_over(away: Ref, to: Sequence[Ref], *, account_id: int) -> None:
    """Whatever is bound to `away`, and what people decided for it, is with `to` from now on."""
    one_at_a_time(account_id)
    columns = sql.SQL("account_id, activity_id, at, by_id, bound_at")
    with connection.cursor() as cursor:
        for ref in to:
            copied = sql.SQL(
                "INSERT INTO crm_binding ({columns}, {new}) SELECT {columns}, %s FROM crm_binding WHERE {old} = %s "
                "ON CONFLICT DO NOTHING"
            ).format(
                columns=columns, new=sql.Identifier(f"{ref.kind}_id"), old=sql.Identifier(f"{away.kind}_id")
            )
            cursor.execute(copied, [ref.id, away.id])
    Binding.objects.filter(**{f"{away.kind}_id": away.id}).delete()
    for ruling in Ruling.objects.filter(account_id=account_id, bound__contains=[list(away)]):
        kept = [each for each in ruling.bound if each != list(away)]
        ruling.bound = kept + [list(ref) for ref in to if list(ref) not in kept]
        ruling.save(update_fields=["bound"])


# Undo: the state before, carried by the toast


def _state(affected: Iterable[Activity], thread: str | None) -> dict[str, Any]:
    ruling = Ruling.objects.filter(thread=thread).values_list("bound", flat=True).first() if thread else None
    return {
        "thread": thread,
        "ruling": ruling,
        "activities": [
            [each.pk, each.decided_at is not None, each.reason, [list(ref) for ref in refs_of(each)]]
            for each in affected
        ],
    }


def undo(state: dict[str, Any], *, by: Employee) -> None:
    """Bring back what a decision replaced. Records that are gone since then are passed over."""
    one_at_a_time(by.account_id)
    if state["thread"] is not None:
        rulings = Ruling.objects.filter(account_id=by.account_id, thread=state["thread"])
        if state["ruling"] is None:
            rulings.delete()
        else:
            rulings.update(bound=state["ruling"])
    Exclusion.objects.filter(account_id=by.account_id, pk=state.get("exception", 0)).delete()
    for pk, decided, reason, bound in state["activities"]:
        activity = Activity.objects.filter(account_id=by.account_id, pk=pk).first()
        if activity is None:
            continue
        refs = [Ref(kind, number) for kind, number in bound]
        living = known.alive(refs)
        _set_bound([activity], [ref for ref in refs if ref in living], by=by)
        decided_at = (activity.decided_at or timezone.now()) if decided else None
        Activity.objects.filter(pk=pk).update(reason=reason, decided_at=decided_at)
