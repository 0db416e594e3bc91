"""Forms about people: inviting, joining, placing them, and naming departments."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import Account, Department, Employee, Invitation, Role
from accounts.zones import TimeZoneField


class _InDepartment(forms.Form):
    """Offers the departments of one account; none is a choice, too."""

    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.EMPLOYEE)
    department = forms.ModelChoiceField(
        Department.objects.none(), required=False, label=_("Department"), empty_label=_("No department")
    )

    def __init__(self, *args: Any, account: Account, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        department = self.fields["department"]
        assert isinstance(department, forms.ModelChoiceField)
        department.queryset = Department.objects.filter(account=account).order_by("name")


class InviteForm(_InDepartment):
    """The name is a proposal: whoever joins says their own."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    name = forms.CharField(label=_("Name, if you know it"), max_length=200, required=False)
    field_order = ("email", "name", "role", "department")


class PlaceForm(_InDepartment):
    """Role and department of somebody who is here."""

    field_order = ("role", "department")


class JoinForm(forms.Form):
    """What the invited person says about themselves."""

    name = forms.CharField(
        label=_("Your name"), max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=256,
        help_text=_("At least 10 characters."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = TimeZoneField(own=True)

    def __init__(self, data: QueryDict | None, *, invitation: Invitation) -> None:
        initial = {"name": invitation.name, "time_zone": invitation.account.time_zone}
        super().__init__(data, initial=initial)
        self._email = invitation.email

    def clean(self) -> None:
        password = self.cleaned_data.get("password")
        if password:
            person = Employee(email=self._email, name=self.cleaned_data.get("name", ""))
            try:
                validate_password(password, person)
            except ValidationError as error:
                self.add_error("password", error)
