"""Mailbox (a connected address), who else may use it, and when it is synchronised next."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Department, Employee
from mailsync.models.consent import Consent


class Security(models.TextChoices):
    """How a connection is protected; STARTTLS is refused, not skipped, where the server does not offer it."""

    TLS = "tls", _("TLS")
    STARTTLS = "starttls", _("STARTTLS")
    NONE = "none", _("None (not protected)")


class MailboxState(models.TextChoices):
    """In REFUSED and WITHDRAWN only a person can help."""

    NEW = "new", _("Connecting")
    OK = "ok", _("Up to date")
    REFUSED = "refused", _("Sign-in refused")
    WITHDRAWN = "withdrawn", _("Consent withdrawn")
    BUSY = "busy", _("Slowed down by the server")
    UNREACHABLE = "unreachable", _("Server unreachable")
    INSECURE = "insecure", _("No protected connection")
    STOPPED = "stopped", _("Stopped by an error")
    SET_ASIDE = "set_aside", _("Set aside")
    PAUSED = "paused", _("Paused")


class SentCopies(models.TextChoices):
    """Who puts the copy of a sent letter into Sent: nobody decided, then as its provider is known to do."""

    KNOWN = "", _("As the provider does")
    SERVER = "server", _("The mail server does")
    US = "us", _("We do")


class Mailbox(models.Model):
    """One IMAP/SMTP address. A broken login changes `state` and nothing else: settings and copies stay."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    owner = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="mailboxes")
    address = models.EmailField(max_length=254)
    sender_name = models.CharField(max_length=200, blank=True)
    # Further addresses that this mailbox may send under, as [name, address].
    aliases = models.JSONField(default=list, blank=True)
    # What stands below each letter, as HTML that was cleaned (mime.writing); "" for none.
    signature = models.TextField(blank=True)

    imap_host = models.CharField(max_length=253)
    imap_port = models.PositiveIntegerField(default=993)
    imap_security = models.CharField(max_length=10, choices=Security, default=Security.TLS)
    smtp_host = models.CharField(max_length=253, blank=True)
    smtp_port = models.PositiveIntegerField(default=465)
    smtp_security = models.CharField(max_length=10, choices=Security, default=Security.TLS)
    # The largest letter that the outgoing server takes, as it says itself (RFC 1870); NULL where it does not say.
    smtp_most_bytes = models.BigIntegerField(null=True)
    sent_copies = models.CharField(max_length=10, choices=SentCopies, default=SentCopies.KNOWN, blank=True)
    login = models.CharField(max_length=254)
    # MultiFernet token made by secrets.seal(); bound to the account, so it opens nowhere else.
    # Empty where the mailbox lives by a consent instead.
    secret = models.BinaryField()
    consent = models.OneToOneField(Consent, null=True, on_delete=models.PROTECT, related_name="mailbox")
    # Set only by an operator's command: this mailbox may reach a private address.
    private_host_allowed = models.BooleanField(default=False)

    # How far back the first fetch reaches, chosen at connecting; see plans.limits.window_start.
    fetch_days = models.PositiveIntegerField()
    # Set only by an operator's command: `fetch_days` counts even where the plan stores less.
    fetch_beyond_plan = models.BooleanField(default=False)
    # The newest mail that a purge took: nothing up to here comes back but by a wish (mailsync.windows.widen).
    purged_until = models.DateTimeField(null=True)
    # The owner's choice of who works where the plan has room for fewer (mailsync.parking); empty: after those chosen.
    place = models.PositiveSmallIntegerField(null=True)
    # An admin stopped its synchronisation until somebody resumes it (mailsync.pausing); not the plan's pause.
    paused_at = models.DateTimeField(null=True)
    # Since when each person with access has read and unread of their own (mailsync.unread); empty: \Seen is
    # everybody's. And until when they had, for as long as it can be had back.
    read_apart_since = models.DateTimeField(null=True)
    read_apart_until = models.DateTimeField(null=True)
    connected_at = models.DateTimeField(default=timezone.now)
    disconnected_at = models.DateTimeField(null=True)

    state = models.CharField(max_length=20, choices=MailboxState, default=MailboxState.NEW)
    # A sentence for people about the last trouble; "" when there is none. `troubled_since` goes with it.
    last_error = models.TextField(blank=True)
    troubled_since = models.DateTimeField(null=True)
    first_sync_started_at = models.DateTimeField(null=True)
    first_synced_at = models.DateTimeField(null=True)
    synced_at = models.DateTimeField(null=True)
    # Messages that comparisons found missing without a reason, and when last; until somebody has read of it.
    missing = models.PositiveIntegerField(default=0)
    missing_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "address"], name="mailbox_address_once")]
        indexes = [models.Index(fields=["account", "owner"], name="mailbox_of_owner")]

    def __str__(self) -> str:
        return self.address


class GrantLevel(models.TextChoices):
    """Each level includes the ones before it; the owner has all."""

    READ = "read", _("Read")
    REPLY = "reply", _("Read and reply")
    DELETE = "delete", _("Read, reply, sort and delete")
    MANAGE = "manage", _("Manage")


class MailboxGrant(models.Model):
    """A right on a mailbox, of one colleague or of whoever is active in a department: now and later.

    Of several the highest counts. A mailbox is *shared* iff a grant exists: no flag to drift.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="grants")
    employee = models.ForeignKey(Employee, null=True, on_delete=models.CASCADE, related_name="grants")
    department = models.ForeignKey(Department, null=True, on_delete=models.CASCADE, related_name="grants")
    level = models.CharField(max_length=10, choices=GrantLevel)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["mailbox", "employee"], name="one_grant_each"),
            models.UniqueConstraint(fields=["mailbox", "department"], name="one_grant_a_department"),
            models.CheckConstraint(
                condition=models.Q(employee__isnull=False, department__isnull=True)
                | models.Q(employee__isnull=True, department__isnull=False),
                name="a_grant_has_one_holder",
            ),
        ]

    def __str__(self) -> str:
        holder = self.employee_id or f"department {self.department_id}"
        return f"{holder} {self.level} {self.mailbox_id}"


class EmergencyAccess(models.Model):
    """An admin reads a mailbox for a day without its owner's leave; who looks at grants does not see it.

    It is over when `ends_at` is past, whatever any job does, or when somebody has ended it. Rows stay as proof.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, related_name="emergencies")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField()
    at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(
        Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~models.Q(reason=""), name="an_emergency_has_a_reason"),
            models.UniqueConstraint(
                fields=["mailbox", "employee"],
                name="one_open_emergency_each",
                condition=models.Q(ended_at=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.employee_id} reads {self.mailbox_id} until {self.ends_at:%Y-%m-%d %H:%M}"


class Schedule(models.Model):
    """When a mailbox is due and who works on it. Global (ids and times only), so the tick sees every account.

    A worker owns the mailbox while `epoch` is the one it claimed; every transaction of the engine renews the
    lease by that epoch and rolls back if it is no longer its own.
    """

    mailbox = models.OneToOneField(
        Mailbox, primary_key=True, on_delete=models.CASCADE, related_name="schedule"
    )
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    due_at = models.DateTimeField(null=True)
    # The tick does not hint again before this moment: a full queue is not filled further.
    hinted_until = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    epoch = models.PositiveBigIntegerField(default=0)
    # Runs in a row that failed; and logins that were refused since the last success, whatever else came in between.
    failures = models.PositiveIntegerField(default=0)
    refusals = models.PositiveIntegerField(default=0)
    # Workers in a row that died with it in hand (mailsync.deaths).
    deaths = models.PositiveSmallIntegerField(default=0)
    # Nobody tries before this moment, not even for a click: the server asked for patience or refuses the login.
    rests_until = models.DateTimeField(null=True)
    # Where its worker is, as numbers (mailsync.lanes); of the last claim.
    host_lane = models.BigIntegerField(null=True)
    login_lane = models.BigIntegerField(null=True)
    # The comparison with the server: asked for by a click or begun by night, until it is over; by whom (empty: by
    # night); when the last one ended; and no hint of it before this moment.
    check_asked_at = models.DateTimeField(null=True)
    check_asked_by = models.ForeignKey(
        Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+"
    )
    checked_at = models.DateTimeField(null=True)
    check_hinted_until = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="schedule_due", condition=models.Q(due_at__isnull=False)),
            models.Index(
                fields=["check_asked_at"],
                name="schedule_check",
                condition=models.Q(check_asked_at__isnull=False),
            ),
            models.Index(
                fields=["host_lane"],
                name="schedule_lanes",
                condition=models.Q(leased_until__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id} due {self.due_at}"
