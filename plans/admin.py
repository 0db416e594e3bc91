"""Operators edit the dated rows of plans and answer requests here; each change is in the log of their own company."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit
from accounts.operating import OperatorSite, is_operator
from accounts.requests import id_or_none
from plans import nudging, requesting
from plans.forms import PlanLimitsForm, has_begun
from plans.models import Answer, PlanLimits, PlanRequest
from plans.subscriptions import UnknownPlanError

site = OperatorSite()


@admin.register(PlanLimits, site=site)
class PlanLimitsAdmin(admin.ModelAdmin[PlanLimits]):
    """A row whose day has begun is read-only and stays; a newer one may follow it."""

    form = PlanLimitsForm
    list_display = (
        "plan", "effective_from", "follow", "sync_enabled", "storage_days", "fetch_days", "mailboxes", "shared",
        "outgoing", "crm_bound_stays",
    )  # fmt: skip
    list_filter = ("plan",)
    ordering = ("plan", "-effective_from")
    actions = None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def has_view_permission(self, request: HttpRequest, _obj: PlanLimits | None = None) -> bool:
        return is_operator(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def has_change_permission(self, request: HttpRequest, obj: PlanLimits | None = None) -> bool:
        return is_operator(request) and not (obj and has_begun(obj.effective_from, timezone.now()))

    has_delete_permission = has_change_permission

    def get_urls(self) -> list[Any]:
        return [each for each in super().get_urls() if each.name]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """`after` names the row that the new one follows: its numbers to begin with."""
        after = id_or_none(request.GET.get("after"))
        row = PlanLimits.objects.filter(pk=after).first() if after else None
        if row is None:
            return {}
        return {
            name: getattr(row, name)
            for name in PlanLimitsForm.Meta.fields
            if name not in ("effective_from", "source", "reading")
        }

    def save_model(
        self, request: HttpRequest, obj: PlanLimits, form: ModelForm[PlanLimits], change: bool
    ) -> None:
        super().save_model(request, obj, form, change)
        _record("plan_row.changed" if change else "plan_row.added", obj, request)
        nudging.nudge()

    def delete_model(self, request: HttpRequest, obj: PlanLimits) -> None:
        _record("plan_row.deleted", obj, request)
        nudging.nudge()
        super().delete_model(request, obj)

    @admin.display(description=gettext_lazy("mailboxes per employee"))
    def mailboxes(self, row: PlanLimits) -> str:
        return said(row.mailboxes_per_employee)

    @admin.display(description=gettext_lazy("shared mailboxes"))
    def shared(self, row: PlanLimits) -> str:
        return said(row.shared_mailboxes)

    @admin.display(description=gettext_lazy("outgoing per month"))
    def outgoing(self, row: PlanLimits) -> str:
        return said(row.outgoing_per_month)

    @admin.display(description="")
    def follow(self, row: PlanLimits) -> str:
        address = reverse("admin:plans_planlimits_add", current_app=site.name)
        return format_html('<a href="{}?after={}">{}</a>', address, row.pk, _("add a newer one"))


@admin.register(PlanRequest, site=site)
class PlanRequestAdmin(admin.ModelAdmin[PlanRequest]):
    """What companies ask for: a list with two acts. Nothing is typed here, so there are no other pages."""

    list_display = ("account", "plan", "on", "asked_by", "at", "answer", "answered_at")
    list_display_links = None
    list_filter = ("answer",)
    list_select_related = ("account",)
    ordering = ("-at",)
    actions = ("give", "decline")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_operator(request)

    def has_view_permission(self, request: HttpRequest, _obj: PlanRequest | None = None) -> bool:
        return is_operator(request)

    def has_add_permission(self, _request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: PlanRequest | None = None) -> bool:  # noqa: ARG002 (Django's signature)
        return False

    has_delete_permission = has_change_permission

    def get_urls(self) -> list[Any]:
        return [each for each in super().get_urls() if each.name == "plans_planrequest_changelist"]

    @admin.action(description=gettext_lazy("Give the plan"))
    def give(self, request: HttpRequest, chosen: QuerySet[PlanRequest]) -> None:
        _answer(request, chosen, give=True)

    @admin.action(description=gettext_lazy("Decline"))
    def decline(self, request: HttpRequest, chosen: QuerySet[PlanRequest]) -> None:
        _answer(request, chosen, give=False)


def _answer(request: HttpRequest, chosen: QuerySet[PlanRequest], *, give: bool) -> None:
    for asked in chosen.filter(answer=Answer.OPEN):
        try:
            requesting.answer(asked, give=give, by=request.user)  # type: ignore[arg-type]
        except UnknownPlanError as error:
            messages.error(request, f"{asked.account}: {error}")
        else:
            messages.success(request, _("%(company)s is answered.") % {"company": asked.account})


def said(limit: int | None) -> str:
    """A limit in words, where it is none or nothing."""
    if limit is None:
        return _("unlimited")
    return str(limit) if limit else _("not available")


def _record(verb: str, row: PlanLimits, request: HttpRequest) -> None:
    operator = request.user
    numbers = {
        name: getattr(row, name) for name in PlanLimitsForm.Meta.fields if name not in ("plan", "reading")
    }
    numbers["effective_from"] = row.effective_from.isoformat()
    audit.record(verb, row.plan, account_id=operator.account_id, by=operator, **numbers)  # type: ignore[union-attr, arg-type]
