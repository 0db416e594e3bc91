"""Account (the tenant), Department, Employee (who logs in), Invitation, and AuditEntry (what was done)."""

import zoneinfo
from datetime import date, datetime
from functools import cache
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


@cache
def time_zones() -> frozenset[str]:
    """Names the system knows; read once, because zoneinfo opens some 600 files to tell them."""
    return frozenset(zoneinfo.available_timezones())


def check_time_zone(name: str) -> None:
    """Raise ValidationError unless the name is one the system knows."""
    if name not in time_zones():
        raise ValidationError(_("Unknown time zone."))


class Account(models.Model):
    """A company. One of the few global tables: its name, days and language, how people sign in, and nothing else."""

    name = models.CharField(max_length=200, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    language = models.CharField(max_length=10, default="en")  # of people who join
    # Nothing opens to people without it but the pages that set it up (accounts.middleware).
    two_factor_demanded = models.BooleanField(default=False)
    # Everything of the company goes after this moment; until then an admin can call it off (accounts.ending). The
    # database lets nobody but its owner name a moment that comes sooner.
    deletes_at = models.DateTimeField(null=True)
    # Since when it is being deleted: nobody signs in any more, and there is no way back.
    erasing_since = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.name

    def today(self) -> date:
        """The calendar day at the company: plans, their limits and months of sending go by it."""
        return self.day_of(timezone.now())

    def day_of(self, moment: datetime) -> date:
        """The calendar day of a moment at the company."""
        return timezone.localdate(moment, timezone=zoneinfo.ZoneInfo(self.time_zone))


class Department(models.Model):
    """People of one company who work together; its supervisors are those of its people with that role."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="departments")
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint("account", Lower("name"), name="department_name_once"),
        ]

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    ADMIN = "admin", _("Admin")
    SUPERVISOR = "supervisor", _("Supervisor")
    EMPLOYEE = "employee", _("Employee")


class EmployeeManager(BaseUserManager["Employee"]):
    def create_user(self, *, account: Account, email: str, password: str | None, **fields: Any) -> "Employee":
        """Make one employee; the running transaction must act for the account (tenancy.acting_for)."""
        employee = self.model(account=account, email=email.strip().lower(), **fields)
        employee.set_password(password)
        employee.full_clean()
        employee.save(using=self._db)
        return employee


class Employee(AbstractBaseUser):
    """A person who logs in, by e-mail. Leaves by being made inactive, never by being deleted."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="employees")
    email = models.EmailField(max_length=254, unique=True)  # kept in lower case
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=20, choices=Role, default=Role.EMPLOYEE)
    # Whoever deletes a department dismisses nobody: its people belong to none until somebody moves them.
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.SET_NULL, related_name="employees"
    )
    is_active = models.BooleanField(default=True)
    language = models.CharField(max_length=10, default="en")
    time_zone = models.CharField(max_length=64, default="UTC", validators=[check_time_zone])
    # Runs this installation: may edit the rows of plans. Given by `manage.py set_operator` and by nothing else.
    is_operator = models.BooleanField(default=False)
    joined_at = models.DateTimeField(default=timezone.now)

    # What accounts.backend reads with the person of a request, in the same statement.
    owes_two_factor: ClassVar[bool] = False  # the company demands it, and they have not set it up
    has_notices: ClassVar[bool] = False
    company_deletes_at: ClassVar[datetime | None] = None

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = EmployeeManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="employee_email_lower_case"
            ),
        ]
        indexes = [models.Index(fields=["account", "name"], name="employee_by_name")]

    def __str__(self) -> str:
        return self.name or self.email

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


class Invitation(models.Model):
    """Somebody was asked to join. Open until it is used or withdrawn; after `expires_at` its link opens nothing.

    The link carries a secret, and here is its SHA-256 alone: each new link makes the one before it worthless.
    """

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    email = models.EmailField(max_length=254)  # kept in lower case
    name = models.CharField(max_length=200, blank=True)
    role = models.CharField(max_length=20, choices=Role, default=Role.EMPLOYEE)
    department = models.ForeignKey(
        Department, null=True, blank=True, on_delete=models.SET_NULL, related_name="invitations"
    )
    by = models.ForeignKey(Employee, on_delete=models.PROTECT, db_index=False, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    secret_hash = models.BinaryField(max_length=32)
    expires_at = models.DateTimeField()
    # When the newest link went out by mail; empty where it was handed over.
    mailed_at = models.DateTimeField(null=True)
    used_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "email"],
                name="one_open_invitation",
                condition=models.Q(used_at=None, withdrawn_at=None),
            ),
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="invitation_email_lower_case"
            ),
            models.CheckConstraint(
                condition=models.Q(used_at=None) | models.Q(withdrawn_at=None),
                name="used_or_withdrawn",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()


class BrowserSession(models.Model):
    """Where somebody is signed in. It says where and since when; what lets them in is Django's session itself."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, db_index=False, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, related_name="browser_sessions")
    key = models.CharField(max_length=40)
    address = models.CharField(max_length=45)
    agent = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.employee_id} since {self.began_at:%Y-%m-%d %H:%M}"


class NoticeKind(models.TextChoices):
    TWO_FACTOR_RESET = "two_factor_reset"
    DELETION_PLANNED = "deletion_planned"
    DELETION_CALLED_OFF = "deletion_called_off"
    MAIL_EXPORTED = "mail_exported"
    PASSWORD_WANTED = "password_wanted"  # noqa: S105 (no password)
    INHERITED = "inherited"
    SET_ASIDE = "set_aside"


class PersonalNotice(models.Model):
    """Something about their sign-in, company or work that a person must see, until they have seen it."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    employee = models.ForeignKey(Employee, on_delete=models.CASCADE, db_index=False, related_name="+")
    kind = models.CharField(max_length=30, choices=NoticeKind)
    details = models.JSONField(default=dict)
    at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(null=True)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["employee"], name="personal_notice_unseen", condition=models.Q(seen_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} for {self.employee_id}"

    @property
    def is_work(self) -> bool:
        """Something to do, and nothing to beware of."""
        return self.kind in (NoticeKind.PASSWORD_WANTED, NoticeKind.INHERITED)


class AuditEntry(models.Model):
    """Who did what to what, when: appended, never changed (neither our role nor a trigger lets us), read by admins."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(default=timezone.now)
    by = models.ForeignKey(Employee, null=True, on_delete=models.PROTECT, related_name="+")
    verb = models.CharField(max_length=60)
    # The verb's first word: what one asks for.
    kind = models.GeneratedField(
        expression=models.Func("verb", models.Value("."), models.Value(1), function="split_part"),
        output_field=models.CharField(max_length=60),
        db_persist=True,
    )
    subject = models.CharField(max_length=300)
    details = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["account", "-at", "-id"], name="audit_newest"),
            models.Index(fields=["account", "by", "-at", "-id"], name="audit_by_person"),
            models.Index(fields=["account", "kind", "-at", "-id"], name="audit_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.verb} {self.subject}"
