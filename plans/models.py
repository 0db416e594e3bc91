"""Dated limits of the plans (global), dated subscriptions of the accounts, and what admins ask operators for."""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import Account
from plans.limits import Limits


class PlanLimits(models.Model):
    """What a plan allows from a day on. A changed limit is a new row; NULL = unlimited, 0 = not offered."""

    plan = models.SlugField(max_length=40)
    effective_from = models.DateField()
    sync_enabled = models.BooleanField()
    storage_days = models.PositiveIntegerField()
    fetch_days = models.PositiveIntegerField()
    mailboxes_per_employee = models.PositiveIntegerField(null=True)
    shared_mailboxes = models.PositiveIntegerField(null=True)
    outgoing_per_month = models.PositiveIntegerField(null=True)
    crm_bound_stays = models.BooleanField()
    source = models.CharField(max_length=300)
    reading = models.TextField(blank=True)

    class Meta:
        verbose_name = "row of a plan"
        verbose_name_plural = "rows of plans"
        constraints = [
            models.UniqueConstraint(fields=["plan", "effective_from"], name="plan_limits_once_a_day"),
            models.CheckConstraint(
                condition=Q(fetch_days__lte=F("storage_days")), name="fetch_within_storage"
            ),
            models.CheckConstraint(
                condition=Q(sync_enabled=False) | Q(storage_days__gt=0), name="sync_needs_storage"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} from {self.effective_from}"

    def as_limits(self) -> Limits:
        return Limits(**{field: getattr(self, field) for field in Limits.__slots__})


class Subscription(models.Model):
    """The plan of an account from a day to a day (exclusive; NULL = open). No row today means Free."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="subscriptions")
    plan = models.SlugField(max_length=40)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
                name="subscription_ends_later",
            ),
            ExclusionConstraint(
                name="subscriptions_do_not_overlap",
                expressions=[
                    ("account", RangeOperators.EQUAL),
                    (
                        Func("starts_on", "ends_on", Value("[)"), function="DATERANGE"),
                        RangeOperators.OVERLAPS,
                    ),
                ],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan} {self.starts_on}..{self.ends_on or ''}"


class Answer(models.TextChoices):
    OPEN = "open", _("Waits for an operator")
    GIVEN = "given", _("Given")
    DECLINED = "declined", _("Declined")
    WITHDRAWN = "withdrawn", _("Withdrawn")


class PlanRequest(models.Model):
    """An admin asks those who run Mailbound for another plan (ADMINS_CHANGE_PLANS off). One is open at most.

    Global, because operators of another company read it: a plan, days, and the address to answer to.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    plan = models.SlugField(max_length=40)
    on = models.DateField()
    asked_by = models.EmailField(max_length=254)
    at = models.DateTimeField(default=timezone.now)
    answer = models.CharField(max_length=10, choices=Answer, default=Answer.OPEN)
    answered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "request for a plan"
        verbose_name_plural = "requests for plans"
        constraints = [
            models.UniqueConstraint(
                fields=["account"], name="one_open_request", condition=Q(answer=Answer.OPEN)
            ),
            models.CheckConstraint(
                condition=Q(answer=Answer.OPEN, answered_at=None)
                | ~Q(answer=Answer.OPEN) & Q(answered_at__isnull=False),
                name="a_request_is_answered_once",
            ),
        ]
        indexes = [models.Index(fields=["account", "-at"], name="request_newest")]

    def __str__(self) -> str:
        return f"{self.plan} from {self.on}"
