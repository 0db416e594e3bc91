"""Sign-up of a company by a stranger: what they fill in, and the sealed link that confirms their address.

Nothing is stored before the address is confirmed: the link itself carries what was filled in, encrypted, with the
hash of the password. So nobody can hold a company's name or somebody's address with a sign-up that is not finished.
"""

import json
from dataclasses import asdict, dataclass
from datetime import timedelta

from django import forms
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts import sealing, tenancy
from accounts.models import Account, Employee
from accounts.zones import TimeZoneField
from plans.catalogue import TRIAL
from plans.founding import found

LINK_LASTS = timedelta(days=1)
_PURPOSE = "sign-up"


class StaleLink(Exception):
    """The link is too old, cut off, or not ours."""


@dataclass(frozen=True, slots=True)
class Application:
    """A sign-up that is ready to be carried out; the password is a hash already."""

    company: str
    name: str
    email: str
    password_hash: str
    time_zone: str


class SignUpForm(forms.Form):
    """Company, person, and where the company's days begin (the browser proposes its own zone)."""

    company = forms.CharField(
        label=_("Company"),
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "organization", "autofocus": True}),
    )
    name = forms.CharField(
        label=_("Your name"), max_length=200, widget=forms.TextInput(attrs={"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("Your e-mail address"),
        max_length=254,
        help_text=_("You will sign in with it."),
        widget=forms.EmailInput(attrs={"autocomplete": "username"}),
    )
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        max_length=256,
        help_text=_("At least 10 characters."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    time_zone = TimeZoneField(own=True, initial="UTC", help_text=_("Where the days of your company begin."))

    def clean_company(self) -> str:
        company = " ".join(str(self.cleaned_data["company"]).split())
        if Account.objects.filter(name__iexact=company).exists():
            raise ValidationError(_("There is a company of this name already."))
        return company

    def clean_email(self) -> str:
        return str(self.cleaned_data["email"]).strip().lower()

    def clean(self) -> None:
        password = self.cleaned_data.get("password")
        if password:
            told = {name: self.cleaned_data.get(name, "") for name in ("email", "name")}
            try:
                validate_password(password, Employee(**told))
            except ValidationError as error:
                self.add_error("password", error)

    def application(self) -> Application:
        given = self.cleaned_data
        return Application(
            company=given["company"],
            name=given["name"],
            email=given["email"],
            password_hash=make_password(given["password"]),
            time_zone=given["time_zone"],
        )


def token_of(application: Application) -> str:
    return sealing.encrypt(json.dumps([_PURPOSE, asdict(application)])).decode()


def application_of(token: str) -> Application:
    """Raises StaleLink."""
    try:
        purpose, fields = json.loads(sealing.decrypt(token.encode(), seconds=int(LINK_LASTS.total_seconds())))
    except (sealing.InvalidToken, ValueError) as error:
        raise StaleLink from error
    if purpose != _PURPOSE:
        raise StaleLink
    return Application(**fields)


@transaction.atomic
def carry_out(application: Application) -> Employee:
    """Make the company with its trial, and return its admin. Raises ValidationError as `founding.found`."""
    admin = found(
        application.company,
        plan=TRIAL,
        email=application.email,
        name=application.name,
        time_zone=application.time_zone,
        password=None,
    )
    with tenancy.acting_for(admin.account_id):
        admin.password = application.password_hash
        admin.save(update_fields=["password"])
    return admin


def signs_in_already(email: str) -> bool:
    with transaction.atomic():  # the look across the wall lasts as long as a transaction
        return tenancy.account_of_address(email) is not None
