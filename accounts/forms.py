"""Forms of one's own settings, and the company's."""

from typing import Any

from allauth.account import forms as allauth
from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.languages import AsksForLanguage, LanguageField
from accounts.models import Account, Employee
from accounts.zones import TimeZoneField


class LoginForm(allauth.LoginForm):  # type: ignore[misc]
    """allauth's, in our words."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        login = self.fields["login"]
        login.label = _("E-mail address")
        del login.widget.attrs["placeholder"]


class SettingsForm(AsksForLanguage, forms.ModelForm[Employee]):
    """What an employee says about themselves."""

    time_zone = TimeZoneField()
    language = LanguageField()

    class Meta:
        model = Employee
        fields = ["name", "time_zone", "language"]
        labels = {"name": _("Name")}


class CompanyForm(AsksForLanguage, forms.ModelForm[Account]):
    """What an admin says about the company."""

    time_zone = TimeZoneField(
        help_text=_("Where the days of the company begin: plans, months of sending and purges go by it."),
    )
    language = LanguageField(help_text=_("Of people who join from now on; each can choose another."))

    class Meta:
        model = Account
        fields = ["name", "time_zone", "language", "two_factor_demanded"]
        labels = {
            "name": _("Name of the company"),
            "two_factor_demanded": _("Everybody signs in with a second factor"),
        }
        help_texts = {
            "two_factor_demanded": _(
                "Who has none yet, you too, is led to set one up at once; nothing else opens until then."
            )
        }
        error_messages = {"name": {"unique": _("There is a company of this name already.")}}

    def clean_name(self) -> str:
        name = " ".join(str(self.cleaned_data["name"]).split())
        if Account.objects.filter(name__iexact=name).exclude(pk=self.instance.pk).exists():
            raise forms.ValidationError(_("There is a company of this name already."))
        return name


class DeleteCompanyForm(forms.Form):
    """Who is there knows the password, and means this company."""

    name = forms.CharField(
        label=_("Type the name of the company"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def __init__(self, *args: Any, employee: Employee, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.employee = employee

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if name != self.employee.account.name:
            raise forms.ValidationError(_("This is not its name."))
        return name

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if not self.employee.check_password(password):
            raise forms.ValidationError(_("This is not your password."))
        return password
