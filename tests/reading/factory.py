"""Very many messages at once, where one by one would take minutes."""

import hashlib
from datetime import UTC, datetime, timedelta

from mailsync.importing import header_hash, identity
from mailsync.models import Blob, Folder, Message, Placement

NEWEST = datetime(2026, 11, 1, 12, tzinfo=UTC)


def fill(folder: Folder, count: int, *, unseen_every: int = 7, newest: datetime = NEWEST) -> None:
    """Small messages with one body, one a minute back from `newest`; the account must be the acting one."""
    body = b"Filling"
    blob, _made = Blob.objects.get_or_create(
        account_id=folder.account_id,
        sha256=hashlib.sha256(body).digest(),
        defaults={"size": len(body), "content": body},
    )
    for start in range(0, count, 5000):
        numbers = range(start, min(start + 5000, count))
        messages = Message.objects.bulk_create(_message(folder, blob, number, newest) for number in numbers)
        Placement.objects.bulk_create(
            Placement(
                account_id=folder.account_id,
                folder=folder,
                message=message,
                uid=count - number,
                flags=[] if number % unseen_every == 0 else ["\\Seen"],
                received_at=message.received_at,
            )
            for number, message in zip(numbers, messages, strict=True)
        )


def _message(folder: Folder, blob: Blob, number: int, newest: datetime) -> Message:
    header = f"Subject: Report {number} in {folder.path}\r\n\r\n".encode()
    size = len(header) + blob.size
    return Message(
        account_id=folder.account_id,
        mailbox_id=folder.mailbox_id,
        identity=identity(header, bytes(blob.sha256)),
        header_hash=header_hash(header, size),
        header=header,
        body=blob,
        size=size,
        subject=f"Report {number} of the weekly figures",
        sender_name=f"Sender {number % 97}",
        sender_address=f"sender{number % 97}@partner.example",
        recipients={"to": [["", "ann@acme.example"]]},
        received_at=newest - timedelta(minutes=number),
        snippet="The figures of last week; the summary is on the second page.",
    )
