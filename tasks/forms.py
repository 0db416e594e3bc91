"""What people type about a task."""

from datetime import datetime

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from accounts.models import Employee
from tasks.models import FIRST_DAY, LAST_DAY, TITLE_LENGTH, Priority, Status


class Moment(forms.DateTimeField):
    """A day and a time in the employee's own time zone, as the browser's own field gives it."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
    default_error_messages = {
        "required": _("Choose a day and a time."),
        "invalid": _("Choose a day and a time."),
    }

    def validate(self, value: datetime | None) -> None:
        super().validate(value)
        if value is not None and not FIRST_DAY < value < LAST_DAY:
            raise ValidationError(_("Choose a year between 2000 and 2199."))


class TaskForm(forms.Form):
    """The task's own fields, and who is responsible.

    Each carries what the page showed, so that `changed_data` is what this person changed and nothing is put back that
    somebody else changed while the page was open.
    """

    title = forms.CharField(label=_("Title"), max_length=TITLE_LENGTH)
    description = forms.CharField(
        label=_("Description"), required=False, max_length=20_000, widget=forms.Textarea(attrs={"rows": 4})
    )
    status = forms.ChoiceField(label=_("Status"), choices=Status)
    priority = forms.TypedChoiceField(label=_("Priority"), choices=Priority, coerce=int)
    deadline = Moment(label=_("Deadline"), required=False)
    responsible = forms.ModelChoiceField(
        label=_("Responsible"), queryset=Employee.objects.none(), empty_label=None
    )

    field_order = ["title", "description", "status", "responsible", "deadline", "priority"]

    def __init__(self, *args: object, employees: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["responsible"].queryset = employees  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.show_hidden_initial = True


class ReminderForm(forms.Form):
    at = Moment(label=_("Remind me"))
