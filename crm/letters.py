"""What CRM reads of a mail, whether it arrives just now or has been here for long."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connection

from crm.matching import Participants
from crm.natures import Nature, fields, nature
from mailsync.importing import Prepared
from mailsync.mime import headers

_ID = re.compile(r"<([^<>\s\x00-\x1f]{1,500})>")
_MOST_REFERENCES = 40


@dataclass(frozen=True, slots=True)
class Letter:
    """`id` is the Message's. `references` are the Message-IDs that it answers, the nearest first."""

    id: int
    header: bytes = field(repr=False)
    digest: bytes
    message_id: str
    references: tuple[str, ...]
    subject: str
    sender_name: str
    participants: Participants

    @property
    def fingerprint(self) -> bytes:
        return fingerprint(self.header, self.message_id, self.digest)

    @property
    def root(self) -> str:
        """What began the conversation, as far as this mail says; a mail without any name is its own."""
        return self.references[-1] if self.references else self.message_id or self.fingerprint.hex()

    @property
    def ids(self) -> tuple[str, ...]:
        """Every Message-ID by which the conversation may be known, the nearest first."""
        return (*((self.message_id,) if self.message_id else ()), *self.references)


def arrived(message_id: int, item: Prepared, *, own: frozenset[str]) -> Letter:
    summary = item.summary
    sender = summary.sender
    return _letter(
        message_id,
        header=item.header,
        digest=item.digest,
        name=summary.message_id,
        subject=summary.subject,
        sender=(sender.name, sender.address) if sender else ("", ""),
        recipients=summary.recipients,
        parts=frozenset(part.type for part in summary.attachments),
        own=own,
    )


# Key by key: the planner may know nothing of a mailbox that is just growing.
_STORED = """
SELECT m.id, m.header, b.digest, m.message_id, m.subject, m.sender_name, m.sender_address, m.recipients,
       ARRAY(SELECT type FROM mailsync_attachment a WHERE a.message_id = m.id)
FROM unnest(%s::bigint[]) AS k(id)
CROSS JOIN LATERAL (SELECT * FROM mailsync_message WHERE id = k.id LIMIT 1) m
CROSS JOIN LATERAL (SELECT digest FROM mailsync_blob WHERE id = m.body_id LIMIT 1) b
"""


def stored(message_ids: Iterable[int], *, own: frozenset[str]) -> Iterator[Letter]:
    """The same of messages that are here; those that have left are passed over."""
    with connection.cursor() as cursor:
        cursor.execute(_STORED, [list(message_ids)])
        rows = cursor.fetchall()
    for pk, header, digest, name, subject, sender_name, sender_address, recipients, parts in rows:
        yield _letter(
            pk,
            header=bytes(header),
            digest=bytes(digest),
            name=name,
            subject=subject,
            sender=(sender_name, sender_address),
            recipients=_json(recipients),
            parts=frozenset(parts),
            own=own,
        )


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _letter(
    pk: int,
    *,
    header: bytes,
    digest: bytes,
    name: str,
    subject: str,
    sender: tuple[str, str],
    recipients: dict[str, list[Any]],
    parts: frozenset[str],
    own: frozenset[str],
) -> Letter:
    address = sender[1].lower()
    outgoing = address in own
    others = (to[1].lower() for key in ("to", "cc", "bcc") for to in recipients.get(key, ()))
    return Letter(
        id=pk,
        header=header,
        digest=digest,
        message_id=name,
        references=_references(header),
        subject=subject,
        sender_name=sender[0],
        participants=Participants(
            sender=address,
            others=tuple(dict.fromkeys(each for each in others if "@" in each)),
            outgoing=outgoing,
            wrote=_a_letter if outgoing else partial(_nature, header, address, parts),
        ),
    )


def _a_letter() -> Nature:
    return Nature.LETTER


def _nature(header: bytes, sender: str, parts: frozenset[str]) -> Nature:
    return nature(fields(header), sender=sender, parts=parts)


def fingerprint(header: bytes, message_id: str, digest: bytes) -> bytes:
    """By which the copies of one mail are known: each mailbox has its own postmarks, but From, Date and body agree."""
    fields_found = reversed(_ORIGIN.findall(b"\n" + header[: headers.HEADER_BYTES]))
    found = {name.lower(): value for name, value in fields_found}
    origin = [b" ".join(found.get(key, b"").split()) for key in (b"from", b"date")]
    return hashlib.sha256(b"\0".join([message_id.encode(), *origin, digest])).digest()


_ORIGIN = re.compile(rb"\n(from|date)[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)", re.IGNORECASE)


_VALUE = re.compile(rb"\n[!-9;-~]+[ \t]*:([^\n]*(?:\n[ \t][^\n]*)*)")


def _references(header: bytes) -> tuple[str, ...]:
    """RFC 5322 3.6.4: In-Reply-To names the parent, References the line of ancestors, the oldest first."""
    folded = b"\n" + header[: headers.HEADER_BYTES]
    lower = folded.lower()
    parents = _ID.findall(_value(folded, lower, b"\nin-reply-to"))[:1]
    line = _ID.findall(_value(folded, lower, b"\nreferences"))
    # Of a very long line the beginning and the end are worth the most.
    if len(line) > _MOST_REFERENCES:
        line = [line[0], *line[-_MOST_REFERENCES:]]
    return tuple(dict.fromkeys([*parents, *reversed(line)]))


def _value(header: bytes, lower: bytes, name: bytes) -> str:
    """Of the first field of that name. Most letters have none, and looking for bytes is cheaper than any pattern."""
    at = lower.find(name)
    while at >= 0:
        found = _VALUE.match(header, at)
        if found and lower[at : found.start(1)].rstrip(b" \t:") == name:
            return headers.unfold(found[1])
        at = lower.find(name, at + 1)
    return ""
