"""Forms of records. Other records are typed by name or address, with suggestions; nobody scrolls through thousands."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import DomainNameValidator, validate_email
from django.utils.translation import gettext_lazy as _

from accounts.models import Employee
from crm import directory, finding
from crm.kinds import COMPANIES, CONTACTS, Kind, kind_of
from crm.models import Company, Contact, Deal, Lead, Record, Stage

MOST_ADDRESSES = 20


class EmailsField(forms.CharField):
    """Addresses, one a line; the value is a list in lower case."""

    widget = forms.Textarea(attrs={"rows": 2, "autocapitalize": "none", "spellcheck": "false"})

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value) or ""
        return list(dict.fromkeys(text.replace(",", " ").replace(";", " ").lower().split()))

    def validate(self, value: Any) -> None:
        if len(value) > MOST_ADDRESSES:
            raise ValidationError(_("At most %(n)s addresses.") % {"n": MOST_ADDRESSES})
        for address in value:
            try:
                validate_email(address)
            except ValidationError:
                raise ValidationError(
                    _("“%(address)s” is not an e-mail address.") % {"address": address}
                ) from None

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value


class RecordField(forms.CharField):
    """One record of a kind, typed; the cleaned value is what was typed, and `clean_…` of the form finds it."""

    def __init__(self, kind: Kind, **options: Any) -> None:
        options.setdefault("required", False)
        super().__init__(max_length=500, **options)
        self.kind = kind

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "autocomplete": "off"}


class RecordForm(forms.ModelForm[Record]):
    """What the forms of all four kinds share. `save` writes the record; the view gives it its addresses."""

    emails = EmailsField(
        label=_("E-mail addresses"),
        required=False,
        help_text=_("One a line; the first is the one to write to."),
    )

    class Meta:
        model: type[Record] = Contact
        fields = ["name", "responsible", "notes"]

    def __init__(self, *args: Any, employee: Employee, **options: Any) -> None:
        super().__init__(*args, **options)
        self.employee = employee
        people = Employee.objects.filter(account_id=employee.account_id).order_by("name", "pk")
        kept = self.instance.responsible_id
        responsible = self.fields["responsible"]
        assert isinstance(responsible, forms.ModelChoiceField)
        responsible.queryset = people.filter(is_active=True) | people.filter(pk=kept)
        responsible.empty_label = None
        responsible.label = _("Responsible")
        self.fields["name"].label = _("Name")
        self.fields["notes"].label = _("Notes")
        self.fields["notes"].widget.attrs["rows"] = 4
        if not kept:
            self.initial["responsible"] = employee.pk
        if not kind_of(self.instance).has_addresses:
            del self.fields["emails"]
        elif self.instance.pk:
            self.fields["emails"].initial = directory.addresses_of(self.instance)

    def clean_emails(self) -> list[str]:
        """Whose an address is is said beside the field; two at once are refused by the index."""
        addresses: list[str] = self.cleaned_data["emails"]
        for address in addresses:
            owner = directory.owner_of(self.employee.account_id, address)
            if owner and owner != self.instance:
                raise ValidationError(
                    _("%(address)s belongs to “%(owner)s” already.") % {"address": address, "owner": owner}
                )
        return addresses

    def found(self, name: str, kind: Kind) -> Record | None:
        """The record typed into a field, or None where it is empty."""
        typed = self.cleaned_data.get(name, "")
        if not typed:
            return None
        try:
            return finding.find(self.employee, kind, typed)
        except finding.NotFound as error:
            raise ValidationError(str(error)) from None


class ContactForm(RecordForm):
    company_typed = RecordField(COMPANIES, label=_("Company"), help_text=_("A new name makes a new company."))

    class Meta:
        model = Contact
        fields = ["name", "position", "phone", "responsible", "notes"]
        labels = {"position": _("Position"), "phone": _("Phone")}

    field_order = ["name", "emails", "company_typed", "position", "phone", "responsible", "notes"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        company = getattr(self.instance, "company", None)
        self.fields["company_typed"].initial = finding.label_of(company) if company else ""

    def clean_company_typed(self) -> Company | None:
        try:
            return finding.company_for(self.employee, self.cleaned_data["company_typed"])
        except finding.NotFound as error:
            raise ValidationError(str(error)) from None

    def save(self, commit: bool = True) -> Any:
        company = self.cleaned_data["company_typed"]
        if company is not None and company.pk is None:
            company.save()
        self.instance.company = company  # type: ignore[attr-defined]
        return super().save(commit)


class CompanyForm(RecordForm):
    class Meta:
        model = Company
        fields = ["name", "domain", "phone", "responsible", "notes"]
        labels = {"domain": _("Domain of their addresses"), "phone": _("Phone")}
        help_texts = {"domain": _("Mail of strangers there belongs to this company: rijnwater.example")}

    field_order = ["name", "domain", "emails", "phone", "responsible", "notes"]

    def clean_domain(self) -> str:
        domain = str(self.cleaned_data["domain"]).strip().lower().lstrip("@")
        if not domain:
            return ""
        DomainNameValidator()(domain)
        same = Company.objects.filter(account_id=self.employee.account_id, domain=domain, binned_at=None)
        for owner in same.exclude(pk=self.instance.pk)[:1]:
            raise ValidationError(
                _("%(address)s belongs to “%(owner)s” already.") % {"address": domain, "owner": owner}
            )
        return domain


class LeadForm(RecordForm):
    class Meta:
        model = Lead
        fields = ["name", "company_name", "phone", "responsible", "notes"]
        labels = {"company_name": _("Company"), "phone": _("Phone")}

    field_order = ["name", "emails", "company_name", "phone", "responsible", "notes"]


class DealForm(RecordForm):
    contact_typed = RecordField(CONTACTS, label=_("Contact"), help_text=_("Name or e-mail address."))
    company_typed = RecordField(COMPANIES, label=_("Company"))

    class Meta:
        model = Deal
        fields = ["name", "stage", "amount", "currency", "expected_on", "responsible", "notes"]
        labels = {
            "stage": _("Stage"),
            "amount": _("Amount"),
            "currency": _("Currency"),
            "expected_on": _("Expected on"),
        }
        widgets = {"expected_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")}

    field_order = [
        "name", "stage", "amount", "currency", "contact_typed", "company_typed", "expected_on", "responsible", "notes",
    ]  # fmt: skip

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stage = self.fields["stage"]
        assert isinstance(stage, forms.ModelChoiceField)
        stages = Stage.objects.filter(account_id=self.employee.account_id).select_related("pipeline")
        stage.queryset = stages.order_by("pipeline__position", "pipeline", "position")
        stage.empty_label = None
        self.fields["amount"].required = self.fields["expected_on"].required = False
        for name in ("contact", "company"):
            record = getattr(self.instance, name, None)
            typed = finding.label_of(record) if record else ""
            self.fields[f"{name}_typed"].initial = self.initial.get(f"{name}_typed") or typed

    def clean_currency(self) -> str:
        currency = str(self.cleaned_data["currency"]).strip().upper()
        if len(currency) != 3 or not currency.isalpha():
            raise ValidationError(_("Three letters, such as EUR."))
        return currency

    def clean_contact_typed(self) -> Record | None:
        return self.found("contact_typed", CONTACTS)

    def clean_company_typed(self) -> Record | None:
        return self.found("company_typed", COMPANIES)

    def save(self, commit: bool = True) -> Any:
        assert isinstance(self.instance, Deal)
        contact, company = self.cleaned_data["contact_typed"], self.cleaned_data["company_typed"]
        self.instance.contact = contact
        self.instance.company = company or (contact.company if contact else None)
        return super().save(commit)


FORMS: dict[str, type[RecordForm]] = {
    "contacts": ContactForm,
    "companies": CompanyForm,
    "leads": LeadForm,
    "deals": DealForm,
}
