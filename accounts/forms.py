"""Forms of people: adding one, and one's own settings."""

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from accounts.models import Employee, time_zones


class AddEmployeeForm(forms.ModelForm[Employee]):
    """An address of another account is invisible here: people.add_employee meets it in the index."""

    class Meta:
        model = Employee
        fields = ["name", "email", "role"]
        labels = {"name": _("Name"), "email": _("E-mail address"), "role": _("Role")}
        error_messages = {"email": {"unique": _("Somebody already signs in with this address.")}}

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()


class SettingsForm(forms.ModelForm[Employee]):
    """What an employee says about themselves."""

    language = forms.ChoiceField(label=_("Language"), choices=settings.LANGUAGES)
    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=[(zone, zone) for zone in sorted(time_zones())]
    )

    class Meta:
        model = Employee
        fields = ["name", "language", "time_zone"]
        labels = {"name": _("Name")}
