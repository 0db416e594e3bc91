"""The independent judge: what the mail server holds, read with the standard library's client and nothing of ours.

Names of folders are bytes as the server says them; mail is known by the sha256 of its bytes.
"""

import hashlib
import imaplib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import connection

from accounts import tenancy
from mailsync.blobs import body_of
from mailsync.models import Folder, Mailbox, Operation, OperationKind, OperationState, Placement
from tests.rigs.mailserver import MailServer

_LIST = re.compile(rb'\(([^()]*)\) (?:"(?:[^"\\]|\\.)*"|NIL) (.*)', re.DOTALL)
_UID = re.compile(rb"\bUID (\d+)")
_TABLES = ("message", "placement", "blob", "attachment", "operation", "tombstone", "skippedmessage", "act")


@dataclass(frozen=True, slots=True)
class Row:
    """One mail in one folder. `received_at` is None on our side."""

    flags: frozenset[str]
    sha256: str


@dataclass(frozen=True, slots=True)
class FolderView:
    uidvalidity: int | None
    rows: dict[int | None, Row]
    received: dict[int, datetime]


def server_view(dovecot: MailServer, login: str) -> dict[bytes, FolderView]:
    """Every folder that opens."""
    with dovecot.imap(login) as client:
        return {name: folder_view(client, name) for name in folder_names(client)}


def folder_names(client: imaplib.IMAP4) -> list[bytes]:
    """The folders that can hold messages, byte for byte. Dovecot lists more than there are: of a folder that had others
    inside it keeps the name."""
    names = []
    for item in client.list()[1]:
        line, literal = item if isinstance(item, tuple) else (item, None)
        found = _LIST.match(line or b"")
        if found and b"\\noselect" not in found[1].lower() and b"\\nonexistent" not in found[1].lower():
            name = found[2] if literal is None else literal
            if literal is None and name.startswith(b'"'):
                name = re.sub(rb"\\(.)", rb"\1", name[1:-1])
            names.append(name)
    return [name for name in names if b"doesn't exist" not in client.status(quoted(name), "(UIDNEXT)")[1][0]]


def quoted(name: bytes) -> str:
    """As imaplib wants it: already in quotes, every byte as it is."""
    return '"' + name.decode("latin-1").replace("\\", "\\\\").replace('"', '\\"') + '"'


def folder_view(client: imaplib.IMAP4, name: bytes) -> FolderView:
    """One that opens."""
    kind, _ = client.select(quoted(name), readonly=True)
    assert kind == "OK", name
    validity = int(client.response("UIDVALIDITY")[1][0] or 0)
    _, parts = client.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
    rows: dict[int | None, Row] = {}
    received = {}
    for part in parts:
        if isinstance(part, tuple):
            found = _UID.search(part[0])
            assert found, part[0]
            flags = {flag.decode() for flag in imaplib.ParseFlags(part[0])} - {"\\Recent"}
            rows[int(found[1])] = Row(frozenset(flags), sha(part[1]))
            received[int(found[1])] = _moment(part[0])
    return FolderView(validity, rows, received)


def _moment(line: bytes) -> datetime:
    found = re.search(rb'INTERNALDATE "([^"]+)"', line)
    assert found, line
    return datetime.strptime(found[1].decode().strip(), "%d-%b-%Y %H:%M:%S %z").astimezone(UTC)


def sha(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def our_view(mailbox: Mailbox) -> dict[bytes, FolderView]:
    """The rows of the folders that we hold open."""
    with tenancy.acting_for(mailbox.account_id):
        folders = list(Folder.objects.filter(mailbox=mailbox, selectable=True, deleting=False))
        placements = Placement.objects.filter(folder__in=folders).select_related("message__body")
        rows: dict[int, dict[int | None, Row]] = {folder.pk: {} for folder in folders}
        for each in placements:
            raw = bytes(each.message.header) + body_of(each.message.body)
            assert each.uid not in rows[each.folder_id], f"two with UID {each.uid} in folder {each.folder_id}"
            rows[each.folder_id][each.uid] = Row(frozenset(each.flags), sha(raw))
    return {bytes(folder.name): FolderView(folder.uidvalidity, rows[folder.pk], {}) for folder in folders}


def left_behind(mailbox: Mailbox) -> set[tuple[bytes, int | None, int | None]]:
    """(folder, UIDVALIDITY, UID) of what we moved or removed: without UIDPLUS the server keeps it, marked \\Deleted."""
    with tenancy.acting_for(mailbox.account_id):
        done = Operation.objects.filter(
            mailbox=mailbox, state=OperationState.DONE, kind__in=[OperationKind.MOVE, OperationKind.EXPUNGE]
        ).exclude(folder=None)
        return {
            (bytes(name), validity, uid)
            for name, validity, uid in done.values_list("folder__name", "uidvalidity", "uid")
        }


def noted(mailbox: Mailbox) -> set[tuple[bytes, int | None, int]]:
    """What we left on the server with a reason on the page: too large, or not handed out."""
    with tenancy.acting_for(mailbox.account_id):
        rows = Folder.objects.filter(mailbox=mailbox, skipped__isnull=False)
        return {
            (bytes(name), validity, uid)
            for name, validity, uid in rows.values_list("name", "skipped__uidvalidity", "skipped__uid")
        }


def expected_view(server: dict[bytes, FolderView], mailbox: Mailbox) -> dict[bytes, FolderView]:
    """The server's view, less what we may not have: older than the window, noted, or left behind by us."""
    start = mailbox.connected_at - timedelta(days=mailbox.fetch_days or 0)
    behind, skipped = left_behind(mailbox), noted(mailbox)
    view = {}
    for name, folder in server.items():
        rows = {
            uid: row
            for uid, row in folder.rows.items()
            if folder.received[uid or 0] >= start
            and (name, folder.uidvalidity, uid) not in skipped
            and not ("\\Deleted" in row.flags and (name, folder.uidvalidity, uid) in behind)
        }
        view[name] = FolderView(folder.uidvalidity, rows, {})
    return view


def snapshot(mailbox: Mailbox) -> dict[str, object]:
    """Where each row of the account's mail lies (any UPDATE moves it), and the folders as values.

    `full_at` only says when a folder was last read whole, `errors_in_row` how often it gave trouble before.
    """
    with tenancy.acting_for(mailbox.account_id), connection.cursor() as cursor:
        found: dict[str, object] = {}
        for table in _TABLES:
            cursor.execute(f"SELECT array_agg(ctid::text ORDER BY ctid) FROM mailsync_{table}")
            found[table] = cursor.fetchone()
        for values in Folder.objects.filter(mailbox=mailbox).order_by("pk").values():
            found[f"folder {values['path']}"] = {**values, "full_at": None, "errors_in_row": None}
        return found
