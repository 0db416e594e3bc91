"""How somebody signs in, and where they are signed in; what is said to them about it."""

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_GET, require_POST

from accounts import audit, notices, people, sessions, two_factor
from accounts.models import PersonalNotice
from accounts.views import RequestOfEmployee, admin_required


@login_required
@require_GET
def security(request: RequestOfEmployee) -> HttpResponse:
    factors = Authenticator.objects.filter(user=request.user).order_by("pk")
    context = {
        "app": next((one for one in factors if one.type == Authenticator.Type.TOTP), None),
        "passkeys": [one for one in factors if one.type == Authenticator.Type.WEBAUTHN],
        "codes": next(
            (
                one.wrap().get_unused_codes()
                for one in factors
                if one.type == Authenticator.Type.RECOVERY_CODES
            ),
            None,
        ),
        "sessions": sessions.open_sessions(request.user),
        "current": sessions.current(request),
    }
    return render(request, "accounts/security.html", context)


@login_required
@require_POST
def end_session(request: RequestOfEmployee, session_id: int) -> HttpResponse:
    """Sign out in one other place. The one of this page is ended by signing out."""
    others = request.user.browser_sessions.exclude(pk=sessions.current(request))
    if not sessions.end(others.filter(pk=session_id)):
        raise Http404
    audit.record("session.ended", request.user.email, account_id=request.user.account_id, by=request.user)
    messages.success(request, _("Signed out there."))
    return redirect("mfa_index")


@login_required
@require_POST
def end_others(request: RequestOfEmployee) -> HttpResponse:
    count = sessions.end(request.user.browser_sessions.exclude(pk=sessions.current(request)))
    if count:
        audit.record(
            "session.others_ended",
            request.user.email,
            account_id=request.user.account_id,
            by=request.user,
            count=count,
        )
    said = ngettext("Signed out in %(n)s other place.", "Signed out in %(n)s other places.", count)
    messages.success(request, said % {"n": count})
    return redirect("mfa_index")


@admin_required
@require_POST
def reset_two_factor(request: RequestOfEmployee, employee_id: int) -> HttpResponse:
    employee = people.get_employee(request.user, employee_id)
    two_factor.reset(employee, by=request.user)
    messages.success(
        request,
        _("%(name)s signs in with the password alone now, and is told so.") % {"name": employee.name},
    )
    return redirect("people:person", employee.pk)


@login_required
@require_GET
def told(request: RequestOfEmployee) -> HttpResponse:
    """The strip of notices, for the top of a page."""
    return _told(request)


@login_required
@require_POST
def see(request: RequestOfEmployee, own_notice_id: int) -> HttpResponse:
    notices.see(get_object_or_404(PersonalNotice, pk=own_notice_id, employee=request.user))
    return _told(request) if request.headers.get("HX-Request") else redirect("mail:inbox")


def _told(request: RequestOfEmployee) -> HttpResponse:
    lines = [(notice, notices.sentence(notice)) for notice in notices.unseen(request.user)]
    return render(request, "accounts/_notices.html", {"lines": lines})
