"""Bodies, and the messages whose identity begins with them, get the hash by which a body is known from now on.

May be killed and begun again: what has its new hash is left alone. A file lies under both names until the rows that
name it are committed.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from blake3 import blake3
from django.core.files.storage import storages
from django.db import migrations, transaction

BATCH = 100


def rehash(_apps, schema_editor):
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM accounts_account ORDER BY id")
        accounts = [account for (account,) in cursor.fetchall()]
    for account in accounts:
        after = 0
        while after is not None:
            after = _rehash_some(connection, account, after)


def _rehash_some(connection, account, after):
    """A batch of the bodies behind a row; returns the last row, None at the end."""
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.account', %s, true)", [str(account)])
        cursor.execute(
            """SELECT id, digest, content FROM mailsync_blob WHERE account_id = %s AND id > %s
               ORDER BY id LIMIT %s FOR UPDATE""",
            [account, after, BATCH],
        )
        rows = cursor.fetchall()
        left = [_rehash(cursor, account, pk, bytes(old), content) for pk, old, content in rows]
    for file in filter(None, left):
        file.unlink()
    return rows[-1][0] if rows else None


def _rehash(cursor, account, pk, old, content):
    """Returns the file that is of no use when this is committed."""
    file = _file(account, old)
    try:
        body = file.read_bytes() if content is None else bytes(content)
    except FileNotFoundError:
        return None  # lost it is by either name; check_account says so
    if hashlib.sha256(body).digest() != old:
        return None  # has its new hash, or is damaged: that must not get a hash by which it would be sound
    digest = blake3(body).digest()
    cursor.execute("UPDATE mailsync_blob SET digest = %s WHERE id = %s", [digest, pk])
    cursor.execute("UPDATE mailsync_message SET identity = sha256(header || %s) WHERE body_id = %s", [digest, pk])
    if content is not None:
        return None
    renamed = _file(account, digest)
    renamed.parent.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.link(file, renamed)
    handle = os.open(renamed.parent, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    return file


def _file(account, digest):
    digits = digest.hex()
    return Path(storages["mail"].path(f"{account}/{digits[:2]}/{digits[2:]}"))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("mailsync", "0027_name_the_hash_of_bodies_digest")]

    operations = [migrations.RunPython(rehash, migrations.RunPython.noop)]
