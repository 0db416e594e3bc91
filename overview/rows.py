"""What the list says of the mailboxes of one page: a handful of statements, whatever the page shows."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Department, Employee
from crm.models import Feed, FeedTurn
from mailsync import emergencies, health
from mailsync.health import Health
from mailsync.models import Mailbox, MailboxGrant
from mailsync.templatetags.mail import grouped
from overview.finding import WAITING, number
from retention.models import Storage

NAMED = 2  # people with access who are named before they are counted


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar of a mailbox's storage, in percent of its width."""

    kind: str
    left: str
    width: str


@dataclass(frozen=True, slots=True)
class Emergency:
    """Who reads in an emergency, and until when."""

    employee: str
    ends_at: datetime

    @property
    def words(self) -> str:
        return _("in an emergency, until %(time)s") % {"time": health.near(self.ends_at)}


@dataclass(slots=True)
class Row:
    """One mailbox, and nothing of the mail in it."""

    box: Mailbox
    health: Health
    letters: int = 0
    storage: Storage | None = None
    # Who besides the owner, with what they may do.
    people: list[tuple[str, str]] = field(default_factory=list)
    # Admins who read it at this moment without its owner's leave.
    emergencies: list[Emergency] = field(default_factory=list)
    # None: not in CRM. Else whose turn it is with new clients; nobody means the owner.
    queue: list[str] | None = None

    @property
    def tone(self) -> str:
        if self.health.is_well:
            return "good"
        calm = self.health.worth_trying or self.health.on_hold or self.health.state == "busy"
        return "warn" if calm else "bad"

    @property
    def named(self) -> list[tuple[str, str]]:
        return self.people[:NAMED]

    @property
    def more_people(self) -> str:
        more = len(self.people) - NAMED
        return _("and %(n)d more") % {"n": more} if more > 0 else ""

    @property
    def waiting(self) -> list[str]:
        """What the mail server has not heard of, and what it has not been given yet."""
        changes, letters = self.health.waiting, self.letters
        said = []
        if changes:
            said.append(ngettext("%(n)s change", "%(n)s changes", changes) % {"n": grouped(changes)})
        if letters:
            said.append(ngettext("%(n)s letter", "%(n)s letters", letters) % {"n": grouped(letters)})
        return said

    @property
    def size(self) -> str:
        return filesizeformat(self.storage.bytes) if self.storage else ""

    @property
    def causes(self) -> str:
        """Its storage by what keeps it."""
        kept = self.storage
        if kept is None:
            return ""
        return _("%(free)s of temporary copies, %(crm)s with clients, %(task)s bound to tasks") % {
            "free": filesizeformat(kept.unbound_bytes),
            "crm": filesizeformat(kept.crm_bytes),
            "task": filesizeformat(kept.task_bytes),
        }

    @property
    def parts(self) -> list[Part]:
        """The bar, by cause; nothing where there is nothing."""
        kept = self.storage
        if kept is None or not kept.bytes:
            return []
        parts, left = [], 0.0
        for kind, size in (
            ("task", kept.task_bytes),
            ("crm", kept.crm_bytes),
            ("unbound", kept.unbound_bytes),
        ):
            width = size * 100 / kept.bytes
            parts.append(Part(kind, f"{left:.1f}%", f"{width:.1f}%"))
            left += width
        return parts


def rows(ids: Collection[int], *, resting: set[int]) -> list[Row]:
    """In the order of the ids."""
    boxes = Mailbox.objects.filter(pk__in=ids).annotate(letters=number(WAITING))
    found = {box.pk: box for box in boxes.select_related("owner__department").defer("secret", "signature")}
    healths = {
        each.mailbox_id: each for each in health.of(Mailbox.objects.filter(pk__in=ids), resting=resting)
    }
    shown = {
        pk: Row(found[pk], healths[pk], found[pk].letters) for pk in ids if pk in found and pk in healths
    }
    for kept in Storage.objects.filter(mailbox__in=ids):
        shown[kept.mailbox_id].storage = kept
    for mailbox_id, people in _people(ids).items():
        shown[mailbox_id].people = people
    for each in emergencies.running().filter(mailbox__in=ids):
        shown[each.mailbox_id].emergencies.append(Emergency(str(each.employee), each.ends_at))
    for mailbox_id, queue in _queues(ids).items():
        shown[mailbox_id].queue = queue
    return list(shown.values())


def _people(ids: Collection[int]) -> dict[int, list[tuple[str, str]]]:
    """Who besides the owner, departments first. Names are looked up by their keys: the planner would join everybody."""
    grants = list(MailboxGrant.objects.filter(mailbox__in=ids))
    people = _names(grant.employee_id for grant in grants)
    departments = Department.objects.in_bulk({grant.department_id for grant in grants if grant.department_id})
    found: dict[int, list[tuple[bool, str, str]]] = defaultdict(list)
    for grant in grants:
        name = people.get(grant.employee_id or 0) or str(departments.get(grant.department_id or 0, ""))
        found[grant.mailbox_id].append((grant.department_id is None, name, str(grant.get_level_display())))
    return {box: [(name, level) for _one, name, level in sorted(held)] for box, held in found.items()}


def _queues(ids: Collection[int]) -> dict[int, list[str]]:
    feeds = dict(Feed.objects.filter(mailbox__in=ids, enabled=True).values_list("pk", "mailbox_id"))
    turns = list(
        FeedTurn.objects.filter(feed__in=feeds).order_by("position").values_list("feed_id", "employee_id")
    )
    names = _names(employee_id for _feed, employee_id in turns)
    queues: dict[int, list[str]] = {mailbox_id: [] for mailbox_id in feeds.values()}
    for feed_id, employee_id in turns:
        queues[feeds[feed_id]].append(names[employee_id])
    return queues


def _names(ids: Iterable[int | None]) -> dict[int, str]:
    people = Employee.objects.only("name", "email").in_bulk({pk for pk in ids if pk})
    return {pk: str(each) for pk, each in people.items()}
