"""What happened with a client: mails with their own copy, notes, stage changes; and what each is bound to."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import Account, Employee
from crm.models.deals import Deal
from crm.models.directory import Company, Contact, Lead
from mailsync.models import Blob, Message
from mailsync.models.message import Bond


class ActivityKind(models.TextChoices):
    MAIL = "mail"
    NOTE = "note"
    # Whatever changed about the record itself: its stage, its responsible, that two became one.
    CHANGE = "change"


class Activity(models.Model):
    """A mail has its own header and columns and shares the immutable body, so it outlives every message.

    `fingerprint` = sha256(Message-ID, From, Date, digest of the body): the copies of one mail in three mailboxes are
    one activity. `thread` is the Message-ID that began the conversation, as far as the mail itself says.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    kind = models.CharField(max_length=10, choices=ActivityKind)
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    # Of a note and of a change.
    text = models.TextField(blank=True)

    fingerprint = models.BinaryField(max_length=32, null=True)
    header = models.BinaryField(null=True)
    body = models.ForeignKey(Blob, null=True, on_delete=models.PROTECT, related_name="+")
    outgoing = models.BooleanField(default=False)
    message_id = models.TextField(blank=True)
    thread = models.TextField(blank=True)
    subject = models.TextField(blank=True)
    sender_name = models.TextField(blank=True)
    sender_address = models.TextField(blank=True)
    recipients = models.JSONField(default=dict)
    snippet = models.TextField(blank=True)
    has_attachments = models.BooleanField(default=False)
    # What decided, by whose address, and between which deals somebody has yet to choose (crm.matching.Decision).
    reason = models.JSONField(default=dict)
    # Set by a person who bound or unbound this mail alone: no rule touches it any more.
    decided_at = models.DateTimeField(null=True)
    # Since when nothing binds it; an unlinked mail can be linked again for as long as the bin keeps things.
    unbound_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "fingerprint"], name="activity_once"),
            models.CheckConstraint(
                condition=Q(kind="mail", fingerprint__isnull=False, header__isnull=False, body__isnull=False)
                | ~Q(kind="mail") & Q(fingerprint=None, header=None, body=None),
                name="activity_of_a_mail_has_its_bytes",
            ),
        ]
        indexes = [
            models.Index(fields=["account", "message_id"], name="activity_by_message_id"),
            models.Index(fields=["account", "thread"], name="activity_of_thread"),
        ]

    def __str__(self) -> str:
        return self.subject or self.text or f"activity {self.pk}"


class ActivityCopy(models.Model):
    """Which messages of which mailboxes an activity is the record of. Goes with the message, or with the activity.

    The database does it (ON DELETE CASCADE), so no purge has to know of CRM.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, related_name="copies")
    message = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="+")

    bond = Bond(
        "crm",
        "(SELECT true FROM crm_activity a WHERE a.id = link.activity_id AND a.unbound_at IS NULL LIMIT 1)",
    )

    def __str__(self) -> str:
        return f"message {self.message_id} is activity {self.activity_id}"


_ONE_RECORD = (
    Q(contact__isnull=False, company=None, lead=None, deal=None)
    | Q(contact=None, company__isnull=False, lead=None, deal=None)
    | Q(contact=None, company=None, lead__isnull=False, deal=None)
    | Q(contact=None, company=None, lead=None, deal__isnull=False)
)


class Binding(models.Model):
    """An activity on the timeline of a record; `by` a person, or by a rule."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    activity = models.ForeignKey(Activity, on_delete=models.CASCADE, db_index=False, related_name="bindings")
    contact = models.ForeignKey(
        Contact, null=True, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    company = models.ForeignKey(
        Company, null=True, on_delete=models.CASCADE, db_index=False, related_name="+"
    )
    lead = models.ForeignKey(Lead, null=True, on_delete=models.CASCADE, db_index=False, related_name="+")
    deal = models.ForeignKey(Deal, null=True, on_delete=models.CASCADE, db_index=False, related_name="+")
    # Copied from the activity: a timeline's index needs no join.
    at = models.DateTimeField()
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, db_index=False, related_name="+")
    bound_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=_ONE_RECORD, name="binding_to_one_record"),
            models.UniqueConstraint(
                fields=["activity", "contact", "company", "lead", "deal"],
                name="binding_once",
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(
                F(link),
                F("at").desc(),
                F("activity").desc(),
                name=f"timeline_of_{link}",
                condition=Q(**{f"{link}__isnull": False}),
            )
            for link in ("contact", "company", "lead", "deal")
        ]

    def __str__(self) -> str:
        return f"activity {self.activity_id}"


class Ruling(models.Model):
    """What a person decided for a thread: final. `bound` empty: this thread does not go to CRM.

    [["contact", 7], …]: a record that was deleted for good is passed over, as if it were not there.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    thread = models.TextField()
    bound = models.JSONField(default=list)
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "thread"], name="ruling_once_a_thread")]

    def __str__(self) -> str:
        return self.thread


class Rematch(models.Model):
    """Matching again what is here: after a contact got an address, or a mailbox began to feed CRM.

    `addresses` empty: every message of the mailbox. `done` of `total` messages were looked at; `after` is the last.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    addresses = ArrayField(models.TextField(), default=list)
    mailbox_id = models.BigIntegerField(null=True)
    after = models.BigIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    asked_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["account", "-asked_at"], name="rematch_newest")]

    def __str__(self) -> str:
        return f"{self.done} of {self.total}"
