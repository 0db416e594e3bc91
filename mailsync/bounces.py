"""Reports of delivery (RFC 3464), tied to the letters that they are about as they come in.

A report is a mail like any other, from whoever: it is believed about letters whose Message-ID it knows, and changes
nothing but what is shown beside them.
"""

import re
from collections.abc import Iterator, Mapping

from mailsync.mime import headers, parse
from mailsync.mime.parse import AttachmentPart
from mailsync.models import DeliveryReport, Folder, Outgoing

ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")
_REPORT = b"multipart/report"
_MOST_RECIPIENTS = 100
_MOST_WORDS = 500


def hear(folder: Folder, arrived: Mapping[int, tuple[bytes, memoryview]]) -> None:
    """Look through mail that is being stored, header and body by the message's id; in that transaction."""
    for message_id, (header, body) in arrived.items():
        if _REPORT in header[: headers.HEADER_BYTES].lower():
            _note(folder, message_id, header, bytes(body))


def _note(folder: Folder, message_id: int, header: bytes, body: bytes) -> None:
    parts = {part.type: _bytes(header, body, part) for part in parse.summarize(header, body).attachments}
    told = parts.get("message/delivery-status", b"")
    original = parts.get("message/rfc822") or parts.get("text/rfc822-headers") or b""
    name = parse.message_id(parse.split(original)[0])
    letter = Outgoing.objects.filter(account_id=folder.account_id, message_id=name).first() if name else None
    if letter is None:
        return
    DeliveryReport.objects.bulk_create(
        [
            DeliveryReport(
                account_id=folder.account_id, outgoing=letter, message_id=message_id, recipient=recipient,
                action=action, status=status, words=words,
            )
            for recipient, action, status, words in _recipients(told)
        ],
        ignore_conflicts=True,
    )  # fmt: skip


def _bytes(header: bytes, body: bytes, part: AttachmentPart) -> bytes:
    return parse.part_bytes(header, body, part.part)[1]


def _recipients(told: bytes) -> Iterator[tuple[str, str, str, str]]:
    """Address, action, status and diagnosis of each group of fields but the first, which is about the message."""
    for group in re.split(rb"\r?\n[ \t]*\r?\n", told.strip())[: _MOST_RECIPIENTS + 1]:
        said = {name.lower(): value for name, value in parse.header_fields(group + b"\r\n\r\n")}
        action = said.get("action", "").strip().lower()
        recipient = _typed(said.get("original-recipient", "") or said.get("final-recipient", ""))
        if action in ACTIONS and recipient:
            status = said.get("status", "").split(" ")[0][:12]
            yield recipient[:320], action, status, _typed(said.get("diagnostic-code", ""))[:_MOST_WORDS]


def _typed(value: str) -> str:
    """RFC 3464 2.1.2: "rfc822; zoe@elsewhere.example"; the type does not matter here."""
    return value.partition(";")[2].strip() or value.strip()
