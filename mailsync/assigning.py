"""Whose work a message is: given to a colleague who may open it, with its conversation, and taken back.

Callers have checked the rights. Locks only rows of its own, after those of mail.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection, transaction
from django.utils.translation import gettext as _

from accounts.models import Employee
from mailsync import access, conversation, events, live, notices
from mailsync.models import Act, Mailbox, Message, NoticeKind, Placement

MOST_CONVERSATIONS = 10  # of a bulk act; beyond that each message is taken by itself

# A message that leaves at this moment is left out; the others wait for us before they leave.
_STAND = """
SELECT m.id, m.mailbox_id, a.employee_id FROM mailsync_message m
LEFT JOIN mailsync_assignment a ON a.message_id = m.id
WHERE m.id = ANY(%s) ORDER BY m.id FOR KEY SHARE OF m
"""
_GIVE = """
INSERT INTO mailsync_assignment (account_id, mailbox_id, message_id, employee_id, by_id, at)
SELECT account_id, mailbox_id, id, %(employee)s, %(by)s, now() FROM mailsync_message WHERE id = ANY(%(ids)s) ORDER BY id
ON CONFLICT (message_id) DO UPDATE SET employee_id = excluded.employee_id, by_id = excluded.by_id, at = excluded.at
"""
_TAKE = "DELETE FROM mailsync_assignment WHERE message_id = ANY(%(ids)s)"
# The nearest message that is somebody's decides. Key by key, and by the index of names (see
# replica._SEEN_BEFORE): nobody has counted a mailbox that is just growing.
_FOLLOW = """
INSERT INTO mailsync_assignment (account_id, mailbox_id, message_id, employee_id, by_id, at)
SELECT DISTINCT ON (k.id) a.account_id, a.mailbox_id, k.id, a.employee_id, a.by_id, now()
FROM unnest(%(ids)s::bigint[], %(names)s::text[]) WITH ORDINALITY AS k(id, name, n)
CROSS JOIN LATERAL (SELECT id FROM mailsync_message WHERE mailbox_id = %(mailbox)s
                    AND message_id BETWEEN k.name AND k.name ORDER BY message_id LIMIT 1) m
CROSS JOIN LATERAL (SELECT * FROM mailsync_assignment WHERE message_id = m.id LIMIT 1) a
ORDER BY k.id, k.n
ON CONFLICT (message_id) DO NOTHING
"""


class CannotAssign(Exception):
    """Nothing was assigned; the text is a sentence for people."""


@transaction.atomic
def assign(placements: Sequence[int], to: Employee | None, *, by: Employee) -> Act:
    """Make the messages and the rest of their conversations somebody's work, or nobody's. Raises CannotAssign.

    The Act counts the messages for which that is new, and undoes exactly those.
    """
    wanted = _with_conversations(placements)
    before = {message: (mailbox, whose) for message, mailbox, whose in _stand(wanted)}
    _refuse_strangers({mailbox for mailbox, _whose in before.values()}, to)
    whose = to.pk if to else None
    changed = {message: held for message, (_box, held) in before.items() if held != whose}
    _write(changed, to, by)
    act = Act.objects.create(
        account_id=by.account_id,
        by=by,
        verb="assign",
        count=len(changed),
        undo={"assigned": {str(pk): held for pk, held in changed.items()}, "whose": whose} if changed else {},
    )
    if to and changed:
        newest = next(pk for pk in wanted if pk in changed)
        _tell(Mailbox.objects.get(pk=before[newest][0]), newest, len(changed), to, by)
    for mailbox in {before[pk][0] for pk in changed}:
        live.tell(mailbox)
    return act


def restore(undo: Mapping[str, Any], *, by: Employee) -> int:
    """Give each message back to whose it was, unless somebody has given it on since; returns how many. Who cannot open
    the mailbox any more gets nothing: then it is nobody's."""
    by_owner: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    earlier = {int(pk): held for pk, held in undo.get("assigned", {}).items()}
    for message, mailbox, whose in _stand(earlier):
        if whose == undo["whose"]:
            by_owner[mailbox, earlier[message]].append(message)
            live.tell(mailbox)
    for (mailbox, held), messages in by_owner.items():
        people = access.people_of(Mailbox.objects.get(pk=mailbox)) if held else ()
        _write(messages, next((person for person in people if person.pk == held), None), by)
    return sum(map(len, by_owner.values()))


def follow(mailbox_id: int, arrived: Mapping[int, bytes]) -> None:
    """Messages (by id, with their headers) that answer what is somebody's are theirs, too. As they come in."""
    named = [(pk, name) for pk, header in arrived.items() for name in conversation.references(header)[::-1]]
    ids, names = [pk for pk, _name in named], [name for _pk, name in named]
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW, {"ids": ids, "names": names, "mailbox": mailbox_id})


def _with_conversations(placements: Sequence[int]) -> list[int]:
    """The messages at these places, newest first, with those that belong to them."""
    rows = Placement.objects.filter(pk__in=placements).order_by("-received_at", "-pk")
    messages = list(dict.fromkeys(rows.values_list("message_id", flat=True)))
    if len(messages) > MOST_CONVERSATIONS:
        return messages
    whole = [
        pk for message in Message.objects.filter(pk__in=messages) for pk in conversation.members(message)
    ]
    return list(dict.fromkeys([*messages, *whole]))


def _stand(message_ids: Iterable[int]) -> list[tuple[int, int, int | None]]:
    """(message, mailbox, whose it is) of those that are here, held until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(_STAND, [list(message_ids)])
        return list(cursor.fetchall())


def _refuse_strangers(mailboxes: Iterable[int], to: Employee | None) -> None:
    if to is None:
        return
    for mailbox in Mailbox.objects.filter(pk__in=list(mailboxes)).order_by("address"):
        if to not in access.people_of(mailbox):
            words = {"who": to, "mailbox": mailbox.address}
            raise CannotAssign(
                _("%(who)s cannot open %(mailbox)s. Give them access first, or choose somebody else.") % words
            )


def _write(message_ids: Iterable[int], to: Employee | None, by: Employee) -> None:
    ids = list(message_ids)
    if not ids:
        return
    events.assigned(ids, str(to or ""), by_id=by.pk)
    with connection.cursor() as cursor:
        cursor.execute(_GIVE if to else _TAKE, {"ids": ids, "employee": to.pk if to else None, "by": by.pk})


def _tell(mailbox: Mailbox, message_id: int, count: int, to: Employee, by: Employee) -> None:
    others = str(count - 1) if count > 1 else ""
    notices.tell([to.pk], NoticeKind.ASSIGNED, mailbox, by=by.pk, message_id=message_id, words=others)
