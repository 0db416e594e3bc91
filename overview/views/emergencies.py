"""Reading a mailbox in an emergency: the admin's question, and its end."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts.requests import next_page
from accounts.views import RequestOfEmployee, admin_required
from mailsync import access as mail
from mailsync import emergencies
from mailsync.connecting import CannotConnect
from mailsync.models import EmergencyAccess, GrantLevel
from overview import access
from overview.views.mailboxes import SECTION


@admin_required
@never_cache
@require_http_methods(["GET", "POST"])
def begin(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Say why; then the mailbox is among those that one reads, for a day."""
    mailbox = get_object_or_404(access.visible(request.user), pk=mailbox_id, disconnected_at=None)
    trouble, reason = "", request.POST.get("reason", "")
    if request.method == "POST":
        try:
            emergencies.begin(mailbox, by=request.user, reason=reason)
        except CannotConnect as refusal:
            trouble = refusal.sentence
        else:
            words = _("You can read %(address)s for 24 hours. %(owner)s has been told.")
            messages.success(request, words % {"address": mailbox.address, "owner": mailbox.owner})
            return redirect("overview:mailboxes")
    context = {**SECTION, "mailbox": mailbox, "trouble": trouble, "reason": reason}
    context["may_read"] = mail.may(request.user, mailbox, GrantLevel.READ)
    return render(request, "overview/emergency.html", context, status=422 if trouble else 200)


@login_required
@require_POST
def end(request: RequestOfEmployee, emergency_id: int) -> HttpResponse:
    """By every admin, by the mailbox's owner, and by who manages it."""
    found = EmergencyAccess.objects.select_related("mailbox", "employee").filter(
        account_id=request.user.account_id, pk=emergency_id
    )
    emergency = get_object_or_404(found)
    if not request.user.is_admin and not mail.may(request.user, emergency.mailbox, GrantLevel.MANAGE):
        raise Http404
    emergencies.end(emergency, by=request.user)
    words = _("%(name)s reads %(address)s no longer.")
    messages.success(request, words % {"name": emergency.employee, "address": emergency.mailbox.address})
    return redirect(next_page(request, "/mailboxes/"))


urls = [
    path("mailboxes/all/<int:mailbox_id>/emergency/", begin, name="emergency"),
    path("mailboxes/emergencies/<int:emergency_id>/end/", end, name="end-emergency"),
]
