"""Forms of connecting and of a mailbox's settings. A password goes in and never comes back out."""

import re
from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import Employee
from mailsync import oauth, presets, roles
from mailsync.connecting import Choice, ServerSettings, why_not_address
from mailsync.mime import writing
from mailsync.mime.build import Unfit, wire_address
from mailsync.mime.headers import addresses
from mailsync.models import Folder, Mailbox, Security, SpecialUse
from mailsync.presets import Server
from mailsync.roles import FoundFolder

MOST_ALIASES = 20

_HOST = re.compile(r"^(?=.{1,253}$)[\w.-]+$|^\[?[0-9A-Fa-f:.]+\]?$")


def check_host(host: str) -> None:
    """Only a name or an address: people paste URLs and host:port."""
    if not _HOST.match(host):
        raise ValidationError(
            _("Only the server's name, such as imap.example.com; the port has its own field.")
        )


def check_one_line(text: str) -> None:
    """Line breaks end a command on the wire."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValidationError(_("Line breaks and control characters are not allowed here."))


class ServerFields(forms.Form):
    """Where and as whom; used by the wizard (nearly always left alone) and by the repair."""

    login = forms.CharField(
        label=_("Login"),
        max_length=254,
        required=False,
        validators=[check_one_line],
        help_text=_("If it is not the address."),
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )
    password = forms.CharField(
        label=_("Password or app password"),
        strip=False,
        max_length=1000,
        validators=[check_one_line],
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
    )
    imap_host = forms.CharField(label=_("Incoming server (IMAP)"), max_length=253, validators=[check_host])
    imap_port = forms.IntegerField(label=_("Port"), initial=993, required=False, min_value=1, max_value=65535)
    imap_security = forms.ChoiceField(
        label=_("Protection"), choices=Security.choices, initial=Security.TLS, required=False
    )
    smtp_host = forms.CharField(
        label=_("Outgoing server (SMTP)"),
        max_length=253,
        required=False,
        validators=[check_host],
        help_text=_("Without it you can read, not write."),
    )
    smtp_port = forms.IntegerField(label=_("Port"), initial=465, required=False, min_value=1, max_value=65535)
    smtp_security = forms.ChoiceField(
        label=_("Protection"), choices=Security.choices, initial=Security.TLS, required=False
    )

    def by_hand(self) -> ServerSettings:
        """What was typed."""
        typed = self.cleaned_data
        return ServerSettings(
            imap=Server(
                typed["imap_host"].lower(), typed["imap_port"] or 993, typed["imap_security"] or "tls"
            ),
            smtp=Server(
                typed["smtp_host"].lower(), typed["smtp_port"] or 465, typed["smtp_security"] or "tls"
            ),
            login=typed["login"],
        )


class AddressForm(ServerFields):
    """The wizard's first page: an address and a password are enough; a host typed by hand wins."""

    address = forms.EmailField(
        label=_("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "off", "autofocus": True, "spellcheck": "false"}),
    )
    provider = forms.ChoiceField(label=_("Provider"), required=False)
    # The button that was pressed: the key of a provider to which the person goes to consent.
    consent = forms.CharField(required=False, widget=forms.HiddenInput)
    field_order: tuple[str, ...] = ("address", "password", "provider")

    def __init__(
        self, data: QueryDict | None = None, *, owner: Employee, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(data, initial=initial)
        self.owner = owner
        self.fields["imap_host"].required = False
        self.fields["password"].required = False
        companies = [(preset.key, preset.name) for preset in presets.hosting_companies()]
        provider = self.fields["provider"]
        assert isinstance(provider, forms.ChoiceField)
        provider.choices = [("", _("Find it by the address")), *companies]

    def clean_address(self) -> str:
        address: str = self.cleaned_data["address"].lower()
        reason = why_not_address(self.owner.account, self.owner, address)
        if reason:
            raise ValidationError(reason)
        return address

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        address, preset = cleaned.get("address"), self.preset()
        if address and preset and preset.imap is None and not cleaned.get("imap_host"):
            self.add_error("address", str(preset.help))
        if not cleaned.get("password") and not self.consents_at() and "password" not in self.errors:
            self.add_error("password", _("Type the password."))
        return cleaned

    def consents_at(self) -> oauth.Provider | None:
        """Where the person consents instead of typing a password: what they pressed, or where the address lives."""
        typed = self.cleaned_data
        if typed.get("consent"):
            return oauth.by_key(typed["consent"])
        if typed.get("password") or typed.get("imap_host"):
            return None
        chosen = oauth.by_preset(typed.get("provider", ""))
        return chosen or oauth.for_address(typed.get("address", ""))

    def preset(self) -> presets.Preset | None:
        """The provider that was chosen, or that the address tells."""
        chosen = self.cleaned_data.get("provider")
        return presets.by_key(chosen) if chosen else presets.for_address(self.cleaned_data.get("address", ""))

    def servers(self) -> ServerSettings:
        """By hand, by provider, or with an empty host: a worker looks for it."""
        typed, preset = self.cleaned_data, self.preset()
        if typed["imap_host"]:
            settings = self.by_hand()
            return ServerSettings(settings.imap, settings.login or typed["address"], settings.smtp)
        if preset and preset.imap and preset.smtp:
            return ServerSettings(
                preset.imap, typed["login"] or preset.login_for(typed["address"]), preset.smtp
            )
        return ServerSettings(Server("", 993, Security.TLS), typed["login"])

    @property
    def unfolded(self) -> bool:
        """Whether the details must be seen: something in them was typed or is wrong."""
        details = ("provider", "login", "imap_host", "smtp_host", "imap_port", "smtp_port")
        return any(self[name].errors for name in details) or any(self[name].value() for name in details[:4])


class RepairForm(ServerFields):
    """Servers, login and password of a mailbox that exists; the password is typed anew, always."""

    def __init__(self, data: QueryDict | None = None, *, mailbox: Mailbox) -> None:
        initial = {
            name: getattr(mailbox, name)
            for name in (
                "login", "imap_host", "imap_port", "imap_security", "smtp_host", "smtp_port", "smtp_security",
            )
        }  # fmt: skip
        super().__init__(data, initial=initial)
        self.fields["login"].required = True
        self.fields["login"].help_text = ""

    def servers(self) -> ServerSettings:
        return self.by_hand()


class RoleFields(forms.Form):
    """One select a role; keys are whatever names a folder for the caller."""

    def add_roles(self, folders: Iterable[tuple[str, str]], now: dict[str, str]) -> None:
        choices = [("", _("None")), *folders]
        for role in roles.CHOOSABLE:
            self.fields[f"role_{role}"] = forms.ChoiceField(
                label=SpecialUse(role).label, choices=choices, required=False, initial=now.get(role, "")
            )

    def chosen_roles(self) -> dict[str, str]:
        found = {role: self.cleaned_data.get(f"role_{role}", "") for role in roles.CHOOSABLE}
        return {role: key for role, key in found.items() if key}

    def role_fields(self) -> list[forms.BoundField]:
        return [self[f"role_{role}"] for role in roles.CHOOSABLE]

    def check_roles(self) -> None:
        picked = list(self.chosen_roles().values())
        for role in roles.CHOOSABLE:
            key = self.cleaned_data.get(f"role_{role}")
            if key and picked.count(key) > 1:
                self.add_error(f"role_{role}", _("One folder cannot have two roles."))


class ChooseForm(RoleFields):
    """The wizard's last page: folders, roles, days, the sender's name. Folders are known by their number."""

    folders = forms.MultipleChoiceField(
        label=_("Folders"), error_messages={"required": _("Choose at least one folder.")}
    )
    sender_name = forms.CharField(
        label=_("Your name, as recipients see it"),
        max_length=200,
        required=False,
        validators=[check_one_line],
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        found: list[FoundFolder],
        fetch_days: int,
        sender_name: str,
    ) -> None:
        self.found = found
        worth = [str(n) for n, folder in enumerate(found) if folder.worth_syncing]
        super().__init__(
            data, initial={"folders": worth, "fetch_days": fetch_days, "sender_name": sender_name}
        )
        self.fields["fetch_days"] = self._days(fetch_days)
        selectable = [(str(n), folder.path) for n, folder in enumerate(found) if folder.selectable]
        _choices(self.fields["folders"], selectable)
        ordinary = [pair for pair in selectable if self._may_have_role(found[int(pair[0])])]
        number = {folder.name: str(n) for n, folder in enumerate(found)}
        self.add_roles(ordinary, {role: number[name] for role, name in roles.guess(found).items()})

    @staticmethod
    def _days(most: int) -> forms.IntegerField:
        return forms.IntegerField(
            label=_("Days to fetch"), initial=most, min_value=min(1, most), max_value=most
        )

    @staticmethod
    def _may_have_role(folder: FoundFolder) -> bool:
        return folder.name.upper() != b"INBOX" and not folder.is_virtual

    def clean(self) -> dict[str, Any]:
        self.check_roles()
        return super().clean() or self.cleaned_data

    def choice(self) -> Choice:
        return Choice(
            folders={self.found[int(n)].name for n in self.cleaned_data["folders"]},
            roles={role: self.found[int(n)].name for role, n in self.chosen_roles().items()},
        )


class FoldersForm(RoleFields):
    """Folders and roles of a mailbox that exists, by id."""

    folders = forms.MultipleChoiceField(
        label=_("Folders"), error_messages={"required": _("Choose at least one folder.")}
    )

    def __init__(self, data: QueryDict | None = None, *, rows: list[Folder]) -> None:
        super().__init__(data, initial={"folders": [str(row.pk) for row in rows if row.syncing]})
        seen = set(data.getlist("shown")) if data is not None else set()
        self.shown = {row.pk for row in rows if str(row.pk) in seen}
        self._unseen = {str(row.pk) for row in rows if row.syncing} - seen
        selectable = [row for row in rows if row.selectable]
        _choices(self.fields["folders"], [(str(row.pk), row.path) for row in selectable])
        ordinary = [row for row in selectable if row.special_use in ("", *roles.CHOOSABLE)]
        self.add_roles(
            [(str(row.pk), row.path) for row in ordinary],
            {row.special_use: str(row.pk) for row in ordinary if row.special_use},
        )

    def clean(self) -> dict[str, Any]:
        self.check_roles()
        return super().clean() or self.cleaned_data

    def ticked(self) -> set[str]:
        """As it was sent; what came since the page was opened, as it is."""
        return self._unseen | set(self["folders"].value() or [])

    def chosen(self) -> set[int]:
        return {int(pk) for pk in self.cleaned_data["folders"]}

    def role_ids(self) -> dict[str, int]:
        return {role: int(pk) for role, pk in self.chosen_roles().items()}


class FolderNameForm(forms.Form):
    """One name; what is wrong with it, the verb says."""

    name = forms.CharField(label=_("Name"), error_messages={"required": _("Type a name for the folder.")})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Without `maxlength`: nothing that is pasted is cut off unseen.
        self.fields["name"].widget.attrs |= {"autofocus": True, "autocomplete": "off", "dir": "auto"}


class PlacedFolderForm(FolderNameForm):
    """A name and the folder it is in; without one it stands at the top."""

    parent = forms.TypedChoiceField(label=_("Inside"), required=False, empty_value=None)

    def __init__(
        self, data: QueryDict | None = None, *, rows: list[Folder], inside: Folder | None, name: str = ""
    ) -> None:
        super().__init__(data, initial={"name": name, "parent": inside.pk if inside else ""})
        by_id = {str(row.pk): row for row in rows}
        field = self.fields["parent"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [("", _("Nothing: at the top")), *((pk, row.path) for pk, row in by_id.items())]
        field.coerce = by_id.__getitem__


class SenderForm(forms.Form):
    """The sender's name, further addresses of the mailbox, and the signature as HTML of our editor."""

    sender_name = forms.CharField(
        label=_("Your name, as recipients see it"),
        max_length=200,
        required=False,
        validators=[check_one_line],
    )
    aliases = forms.CharField(
        label=_("Further addresses to send under"),
        help_text=_("One a line, such as: Sales <sales@example.com>. The outgoing server must allow them."),
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        required=False,
        max_length=4000,
    )
    signature = forms.CharField(
        label=_("Signature"),
        widget=forms.Textarea(attrs={"rows": 5, "data-rich": ""}),
        required=False,
        max_length=20_000,
    )

    def clean_aliases(self) -> list[list[str]]:
        found = [
            person for line in self.cleaned_data["aliases"].splitlines() for person in addresses(line, 1)
        ]
        for person in found[:MOST_ALIASES]:
            try:
                wire_address(person.address)
            except Unfit as error:
                raise forms.ValidationError(str(error)) from None
        return [[person.name, person.address] for person in found[:MOST_ALIASES]]

    def clean_signature(self) -> str:
        cleaned = writing.clean(self.cleaned_data["signature"])
        return "" if writing.is_empty(cleaned) else cleaned


def _choices(field: forms.Field, choices: list[tuple[str, str]]) -> None:
    assert isinstance(field, forms.ChoiceField)
    field.choices = choices
