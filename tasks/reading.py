"""What the screens of tasks read: pages of the list, the board, one task, what is bound to a message.

Lists go by keyset over (deadline, id), tasks without a deadline last; nothing counts more than it shows.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Employee
from accounts.requests import id_or_none
from mailsync import access as mail
from mailsync.mime import parse
from mailsync.models import Message, Outgoing, Placement
from mailsync.paging import Key as MailKey
from tasks import access
from tasks.models import NEVER, ChecklistItem, Reminder, Status, Task, TaskMessage

PAGE = 50
COLUMN = 60
SHOW = ("mine", "all", "overdue", "mail", "done")
# How far a later reply is looked for behind a bound message, and how many candidates are opened.
REPLIES_WITHIN = timedelta(days=90)
REPLIES_LOOKED_AT = 50
_PREFIX = re.compile(
    r"^\s*((re|fwd?|aw|wg|sv|vs|antw|rif|tr|res|enc|odp|ответ|回复|答复)(\[\d+\])?\s*[:：]\s*)+",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which tasks a list or the board shows."""

    show: str = "mine"
    responsible: int | None = None
    words: str = ""

    @property
    def query(self) -> dict[str, str]:
        """As parameters of a URL, without what goes by itself."""
        parts = {
            "show": "" if self.show == "mine" else self.show,
            "responsible": str(self.responsible or ""),
            "q": self.words,
        }
        return {name: value for name, value in parts.items() if value}


def asked(parameters: dict[str, str]) -> Asked:
    """What a URL asks for; what no page of ours wrote counts as nothing."""
    show, who = parameters.get("show", ""), parameters.get("responsible", "")
    responsible = id_or_none(who)
    default = "all" if responsible else "mine"
    words = parameters.get("q", "").replace("\0", "").strip()[:200]
    return Asked(show if show in SHOW else default, responsible, words)


@dataclass(frozen=True, slots=True)
class Key:
    """A place in a list: the deadline (NEVER without one), then the id."""

    deadline: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.deadline.isoformat()}.{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Key | None":
        at, _, row = text.rpartition(".")
        try:
            key = cls(datetime.fromisoformat(at), int(row))
        except (ValueError, OverflowError):
            return None
        return key if key.deadline.tzinfo else None

    @classmethod
    def of(cls, task: Task) -> "Key":
        return cls(task.deadline or NEVER, task.pk)


def matching(employee: Employee, wanted: Asked, *, status: Status | None = None) -> QuerySet[Task]:
    """The tasks that a filter means, among those the employee sees; in one column of the board, or in the list."""
    found = access.visible(employee)
    if status:
        found = found.filter(status=status)
    elif wanted.show == "done":
        found = found.filter(status=Status.DONE)
    elif wanted.show != "mail":
        found = found.filter(done_at=None)  # open, as the indexes say it
    if wanted.show == "mine":
        found = found.filter(responsible=employee)
    if wanted.show == "overdue":
        found = found.filter(done_at=None, deadline__lt=timezone.now())
    if wanted.show == "mail":
        found = found.filter(Exists(TaskMessage.objects.filter(task=OuterRef("pk"))))
    if wanted.responsible:
        found = found.filter(responsible=wanted.responsible)
    for word in wanted.words.split()[:8]:
        found = found.filter(Q(title__icontains=word) | Q(description__icontains=word))
    return found


def page(employee: Employee, wanted: Asked, *, after: Key | None = None) -> tuple[list[Task], str]:
    """One page, the next deadline first, and where the next page begins ("" at the end)."""
    found = in_order(matching(employee, wanted))
    if after:
        found = found.filter(Q(place__gt=after.deadline) | Q(place=after.deadline, pk__gt=after.id))
    rows = list(with_counts(found)[: PAGE + 1])
    more = len(rows) > PAGE
    return rows[:PAGE], str(Key.of(rows[PAGE - 1])) if more else ""


def in_order(found: QuerySet[Task]) -> QuerySet[Task]:
    return found.annotate(place=Coalesce("deadline", Value(NEVER))).order_by("place", "pk")


def with_counts(found: QuerySet[Task]) -> QuerySet[Task]:
    """With what a row or a card shows beside its title: `mails`, `points`, `ticked`."""
    return found.select_related("responsible").annotate(
        mails=_count(TaskMessage.objects.all()),
        points=_count(ChecklistItem.objects.all()),
        ticked=_count(ChecklistItem.objects.filter(done_at__isnull=False)),
    )


def _count(rows: QuerySet[TaskMessage] | QuerySet[ChecklistItem]) -> Coalesce:
    counted = rows.filter(task=OuterRef("pk")).order_by().values("task").annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counted), Value(0))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the board: its first cards, and how many there are in all."""

    status: Status
    tasks: list[Task]
    total: int

    @property
    def hidden(self) -> int:
        return self.total - len(self.tasks)


def board(employee: Employee, wanted: Asked) -> list[Column]:
    """All columns as of one moment, so that a card that moves meanwhile is in one of them."""
    found = {status: matching(employee, wanted, status=status) for status in Status}
    first, *others = (_first(found[status], status) for status in Status)
    columns: dict[str, list[int]] = {status: [] for status in Status}
    for status, pk in first.union(*others, all=True):
        columns[status].append(pk)
    shown = Task.objects.filter(pk__in=[pk for each in columns.values() for pk in each[:COLUMN]])
    cards = {task.pk: task for task in with_counts(shown)}
    return [
        Column(
            status,
            [cards[pk] for pk in columns[status][:COLUMN] if pk in cards],
            len(columns[status]) if len(columns[status]) <= COLUMN else found[status].count(),
        )
        for status in Status
    ]


def _first(found: QuerySet[Task], status: Status) -> QuerySet[Task, tuple[str, int]]:
    """Column and id of the first cards, and of one more; what is done shows the latest first."""
    ordered = found.order_by("-done_at", "-pk") if status == Status.DONE else in_order(found)
    return ordered.values_list("status", "pk")[: COLUMN + 1]


# Mail of a task


def links_of(task: Task) -> list[TaskMessage]:
    """The bound messages, oldest first, without their bytes."""
    rows = TaskMessage.objects.filter(task=task).select_related("message__mailbox", "by")
    return list(rows.defer("message__header").order_by("message__received_at", "message_id"))


def bound_mail(employee: Employee, *, after: MailKey | None = None) -> tuple[list[TaskMessage], str]:
    """All mail on the tasks whose people the employee is one of, the newest first, and where the next page begins.

    Also what is in no folder any more, and what came to mailboxes of others.
    """
    found = TaskMessage.objects.filter(task__in=access.involved(employee))
    if after:
        at = after.received_at
        older = Q(message__received_at__lt=at) | Q(message__received_at=at, pk__lt=after.id)
        found = found.filter(older)
    found = found.select_related("task", "message__mailbox").defer("message__header")
    rows = list(found.order_by("-message__received_at", "-pk")[: PAGE + 1])
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    return rows[:PAGE], str(MailKey(last.message.received_at, last.pk)) if last else ""


def place_of(message: Message, employee: Employee) -> Placement | None:
    """Where the employee finds the message in a mailbox of theirs, if anywhere."""
    for placement in Placement.objects.filter(message=message, folder__syncing=True).order_by("pk")[:5]:
        if mail.placements_in(mail.boxes(employee), [placement.pk], "read"):
            return placement
    return None


def later_replies(task: Task, employee: Employee) -> list[Message]:
    """Mail that answers what is bound, in the mailboxes that the employee reads, and is not bound itself."""
    mailboxes = {box.id for box in mail.boxes(employee)}
    bound = [link.message for link in links_of(task)]
    found: dict[int, Message] = {}
    for message in bound:
        if message.mailbox_id in mailboxes and message.message_id:
            found |= {reply.pk: reply for reply in _answers(message)}
    for message in bound:
        found.pop(message.pk, None)
    return sorted(found.values(), key=lambda reply: (reply.received_at, reply.pk))


_SAME_SUBJECT = """
SELECT id FROM (
    SELECT id, subject FROM mailsync_message
    WHERE mailbox_id = %(mailbox)s AND received_at > %(after)s AND received_at < %(until)s
    ORDER BY received_at OFFSET 0) m
WHERE right(m.subject, %(length)s) = %(subject)s LIMIT %(limit)s
"""


def _answers(message: Message) -> Iterable[Message]:
    """By subject first, which the rows have, then by their References, which only the headers have."""
    subject = _PREFIX.sub("", message.subject).strip()
    values: dict[str, Any] = {
        "mailbox": message.mailbox_id, "after": message.received_at, "until": message.received_at + REPLIES_WITHIN,
        "subject": subject, "length": len(subject), "limit": REPLIES_LOOKED_AT,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_SAME_SUBJECT, values)
        ids = [row[0] for row in cursor.fetchall()]
    candidates = Message.objects.filter(pk__in=ids)
    return [each for each in candidates if message.message_id in referred(bytes(each.header))]


def referred(header: bytes) -> set[str]:
    """The Message-IDs, without brackets, that a mail says it answers (RFC 5322 3.6.4)."""
    fields = parse.header_fields(header)
    text = " ".join(value for name, value in fields if name.lower() in {"references", "in-reply-to"})
    return set(ids_in(text))


def ids_in(text: str) -> list[str]:
    """The Message-IDs, without brackets, of a References field."""
    return re.findall(r"<([^<>\s]+)>", text)[:200]


def letters_of(task: Task) -> list[Outgoing]:
    """What was written from the task and is not bound yet, the oldest first."""
    rows = task.letters.select_related("outgoing__mailbox", "outgoing__by").order_by("pk")
    rows = rows.prefetch_related("outgoing__reports")
    return [row.outgoing for row in rows.defer("outgoing__header", "outgoing__html", "outgoing__quoted")]


# Tasks of a message


def links_to(message: Message, employee: Employee) -> list[TaskMessage]:
    """The tasks a message is bound to, as far as the employee sees them."""
    rows = TaskMessage.objects.filter(message=message).select_related("task__responsible", "by")
    links = list(rows.order_by("at", "pk"))
    seen = _seen(employee, {link.task_id for link in links})
    return [link for link in links if link.task_id in seen]


def _seen(employee: Employee, task_ids: Collection[int]) -> set[int]:
    """Those of the tasks that the employee sees. Asked by their keys: joined, the planner would look at every task."""
    if not task_ids:
        return set()
    return set(access.visible(employee).filter(pk__in=list(task_ids)).values_list("pk", flat=True))


def tasks_answered_by(message: Message, employee: Employee) -> list[Task]:
    """The tasks whose bound mail this message answers: it is offered to them."""
    ids = referred(bytes(message.header))
    if not ids:
        return []
    earlier = Message.objects.filter(mailbox=message.mailbox_id, message_id__in=ids)
    bound = TaskMessage.objects.filter(message__in=list(earlier.values_list("pk", flat=True)))
    have_it = TaskMessage.objects.filter(message=message)
    about = set(bound.values_list("task", flat=True)) - set(have_it.values_list("task", flat=True))
    return list(Task.objects.filter(pk__in=_seen(employee, about)).order_by("pk"))


def choice(employee: Employee, words: str, *, without: Message) -> list[Task]:
    """Open tasks that a message may be added to, the latest first, narrowed by words."""
    has_it = TaskMessage.objects.filter(task=OuterRef("pk"), message=without)
    found = matching(employee, Asked("all", None, words)).exclude(Exists(has_it))
    return list(found.order_by("-created_at", "-pk")[:8])


def marks(employee: Employee, placement_ids: Collection[int]) -> list[int]:
    """Those of the places whose message is bound to a task that the employee sees."""
    mine = mail.placements_in(mail.boxes(employee), placement_ids, "read")
    message_of = dict(Placement.objects.filter(pk__in=mine).values_list("pk", "message_id"))
    links = TaskMessage.objects.filter(message__in=list(message_of.values()))
    pairs = list(links.values_list("message_id", "task_id"))
    seen = _seen(employee, {task_id for _message_id, task_id in pairs})
    bound = {message_id for message_id, task_id in pairs if task_id in seen}
    return [place for place, message_id in message_of.items() if message_id in bound]


# Notices


def notices(employee: Employee) -> Sequence[Reminder]:
    """Reminders that were raised and not seen yet, of tasks that are still there."""
    rows = Reminder.objects.filter(employee=employee, raised_at__isnull=False, seen_at=None)
    raised = list(rows.exclude(task__status=Status.DONE).select_related("task").order_by("at")[:20])
    seen = _seen(employee, {each.task_id for each in raised})
    return [each for each in raised if each.task_id in seen][:5]
