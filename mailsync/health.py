"""How a mailbox is, in words: what is wrong, since when, what is missing because of it, and what happens next."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import dateformat, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.models import Account
from mailsync import deaths, parking
from mailsync.models import OPEN, Mailbox, MailboxState, Operation, Schedule
from mailsync.schedule import REFUSED_TRIES
from plans.subscriptions import limits_for

TITLES = {
    MailboxState.REFUSED: gettext_lazy("The server refuses the sign-in"),
    MailboxState.WITHDRAWN: gettext_lazy("The consent to read it was taken back"),
    MailboxState.BUSY: gettext_lazy("The server asks us to slow down"),
    MailboxState.UNREACHABLE: gettext_lazy("The mail server cannot be reached"),
    MailboxState.INSECURE: gettext_lazy("No protected connection to the server"),
    MailboxState.STOPPED: gettext_lazy("The sync stopped on an unexpected error"),
    MailboxState.SET_ASIDE: gettext_lazy("Set aside: whoever works on it is killed"),
    MailboxState.PAUSED: gettext_lazy("Paused: the plan has no mail"),
}
# Trying again at once may help; elsewhere it needs a repair, patience or another plan.
WORTH_TRYING = {MailboxState.UNREACHABLE, MailboxState.INSECURE, MailboxState.STOPPED, MailboxState.SET_ASIDE}
NEEDS_A_PERSON = {MailboxState.REFUSED, MailboxState.WITHDRAWN}


@dataclass(frozen=True, slots=True)
class Health:
    """`next_at` is when it is tried again; None: not by itself. `waiting`: acts that the server has not heard of."""

    mailbox_id: int
    address: str
    owner: str
    state: str
    error: str
    since: datetime | None
    synced_at: datetime | None
    next_at: datetime | None
    at_work: bool
    waiting: int
    is_last_try: bool = False
    parked: bool = False
    on_hold: bool = False

    @property
    def is_well(self) -> bool:
        return not (self.error or self.parked or self.on_hold)

    @property
    def since_near(self) -> str:
        return near(self.since) if self.since else ""

    @property
    def title(self) -> str:
        if self.on_hold:
            return _("Paused by an admin")
        if self.parked:
            return _("Parked: the plan has no room for it")
        if not self.error:
            return _("Up to date") if self.synced_at else _("Fetching mail for the first time")
        return str(TITLES.get(MailboxState(self.state), self.error))

    @property
    def worth_trying(self) -> bool:
        return self.state in WORTH_TRYING and not self.parked and not self.on_hold

    @property
    def repairable(self) -> bool:
        """Whether other servers, another login or password could help."""
        return bool(self.error) and self.state not in (
            MailboxState.PAUSED,
            MailboxState.BUSY,
            MailboxState.SET_ASIDE,
        )

    @property
    def missing(self) -> str:
        """What is not here because of it."""
        if self.synced_at is None:
            return _("No mail was fetched yet.")
        return _("Mail that came after %(time)s is not here yet.") % {"time": near(self.synced_at)}

    @property
    def waits(self) -> str:
        """What the server does not know because of it; "" if nothing."""
        if not self.waiting:
            return ""
        words = ngettext(
            "%(n)d change made here waits for the server.",
            "%(n)d changes made here wait for the server.",
            self.waiting,
        )
        return words % {"n": self.waiting}

    @property
    def next(self) -> str:
        """What happens by itself, or that nothing does."""
        if self.on_hold:
            return _("It goes on when an admin resumes it.")
        if self.parked:
            return _("It goes on when its owner lets another one rest, or with a plan that has more room.")
        if self.state == MailboxState.PAUSED:
            return _("It goes on as soon as the plan has mail again.")
        if self.at_work:
            return _("It is being tried now.")
        if self.next_at is None and self.state == MailboxState.SET_ASIDE:
            return _("Nothing is tried until somebody has it tried again.")
        if self.next_at is None:
            return _("Nothing is tried until it is repaired.")
        words = _("It is tried again at %(time)s.")
        if self.is_last_try:
            words = _("It is tried again at %(time)s, then no more until it is repaired.")
        return words % {"time": near(self.next_at)}

    @property
    def words(self) -> str:
        """Since when, what is missing, what waits, what happens next."""
        since = _("Since %(time)s.") % {"time": self.since_near} if self.since else ""
        return " ".join(part for part in (since, self.missing, self.waits, self.next) if part)


def of(mailboxes: QuerySet[Mailbox], *, resting: Collection[int] | None = None) -> list[Health]:
    """The health of these mailboxes, those in trouble first. `resting` are the parked ones, where they are known."""
    now = timezone.now()
    open_ones = Operation.objects.filter(mailbox=OuterRef("pk"), state__in=OPEN)
    counted = open_ones.order_by().values("mailbox").annotate(n=Count("pk")).values("n")
    rows = mailboxes.select_related("owner", "schedule").annotate(waiting=Coalesce(Subquery(counted), 0))
    boxes = list(rows.defer("secret"))
    if resting is None:
        resting = _parked({box.account_id for box in boxes})
    found = [_health(box, box.waiting, now, parked=box.pk in resting) for box in boxes]
    return sorted(found, key=lambda health: (health.is_well, health.address))


def of_ids(ids: Iterable[int]) -> list[Health]:
    """The same by ids; asks nothing where there are none."""
    wanted = list(ids)
    return of(Mailbox.objects.filter(pk__in=wanted)) if wanted else []


def _parked(account_ids: Iterable[int]) -> set[int]:
    resting: set[int] = set()
    for account in Account.objects.filter(pk__in=account_ids):
        limits = limits_for(account, account.today())
        resting |= parking.parked(limits, account_id=account.pk)
    return resting


def near(moment: datetime) -> str:
    """The time today, with the weekday within a week, else with its date; in the reader's zone."""
    local = timezone.localtime(moment)
    days = abs((local.date() - timezone.localdate()).days)
    day = "" if not days else "l, " if days < 6 else "j N Y, "
    return dateformat.format(local, f"{day}H:i")


def _health(mailbox: Mailbox, waiting: int, now: datetime, *, parked: bool) -> Health:
    plan: Schedule | None = getattr(mailbox, "schedule", None)
    # A worker that died has left a lease and no date: the next one has the mailbox when that is over.
    due_at = (plan.due_at or plan.leased_until) if plan and plan.deaths < deaths.MOST else None
    # It may be due, and wait for its turn at a server that is down.
    times = [m for m in (due_at, plan.hinted_until, plan.rests_until) if m] if plan and due_at else []
    return Health(
        mailbox_id=mailbox.pk,
        address=mailbox.address,
        owner=str(mailbox.owner),
        state=mailbox.state,
        error=mailbox.last_error,
        since=mailbox.troubled_since,
        synced_at=mailbox.synced_at,
        next_at=max(times, default=None),
        at_work=bool(plan and plan.leased_until and plan.leased_until > now),
        waiting=waiting,
        is_last_try=plan is not None
        and mailbox.state in NEEDS_A_PERSON
        and plan.refusals + 1 >= REFUSED_TRIES,
        parked=parked,
        on_hold=mailbox.paused_at is not None,
    )
