"""Which mailboxes feed CRM, from which folders, and what they do with strangers."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Employee
from mailsync.models import Folder, Mailbox


class Strangers(models.TextChoices):
    """The values are crm.matching.Unknown's."""

    NOTHING = "nothing", _("Nothing: only mail of known people is saved")
    LEAD = "lead", _("Make a lead")
    CONTACT_DEAL = "contact+deal", _("Make a contact and a deal")


class Feed(models.Model):
    """A mailbox's CRM integration. `turn` counts the records made, so that the queue goes on where it was."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    mailbox = models.OneToOneField(Mailbox, on_delete=models.CASCADE, related_name="+")
    enabled = models.BooleanField(default=False)
    strangers = models.CharField(max_length=20, choices=Strangers, default=Strangers.NOTHING)
    turn = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"mailbox {self.mailbox_id}"


class FeedFolder(models.Model):
    """A folder whose mail is saved. Never Junk: the form does not offer it, and arrivals look at the role again."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="folders")
    folder = models.OneToOneField(Folder, on_delete=models.CASCADE, related_name="+")

    def __str__(self) -> str:
        return f"folder {self.folder_id}"


class FeedTurn(models.Model):
    """Who gets the records that are made, in this order, in turn. Nobody: the mailbox's owner."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="queue")
    employee = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    position = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["feed", "employee"], name="one_turn_each")]

    def __str__(self) -> str:
        return f"employee {self.employee_id}"
