"""Forms of people: adding one, and one's own settings."""

import zoneinfo

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.models import Employee


class AddEmployeeForm(forms.ModelForm[Employee]):
    """Uniqueness of the address is checked by people.add_employee: other accounts are invisible here."""

    class Meta:
        model = Employee
        fields = ["name", "email", "role"]
        labels = {"name": _("Name"), "email": _("E-mail address"), "role": _("Role")}

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()


class SettingsForm(forms.ModelForm[Employee]):
    """What an employee says about themselves."""

    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=[(zone, zone) for zone in sorted(zoneinfo.available_timezones())]
    )

    class Meta:
        model = Employee
        fields = ["name", "language", "time_zone"]
        labels = {"name": _("Name")}
