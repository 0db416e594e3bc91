"""Companies with millions of messages for purge.py, made by SQL: as a sync would have left them, bodies apart.

Evenly over 117 days, so that 23 % are older than Professional's 90; one in ten is with a client, one in a hundred on a
task, one in five has an attachment, every second an event.
"""

from contextlib import closing

import psycopg2
from common import Product

_MAILBOXES = """
from accounts import tenancy
from accounts.models import Account, Employee
from tests.world import mailbox
account = Account.objects.get(name={name!r})
with tenancy.acting_for(account.pk):
    for number in range(4):
        box = mailbox(Employee.objects.get(account=account), f"b{{number}}@{{account.pk}}.example")
        print(box.folders.get(special_use="inbox").pk, account.pk, box.pk)
"""
# Sizes of real mail: a header of about 1.5 kB that hardly shrinks.
_BLOBS = """
INSERT INTO mailsync_blob (account_id, digest, size, content, created_at)
SELECT %(account)s, sha256(('%(folder)s ' || n)::bytea), 3000, sha256(n::text::bytea), now()
FROM generate_series(1, %(n)s) n
"""
_MESSAGES = """
INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size, message_id, subject,
    sender_name, sender_address, recipients, received_at, snippet, has_attachments, parse_problem)
SELECT b.account_id, %(mailbox)s, b.digest, b.digest, substr(noise.bytes, (b.id %% 11000)::int + 1, 1500), b.id,
    4500, b.id || '@x', 'Report ' || b.id, 'Zoe', 'zoe@elsewhere.example', '{}',
    date_trunc('second', now() - (b.n * 117.0 / %(n)s) * interval '1 day'),
    repeat('The figures of last week. ', 5), b.n %% 5 = 0, ''
FROM (SELECT *, row_number() OVER (ORDER BY id) AS n FROM mailsync_blob
      WHERE account_id = %(account)s AND id > %(after)s) b
CROSS JOIN (SELECT string_agg(sha256(k::text::bytea), ''::bytea) AS bytes FROM generate_series(1, 400) k) noise
"""
_HANGING = (
    """INSERT INTO mailsync_placement (account_id, folder_id, message_id, uid, flags, received_at)
       SELECT account_id, %(folder)s, id, row_number() OVER (ORDER BY id), '{\\\\Seen}', received_at
       FROM mailsync_message WHERE mailbox_id = %(mailbox)s""",
    """INSERT INTO mailsync_attachment (account_id, message_id, part, name, type, size, content_id)
       SELECT account_id, id, 1, 'a.pdf', 'application/pdf', 900, '' FROM mailsync_message
       WHERE mailbox_id = %(mailbox)s AND has_attachments""",
    """INSERT INTO mailsync_event (account_id, message_id, kind, path, uid)
       SELECT account_id, id, 'flag', 'INBOX', 1 FROM mailsync_message
       WHERE mailbox_id = %(mailbox)s AND id %% 2 = 0""",
    """INSERT INTO crm_activity (account_id, kind, at, text, fingerprint, header, body_id, outgoing,
           message_id, thread, subject, sender_name, sender_address, recipients, snippet, has_attachments, reason)
       SELECT account_id, 'mail', received_at, '', identity, header, body_id, false, message_id, '',
           subject, '', '', '{}', '', false, '{}'
       FROM mailsync_message WHERE mailbox_id = %(mailbox)s AND id %% 10 = 3""",
    # Without statistics the planner would look through all messages for each activity.
    "ANALYZE mailsync_message (mailbox_id, identity), crm_activity (account_id, body_id)",
    """INSERT INTO crm_activitycopy (account_id, activity_id, message_id)
       SELECT a.account_id, a.id, m.id FROM mailsync_message m
       JOIN crm_activity a ON a.body_id = m.body_id WHERE m.mailbox_id = %(mailbox)s AND m.id %% 10 = 3""",
    """INSERT INTO tasks_taskmessage (account_id, task_id, message_id, by_id, at, because)
       SELECT account_id, %(task)s, id, %(by)s, now(), 'hand' FROM mailsync_message
       WHERE mailbox_id = %(mailbox)s AND id %% 100 = 7""",
)
_COUNT = """UPDATE mailsync_folder SET unseen = 0,
    total = (SELECT count(*) FROM mailsync_placement WHERE folder_id = %(folder)s) WHERE id = %(folder)s"""
_TASK = """
INSERT INTO tasks_task (account_id, title, description, status, priority, responsible_id, by_id, created_at, keep_mail)
SELECT %s, 'Answer', '', 'todo', 1, id, id, now(), false FROM accounts_employee WHERE email = %s
RETURNING id, by_id
"""
COMPANIES = (
    """INSERT INTO accounts_account
       SELECT (jsonb_populate_record(a, jsonb_build_object(
           'id', nextval(pg_get_serial_sequence('accounts_account', 'id')), 'name', 'Company ' || n))).*
       FROM generate_series(1, %s) n CROSS JOIN (SELECT a FROM accounts_account a LIMIT 1) made""",
    """INSERT INTO plans_subscription (account_id, plan, starts_on)
       SELECT id, 'basic', '2026-01-01' FROM accounts_account WHERE name LIKE 'Company %'""",
    """INSERT INTO mailsync_mailbox SELECT (jsonb_populate_record(b, jsonb_build_object(
           'id', nextval(pg_get_serial_sequence('mailsync_mailbox', 'id')), 'account_id', a.id))).*
       FROM accounts_account a CROSS JOIN (SELECT b FROM mailsync_mailbox b LIMIT 1) made
       WHERE a.name LIKE 'Company %'""",
    """INSERT INTO mailsync_message (account_id, mailbox_id, identity, header_hash, header, body_id, size, message_id,
           subject, sender_name, sender_address, recipients, received_at, snippet, has_attachments, parse_problem)
       SELECT b.account_id, b.id, 'x', 'x', 'x', (SELECT min(id) FROM mailsync_blob), 1, '', '', '', '', '{}',
           now() - interval '1 day', '', false, ''
       FROM mailsync_mailbox b JOIN accounts_account a ON a.id = b.account_id WHERE a.name LIKE 'Company %'""",
)


def fill(made: Product, name: str, who: str, messages: int) -> None:
    """Four mailboxes, each with a quarter of the mail, evenly over 117 days."""
    said = made.manage("shell", "-v", "0", "-c", _MAILBOXES.format(name=name))
    folders = [tuple(map(int, line.split())) for line in said.splitlines()]
    [(task, by)] = made.rows(_TASK, folders[0][1], who)
    for folder, account, mailbox in folders:
        [(after,)] = made.rows("SELECT coalesce(max(id), 0) FROM mailsync_blob")
        values = {
            "account": account,
            "folder": folder,
            "mailbox": mailbox,
            "n": messages // 4,
            "after": after,
        }
        for statement in (_BLOBS, _MESSAGES, *_HANGING, _COUNT):
            write(made, statement, values | {"task": task, "by": by})


def write(made: Product, sql: str, values: dict[str, object]) -> None:
    """With values by name, past the wall, and without the triggers: keys are right by the way they are made."""
    with (
        closing(psycopg2.connect(made.postgres.owner_url)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off")
        cursor.execute(sql, values)
