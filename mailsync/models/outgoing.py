"""Outgoing: a letter being written, waiting or sent, with its files and what receiving servers reported of it."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee
from mailsync.models.blob import Blob
from mailsync.models.folder import Folder
from mailsync.models.mailbox import Mailbox
from mailsync.models.message import Message


class OutgoingState(models.TextChoices):
    """draft ⇄ queued → sending → sent | refused | unsure; a try that came too early is queued again."""

    DRAFT = "draft", _("Draft")
    QUEUED = "queued", _("Waiting")
    SENDING = "sending", _("Being sent")
    SENT = "sent", _("Sent")
    # No recipient got it; the server's words are in `error` and `refused`. It may become a draft again.
    REFUSED = "refused", _("Refused")
    # The connection ended after the text went out and before the server's word: it may have arrived, or not.
    UNSURE = "unsure", _("Not known whether it arrived")
    # Thrown away by its author; kept for a while so that this can be undone.
    DISCARDED = "discarded", _("Thrown away")


class Origin(models.TextChoices):
    """What a letter is written for: it decides whose quota it counts against (mailsync.quota)."""

    WEBMAIL = "webmail", _("Webmail")
    CRM = "crm", _("CRM")
    MARKETING = "marketing", _("Marketing")
    WORKFLOW = "workflow", _("Workflow")
    AUTOMATION = "automation", _("Automation")
    SERVICE = "service", _("Service mail")


class How(models.TextChoices):
    """How a letter came to be."""

    NEW = "new", _("New")
    REPLY = "reply", _("Reply")
    REPLY_ALL = "reply_all", _("Reply to all")
    FORWARD = "forward", _("Forward")


_UNFIXED = ("draft", "discarded")


class Outgoing(models.Model):
    """One letter, from its first word to what became of it. Written by mailsync.outbox and mailsync.sender only.

    `message_id` stands without angle brackets and stays for life. From queueing on the bytes are fixed:
    header + body, without Bcc, with CRLF. `to`, `cc`, `bcc` are lists of [name, address].
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.ForeignKey(Mailbox, on_delete=models.CASCADE, db_index=False, related_name="outgoing")
    # Who wrote it; empty for a rule or a campaign.
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=10, choices=OutgoingState, default=OutgoingState.DRAFT)
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.WEBMAIL)

    from_name = models.CharField(max_length=200, blank=True)
    from_address = models.CharField(max_length=254, blank=True)
    to = models.JSONField(default=list)
    cc = models.JSONField(default=list)
    bcc = models.JSONField(default=list)
    subject = models.TextField(blank=True)
    # As the editor gives it; cleaned when the bytes are made. `text` only for letters without HTML.
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    # What is quoted below, as HTML that was cleaned already.
    quoted = models.TextField(blank=True)

    answers = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, related_name="answered_by")
    how = models.CharField(max_length=10, choices=How, default=How.NEW)
    # By copy, because the mail that is answered may leave before this is sent; Message-IDs with angle brackets.
    in_reply_to = models.TextField(blank=True)
    references = models.TextField(blank=True)
    message_id = models.TextField()
    # Raised by each save: who saves an older one is told (two open tabs).
    revision = models.PositiveIntegerField(default=1)

    # One click sends one letter: the page makes a key for its form, and the second click finds the first one's.
    key = models.CharField(max_length=64, blank=True)
    header = models.BinaryField(null=True)
    body = models.ForeignKey(Blob, null=True, on_delete=models.PROTECT, related_name="+")
    queued_at = models.DateTimeField(null=True)
    # Not before this moment: the end of the time for second thoughts, or what the author chose.
    send_at = models.DateTimeField(null=True)
    # The author chose the moment, so it is shown as planned and not as being on its way.
    planned = models.BooleanField(default=False)
    # The next try; only while queued.
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=0)
    # Written down just before the text goes out: a worker that dies after this leaves the letter unsure.
    data_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    # Addresses for which the server has taken it; and address → its words, where it has not.
    accepted = models.JSONField(default=list)
    refused = models.JSONField(default=dict)
    # The last trouble as a sentence, and its kind: "" | login | server | sender | recipients | size | content | lost.
    error = models.TextField(blank=True)
    error_kind = models.CharField(max_length=12, blank=True)

    # Our copy in Drafts: where it is and which revision it is (0: there may be one, its worker had only set out to make
    # it); empty while there is none. The folder may be for drafts no longer, and is unknown of copies from before 0035.
    copy_folder = models.ForeignKey(Folder, null=True, on_delete=models.SET_NULL, related_name="+")
    copy_uidvalidity = models.BigIntegerField(null=True)
    copy_uid = models.BigIntegerField(null=True)
    copy_revision = models.PositiveIntegerField(null=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "message_id"], name="a_message_id_is_given_once"),
            models.UniqueConstraint(
                fields=["account", "key"], name="one_letter_a_click", condition=~Q(key="")
            ),
            models.CheckConstraint(
                condition=Q(state__in=_UNFIXED)
                | Q(header__isnull=False, body__isnull=False, queued_at__isnull=False, send_at__isnull=False),
                name="what_is_sent_is_fixed",
            ),
            models.CheckConstraint(
                condition=Q(state="queued", due_at__isnull=False) | (~Q(state="queued") & Q(due_at=None)),
                name="what_waits_is_due",
            ),
            models.CheckConstraint(
                condition=Q(state="sent", sent_at__isnull=False) | (~Q(state="sent") & Q(sent_at=None)),
                name="what_is_sent_says_when",
            ),
            models.CheckConstraint(condition=Q(state__in=list(OutgoingState.values)), name="a_known_state"),
        ]
        indexes = [
            models.Index(fields=["mailbox", "due_at"], name="outgoing_due", condition=Q(state="queued")),
            models.Index(fields=["mailbox"], name="outgoing_sending", condition=Q(state="sending")),
            models.Index(fields=["mailbox", "state", "-updated_at"], name="outgoing_list"),
            models.Index(fields=["account", "updated_at"], name="outgoing_by_age"),
        ]

    def __str__(self) -> str:
        return self.subject or f"letter {self.pk}"

    @property
    def recipients(self) -> list[str]:
        """Every address of To, Cc and Bcc, each once whatever its case, in their order."""
        addresses = (address for _name, address in [*self.to, *self.cc, *self.bcc])
        return list({address.casefold(): address for address in addresses}.values())


class OutgoingAttachment(models.Model):
    """A file of a letter; `inline` ones are images that the text shows by their `content_id` (no brackets)."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    outgoing = models.ForeignKey(Outgoing, on_delete=models.CASCADE, related_name="attachments")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")
    name = models.TextField()
    type = models.CharField(max_length=200)
    size = models.PositiveBigIntegerField()
    content_id = models.CharField(max_length=200, blank=True)
    inline = models.BooleanField(default=False)
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(inline=False) | ~Q(content_id=""), name="an_image_in_the_text_is_named"
            )
        ]

    def __str__(self) -> str:
        return self.name


class DeliveryReport(models.Model):
    """What a receiving server said later about one recipient of a sent letter (RFC 3464)."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    outgoing = models.ForeignKey(Outgoing, on_delete=models.CASCADE, related_name="reports")
    # The mail that said so; it may leave, what it said stays.
    message = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, related_name="+")
    recipient = models.TextField()
    # failed | delayed | delivered | relayed | expanded
    action = models.CharField(max_length=10)
    # "5.1.1"
    status = models.CharField(max_length=12, blank=True)
    words = models.TextField(blank=True)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message", "outgoing", "recipient"], name="one_report_a_recipient"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.status}"


class Dispatch(models.Model):
    """When a mailbox has something to send, and who is at it. Global (ids and times only), as Schedule is.

    A worker sends for a mailbox while `epoch` is the one it claimed: one connection at a time, in order.
    """

    mailbox = models.OneToOneField(
        Mailbox, primary_key=True, on_delete=models.CASCADE, related_name="dispatch"
    )
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    due_at = models.DateTimeField(null=True)
    hinted_until = models.DateTimeField(null=True)
    leased_until = models.DateTimeField(null=True)
    epoch = models.PositiveBigIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="dispatch_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id} sends at {self.due_at}"
