"""What must be true of every account's rows at any moment, in one place: the tests and check_account ask here.

Each invariant is one statement, so it sees one moment even while workers write. A row that belongs to
another account is invisible under row-level security: a foreign key that leads nowhere is a breach.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.db import connection, models

from accounts import tenancy
from accounts.models import Account
from mailsync.blobs import BodyLost, body_of, digest_of
from mailsync.models import (
    Blob,
    Folder,
    LedgerEntry,
    Mailbox,
    Message,
    Operation,
    Outgoing,
    OutgoingUsage,
    Placement,
    Tombstone,
    Unread,
)

BYTES_RULE = "a blob's bytes have the hash and size it is known by"
SHOWN = 20  # breaches named of each invariant; the rest is counted


@dataclass(frozen=True, slots=True)
class Invariant:
    """`breaches` selects one text per row that breaks the rule; `%(account)s` is the account.

    An account without rows of the `models` cannot break it.
    """

    rule: str
    models: tuple[type[models.Model], ...]
    breaches: str


INVARIANTS = (
    Invariant(
        "a placement's folder and message share a mailbox",
        (Placement,),
        """SELECT format('placement %%s: folder %%s is of mailbox %%s, message %%s of %%s',
                         p.id, f.id, f.mailbox_id, m.id, m.mailbox_id)
           FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
           JOIN mailsync_message m ON m.id = p.message_id
           WHERE p.account_id = %(account)s AND f.mailbox_id <> m.mailbox_id""",
    ),
    Invariant(
        "what somebody has not read is in its message's mailbox, with its date, and nobody's own is the owner's",
        (Unread,),
        """SELECT format('message %%s of mailbox %%s: unread in %%s for %%s',
                         m.id, m.mailbox_id, u.mailbox_id, u.employee_id)
           FROM mailsync_unread u JOIN mailsync_message m ON m.id = u.message_id
           JOIN mailsync_mailbox b ON b.id = u.mailbox_id
           WHERE u.account_id = %(account)s AND (
               u.mailbox_id <> m.mailbox_id OR u.received_at <> m.received_at OR u.employee_id = b.owner_id)""",
    ),
    Invariant(
        "a placement carries its message's date",
        (Placement,),
        """SELECT format('placement %%s: %%s, message %%s: %%s', p.id, p.received_at, m.id, m.received_at)
           FROM mailsync_placement p JOIN mailsync_message m ON m.id = p.message_id
           WHERE p.account_id = %(account)s AND p.received_at <> m.received_at""",
    ),
    Invariant(
        "a message is unplaced since a moment if and only if no folder holds it",
        (Message,),
        """SELECT format('message %%s: unplaced since %%s, %%s', m.id, coalesce(m.unplaced_since::text, 'never'),
                         CASE WHEN m.unplaced_since IS NULL THEN 'but in no folder' ELSE 'but in a folder' END)
           FROM mailsync_message m WHERE m.account_id = %(account)s AND (m.unplaced_since IS NULL)
           <> EXISTS (SELECT FROM mailsync_placement p WHERE p.message_id = m.id)""",
    ),
    Invariant(
        "no identity is both stored and tombstoned",
        (Tombstone,),
        """SELECT format('message %%s, tombstone %%s', m.id, t.id)
           FROM mailsync_tombstone t
           JOIN mailsync_message m ON m.mailbox_id = t.mailbox_id AND m.identity = t.identity
           WHERE t.account_id = %(account)s""",
    ),
    Invariant(
        "kept counters equal what is counted",
        (Folder,),
        """SELECT format('folder %%s %%s: kept %%s / %%s unseen, counted %%s / %%s unseen',
                         f.id, f.path, f.total, f.unseen, c.total, c.unseen)
           FROM mailsync_folder f CROSS JOIN LATERAL (
               SELECT count(*) AS total, count(*) FILTER (WHERE NOT p.seen) AS unseen
               FROM mailsync_placement p WHERE p.folder_id = f.id) c
           WHERE f.account_id = %(account)s AND (f.total, f.unseen) IS DISTINCT FROM (c.total, c.unseen)""",
    ),
    # A move that the server has answered leaves the UID empty until the next pull of the target folder; a new
    # UIDVALIDITY leaves them all empty until the folder is read to its end.
    Invariant(
        "a placement without a UID waits for a move that is open or just done, for its rebuilt folder, or for a person",
        (Placement,),
        """SELECT format('placement %%s: message %%s in folder %%s', p.id, p.message_id, p.folder_id)
           FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
           WHERE p.account_id = %(account)s AND p.uid IS NULL
           AND NOT (f.full_at IS NULL AND f.uid_seen = 0) AND f.held_back = 0 AND NOT EXISTS (
               SELECT FROM mailsync_operation o WHERE o.placement_id = p.id AND o.kind = 'move'
               AND (o.state IN ('pending', 'sending')
                    OR o.state = 'done' AND o.finished_at > now() - interval '1 hour'))""",
    ),
    Invariant(
        "a UID is above 0 and belongs to a known UIDVALIDITY",
        (Placement,),
        """SELECT format('placement %%s: uid %%s in folder %%s, uidvalidity %%s', p.id, p.uid, f.id,
                         coalesce(f.uidvalidity::text, 'unknown'))
           FROM mailsync_placement p JOIN mailsync_folder f ON f.id = p.folder_id
           WHERE p.account_id = %(account)s AND p.uid IS NOT NULL AND (p.uid <= 0 OR f.uidvalidity IS NULL)""",
    ),
    Invariant(
        "flags are sorted, each once, never \\Recent",
        (Placement,),
        """SELECT format('placement %%s: %%s', p.id, p.flags) FROM mailsync_placement p
           WHERE p.account_id = %(account)s AND p.flags <> '{}' AND (p.flags @> ARRAY['\\Recent'] OR p.flags
           <> (SELECT array_agg(DISTINCT flag COLLATE "C" ORDER BY flag COLLATE "C") FROM unnest(p.flags) flag))""",
    ),
    Invariant(
        "an open operation stays in its mailbox",
        (Operation,),
        """SELECT format('operation %%s (%%s) of mailbox %%s: folder of %%s, target of %%s', o.id, o.kind,
                         o.mailbox_id, f.mailbox_id, t.mailbox_id)
           FROM mailsync_operation o JOIN mailsync_folder f ON f.id = o.folder_id
           LEFT JOIN mailsync_folder t ON t.id = o.target_id
           WHERE o.account_id = %(account)s AND o.state IN ('pending', 'sending')
           AND (f.mailbox_id <> o.mailbox_id OR t.mailbox_id <> o.mailbox_id)""",
    ),
    Invariant(
        "a message's identity is the hash of its bytes",
        (Message,),
        """SELECT format('message %%s', m.id) FROM mailsync_message m JOIN mailsync_blob b ON b.id = m.body_id
           WHERE m.account_id = %(account)s AND (m.identity <> sha256(m.header || b.digest)
           OR m.header_hash <> sha256(m.header || convert_to(coalesce(m.told_size, m.size)::text, 'UTF8')))""",
    ),
    Invariant(
        "header and body together have the message's size",
        (Message,),
        """SELECT format('message %%s: %%s bytes, header %%s + body %%s', m.id, m.size, length(m.header), b.size)
           FROM mailsync_message m JOIN mailsync_blob b ON b.id = m.body_id
           WHERE m.account_id = %(account)s AND m.size <> length(m.header) + b.size""",
    ),
    Invariant(
        "a trouble has a sentence and a beginning, or neither",
        (Mailbox,),
        """SELECT format('mailbox %%s %%s: since %%s', b.id, b.address, coalesce(b.troubled_since::text, 'never'))
           FROM mailsync_mailbox b WHERE b.account_id = %(account)s
           AND (b.last_error = '') <> (b.troubled_since IS NULL)""",
    ),
    Invariant(
        "what is used is the sum of the ledger",
        (LedgerEntry, OutgoingUsage),
        """SELECT format('%%s: kept %%s / %%s / %%s, ledger %%s / %%s / %%s', l.month, u.used, u.marketing, u.webmail,
                         l.used, l.marketing, l.webmail)
           FROM (SELECT month, coalesce(sum(count) FILTER (WHERE origin NOT IN ('webmail', 'service')), 0) AS used,
                        coalesce(sum(count) FILTER (WHERE origin = 'marketing'), 0) AS marketing,
                        coalesce(sum(count) FILTER (WHERE origin = 'webmail'), 0) AS webmail
                 FROM mailsync_ledgerentry WHERE account_id = %(account)s GROUP BY month) l
           FULL JOIN (SELECT * FROM mailsync_outgoingusage WHERE account_id = %(account)s) u USING (month)
           WHERE (l.used, l.marketing, l.webmail) IS DISTINCT FROM (u.used, u.marketing, u.webmail)""",
    ),
    Invariant(
        "a letter that waits has a moment at which its mailbox sends",
        (Outgoing,),
        """SELECT format('letter %%s of mailbox %%s', o.id, o.mailbox_id) FROM mailsync_outgoing o
           WHERE o.account_id = %(account)s AND o.state = 'queued' AND NOT EXISTS (
               SELECT FROM mailsync_dispatch d WHERE d.mailbox_id = o.mailbox_id
               AND (d.due_at IS NOT NULL OR d.leased_until IS NOT NULL))""",
    ),
    Invariant(
        "a connected mailbox has its place in the schedule",
        (Mailbox,),
        """SELECT format('mailbox %%s %%s', b.id, b.address) FROM mailsync_mailbox b
           WHERE b.account_id = %(account)s AND b.disconnected_at IS NULL AND NOT EXISTS (
               SELECT FROM mailsync_schedule s WHERE s.mailbox_id = b.id AND s.account_id = b.account_id)""",
    ),
)


def violations(account: Account) -> list[str]:
    """Every breach as a sentence, "rule: row"; an empty list for a sound account."""
    with tenancy.acting_for(account.pk):
        _expect_many_rows()
        tenants = {model for model in apps.get_models() if _is_tenants(model)}
        used = _with_rows(tenants, account)
        rows = [
            line
            for invariant in (*INVARIANTS, *_accounts_agree(tenants))
            if used & {*invariant.models}
            for line in _breaches(invariant, account)
        ]
        return [*rows, *_damaged_bodies(account)]


def _expect_many_rows() -> None:
    """For this transaction: whole tables are joined, and for those that nobody has counted the planner would take
    nested loops, which look at each row for each row."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off; SET LOCAL jit = off")


def _damaged_bodies(account: Account) -> Iterator[str]:
    """PostgreSQL knows neither the hash of bodies nor the files that large ones are."""
    for blob in Blob.objects.filter(account=account).iterator(chunk_size=100):
        try:
            body = body_of(blob)
        except BodyLost as error:
            yield f"{BYTES_RULE}: blob {blob.pk}: {error}"
            continue
        if len(body) != blob.size or digest_of(body) != bytes(blob.digest):
            yield f"{BYTES_RULE}: blob {blob.pk}{'' if blob.content else ', a file'}"


def _breaches(invariant: Invariant, account: Account) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(invariant.breaches, {"account": account.pk})
        rows = [text for (text,) in cursor.fetchmany(SHOWN)]
        more = cursor.rowcount - len(rows)
    yield from (f"{invariant.rule}: {row}" for row in rows)
    if more:
        yield f"{invariant.rule}: and {more} more"


def _accounts_agree(tenants: set[type[models.Model]]) -> Iterator[Invariant]:
    """Foreign keys between tenants' rows, found in the models, so that a new table is checked unasked."""
    for model in tenants:
        for field in model._meta.concrete_fields:
            if isinstance(field, models.ForeignKey) and field.related_model in tenants:
                yield _agreement(model, field.column, field.related_model)


def _with_rows(tenants: set[type[models.Model]], account: Account) -> set[type[models.Model]]:
    """Those in which the account has any, by one statement: planning a check costs more than finding none."""
    by_table = {model._meta.db_table: model for model in tenants}
    looks = (
        f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table} WHERE account_id = %(account)s)"  # noqa: S608
        for table in by_table  # names from the models
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(looks), {"account": account.pk})
        return {by_table[table] for (table,) in cursor.fetchall()}


def _agreement(model: type[models.Model], column: str, target: type[models.Model]) -> Invariant:
    table, key = model._meta.db_table, model._meta.pk.column
    other, other_key = target._meta.db_table, target._meta.pk.column
    return Invariant(
        "a foreign key stays inside the account",
        (model,),
        f"""SELECT format('{table} %%s: {column} %%s', a.{key}, a.{column}) FROM {table} a
            LEFT JOIN {other} b ON b.{other_key} = a.{column} AND b.account_id = a.account_id
            WHERE a.account_id = %(account)s AND a.{column} IS NOT NULL
            AND b.{other_key} IS NULL""",  # noqa: S608 (names from the models)
    )


def _is_tenants(model: type[models.Model]) -> bool:
    """Whether each row belongs to one account."""
    return any(field.column == "account_id" for field in model._meta.concrete_fields)
