"""Sign-up of a company, where the installation is open for it: the form, the letter, the link in it."""

import structlog
from allauth.account.adapter import get_adapter
from allauth.core import ratelimit
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts import tenancy
from plans import signing_up
from plans.signing_up import Application, SignUpForm, StaleLink

log = structlog.get_logger(__name__)


@never_cache
@require_http_methods(["GET", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    """Makes the company at once, or after a click in a letter where the installation can send one."""
    if request.user.is_authenticated:
        return redirect("mail:inbox")
    if not settings.SIGN_UP:
        return render(request, "plan/sign_up_closed.html", status=403)
    form = SignUpForm(request.POST or None)
    if request.method == "GET" or not form.is_valid():
        return _page(request, form)
    if not ratelimit.consume(request, action="sign_up", key=form.cleaned_data["email"]):
        form.add_error(None, _("Too many sign-ups were tried from here. Try again in an hour."))
        return _page(request, form, status=429)
    if settings.EMAIL_URL:
        return _asked_to_confirm(request, form)
    return _carried_out(request, form.application(), form)


# It talks to the mail server.
sign_up.opens_own_transactions = True  # type: ignore[attr-defined]


@never_cache
@require_http_methods(["GET", "POST"])
def confirm(request: HttpRequest) -> HttpResponse:
    """The link of the letter. Looking changes nothing, because programs that check mail open links, too."""
    if not settings.SIGN_UP:
        return render(request, "plan/sign_up_closed.html", status=403)
    token = request.POST.get("t", "") or request.GET.get("t", "")
    try:
        application = signing_up.application_of(token)
    except StaleLink:
        return render(request, "plan/sign_up_stale.html", status=410)
    if request.method == "POST":
        return _carried_out(request, application, None)
    return render(request, "plan/sign_up_confirm.html", {"application": application, "token": token})


def _page(request: HttpRequest, form: SignUpForm, status: int = 422) -> HttpResponse:
    status = 200 if request.method == "GET" else status
    return render(
        request, "plan/sign_up.html", {"form": form, "by_mail": bool(settings.EMAIL_URL)}, status=status
    )


def _carried_out(request: HttpRequest, application: Application, form: SignUpForm | None) -> HttpResponse:
    """The admin is signed in. What somebody else took meanwhile is a sentence."""
    try:
        with transaction.atomic():
            admin = signing_up.carry_out(application)
            tenancy.enter(admin.account_id)
            get_adapter(request).login(request, admin)
    except ValidationError as error:
        if form is None:
            return render(request, "plan/sign_up_taken.html", {"sentences": error.messages}, status=409)
        form.add_error(None, error.messages)
        return _page(request, form)
    log.info("company_signed_up", account=admin.account_id)
    return redirect("mail:inbox")


def _asked_to_confirm(request: HttpRequest, form: SignUpForm) -> HttpResponse:
    """The same page whether the address is known or not: only its owner learns which."""
    application = form.application()
    try:
        send_mail(*_letter(request, application), None, [application.email])
    except OSError as error:  # smtplib's errors are OSErrors
        log.warning("sign_up_not_mailed", error=type(error).__name__)
        form.add_error(None, _("The letter to your address could not be sent. Try again in a few minutes."))
        return _page(request, form, status=503)
    return render(request, "plan/sign_up_sent.html", {"email": application.email})


def _letter(request: HttpRequest, application: Application) -> tuple[str, str]:
    if signing_up.signs_in_already(application.email):
        text = _(
            "Somebody wanted to sign up %(company)s with your address. You sign in with it already: %(link)s"
        )
        link = request.build_absolute_uri(reverse("account_login"))
        return _("You sign in to Mailbound already"), text % {"company": application.company, "link": link}
    link = request.build_absolute_uri(f"{reverse('signing_up:confirm')}?t={signing_up.token_of(application)}")
    text = _(
        "This link makes %(company)s in Mailbound, with you as its admin. It works for one day.\n\n%(link)s\n\n"
        "If you did not ask for this, do nothing: nothing was stored."
    )
    return _("Confirm your address"), text % {"company": application.company, "link": link}
