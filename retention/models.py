"""RetentionRun: a purge of an account, by which rule, and what it did to each mailbox; LooseBlob: what may be swept."""

from datetime import timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee
from mailsync.models import Blob, Mailbox


class RunState(models.TextChoices):
    RUNNING = "running", _("Running")
    WAITING = "waiting", _("Waiting for an admin")  # the brake
    FINISHED = "finished", _("Finished")
    REFUSED = "refused", _("Stopped by an admin")
    REPLACED = "replaced", _("Given up: the limits changed meanwhile")


OPEN = (RunState.RUNNING, RunState.WAITING)


class RetentionRun(models.Model):
    """Written as it goes: each batch adds to its lines in the transaction that removes, so they cannot disagree.

    An account has one open run at most: whoever purges meanwhile takes part in it. `copies` is what the account held
    when it began, `expected` what was to leave then.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    # The rule: older than this leaves, and whether CRM keeps what is bound to it.
    cutoff = models.DateTimeField()
    plan = models.SlugField(max_length=40)
    storage_days = models.PositiveIntegerField()
    crm_bound_stays = models.BooleanField()
    state = models.CharField(max_length=10, choices=RunState, default=RunState.RUNNING)
    copies = models.PositiveIntegerField(default=0)
    expected = models.PositiveIntegerField(default=0)
    # Who let a run go on, or stopped it, that had waited; empty where nobody was asked, and for an operator.
    decided_by = models.ForeignKey(
        Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account"], name="one_open_run", condition=Q(state__in=OPEN)),
            models.CheckConstraint(
                condition=Q(state__in=OPEN, finished_at=None)
                | ~Q(state__in=OPEN) & Q(finished_at__isnull=False),
                name="a_run_ends_once",
            ),
            models.CheckConstraint(condition=Q(cutoff__lte=F("at")), name="a_run_looks_back"),
        ]
        indexes = [models.Index(fields=["account", "-at"], name="run_newest")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.state}"


class LineKind(models.TextChoices):
    """The fates of policy.Fate; and what was left because the mailbox waits for a person (mailsync.holding)."""

    REMOVED = "removed", _("Not bound: removed")
    HIDDEN = "hidden", _("With a client: left Webmail, the activity stays")
    KEPT_TASK = "kept_task", _("Kept for a task")
    KEPT_CRM = "kept_crm", _("Kept for a client")
    WAITS = "waits", _("Left alone: the mailbox waits for an answer")


class RetentionLine(models.Model):
    """How many messages of a mailbox met one fate in a run, and how many bytes of mail they were."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    run = models.ForeignKey(RetentionRun, on_delete=models.CASCADE, db_index=False, related_name="lines")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=LineKind)
    messages = models.PositiveBigIntegerField(default=0)
    bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "mailbox", "kind"], name="one_line_a_fate")]

    def __str__(self) -> str:
        return f"{self.kind} {self.messages}"


class LooseBlob(models.Model):
    """A body that nothing referred to at a moment; still loose a day later, it goes."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    blob = models.OneToOneField(Blob, on_delete=models.CASCADE, related_name="+")
    since = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["account", "since"], name="loose_since")]

    def __str__(self) -> str:
        return f"body {self.blob_id} since {self.since:%Y-%m-%d %H:%M}"


class Stage(models.TextChoices):
    """When an employee was told of a change of the limits."""

    AHEAD = "ahead", _("At once")
    WEEK = "week", _("Within seven days")
    DAY = "day", _("The day before")
    AFTER = "after", _("Afterwards")


class PlanNotice(models.Model):
    """One employee was told of one change of the plan's limits, once a stage.

    `key` is plans.changes.Change.key: a change that was called off or altered has another, and its notices are no
    longer shown. `boxes` are the numbers at that moment: address, messages, bytes, parked.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=16)
    on = models.DateField()
    stage = models.CharField(max_length=10, choices=Stage)
    boxes = models.JSONField(default=list)
    at = models.DateTimeField(default=timezone.now)
    mailed_at = models.DateTimeField(null=True)
    dismissed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["employee", "key", "stage"], name="told_once_a_stage")]
        indexes = [models.Index(fields=["account", "-on"], name="notice_newest")]

    def __str__(self) -> str:
        return f"{self.employee_id} {self.on} {self.stage}"


class Storage(models.Model):
    """What a mailbox held when it was counted last, by what keeps it (policy.Bond): messages and bytes of mail.

    Written by night and after each purge (retention.storage), because counting looks at every message.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="+")
    task_messages = models.PositiveBigIntegerField(default=0)
    task_bytes = models.PositiveBigIntegerField(default=0)
    crm_messages = models.PositiveBigIntegerField(default=0)
    crm_bytes = models.PositiveBigIntegerField(default=0)
    unbound_messages = models.PositiveBigIntegerField(default=0)
    unbound_bytes = models.PositiveBigIntegerField(default=0)
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id}: {self.bytes}"

    @property
    def bytes(self) -> int:
        return self.task_bytes + self.crm_bytes + self.unbound_bytes


class LeaverState(models.TextChoices):
    KEPT = "kept", _("Kept for 30 days")
    MOVING = "moving", _("Being handed over")
    DONE = "done", _("Handed over")
    RETURNING = "returning", _("Being given back")
    RETURNED = "returned", _("Given back")


class Leaver(models.Model):
    """Somebody left: until `ends_at` their mailboxes go on, unless an heir gets them before (retention.leavers).

    `stage` says how far a handing-over is (retention.handing_over.STAGES), `totals` how many of each there were when
    it began, `problems` what could not move: [address, sentence]. What moved is in the rows of HandedOver.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=LeaverState, default=LeaverState.KEPT)
    heir = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    # Who gets the tasks and the records, where that is somebody else.
    tasks_heir = models.ForeignKey(
        Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    records_heir = models.ForeignKey(
        Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    stage = models.PositiveSmallIntegerField(default=0)
    # The id up to which that stage has come.
    cursor = models.BigIntegerField(default=0)
    totals = models.JSONField(default=dict)
    problems = models.JSONField(default=list)
    touched_at = models.DateTimeField(default=timezone.now)
    # Admins were told that the end comes; and it came: the mailboxes that were left are disconnected.
    warned_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state="kept") | Q(heir__isnull=False), name="who_gets_it_is_somebody"
            )
        ]
        indexes = [
            models.Index(fields=["account", "ends_at"], name="leaver_open", condition=Q(ended_at=None))
        ]

    def __str__(self) -> str:
        return f"{self.employee_id} left at {self.at:%Y-%m-%d %H:%M}"

    def heir_of(self, kind: str) -> Employee | None:
        """Who gets what is of one kind of retention.handing_over.STAGES."""
        apart = {"mailboxes": None, "tasks": self.tasks_heir}.get(kind, self.records_heir)
        return apart or self.heir

    @property
    def has_several_heirs(self) -> bool:
        return bool(self.tasks_heir_id or self.records_heir_id)


class HandedOver(models.Model):
    """One batch of what went from a leaver to an heir, so that it can be counted and given back."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    leaver = models.ForeignKey(Leaver, on_delete=models.CASCADE, related_name="batches")
    heir = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    # handing_over.STAGES
    kind = models.CharField(max_length=20)
    ids = ArrayField(models.BigIntegerField())
    # How many of them went back; empty until that was tried.
    returned = models.PositiveIntegerField(null=True)
    # Whether the heir knows: of mailboxes by their transfer, of the rest when all is handed over.
    told = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{len(self.ids)} {self.kind}"


class Erasure(models.Model):
    """A company that was deleted, or is being deleted: what remains of it. Global, and without content.

    `counts` are rows by table. It is no foreign key to the account, because it outlives it.
    """

    company_id = models.BigIntegerField(unique=True)
    name = models.CharField(max_length=200)
    founded_at = models.DateTimeField()
    began_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    counts = models.JSONField(default=dict)
    files = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.name} since {self.began_at:%Y-%m-%d %H:%M}"


class ExportWhat(models.TextChoices):
    MINE = "mine", _("Your mail")
    COMPANY = "company", _("The company")


class ExportState(models.TextChoices):
    WAITING = "waiting", _("Waits for a worker")
    RUNNING = "running", _("Is being written")
    DONE = "done", _("Ready")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Called off")
    EXPIRED = "expired", _("Removed after a week")


class Export(models.Model):
    """What somebody asked for, in `parts` files until now: `done` of `total` messages (or rows and files, too).

    `seen_at` is when its worker last showed life, `reached` where the next part begins (archive.Reached).
    """

    OPEN = (ExportState.WAITING, ExportState.RUNNING)

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    what = models.CharField(max_length=10, choices=ExportWhat)
    state = models.CharField(max_length=10, choices=ExportState, default=ExportState.WAITING)
    at = models.DateTimeField(default=timezone.now)
    # How often workers began the part that is next.
    tries = models.PositiveSmallIntegerField(default=0)
    parts = models.PositiveSmallIntegerField(default=0)
    reached = models.JSONField(default=list)
    began_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["by"], name="one_open_export", condition=models.Q(state__in=["waiting", "running"])
            ),
        ]
        indexes = [models.Index(fields=["account", "by", "-at"], name="exports_newest")]

    def __str__(self) -> str:
        return f"{self.what} for {self.by_id}: {self.state}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def rate(self) -> float:
        """How many a second until now, waiting for workers included; 0 while nobody can know."""
        seconds = (self.seen_at - self.began_at).total_seconds() if self.seen_at and self.began_at else 0
        return self.done / seconds if seconds >= 1 else 0.0

    @property
    def remaining(self) -> timedelta | None:
        """None while nobody can know."""
        more = max(0, self.total - self.done)
        return timedelta(seconds=more / self.rate) if self.rate else None

    @property
    def numbers(self) -> range:
        """Of its parts."""
        return range(1, self.parts + 1)
