"""Where the bytes of bodies live: small ones in PostgreSQL beside their rows, large ones as files.

A file is named by its account and hash and is on the disk before its row is committed, so no row ever stands without
its bytes. A transaction that rolls back leaves a file behind; the next attempt writes the same one.
"""

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from blake3 import blake3
from django.conf import settings
from django.core.files.storage import storages
from django.db import connection

from mailsync.copying import copy
from mailsync.files import DurableFiles
from mailsync.models import Blob

# A disk takes several files in the time of one, for they share its flush.
_writers = ThreadPoolExecutor(4, "bodies")


class BodyLost(Exception):
    """The row is there and its file is not: the folder of MAIL_FILES is another one, or was tampered with."""


def digest_of(body: bytes | memoryview) -> bytes:
    """The hash by which a body is known: BLAKE3, for a processor without instructions for SHA-256 takes ten times as
    long over that."""
    return blake3(body).digest()


def begin_file(account_id: int, digest: bytes, body: bytes | memoryview) -> Future[None] | None:
    """Begin to write a body that is large enough to be a file: it must be one before `store` gets it."""
    if len(body) < settings.MAIL_FILES_FROM:
        return None
    return _writers.submit(_write_file, _name(account_id, digest), body)


def store(account_id: int, bodies: Mapping[bytes, bytes | memoryview]) -> dict[bytes, int]:
    """Store bodies by their hashes, each once, in the running transaction; returns the ids of their rows by hash."""
    known = _ids(account_id, bodies)
    # In order of their hashes: two workers of one account can then not wait for each other.
    fresh = sorted(bodies.keys() - known.keys())
    if not fresh:
        return known
    sizes = [len(bodies[digest]) for digest in fresh]
    rows = [bodies[digest] for digest in fresh if len(bodies[digest]) < settings.MAIL_FILES_FROM]
    columns = [("account_id", "int8"), ("digests", "bytea"), ("sizes", "int8[]"), ("places", "int8[]"),
               ("contents", "bytea")]  # fmt: skip
    batch = (account_id, b"".join(fresh), sizes, list(_places(sizes)), b"".join(rows))
    copy("mailsync_incoming_blobs", columns, [batch])
    return known | _ids(account_id, fresh)


def _places(sizes: Iterable[int]) -> Iterator[int]:
    """Where each body of these sizes begins among those that are stored in rows; -1 for a file."""
    at = 0
    for size in sizes:
        if size < settings.MAIL_FILES_FROM:
            yield at
            at += size
        else:
            yield -1


def body_of(blob: Blob) -> bytes:
    """The bytes of a body. Raises BodyLost."""
    return content(blob.account_id, bytes(blob.digest), blob.content)


def content(account_id: int, digest: bytes, stored: bytes | memoryview | None) -> bytes:
    """The same by the columns of its row: what the row holds, or the bytes of its file."""
    if stored is not None:
        return bytes(stored)
    try:
        with _files().open(_name(account_id, digest)) as file:
            data: bytes = file.read()
    except FileNotFoundError as error:
        raise BodyLost(f"The body {digest.hex()} is not among the files of mail.") from error
    return data


def remove_file(account_id: int, digest: bytes, *, untouched_since: datetime) -> None:
    """The file of a body whose row is gone, unless somebody has begun to store the same bytes since that moment."""
    _files().remove_unless_renewed(_name(account_id, digest), untouched_since)


def remove_files_of(account_id: int) -> Iterator[int]:
    """Remove every file of an account that is deleted, one with each step: its size. Begins anew where it stopped."""
    return _files().remove_below(str(account_id))


def _write_file(name: str, body: bytes | memoryview) -> None:
    files = _files()
    if not files.renew(name):  # a file of this name holds these bytes
        files.write(name, body)


def _name(account_id: int, digest: bytes) -> str:
    digits = digest.hex()
    return f"{account_id}/{digits[:2]}/{digits[2:]}"


def _files() -> DurableFiles:
    files = storages["mail"]
    assert isinstance(files, DurableFiles)
    return files


def _ids(account_id: int, hashes: Iterable[bytes]) -> dict[bytes, int]:
    """Key by key, and never as a join: in an account that grows while nobody has counted it, the planner would read
    all of it for each batch. LIMIT keeps it from turning this into a join. The lock keeps the sweep off them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT k.digest, b.id FROM unnest(%s::bytea[]) AS k(digest) CROSS JOIN LATERAL (
                   SELECT id FROM mailsync_blob WHERE account_id = %s AND digest = k.digest
                   LIMIT 1 FOR KEY SHARE) b""",
            [list(hashes), account_id],
        )
        return {bytes(digest): pk for digest, pk in cursor.fetchall()}
