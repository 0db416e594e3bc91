"""Fingerprints of mail hold the hash of its body, and that is another one since mailsync.0028.

May be killed and begun again: what has its new fingerprint is left alone.
"""

import hashlib
import re

from django.db import migrations, transaction

BATCH = 500
_ORIGIN = re.compile(rb"\n(from|date)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)
_HEADER_BYTES = 2 * 1024 * 1024


def renew(_apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM accounts_account ORDER BY id")
        accounts = [account for (account,) in cursor.fetchall()]
    for account in accounts:
        after = 0
        while after is not None:
            after = _renew_some(connection, account, after)


def _renew_some(connection, account, after):
    """A batch of the activities behind a row; returns the last row, None at the end."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.account', %s, true)", [str(account)])
        cursor.execute(
            """SELECT a.id, a.fingerprint, a.header, a.message_id, b.digest
               FROM crm_activity a JOIN mailsync_blob b ON b.id = a.body_id
               WHERE a.account_id = %s AND a.id > %s AND a.kind = 'mail' ORDER BY a.id LIMIT %s""",
            [account, after, BATCH],
        )
        rows = cursor.fetchall()
        for pk, old, header, message_id, digest in rows:
            new = _fingerprint(bytes(header), message_id, bytes(digest))
            cursor.execute("UPDATE crm_activity SET fingerprint = %s WHERE id = %s", [new, pk])
            if not message_id:  # it may have given its conversation a name
                names = [new.hex(), bytes(old).hex(), account]
                cursor.execute("UPDATE crm_activity SET thread = %s WHERE thread = %s AND account_id = %s", names)
                cursor.execute("UPDATE crm_ruling SET thread = %s WHERE thread = %s AND account_id = %s", names)
    return rows[-1][0] if rows else None


def _fingerprint(header, message_id, digest):
    found = {name.lower(): value for name, value in reversed(_ORIGIN.findall(b"\n" + header[:_HEADER_BYTES]))}
    origin = [b" ".join(found.get(key, b"").split()) for key in (b"from", b"date")]
    return hashlib.sha256(b"\0".join([message_id.encode(), *origin, digest])).digest()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("crm", "0006_let_letters_have_templates"),
        ("mailsync", "0028_know_bodies_by_blake3"),
    ]

    operations = [migrations.RunPython(renew, migrations.RunPython.noop)]
