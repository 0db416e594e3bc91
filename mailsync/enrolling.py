"""Connecting mailboxes for others: what an admin hands in, row by row, until a worker tests it (mailsync.admitting).

A password is sealed before anything is written, and goes nowhere else: neither into `typed`, nor into a job's
arguments, a session, the report. Rows that are wrong are kept with their sentence, to be mended.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django import forms
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import notices, tenancy
from accounts.models import Account, Employee, NoticeKind
from mailsync import connecting, schedule, secrets, transferring
from mailsync.forms import AddressForm
from mailsync.models import Enrolment, EnrolmentRow, EnrolmentState, Mailbox
from plans.offers import plan_name
from plans.subscriptions import limits_for

SECRETS_LIVE = timedelta(days=1)
# A worker that has had a row for longer is dead.
TEST_TAKES = timedelta(minutes=10)
JOB = "mailsync.admit"
HINT_SECONDS = 120  # then it is repeated (hint_everywhere)
OPEN = (EnrolmentState.BAD, EnrolmentState.READY, EnrolmentState.INVITED, EnrolmentState.FAILED)
AT_WORK = (EnrolmentState.WAITING, EnrolmentState.TESTING)


class EnrolmentForm(AddressForm):
    """One mailbox for somebody: what the wizard asks, whose it is, how far back to fetch; the password may wait."""

    owner_email = forms.EmailField(label=gettext_lazy("Owner's e-mail address"), max_length=254)
    days = forms.IntegerField(
        label=gettext_lazy("Days to fetch"),
        required=False,
        min_value=1,
        help_text=gettext_lazy("As many as the plan allows, if empty."),
    )
    field_order = ("address", "owner_email", "password", "days")

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, by: Employee, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, owner=by, initial=initial)  # type: ignore[arg-type]  # a row of a file is no QueryDict
        self.colleague: Employee | None = None
        self.fields["password"].help_text = _("Without it the owner is asked to type it.")

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"].lower()
        there = Mailbox.objects.filter(
            account_id=self.owner.account_id, address=address, disconnected_at=None
        )
        for mailbox in there.select_related("owner"):
            words = _("%(address)s is connected already, by %(owner)s.")
            raise forms.ValidationError(words % {"address": address, "owner": mailbox.owner})
        return address

    def clean_owner_email(self) -> str:
        email: str = self.cleaned_data["owner_email"].lower()
        people = Employee.objects.filter(account_id=self.owner.account_id, is_active=True, email=email)
        self.colleague = people.first()
        if self.colleague is None:
            raise forms.ValidationError(
                _("Nobody of your company signs in with %(email)s.") % {"email": email}
            )
        return email

    def clean_days(self) -> int | None:
        days: int | None = self.cleaned_data.get("days")
        limits = limits_for(self.owner.account, self.owner.account.today())
        if days is not None and days > limits.fetch_days:
            words = _("Your plan %(plan)s fetches mail of the last %(days)d days at most.")
            raise forms.ValidationError(words % {"plan": plan_name(limits.plan), "days": limits.fetch_days})
        return days

    def clean(self) -> dict[str, Any]:
        preset = self.preset()
        if preset and preset.imap is None and not self.cleaned_data.get("imap_host"):
            self.add_error("address", str(preset.help))
        return self.cleaned_data

    def sentence(self) -> str:
        """Everything that is wrong, in one breath."""
        named = [
            (self.fields[name].label if name in self.fields else "", errors)
            for name, errors in self.errors.items()
        ]
        return " ".join(
            f"{label}: {' '.join(map(str, errors))}" if label else " ".join(map(str, errors))
            for label, errors in named
        )


@transaction.atomic
def begin(lines: Iterable[Mapping[str, str]], *, by: Employee, file_name: str = "") -> Enrolment:
    """Write rows down, the right ones and the wrong ones; `lines` have EnrolmentForm's fields."""
    forget_secrets(by.account_id)
    made = Enrolment.objects.create(account_id=by.account_id, by=by, file_name=file_name)
    for number, line in enumerate(lines, start=1):
        row = EnrolmentRow(account_id=by.account_id, enrolment=made, number=number)
        fill(row, EnrolmentForm(line, by=by), line)
    judge(made)
    return made


def fill(row: EnrolmentRow, form: EnrolmentForm, line: Mapping[str, str]) -> None:
    """Take what was typed into a row; a password that was not typed anew stays."""
    password = str(line.get("password") or "")
    row.typed = {name: str(line.get(name) or "")[:1000] for name in form.fields if name != "password"}
    right = form.is_valid()
    if password and "password" not in form.errors:
        row.secret = secrets.seal(password, account_id=row.account_id)
    row.said = "" if right else form.sentence()
    row.address = form.cleaned_data.get("address", "") if right else row.typed["address"][:254]
    row.owner = form.colleague
    row.days = form.cleaned_data.get("days") if right else None
    row.servers = form.servers().columns() if right else {}
    row.state = _ready(row) if right else EnrolmentState.BAD
    row.save()


def _ready(row: EnrolmentRow) -> EnrolmentState:
    return EnrolmentState.READY if row.secret else EnrolmentState.INVITED


def judge(enrolment: Enrolment) -> None:
    """What no row can know of itself: the same address twice, an owner for whom the plan has no room for all."""
    rows = list(
        enrolment.rows.filter(state__in=OPEN).exclude(servers={}).select_related("owner").order_by("number")
    )
    seen: set[str] = set()
    taken: Counter[int] = Counter()
    for row in rows:
        said = _("This address is in the file twice.") if row.address in seen else ""
        seen.add(row.address)
        if row.owner and not said:
            said = transferring.why_no_room(enrolment.by.account, row.owner, more=taken[row.owner.pk] + 1)
            taken[row.owner.pk] += not said
        if row.state != EnrolmentState.FAILED or said:
            state = EnrolmentState.BAD if said else _ready(row)
            EnrolmentRow.objects.filter(pk=row.pk).update(state=state, said=said)


@transaction.atomic
def start(enrolment: Enrolment) -> int:
    """Hand what is ready, and what failed, to workers once the transaction is committed; returns how many rows.

    Owners who are to type a password themselves are told, once.
    """
    Enrolment.objects.filter(pk=enrolment.pk, started_at=None).update(started_at=timezone.now())
    rows = enrolment.rows.filter(state__in=[EnrolmentState.READY, EnrolmentState.FAILED]).exclude(secret=b"")
    ids = list(rows.order_by("number").values_list("pk", flat=True))
    EnrolmentRow.objects.filter(pk__in=ids).update(state=EnrolmentState.WAITING, said="")
    for row_id in ids:
        transaction.on_commit(partial(_hint, enrolment.account_id, row_id))
    _tell_owners(enrolment)
    return len(ids)


def _tell_owners(enrolment: Enrolment) -> None:
    asked = enrolment.rows.filter(state=EnrolmentState.INVITED, tried_at=None).order_by("number")
    rows = list(asked.select_related("owner"))
    addresses: dict[Employee, list[str]] = defaultdict(list)
    for row in rows:
        if row.owner:
            addresses[row.owner].append(row.address)
    by = enrolment.by.name or enrolment.by.email
    told = [(owner, {"by": by, "addresses": ", ".join(theirs)}) for owner, theirs in addresses.items()]
    notices.tell_each(told, NoticeKind.PASSWORD_WANTED)
    enrolment.rows.filter(pk__in=[row.pk for row in rows]).update(tried_at=timezone.now())


def invitations(employee: Employee) -> list[EnrolmentRow]:
    """Mailboxes whose password an admin asks this employee to type, until they are connected."""
    asked = EnrolmentRow.objects.filter(
        owner=employee, state=EnrolmentState.INVITED, enrolment__started_at__isnull=False
    )
    rows = list(asked.select_related("enrolment__by").order_by("-pk")[:20])
    there = Mailbox.objects.filter(
        account_id=employee.account_id, address__in=[row.address for row in rows], disconnected_at=None
    )
    connected = set(there.values_list("address", flat=True))
    return [row for row in rows if row.address not in connected]


def forget_secrets(account_id: int) -> None:
    """Passwords of yesterday that led to nothing."""
    old = EnrolmentRow.objects.filter(
        account_id=account_id, enrolment__at__lt=timezone.now() - SECRETS_LIVE
    ).exclude(secret=b"")
    old.update(secret=b"")


def forget_everywhere() -> None:
    """The same in every account, also of those that were only tested."""
    for account_id in Account.objects.order_by("pk").values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            forget_secrets(account_id)
            connecting.drop_old_tests()


def hint_everywhere() -> None:
    """Hint workers once more at the rows of every account that wait for one, or whose worker has died."""
    for account_id in Account.objects.order_by("pk").values_list("pk", flat=True):
        with tenancy.acting_for(account_id):
            for row_id in EnrolmentRow.objects.filter(to_do(timezone.now())).values_list("pk", flat=True):
                transaction.on_commit(partial(_hint, account_id, row_id))


def to_do(now: datetime) -> Q:
    """The rows that a worker may take."""
    lost = Q(state=EnrolmentState.TESTING, tried_at__lt=now - TEST_TAKES)
    return Q(state=EnrolmentState.WAITING) | lost


def _hint(account_id: int, row_id: int) -> None:
    schedule.send(JOB, [account_id, row_id], schedule.BULK, HINT_SECONDS)
