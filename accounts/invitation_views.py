"""Inviting somebody, for admins; and the page behind the link, for whoever was invited."""

import structlog
from allauth.account.adapter import get_adapter
from allauth.core import ratelimit
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import inviting, tenancy
from accounts.inviting import CannotJoin
from accounts.models import Invitation
from accounts.people_forms import InviteForm, JoinForm
from accounts.people_views import SECTION, list_page
from accounts.views import RequestOfEmployee, admin_required

log = structlog.get_logger(__name__)


# For admins


@admin_required
@require_POST
@never_cache
def invite(request: RequestOfEmployee) -> HttpResponse:
    with tenancy.acting_for(request.user.account_id):
        form = InviteForm(request.POST, account=request.user.account)
        invitation = _invited(request, form)
        if invitation is None:
            return list_page(request, form, status=422)
        token = inviting.new_link(invitation, by=request.user)
    return _delivered(request, invitation, token)


def _invited(request: RequestOfEmployee, form: InviteForm) -> Invitation | None:
    if not form.is_valid():
        return None
    try:
        return inviting.invite(by=request.user, **form.cleaned_data)
    except ValidationError as error:
        form.add_error(None, error)
        return None


@admin_required
@require_POST
@never_cache
def send_again(request: RequestOfEmployee, invitation_id: int) -> HttpResponse:
    """A new link, by mail; with `show` it is handed over by the admin. The one before works no more."""
    try:
        with tenancy.acting_for(request.user.account_id):
            invitation = inviting.get_invitation(request.user, invitation_id)
            token = inviting.new_link(invitation, by=request.user)
    except CannotJoin as refusal:
        messages.error(request, str(refusal))
        return redirect("people:employees")
    return _delivered(request, invitation, token, by_mail="show" not in request.POST)


# Both talk to the mail server.
invite.opens_own_transactions = True  # type: ignore[attr-defined]
send_again.opens_own_transactions = True  # type: ignore[attr-defined]


@admin_required
@require_POST
def withdraw(request: RequestOfEmployee, invitation_id: int) -> HttpResponse:
    invitation = inviting.get_invitation(request.user, invitation_id)
    try:
        inviting.withdraw(invitation, by=request.user)
    except CannotJoin as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(
            request,
            _("The invitation of %(who)s is withdrawn: its link opens nothing.") % {"who": invitation},
        )
    return redirect("people:employees")


def _delivered(
    request: RequestOfEmployee, invitation: Invitation, token: str, *, by_mail: bool = True
) -> HttpResponse:
    """By mail where the installation can send; else the link is shown, here and now only."""
    link = request.build_absolute_uri(f"{reverse('people:join')}?t={token}")
    refusal = _mailed(request, invitation, link) if settings.EMAIL_URL and by_mail else None
    if refusal == "":
        messages.success(request, _("An invitation is on its way to %(who)s.") % {"who": invitation})
        return redirect("people:employees")
    context = {**SECTION, "invitation": invitation, "link": link, "refusal": refusal}
    return render(request, "accounts/people/link_once.html", context)


def _mailed(request: RequestOfEmployee, invitation: Invitation, link: str) -> str:
    """ "" where the letter is on its way, else why not."""
    # A company that anybody may make must not become a way to write to strangers.
    if not ratelimit.consume(request, action="invite", key=str(invitation.account_id)):
        return _("Many invitations were mailed in the last hour, so this one was not.")
    try:
        send_mail(*_letter(request, invitation, link), None, [invitation.email])
    except OSError as error:  # smtplib's errors are OSErrors
        log.warning("invitation_not_mailed", error=type(error).__name__)
        return _("The letter could not be sent just now.")
    with tenancy.acting_for(invitation.account_id):
        inviting.mailed(invitation)
    return ""


def _letter(request: RequestOfEmployee, invitation: Invitation, link: str) -> tuple[str, str]:
    until = timezone.now() + inviting.LIVES
    said = {
        "who": request.user,
        "company": request.user.account,
        "link": link,
        "until": date_format(timezone.localtime(until)),
        "email": invitation.email,
    }
    text = _(
        "%(who)s invites you to the mail of %(company)s in Mailbound. Choose your password here:\n\n%(link)s\n\n"
        "The link works once, until %(until)s. You will sign in with %(email)s.\n"
        "If you do not know what this is about, do nothing."
    )
    subject = _("%(who)s invites you to %(company)s") % said
    return " ".join(subject.split()), text % said  # names may hold line ends, subjects must not


# For whoever was invited


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def join(request: HttpRequest) -> HttpResponse:
    """Looking changes nothing, because programs that check mail open links, too."""
    token = request.POST.get("t", "") or request.GET.get("t", "")
    try:
        account_id = inviting.account_of(token)
        if request.user.is_authenticated:
            return render(request, "accounts/people/join_signed_in.html", status=409)
        with tenancy.acting_for(account_id):
            return _joining(request, token)
    except CannotJoin as refusal:
        status = 410 if refusal.used else 404
        return render(request, "accounts/people/join_closed.html", {"refusal": refusal}, status=status)


def _joining(request: HttpRequest, token: str) -> HttpResponse:
    invitation = inviting.opened(token)
    form = JoinForm(request.POST or None, invitation=invitation)
    if request.method == "POST" and form.is_valid():
        try:
            employee = inviting.join(token, **form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
        else:
            get_adapter(request).login(request, employee)
            messages.success(request, _("Welcome. You can connect your mailbox now."))
            return redirect("mail:mailboxes")
    context = {"form": form, "invitation": invitation, "token": token}
    return render(request, "accounts/people/join.html", context, status=422 if form.errors else 200)
