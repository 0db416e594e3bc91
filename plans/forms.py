"""The operator's form of a plan's row: what has begun stays, and no limit is mistaken for no limits."""

from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from plans.models import PlanLimits

FIRST_TO_BEGIN = timedelta(hours=14)  # UTC+14 has each new day before everybody else


def has_begun(day: date, now: datetime) -> bool:
    """Whether it is that day already, anywhere: then some company lives by it."""
    return (now + FIRST_TO_BEGIN).date() >= day


class LimitWidget(forms.MultiWidget):
    """What kind of limit, and the number where it is one."""

    KINDS = (
        ("number", gettext_lazy("at most")),
        ("unlimited", gettext_lazy("unlimited")),
        ("none", gettext_lazy("not available")),
    )

    def __init__(self) -> None:
        super().__init__([forms.Select(choices=self.KINDS), forms.NumberInput(attrs={"min": 1})])

    def decompress(self, value: int | None) -> list[Any]:
        """The row's number as the two parts; an empty form begins with a number to type."""
        if value is None:
            return ["unlimited", None]
        return ["number", value] if value else ["none", None]


class LimitField(forms.MultiValueField):
    """NULL means unlimited and 0 not available: both are chosen by name, never by leaving something empty."""

    widget = LimitWidget

    def __init__(self, **options: Any) -> None:
        number = forms.IntegerField(min_value=1, max_value=2_000_000_000, required=False)
        fields = (forms.ChoiceField(choices=LimitWidget.KINDS), number)
        # Not required: the model must not take NULL for a blank. Nothing chosen is refused below.
        super().__init__(fields, require_all_fields=False, required=False, **options)

    def compress(self, parts: list[Any]) -> int | None:
        kind, number = (*parts, None, None)[:2]
        if kind not in dict(LimitWidget.KINDS):
            raise ValidationError(_("Choose what kind of limit it is."))
        if kind == "number" and number is None:
            raise ValidationError(_("Type the number, or choose unlimited or not available."))
        if kind != "number" and number is not None:
            raise ValidationError(_("Choose “at most” for a number, or leave the number empty."))
        return {"unlimited": None, "none": 0}.get(kind, number)


class PlanLimitsForm(forms.ModelForm[PlanLimits]):
    """A row that begins on a day to come. The database has the same rules, without words."""

    mailboxes_per_employee = LimitField(label=gettext_lazy("Mailboxes per employee"))
    shared_mailboxes = LimitField(label=gettext_lazy("Shared mailboxes in a company"))
    outgoing_per_month = LimitField(
        label=gettext_lazy("Outgoing per month"), help_text=gettext_lazy("From CRM, campaigns and rules.")
    )

    class Meta:
        model = PlanLimits
        fields = [
            "plan", "effective_from", "sync_enabled", "storage_days", "fetch_days", "mailboxes_per_employee",
            "shared_mailboxes", "outgoing_per_month", "crm_bound_stays", "source", "reading",
        ]  # fmt: skip
        labels = {
            "effective_from": gettext_lazy("In force from"),
            "sync_enabled": gettext_lazy("Mail is synchronised"),
            "storage_days": gettext_lazy("Storage days"),
            "fetch_days": gettext_lazy("First-fetch days"),
            "crm_bound_stays": gettext_lazy("What is bound to CRM stays in Webmail"),
        }
        help_texts = {
            "plan": gettext_lazy("Its key in small letters: professional, crm-plus, …"),
            "effective_from": gettext_lazy("Until then the row before it holds, for everybody."),
            "source": gettext_lazy("Where this is written or who decided it."),
            "reading": gettext_lazy("How it is to be read where the source is silent."),
        }

    def clean_effective_from(self) -> date:
        day: date = self.cleaned_data["effective_from"]
        if has_begun(day, timezone.now()):
            first = (timezone.now() + FIRST_TO_BEGIN).date() + timedelta(days=1)
            raise ValidationError(
                _("That day has begun for somebody already. The earliest possible day is %(day)s.")
                % {"day": first.isoformat()}
            )
        return day

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        syncs, stored = given.get("sync_enabled"), given.get("storage_days")
        if stored is not None and given.get("fetch_days", 0) > stored:
            self.add_error(
                "fetch_days", _("What is fetched would leave the next night: at most the storage days.")
            )
        if syncs and stored == 0:
            self.add_error("storage_days", _("Mail that is synchronised needs at least one day of storage."))
        return given
