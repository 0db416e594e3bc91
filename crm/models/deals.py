"""Deals on their way through the stages of a pipeline."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from crm.models.directory import Company, Contact, Record


class Pipeline(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    name = models.CharField(max_length=80)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "name"], name="pipeline_name_once")]

    def __str__(self) -> str:
        return self.name


class Outcome(models.TextChoices):
    """What it means for a deal to be in a stage."""

    OPEN = "open", _("Open")
    WON = "won", _("Won")
    LOST = "lost", _("Lost")


class Colour(models.TextChoices):
    """Of a column's head; the style sheet knows them by these words."""

    NONE = "", _("No colour")
    BLUE = "blue", _("Blue")
    TEAL = "teal", _("Teal")
    GREEN = "green", _("Green")
    AMBER = "amber", _("Amber")
    RED = "red", _("Red")
    PURPLE = "purple", _("Purple")


class Stage(models.Model):
    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, db_index=False, related_name="stages")
    name = models.CharField(max_length=80)
    position = models.PositiveIntegerField(default=0)
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.OPEN)
    colour = models.CharField(max_length=10, choices=Colour, default=Colour.NONE, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pipeline", "name"], name="stage_name_once")]
        indexes = [models.Index(fields=["pipeline", "position"], name="stage_order")]

    def __str__(self) -> str:
        return self.name


class Deal(Record):
    """Open while its stage is. Its pipeline is its stage's: nothing can disagree."""

    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, db_index=False, related_name="deals")
    # The order of the column, chosen by people; a card between two others gets the number between theirs.
    position = models.FloatField(default=0)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.SET_NULL, related_name="deals")
    company = models.ForeignKey(Company, null=True, on_delete=models.SET_NULL, related_name="deals")
    amount = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    currency = models.CharField(max_length=3, default="EUR")
    expected_on = models.DateField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount__gte=0) | Q(amount=None), name="deal_amount_not_negative"
            )
        ]
        indexes = [
            models.Index(fields=["stage", "position", "id"], name="deal_on_board"),
            models.Index(F("account"), F("created_at").desc(), F("id").desc(), name="deal_newest"),
        ]
