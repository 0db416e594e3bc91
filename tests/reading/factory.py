"""Mail in the database without a mail server: folders and messages as the engine would have stored them."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.utils import timezone

from accounts.models import Account, Employee
from mailsync.mime import parse
from mailsync.models import Attachment, Blob, Folder, Mailbox, MailboxState, Message, Placement, Schedule

ROLES = ["inbox", "drafts", "sent", "archive", "junk", "trash"]
NAMES = {"junk": "Spam", "inbox": "INBOX"}


def mailbox_of(owner: Employee, address: str, *, extra: Iterable[str] = (), **fields: object) -> Mailbox:
    """A synchronised mailbox with a folder of each role and these others (path with "/")."""
    fields = {"state": MailboxState.OK, "first_synced_at": timezone.now()} | fields
    mailbox = Mailbox.objects.create(
        account_id=owner.account_id,
        owner=owner,
        address=address,
        imap_host="imap.example",
        login=address,
        secret=b"sealed",
        fetch_days=30,
        **fields,
    )
    Schedule.objects.create(mailbox=mailbox, account_id=owner.account_id)
    for role in ROLES:
        folder_of(mailbox, NAMES.get(role, role.title()), role)
    for path in extra:
        folder_of(mailbox, path)
    return mailbox


def folder_of(mailbox: Mailbox, path: str, role: str = "", **fields: object) -> Folder:
    return Folder.objects.create(
        account_id=mailbox.account_id,
        mailbox=mailbox,
        name=path.encode(),
        path=path,
        delimiter="/",
        special_use=role,
        uidvalidity=1,
        **fields,
    )


@dataclass
class Mail:
    """One message to be; `source` (the whole original) wins over the other fields."""

    subject: str = "Hello"
    sender: str = "Ann Archer <ann@acme.example>"
    text: str = "Hello there."
    html: str = ""
    to: str = "Bob <bob@acme.example>"
    flags: Sequence[str] = ()
    received_at: datetime = field(default_factory=timezone.now)
    date: str | None = "Mon, 02 Nov 2026 09:30:00 +0100"
    source: bytes = b""

    def raw(self) -> bytes:
        if self.source:
            return self.source
        fields = {"From": self.sender, "To": self.to, "Subject": self.subject, "Date": self.date}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        kind, text = ("html", self.html) if self.html else ("plain", self.text)
        head += f"MIME-Version: 1.0\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
        return f"{head}Content-Transfer-Encoding: 8bit\r\n\r\n{text}".encode()


def deliver(folder: Folder, *mails: Mail) -> list[Placement]:
    """Store the mails in a folder as an import would; returns the placements in the same order."""
    first = Placement.objects.filter(folder=folder).count() + 1
    return [_store(folder, mail, first + number) for number, mail in enumerate(mails)]


def _store(folder: Folder, mail: Mail, uid: int) -> Placement:
    header, body = parse.split(mail.raw() + b"")
    summary = parse.summarize(header, body)
    account_id = folder.account_id
    blob, _made = Blob.objects.get_or_create(
        account_id=account_id,
        sha256=hashlib.sha256(body).digest(),
        defaults={"size": len(body), "content": body},
    )
    identity = hashlib.sha256(header + str(len(header) + len(body)).encode() + f"{folder.pk}.{uid}".encode())
    message = Message.objects.create(
        account_id=account_id,
        mailbox_id=folder.mailbox_id,
        identity=identity.digest(),
        header=header,
        body=blob,
        size=len(header) + len(body),
        message_id=summary.message_id,
        subject=summary.subject,
        sender_name=summary.sender.name if summary.sender else "",
        sender_address=summary.sender.address if summary.sender else "",
        recipients=summary.recipients,
        sent_at=summary.sent_at,
        received_at=mail.received_at,
        snippet=summary.snippet,
        has_attachments=any(not part.inline for part in summary.attachments),
        parse_problem=summary.problem,
    )
    Attachment.objects.bulk_create(
        Attachment(
            account_id=account_id,
            message=message,
            part=part.part,
            name=part.name,
            type=part.type,
            size=part.size,
            content_id=part.content_id,
        )
        for part in summary.attachments
    )
    return Placement.objects.create(
        account_id=account_id,
        folder=folder,
        message=message,
        uid=uid,
        flags=sorted(mail.flags),
        received_at=mail.received_at,
    )


def fill(folder: Folder, count: int, *, unseen_every: int = 7) -> None:
    """Many small messages quickly: one a minute back from a fixed moment, all with the same body."""
    account = Account.objects.get(pk=folder.account_id)
    blob, _made = Blob.objects.get_or_create(
        account=account,
        sha256=hashlib.sha256(b"Filling").digest(),
        defaults={"size": 7, "content": b"Filling"},
    )
    newest = datetime(2026, 11, 1, 12, tzinfo=UTC)
    for start in range(0, count, 5000):
        numbers = range(start, min(start + 5000, count))
        messages = Message.objects.bulk_create(
            Message(
                account=account,
                mailbox_id=folder.mailbox_id,
                identity=hashlib.sha256(f"{folder.pk} {number}".encode()).digest(),
                header=b"Subject: Filling\r\n\r\n",
                body=blob,
                size=27,
                subject=f"Report {number} of the weekly figures",
                sender_name=f"Sender {number % 97}",
                sender_address=f"sender{number % 97}@partner.example",
                recipients={"to": [["", "ann@acme.example"]]},
                received_at=newest - timedelta(minutes=number),
                snippet="The figures of last week are attached; the summary is on the second page.",
            )
            for number in numbers
        )
        Placement.objects.bulk_create(
            Placement(
                account=account,
                folder=folder,
                message=message,
                uid=count - number,
                flags=[] if number % unseen_every == 0 else ["\\Seen"],
                received_at=message.received_at,
            )
            for number, message in zip(numbers, messages, strict=True)
        )
