"""Enrolment: mailboxes that an admin connects for others, one or a file of them; a row for each."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee
from mailsync.models.mailbox import Mailbox


class EnrolmentState(models.TextChoices):
    """bad | ready | invited → (started) waiting → testing → connected | failed → waiting again."""

    BAD = "bad", _("To be mended")
    READY = "ready", _("Ready to be tested")
    # No password was given: the owner types it.
    INVITED = "invited", _("Its owner is asked for the password")
    WAITING = "waiting", _("Waiting for its test")
    TESTING = "testing", _("Being tested")
    CONNECTED = "connected", _("Connected")
    FAILED = "failed", _("Failed")


class Enrolment(models.Model):
    """What was handed in at once."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, related_name="+")
    file_name = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.file_name or f"enrolment {self.pk}"


class EnrolmentRow(models.Model):
    """One mailbox to be connected. `typed` is what stood in the row, all but the password, which is sealed at once and
    forgotten when the mailbox has it or a day is over. `servers` = ServerSettings.columns() of a row that is right.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()
    typed = models.JSONField(default=dict)
    servers = models.JSONField(default=dict)
    address = models.CharField(max_length=254, blank=True)
    owner = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="+")
    days = models.PositiveIntegerField(null=True)
    secret = models.BinaryField(default=b"")
    state = models.CharField(max_length=10, choices=EnrolmentState, default=EnrolmentState.BAD)
    # What is wrong, or what the test says at the moment, as a sentence.
    said = models.TextField(blank=True)
    mailbox = models.ForeignKey(
        Mailbox, null=True, on_delete=models.SET_NULL, db_index=False, related_name="+"
    )
    # When a worker began with it, or its owner was asked for the password.
    tried_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["enrolment", "number"], name="a_row_a_number")]

    def __str__(self) -> str:
        return f"{self.number} {self.address} {self.state}"
