"""Templates of letters: their list and form, and the choice of one in a letter that is being written."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import audit
from accounts.models import Employee
from accounts.views import RequestOfEmployee
from crm import filling
from crm.models import LetterTemplate
from crm.views.frame import SECTION
from mailsync import access as mail
from mailsync.mime import writing

MOST_TEXT = 50_000


class TemplateForm(forms.ModelForm[LetterTemplate]):
    class Meta:
        model = LetterTemplate
        fields = ["name", "subject", "html", "shared"]
        labels = {
            "name": gettext_lazy("Name"),
            "subject": gettext_lazy("Subject"),
            "html": gettext_lazy("Text"),
            "shared": gettext_lazy("All colleagues may use it"),
        }
        help_texts = {
            "name": gettext_lazy("By which you find it while you write."),
            "subject": gettext_lazy("Used where the letter has none yet."),
        }
        widgets = {"html": forms.Textarea(attrs={"rows": 8, "data-rich": "letter"})}

    def clean_subject(self) -> str:
        return _known(" ".join(self.cleaned_data["subject"].split()))

    def clean_html(self) -> str:
        html = writing.clean(self.cleaned_data["html"])
        if writing.is_empty(html):
            raise ValidationError(_("Write what the letter is to say."))
        if len(html) > MOST_TEXT:
            raise ValidationError(_("This text is too long for a template."))
        return _known(html)


def _known(text: str) -> str:
    """Raises ValidationError for a field that no record has."""
    if wrong := filling.unknown(text):
        named = ", ".join(f"{{{field}}}" for field in wrong)
        raise ValidationError(
            ngettext("There is no field %(named)s.", "There are no fields %(named)s.", len(wrong))
            % {"named": named}
        )
    return text


@login_required
@never_cache
@require_safe
def templates(request: RequestOfEmployee) -> HttpResponse:
    rows = list(filling.templates_of(request.user).select_related("by"))
    for row in rows:
        row.may_change = filling.may_change(request.user, row)  # type: ignore[attr-defined]
    return render(request, "crm/templates.html", SECTION | {"rows": rows})


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def new(request: RequestOfEmployee) -> HttpResponse:
    return _edited(request, LetterTemplate(account_id=request.user.account_id, by=request.user))


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def edit(request: RequestOfEmployee, template_id: int) -> HttpResponse:
    return _edited(request, _own(request.user, template_id))


def _edited(request: RequestOfEmployee, template: LetterTemplate) -> HttpResponse:
    form = TemplateForm(request.POST or None, instance=template)
    if request.method == "POST" and form.is_valid():
        kept = form.save()
        if kept.shared or "shared" in form.changed_data:
            audit.record(
                "crm.template_saved",
                kept.name,
                account_id=kept.account_id,
                by=request.user,
                shared=kept.shared,
            )
        messages.success(request, _("“%(name)s” is saved.") % {"name": kept.name})
        return redirect("crm:templates")
    fields = [(f"{{{name}}}", told) for name, (told, _value) in filling.FIELDS.items()]
    context: dict[str, Any] = {"form": form, "template": template, "fields": fields}
    return render(request, "crm/template.html", SECTION | context, status=422 if form.errors else 200)


@login_required
@require_POST
def delete(request: RequestOfEmployee, template_id: int) -> HttpResponse:
    """Into the bin, from which the toast's button brings it back."""
    template = _own(request.user, template_id)
    LetterTemplate.objects.filter(pk=template.pk).update(binned_at=timezone.now())
    if template.shared:
        _record("crm.template_deleted", template, request.user)
    sentence = _("“%(name)s” is deleted.") % {"name": template.name}
    messages.success(request, sentence, extra_tags=f"template {template.pk}")
    return redirect("crm:templates")


@login_required
@require_POST
def restore(request: RequestOfEmployee, template_id: int) -> HttpResponse:
    template = _own(request.user, template_id)
    LetterTemplate.objects.filter(pk=template.pk).update(binned_at=None)
    messages.success(request, _("“%(name)s” is back.") % {"name": template.name})
    return redirect("crm:templates")


def _own(employee: Employee, template_id: int) -> LetterTemplate:
    """One that the employee may change, in the bin or not; Http404 else."""
    found = LetterTemplate.objects.filter(account_id=employee.account_id, pk=template_id).first()
    if found is None or not filling.may_change(employee, found):
        raise Http404
    return found


def _record(verb: str, template: LetterTemplate, by: Employee) -> None:
    audit.record(verb, template.name, account_id=template.account_id, by=by, shared=template.shared)


@login_required
@never_cache
@require_safe
def choose(request: RequestOfEmployee, outgoing_id: int) -> HttpResponse:
    """The templates as they would stand in this letter; a part of mail's page, which inserts the chosen one."""
    letter = mail.get_outgoing(request.user, outgoing_id)
    client, filled = filling.fill(filling.templates_of(request.user)[: filling.MOST], letter)
    context = {"letter": letter, "filled": filled, "names": client.names}
    return render(request, "crm/choose_template.html", context)


urls = [
    path("templates/", templates, name="templates"),
    path("templates/new/", new, name="template-new"),
    path("templates/<int:template_id>/", edit, name="template"),
    path("templates/<int:template_id>/delete/", delete, name="template-delete"),
    path("templates/<int:template_id>/restore/", restore, name="template-restore"),
    path("letters/<int:outgoing_id>/templates/", choose, name="choose-template"),
]
