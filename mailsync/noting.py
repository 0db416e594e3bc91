"""Notes about a message, for colleagues only: nothing here reaches a letter or a server.

A note hangs on the message's identity in its mailbox (models.Note): it is there again when the copy comes back.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import tenancy
from accounts.models import Account, Employee
from mailsync import access, events, live, notices
from mailsync.models import Mailbox, Message, Note, Notice, NoticeKind

LONGEST = 10_000
_SECOND_THOUGHTS = timedelta(days=1)
_QUOTED = 140
# What stands after a name must not go on with it; before the @ nothing of an address.
_AT = re.compile(r"(?<![\w.+-])@(?=\w)")
# Key by key, as everywhere: a note whose message is not here can come back with it for as long as anything is kept.
_DROP = """
DELETE FROM mailsync_note n WHERE n.account_id = %(account)s
AND (n.deleted_at < %(deleted)s
     OR (n.at < %(old)s AND (SELECT true FROM mailsync_message m
                             WHERE m.mailbox_id = n.mailbox_id AND m.identity = n.identity LIMIT 1) IS NULL))
"""


class CannotNote(Exception):
    """Nothing was written; the text is a sentence for people."""


def of(message: Message) -> list[Note]:
    """The notes about a message, oldest first, each with its author."""
    notes = Note.objects.filter(mailbox=message.mailbox_id, identity=message.identity, deleted_at=None)
    return list(notes.select_related("by").order_by("at", "pk"))


@transaction.atomic
def write(message: Message, text: str, *, by: Employee) -> Note:
    """Write a note and tell whom it mentions. Raises CannotNote."""
    text = text.replace("\x00", "").replace("\r\n", "\n").strip()
    if not text:
        raise CannotNote(_("Write something first."))
    if len(text) > LONGEST:
        raise CannotNote(
            _("A note may have %(most)d characters; this one has %(n)d.") % {"most": LONGEST, "n": len(text)}
        )
    mailbox = Mailbox.objects.get(pk=message.mailbox_id)
    mentioned = _mentioned(text, mailbox)
    note = Note.objects.create(
        account_id=mailbox.account_id,
        mailbox=mailbox,
        identity=bytes(message.identity),
        by=by,
        text=text,
        mentions=[person.pk for person in mentioned],
    )
    words = " ".join(text.split())[:_QUOTED]
    notices.tell(note.mentions, NoticeKind.MENTIONED, mailbox, by=by.pk, message_id=message.pk, words=words)
    live.tell(mailbox.pk)
    return note


def delete(note: Note) -> None:
    """Take it away; it can be had back until the night (restore)."""
    _set_deleted(note, timezone.now())


def restore(note: Note) -> None:
    _set_deleted(note, None)


def _set_deleted(note: Note, moment: datetime | None) -> None:
    Note.objects.filter(pk=note.pk).update(deleted_at=moment)
    live.tell(note.mailbox_id)


def drop_old(now: datetime) -> int:
    """Forget notes that were deleted, or whose message left long ago, and notices nobody looked at; in all accounts."""
    old = events.kept_since(now)
    gone = 0
    for account_id in Account.objects.values_list("pk", flat=True):
        with tenancy.acting_for(account_id), connection.cursor() as cursor:
            cursor.execute(_DROP, {"account": account_id, "deleted": now - _SECOND_THOUGHTS, "old": old})
            gone += cursor.rowcount
            gone += Notice.objects.filter(account_id=account_id, at__lt=old).delete()[0]
    return gone


# Mentions


def mentions(text: str, people: Sequence[Employee]) -> Iterator[tuple[int, int, Employee]]:
    """(start, end, whom) of each @name in a text: the whole name, or a first name that only one has, or the part of
    the address before its @."""
    names = _names(people)
    for at in _AT.finditer(text):
        rest = text[at.end() :].casefold()
        for name in sorted(names, key=len, reverse=True):
            if rest.startswith(name) and not rest[len(name) : len(name) + 1].isalnum():
                yield at.start(), at.end() + len(name), names[name]
                break


def _names(people: Sequence[Employee]) -> dict[str, Employee]:
    first = [person.name.split()[0].casefold() for person in people if person.name]
    names: dict[str, Employee] = {}
    for person in people:
        names[person.email.partition("@")[0].casefold()] = person
        if person.name and first.count(person.name.split()[0].casefold()) == 1:
            names[person.name.split()[0].casefold()] = person
        if person.name:
            names[person.name.casefold()] = person
    return names


def _mentioned(text: str, mailbox: Mailbox) -> list[Employee]:
    """Raises CannotNote where somebody is mentioned who cannot open the mailbox."""
    if "@" not in text:
        return []
    readers = access.people_of(mailbox)
    meant = {person.pk: person for _start, _end, person in mentions(text, readers)}
    starts = {start for start, _end, _person in mentions(text, readers)}
    company = list(Employee.objects.filter(account_id=mailbox.account_id, is_active=True))
    for start, _end, person in mentions(text, company):
        if start not in starts and person not in readers:
            raise CannotNote(
                _("%(who)s cannot open %(mailbox)s and would not see the note. These can: %(readers)s.")
                % {
                    "who": person,
                    "mailbox": mailbox.address,
                    "readers": ", ".join(str(reader) for reader in readers),
                }
            )
    return list(meant.values())
