"""The time machine of one message: what was written down of it (mailsync.events), as sentences, newest first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import Employee
from mailsync import events
from mailsync.models import OPEN, Event, EventKind, Message, Operation, Placement

# What left one folder and appears in another within this time was moved.
MOVE_TAKES = timedelta(hours=1)
# A mail that we got later than this after the server had it was fetched, not delivered.
FETCHED_LATER = timedelta(minutes=5)
ACTS = (EventKind.FLAG, EventKind.MOVE, EventKind.EXPUNGE)
_MARKS = {
    "+\\Seen": gettext_lazy("marked it as read"),
    "-\\Seen": gettext_lazy("marked it as unread"),
    "+\\Flagged": gettext_lazy("starred it"),
    "-\\Flagged": gettext_lazy("took its star away"),
    "+\\Answered": gettext_lazy("answered it"),
    "+$Forwarded": gettext_lazy("forwarded it"),
    "+\\Deleted": gettext_lazy("marked it as deleted"),
    "-\\Deleted": gettext_lazy("marked it as not deleted"),
    "+\\Draft": gettext_lazy("marked it as a draft"),
    "-\\Draft": gettext_lazy("marked it as no draft"),
    "+$Junk": gettext_lazy("marked it as spam"),
    "+$NotJunk": gettext_lazy("marked it as no spam"),
}
_ICONS = {
    EventKind.FLAG: "flag",
    EventKind.MOVE: "folder-input",
    EventKind.EXPUNGE: "trash-2",
    EventKind.PLACED: "folder-input",
    EventKind.GONE: "x",
    EventKind.ASSIGN: "user",
    EventKind.RENUMBERED: "refresh-cw",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened; `answer` is what the server said to it, at `answered_at` if that was later."""

    at: datetime
    text: str
    icon: str
    uid: int | None = None
    answer: str = ""
    answered_at: datetime | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """`places` = (folder, UID) where it is now. `since`: what happened earlier is not known; None: this is all."""

    lines: tuple[Line, ...]
    places: tuple[tuple[str, int | None], ...]
    since: datetime | None


@dataclass(slots=True)
class _Told:
    """A line in the making, with the event that it began with."""

    event: Event
    line: Line
    joined: bool = False


def of(message_id: int, *, reader: Employee, now: datetime) -> History:
    """Everything that is known of a message; the caller has been through its door."""
    message = Message.objects.only("received_at", "stored_at").get(pk=message_id)
    places = tuple(Placement.objects.filter(message=message).select_related("folder").order_by("id"))
    happened = list(Event.objects.filter(message=message).select_related("by").order_by("id"))
    folders = [place.folder_id for place in places]
    renumbered = Event.objects.filter(folder__in=folders, at__gte=message.stored_at or message.received_at)
    open_now = set(
        Operation.objects.filter(placement__in=places, state__in=OPEN).values_list("kind", flat=True)
    )
    begun = message.stored_at
    whole = begun is not None and begun >= events.kept_since(now)
    concerned = (event for event in renumbered if _was_there(event, happened))
    told = [*lines_of(happened, reader, open_now), *map(_renumbering, concerned)]
    newest_first = sorted(told, key=lambda line: line.at, reverse=True)
    came = _arrival(message, origin(happened, [(p.folder.path, p.uid) for p in places]) if whole else None)
    since = None if whole else (events.kept_since(now) if begun else _earliest(happened, now))
    shown = tuple((_name(place.folder.path), place.uid) for place in places)
    return History((*newest_first, *came), shown, since)


def lines_of(happened: Sequence[Event], reader: Employee, open_now: Iterable[str]) -> list[Line]:
    """Events, oldest first, as lines: answers joined to what they answer, two halves of a move to one."""
    told: list[_Told] = []
    for event in happened:
        kind, _space, answer = event.kind.partition(" ")
        if answer:
            _answer(told, EventKind(kind), event, reader)
        elif not (event.kind in (EventKind.PLACED, EventKind.GONE) and _join(told, event)):
            told.append(_Told(event, _line(event, reader)))
    return [_unanswered(one, told[n + 1 :], set(open_now)).line for n, one in enumerate(told)]


def origin(happened: Sequence[Event], places: Iterable[tuple[str, int | None]]) -> tuple[str, int | None]:
    """Where a message first was: what was done to it first names the place; else it is where it came."""
    appeared = set()
    for event in happened:
        place = (event.path, event.uid)
        if event.kind == EventKind.PLACED:
            appeared.add(place)
        elif event.kind in (*ACTS, EventKind.GONE) and place not in appeared:
            return place
    return next((place for place in places if place not in appeared), ("", None))


def _answer(told: list[_Told], kind: EventKind, event: Event, reader: Employee) -> None:
    """The server's answer belongs to everything of this kind that had none: five toggles are one operation."""
    refused = event.kind in (EventKind.FLAG_REFUSED, EventKind.MOVE_REFUSED)
    text = _("The server refused: %(words)s") % {"words": event.note} if refused else _("On the server")
    asked = [one for one in told if one.event.kind == kind and one.event.by_id and not one.line.answer]
    for one in asked:
        one.line = replace(one.line, answer=text, answered_at=event.at, refused=refused)
    if not asked:
        moved = kind == EventKind.MOVE
        words = _("%(who)s had moved it") if moved else _("%(who)s had marked it")
        line = Line(event.at, words % {"who": _who(event, reader)}, _ICONS[kind])
        told.append(_Told(event, replace(line, answer=text, answered_at=event.at, refused=refused)))


def _join(told: list[_Told], event: Event) -> bool:
    """Whether the event is the other half of a move by another program, in whichever order the folders were read."""
    other = EventKind.GONE if event.kind == EventKind.PLACED else EventKind.PLACED
    for one in reversed(told):
        half = one.event
        fits = half.kind == other and half.path != event.path and event.at - half.at <= MOVE_TAKES
        if fits and not one.joined:
            left, arrived = (half, event) if other == EventKind.GONE else (event, half)
            words = _("Another program moved it from %(old)s to %(new)s")
            text = words % {"old": _name(left.path), "new": _name(arrived.path)}
            one.line, one.joined = Line(event.at, text, _ICONS[EventKind.MOVE], arrived.uid), True
            return True
    return False


def _unanswered(one: _Told, later: Sequence[_Told], open_now: set[str]) -> _Told:
    """What an employee did and the server has not answered: it waits, or it was taken back before."""
    event = one.event
    if event.by_id and event.kind in ACTS and not one.line.answer:
        if event.kind in open_now:
            one.line = replace(one.line, answer=_("The server has not heard of it yet"))
        elif any(other.event.kind == event.kind and other.event.by_id for other in later):
            one.line = replace(one.line, answer=_("Undone before the server heard of it"))
    return one


def _line(event: Event, reader: Employee) -> Line:
    kind = EventKind(event.kind)
    text = {
        EventKind.FLAG: "%(who)s %(marks)s",
        EventKind.MOVE: _("%(who)s moved it from %(old)s to %(new)s"),
        EventKind.EXPUNGE: _("%(who)s removed it from %(old)s for good"),
        EventKind.PLACED: _("It appeared in %(old)s"),
        EventKind.GONE: _("The server no longer has it in %(old)s"),
        EventKind.ASSIGN: _("%(who)s assigned it to %(new)s")
        if event.target
        else _("%(who)s made it nobody's work"),
    }[kind]
    text %= {
        "who": _who(event, reader),
        "marks": _marks(event.flags),
        "old": _name(event.path),
        "new": _name(event.target),
    }
    return Line(event.at, text, _ICONS[kind], event.uid if kind == EventKind.PLACED else None)


def _was_there(renumbered: Event, happened: Iterable[Event]) -> bool:
    """Whether the message was in the folder then: after it had come there, or before it came or left for the first
    time."""
    path = renumbered.path
    before: list[Event] = []
    after: list[Event] = []
    for event in happened:
        if path in (event.path, event.target) or event.kind == EventKind.MOVE_REFUSED:
            (before if event.at <= renumbered.at else after).append(event)
    return not _left(before[-1], path) if before else not (after and _arrived(after[0], path))


def _arrived(event: Event, path: str) -> bool:
    return event.kind == EventKind.PLACED or (event.kind == EventKind.MOVE and event.target == path)


def _left(event: Event, path: str) -> bool:
    gone = event.kind in (EventKind.GONE, EventKind.EXPUNGE)
    return gone or (event.kind == EventKind.MOVE and event.target != path)


def _renumbering(event: Event) -> Line:
    text = _("The server renumbered all messages of %(folder)s") % {"folder": _name(event.path)}
    return Line(event.at, text, _ICONS[EventKind.RENUMBERED])


def _arrival(message: Message, place: tuple[str, int | None] | None) -> list[Line]:
    """How it came: into the server, and from there to us."""
    path, uid = place or ("", None)
    text = _("It came to %(folder)s") % {"folder": _name(path)} if path else _("The mail server received it")
    came = Line(message.received_at, text, "mail", uid)
    if message.stored_at is None or message.stored_at - message.received_at < FETCHED_LATER:
        return [came]
    return [Line(message.stored_at, _("Mailbound fetched it"), "download"), came]


def _earliest(happened: Sequence[Event], now: datetime) -> datetime:
    return happened[0].at if happened else now


def _who(event: Event, reader: Employee) -> str:
    if event.by_id == reader.pk:
        return _("You")
    return str(event.by) if event.by else _("Another program")


def _marks(flags: str) -> str:
    """ "+\\Seen +\\Flagged" as "marked it as read and starred it"."""
    words = [str(_MARKS[flag]) if flag in _MARKS else _other_mark(flag) for flag in flags.split()]
    head, last = words[:-1], "".join(words[-1:])
    return _("%(marks)s and %(last)s") % {"marks": ", ".join(head), "last": last} if head else last


def _other_mark(flag: str) -> str:
    text = _("set the mark “%(mark)s”") if flag.startswith("+") else _("took the mark “%(mark)s” away")
    return text % {"mark": flag[1:]}


def _name(path: str) -> str:
    return _("Inbox") if path.upper() == "INBOX" else path
