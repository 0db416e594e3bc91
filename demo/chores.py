"""The demo company's tasks: some that stand by themselves, most from its mail, so that the board lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from accounts import tenancy
from accounts.models import Account, AuditEntry, Employee
from demo.company import PEOPLE
from mailsync.models import Message
from tasks import actions, binding, details
from tasks.models import Priority, Status, Task

ZONE = ZoneInfo("Europe/Amsterdam")


@dataclass(frozen=True, slots=True)
class Chore:
    """A task of one employee; `mail` is the subject of the conversation it is about, in `mailbox` or else their own.

    `due` is in days from today; `points` are ticked where they begin with "+".
    """

    who: str
    title: str
    status: Status = Status.TODO
    due: int | None = None
    mail: str = ""
    mailbox: str = ""
    letters: int = 1
    priority: Priority = Priority.NORMAL
    text: str = ""
    points: Sequence[str] = ()
    comments: Sequence[tuple[str, str]] = ()
    among: Sequence[str] = ()


CHORES = (
    Chore(
        "ines", "Correct the series of buoys 7 and 9", Status.DOING, due=2, mail="Drift on the two buoys below Lobith",
        letters=3, priority=Priority.HIGH, among=("ben",),
        text="Rijnwater reports to the province on the first. They need the corrected series with its uncertainty.",
        points=("+Roll both buoys back to 4.8.2", "+Two days of overlap", "Fit the correction", "Send it to Marieke"),
        comments=(("ben", "Marieke knows that nothing may be corrected before we say so."),
                  ("ines", "Both wipers turn again. The overlap ends tomorrow at noon.")),
    ),
    Chore(
        "ben", "Offer for the Açude Norte reservoir", Status.DOING, due=4, mail="Offer for the Açude Norte reservoir",
        points=("+Ask Ines about the mooring", "Price of eight stations", "Delivery in spring?"), among=("nora",),
    ),
    Chore("ben", "Ring the accounts of Maaskade about invoice 2026-1187", due=-1,
          mail="Invoice 2026-1187 is not ours?", priority=Priority.HIGH),
    Chore("ines", "Winch motors: decide for the second supplier", Status.WAITING, due=9, letters=2,
          mail="关于绞车电机的交货期 / Lead time of the winch motors",
          comments=(("ines", "Waiting for the sample. If it is late again we take the ones from Ghent."),)),
    Chore("nora", "Read the lease of workshop 4 once more", Status.WAITING, due=12,
          mail="Lease of workshop 4: extension"),
    Chore("nora", "Answer the magazine about the night the river turned", Status.DONE,
          mail="Press enquiry: the night the river turned"),
    Chore("ben", "Two phones for one alarm: write it into the handbook", due=6,
          mail="Can the alarm be sent to two phones?", mailbox="support"),
    Chore("nora", "Desk, keys and boots for the new colleague", Status.DOING, due=8, mail="New starter on 1 December",
          points=("+Contract signed", "Desk and chair", "Keys", "Boots, size 43"), among=("ines",)),
    Chore("ben", "Post-mortem of firmware 4.8.3", due=1, mail="Firmware 4.8.3: what went wrong", among=("ines",)),
    Chore("ines", "Calibration certificates for Biwako", Status.DONE, mail="センサー校正証明書の件"),
    Chore("ben", "Winter visits: plan the boats", due=16, points=("Rijnwater", "Köln", "Genève")),
    Chore("ines", "Tidy the test basin", due=None, priority=Priority.LOW),
)  # fmt: skip


def give_out(account: Account, now: datetime) -> int | None:
    """Make all tasks in one transaction, once; None while mail that one is about has not arrived yet."""
    with tenancy.acting_for(account.pk):
        if Task.objects.exists() or AuditEntry.objects.filter(verb__startswith="task.").exists():
            return 0
        people = {
            key: Employee.objects.filter(email=PEOPLE[key].address).first() for key in ("nora", "ben", "ines")
        }
        mail = [_mail(chore) for chore in CHORES]
        if None in people.values() or any(
            chore.mail and not found for chore, found in zip(CHORES, mail, strict=True)
        ):
            return None
        known = {key: person for key, person in people.items() if person}
        for chore, found in zip(CHORES, mail, strict=True):
            _make(chore, found, known, now)
        return len(CHORES)


def _mail(chore: Chore) -> list[Message]:
    """The first letters of the conversation, in the mailbox of whoever does it."""
    if not chore.mail:
        return []
    letters = Message.objects.filter(
        Q(subject=chore.mail) | Q(subject=f"Re: {chore.mail}"),
        mailbox__address=PEOPLE[chore.mailbox or chore.who].address,
    )
    return list(letters.order_by("received_at")[: chore.letters])


def _make(chore: Chore, mail: Sequence[Message], people: dict[str, Employee], now: datetime) -> None:
    who = people[chore.who]
    task = actions.create(chore.title, by=who, status=chore.status)
    actions.edit(
        task,
        title=chore.title,
        description=chore.text,
        priority=chore.priority,
        deadline=_deadline(chore, now),
    )
    binding.bind(task, [message.pk for message in mail], by=who)
    for key in chore.among:
        actions.let_in(task, people[key], by=who)
    for words in chore.points:
        point = details.add_point(task, words.removeprefix("+"))
        details.tick(point, done=words.startswith("+"), by=who)
    for key, words in chore.comments:
        details.comment(task, words, by=people[key])


def _deadline(chore: Chore, now: datetime) -> datetime | None:
    if chore.due is None:
        return None
    day = (now.astimezone(ZONE) + timedelta(days=chore.due)).date()
    return datetime.combine(day, time(17), ZONE)
