"""What a person must see about their sign-in, company or work: on their pages, and by e-mail where one can be sent."""

from collections.abc import Iterable, Mapping
from functools import partial

import structlog
from celery import current_app
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from accounts import tenancy
from accounts.models import Employee, NoticeKind, PersonalNotice

log = structlog.get_logger(__name__)


def tell(employee: Employee, kind: NoticeKind, **details: object) -> None:
    """In the running transaction; `details` are JSON and what `sentence` needs."""
    tell_each([(employee, details)], kind)


def tell_each(told: Iterable[tuple[Employee, Mapping[str, object]]], kind: NoticeKind) -> None:
    """The same for many people of one account, to each with details of their own."""
    rows = PersonalNotice.objects.bulk_create(
        PersonalNotice(account_id=employee.account_id, employee=employee, kind=kind, details=details)
        for employee, details in told
    )
    if settings.EMAIL_URL and rows:
        transaction.on_commit(partial(_hint, rows[0].account_id))


def unseen(employee: Employee) -> list[PersonalNotice]:
    return list(PersonalNotice.objects.filter(employee=employee, seen_at=None).order_by("-pk"))


def see(notice: PersonalNotice) -> None:
    PersonalNotice.objects.filter(pk=notice.pk, seen_at=None).update(seen_at=timezone.now())


def sentence(notice: PersonalNotice) -> str:
    """In the language that is active."""
    return str(_SENTENCES[NoticeKind(notice.kind)]() % notice.details)


def mail(account_id: int) -> None:
    """Send by e-mail what was not sent yet. Claimed first: killed in between, none is sent twice."""
    with tenancy.acting_for(account_id):
        waiting = PersonalNotice.objects.filter(account_id=account_id, mailed_at=None)
        ids = list(waiting.values_list("pk", flat=True))
    for pk in ids:
        with tenancy.acting_for(account_id):
            if not PersonalNotice.objects.filter(pk=pk, mailed_at=None).update(mailed_at=timezone.now()):
                continue
            notice = PersonalNotice.objects.select_related("employee").get(pk=pk)
            employee = notice.employee
        with translation.override(employee.language):
            _send(employee.email, _("About you and your company in Mailbound"), sentence(notice))


def _send(address: str, subject: str, text: str) -> None:
    try:
        send_mail(subject, text, None, [address])
    except OSError as error:  # smtplib's errors are OSErrors; the notice stands in the product all the same
        log.warning("notice_not_mailed", error=type(error).__name__)


def _hint(account_id: int) -> None:
    try:
        current_app.send_task("accounts.mail_notices", args=[account_id], queue="bulk", retry=False)
    except OperationalError:
        log.warning("notice_hint_lost")


_SENTENCES = {
    NoticeKind.TWO_FACTOR_RESET: lambda: _(
        "%(by)s removed your two-factor sign-in: a password is enough again. If you did not ask for that, change "
        "your password and talk to them."
    ),
    NoticeKind.DELETION_PLANNED: lambda: _(
        "%(by)s wants %(company)s deleted with everything in it, on %(day)s. Until then any admin can call it off in "
        "the company settings."
    ),
    NoticeKind.DELETION_CALLED_OFF: lambda: _("%(by)s called off that %(company)s is deleted."),
    NoticeKind.MAIL_EXPORTED: lambda: _(
        "Those who run this installation exported the company with all mail, that of %(addresses)s too. They say why: "
        "%(reason)s"
    ),
    NoticeKind.PASSWORD_WANTED: lambda: _(
        "%(by)s wants %(addresses)s connected for you. Type the password on the page of your mailboxes."
    ),
    NoticeKind.SET_ASIDE: lambda: _(
        "The mailbox %(address)s was set aside: three times in a row the process that synchronised it was killed. The "
        "mail that is here stays, the others go on. “Try now” above its mail has it tried again."
    ),
    NoticeKind.INHERITED: lambda: _(
        "%(by)s made you responsible for what %(who)s held. Open tasks: %(tasks)s. Records in CRM: %(records)s."
    ),
}
