"""Rows of a company as JSON, a line each, for its admins: what they may see anyway, without secrets and mail."""

import json
from collections.abc import Iterable, Iterator

from django.db import connection

from accounts import tenancy

BATCH = 1000

# By table, what is left out: secrets, and bytes that stand beside the rows as files. Not here at all: what is one
# person's own (templates, drafts, notices, where they are signed in), mail, and what the machine keeps for itself.
TABLES: dict[str, tuple[str, ...]] = {
    "accounts_employee": ("password", "is_operator"),
    "accounts_department": (),
    "accounts_auditentry": (),
    "plans_subscription": (),
    "mailsync_mailbox": ("secret",),
    "mailsync_mailboxgrant": (),
    "mailsync_emergencyaccess": (),
    "mailsync_outgoingusage": (),
    "mailsync_ledgerentry": (),
    "crm_company": (),
    "crm_contact": (),
    "crm_emailaddress": (),
    "crm_lead": (),
    "crm_pipeline": (),
    "crm_stage": (),
    "crm_deal": (),
    "crm_activity": ("header", "fingerprint"),
    "crm_binding": (),
    "crm_exclusion": (),
    "crm_feed": (),
    "tasks_task": (),
    "tasks_participant": (),
    "tasks_checklistitem": (),
    "tasks_comment": (),
    "tasks_taskfile": (),
    "retention_retentionrun": (),
}


def lines(account_id: int, table: str) -> Iterator[bytes]:
    """Each row once, by id; each batch in a transaction of its own."""
    last = 0
    left_out = list(TABLES[table])
    while True:
        with tenancy.acting_for(account_id), connection.cursor() as cursor:
            cursor.execute(
                f"SELECT id, (to_jsonb(t) - %s::text[])::text FROM {table} t"  # noqa: S608 (a name of ours)
                " WHERE account_id = %s AND id > %s ORDER BY id LIMIT %s",
                [left_out, account_id, last, BATCH],
            )
            rows = cursor.fetchall()
        if not rows:
            return
        yield from as_lines(json.loads(text) for _pk, text in rows)
        last = rows[-1][0]


def count(account_id: int, table: str) -> int:
    """In a transaction that acts for the account."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE account_id = %s", [account_id])  # noqa: S608 (ours)
        return int(cursor.fetchone()[0])


def as_lines(rows: Iterable[object]) -> Iterator[bytes]:
    """JSON Lines, in the letters of the people."""
    for row in rows:
        yield json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n"
