"""Asking those who run Mailbound for another plan, where admins may not change it, and their answer."""

from datetime import date
from functools import partial

import structlog
from celery import current_app
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from accounts import audit, tenancy
from accounts.models import Account, Employee
from plans.models import Answer, PlanRequest
from plans.offers import plan_name
from plans.subscriptions import change_plan

log = structlog.get_logger(__name__)


@transaction.atomic
def ask(account: Account, plan: str, *, on: date, by: Employee) -> PlanRequest:
    """A later request takes the place of one that is open."""
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)
    _settle(PlanRequest.objects.filter(account=account, answer=Answer.OPEN), Answer.WITHDRAWN)
    made = PlanRequest.objects.create(account=account, plan=plan, on=on, asked_by=by.email)
    audit.record("plan.asked_for", plan, account_id=account.pk, by=by, on=on.isoformat())
    if settings.EMAIL_URL and settings.OPERATOR_EMAILS:
        transaction.on_commit(partial(_hint, made.pk))
    return made


@transaction.atomic
def withdraw(account: Account, *, by: Employee) -> bool:
    """False where nothing was open any more."""
    plan = (
        PlanRequest.objects.filter(account=account, answer=Answer.OPEN).values_list("plan", flat=True).first()
    )
    if plan is None or not _settle(PlanRequest.objects.filter(account=account), Answer.WITHDRAWN):
        return False
    audit.record("plan.request_withdrawn", plan, account_id=account.pk, by=by)
    return True


def answer(request: PlanRequest, *, give: bool, by: Employee) -> bool:
    """An operator gives the plan, from the day that was asked for or from today on, or declines.

    False where somebody has answered already. In the log of the company and of the operator's own. Raises
    UnknownPlanError.
    """
    with tenancy.acting_for(request.account_id):
        if not _settle(PlanRequest.objects.filter(pk=request.pk), Answer.GIVEN if give else Answer.DECLINED):
            return False
        account = Account.objects.get(pk=request.account_id)
        if give:
            change_plan(account, request.plan, on=max(request.on, account.today()), by=None)
        else:
            audit.record("plan.request_declined", request.plan, account_id=account.pk, by=None)
    verb = "plan_request.given" if give else "plan_request.declined"
    audit.record(
        verb, account.name, account_id=by.account_id, by=by, plan=request.plan, on=request.on.isoformat()
    )
    return True


def newest(account: Account) -> PlanRequest | None:
    return PlanRequest.objects.filter(account=account).order_by("-at", "-pk").first()


def mail(request_id: int) -> None:
    """To those who run Mailbound."""
    request = PlanRequest.objects.select_related("account").filter(pk=request_id, answer=Answer.OPEN).first()
    if request is None:
        return
    words = {
        "company": request.account.name,
        "plan": plan_name(request.plan),
        "day": date_format(request.on, "DATE_FORMAT"),
        "who": request.asked_by,
    }
    subject = _("%(company)s asks for the plan %(plan)s") % words
    text = _(
        "%(who)s asks that the plan of %(company)s is %(plan)s from %(day)s on. You answer on the pages of operators, "
        "under “requests for plans”."
    )
    try:
        send_mail(subject, text % words + "\n", None, settings.OPERATOR_EMAILS)
    except (
        OSError
    ) as error:  # smtplib's errors are OSErrors; the request waits on the operators' page all the same
        log.warning("plan_request_not_mailed", error=type(error).__name__)


def _settle(found: QuerySet[PlanRequest], answered: Answer) -> int:
    """Once: who comes second finds nothing open."""
    return found.filter(answer=Answer.OPEN).update(answer=answered, answered_at=timezone.now())


def _hint(request_id: int) -> None:
    try:
        current_app.send_task("plans.mail_request", args=[request_id], queue="bulk", retry=False)
    except OperationalError:
        log.warning("plan_request_hint_lost")
