"""Which mailbox feeds CRM and how; the list of exceptions; the progress of matching again."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.core.validators import DomainNameValidator, validate_email
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit
from accounts.models import Employee
from accounts.views import RequestOfEmployee
from crm import arrivals, rematching
from crm.models import Exclusion, Feed, FeedFolder, FeedTurn, Rematch, Strangers
from crm.views.frame import SECTION
from mailsync import access as mail
from mailsync.models import Folder, Mailbox, SpecialUse


class FoldersField(forms.ModelMultipleChoiceField[Folder]):
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.path)


class FeedForm(forms.Form):
    """A mailbox's settings. Folders that never feed (spam, trash, drafts) are not offered."""

    enabled = forms.BooleanField(label=gettext_lazy("Save this mailbox's mail to CRM"), required=False)
    strangers = forms.ChoiceField(
        label=gettext_lazy("When somebody unknown writes"),
        choices=Strangers.choices,
        widget=forms.RadioSelect,
    )
    folders = FoldersField(
        label=gettext_lazy("Folders whose mail is saved"),
        queryset=Folder.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    queue = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Who gets new records, in turn"),
        queryset=Employee.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        required=False,
        help_text=gettext_lazy(
            "Nobody chosen: the mailbox's owner. Mail of clients goes to who is responsible for them."
        ),
    )

    def __init__(self, *args: Any, mailbox: Mailbox, **options: Any) -> None:
        super().__init__(*args, **options)
        folders, queue = self.fields["folders"], self.fields["queue"]
        assert isinstance(folders, forms.ModelMultipleChoiceField)
        assert isinstance(queue, forms.ModelMultipleChoiceField)
        shown = Folder.objects.filter(mailbox=mailbox, selectable=True, syncing=True, deleting=False)
        folders.queryset = shown.exclude(special_use__in=arrivals.NEVER).order_by("path")
        queue.queryset = Employee.objects.filter(account_id=mailbox.account_id, is_active=True).order_by(
            "name"
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("enabled") and "folders" in cleaned and not cleaned["folders"]:
            self.add_error("folders", _("Choose at least one folder."))
        return cleaned


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def feed(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    mailbox = mail.get_settings_of(request.user, mailbox_id)
    found = Feed.objects.filter(mailbox=mailbox).first()
    form = FeedForm(request.POST or None, mailbox=mailbox, initial=_initial(mailbox, found))
    if request.method == "POST" and form.is_valid():
        _save(request, mailbox, form.cleaned_data)
        messages.success(
            request, _("The CRM settings of %(address)s are saved.") % {"address": mailbox.address}
        )
        return redirect("crm:feed", mailbox.pk)
    running = (
        Rematch.objects.filter(account_id=mailbox.account_id, mailbox_id=mailbox.pk).order_by("-pk").first()
    )
    context = {"mailbox": mailbox, "form": form, "feed": found, "rematch": running}
    return render(request, "crm/feed.html", SECTION | context, status=422 if form.errors else 200)


@login_required
@require_POST
def again(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Match what the mailbox holds already."""
    mailbox = mail.get_settings_of(request.user, mailbox_id)
    rematching.ask(request.user, mailbox_id=mailbox.pk)
    return redirect("crm:feed", mailbox.pk)


def _initial(mailbox: Mailbox, found: Feed | None) -> dict[str, Any]:
    if found is None:
        usual = Folder.objects.filter(mailbox=mailbox, special_use__in=[SpecialUse.INBOX, SpecialUse.SENT])
        return {"strangers": Strangers.NOTHING, "folders": list(usual)}
    return {
        "enabled": found.enabled,
        "strangers": found.strangers,
        "folders": list(found.folders.values_list("folder_id", flat=True)),
        "queue": list(found.queue.values_list("employee_id", flat=True)),
    }


def _save(request: RequestOfEmployee, mailbox: Mailbox, chosen: dict[str, Any]) -> None:
    account = {"account_id": mailbox.account_id}
    made, _new = Feed.objects.update_or_create(
        mailbox=mailbox,
        defaults=account | {"enabled": chosen["enabled"], "strangers": chosen["strangers"]},
    )
    made.folders.exclude(folder__in=chosen["folders"]).delete()
    for folder in chosen["folders"]:
        FeedFolder.objects.get_or_create(folder=folder, defaults=account | {"feed": made})
    made.queue.exclude(employee__in=chosen["queue"]).delete()
    for position, employee in enumerate(chosen["queue"]):
        FeedTurn.objects.update_or_create(
            feed=made, employee=employee, defaults=account | {"position": position}
        )
    audit.record(
        "mailbox.crm_changed", mailbox.address, account_id=mailbox.account_id, by=request.user,
        enabled=made.enabled, strangers=made.strangers,
    )  # fmt: skip


@login_required
@never_cache
@require_safe
def progress(request: RequestOfEmployee, rematch_id: int) -> HttpResponse:
    """How far a matching has come; the part asks again until it is over."""
    found = get_object_or_404(Rematch, account_id=request.user.account_id, pk=rematch_id)
    return render(request, "crm/_rematch.html", {"rematch": found})


# Exceptions


class ExceptionForm(forms.Form):
    pattern = forms.CharField(
        label=gettext_lazy("Address or domain"),
        max_length=254,
        help_text=gettext_lazy("someone@example.com, or example.com for everybody there."),
        widget=forms.TextInput(attrs={"autocapitalize": "none", "spellcheck": "false"}),
    )

    def clean_pattern(self) -> str:
        pattern = str(self.cleaned_data["pattern"]).strip().lower().removeprefix("@")
        try:
            validate_email(pattern) if "@" in pattern else DomainNameValidator()(pattern)
        except ValidationError:
            raise ValidationError(
                _("“%(pattern)s” is neither an address nor a domain.") % {"pattern": pattern}
            ) from None
        return pattern


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def exceptions(request: RequestOfEmployee) -> HttpResponse:
    """Whose new mail is not saved, for the whole company; newest first."""
    form = ExceptionForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        pattern = form.cleaned_data["pattern"]
        _row, made = Exclusion.objects.get_or_create(
            account_id=request.user.account_id, pattern=pattern, defaults={"by": request.user}
        )
        if made:
            audit.record("crm.exception_added", pattern, account_id=request.user.account_id, by=request.user)
        messages.success(request, _("New mail of %(pattern)s is not saved.") % {"pattern": pattern})
        return redirect("crm:exceptions")
    rows = Exclusion.objects.filter(account_id=request.user.account_id).select_related("by").order_by("-pk")
    context = {"form": form, "rows": rows[:500]}
    return render(request, "crm/exceptions.html", SECTION | context, status=422 if form.errors else 200)


@login_required
@require_POST
def remove_exception(request: RequestOfEmployee) -> HttpResponse:
    pattern = request.POST.get("pattern", "")
    row = get_object_or_404(Exclusion, account_id=request.user.account_id, pattern=pattern)
    row.delete()
    audit.record("crm.exception_removed", pattern, account_id=request.user.account_id, by=request.user)
    sentence = _("New mail of %(pattern)s is saved again.") % {"pattern": pattern}
    messages.success(request, sentence, extra_tags=f"exception {pattern}")
    return redirect("crm:exceptions")


urls = [
    path("mailboxes/<int:mailbox_id>/", feed, name="feed"),
    path("mailboxes/<int:mailbox_id>/again/", again, name="feed-again"),
    path("matching/<int:rematch_id>/", progress, name="rematch"),
    path("exceptions/", exceptions, name="exceptions"),
    path("exceptions/remove/", remove_exception, name="exception-remove"),
]
