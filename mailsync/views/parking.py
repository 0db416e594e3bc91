"""What a person does about what of a mailbox is here: which of theirs are at work, how far back one reaches, and what
could not be fetched."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from mailsync import access, parking, windows
from plans.offers import plan_name
from plans.subscriptions import limits_for


@login_required
@require_POST
def bring_back(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """One's own parked mailbox works again, and another one rests."""
    mailbox = get_object_or_404(
        access.visible_mailboxes(request.user).select_related("owner"), pk=mailbox_id, owner=request.user
    )
    try:
        resting = parking.bring_back(
            mailbox, instead_of=id_or_none(request.POST.get("instead_of")), by=request.user
        )
    except parking.CannotSwap as refusal:
        messages.error(request, str(refusal))
        return redirect("mail:mailboxes")
    words = {"address": mailbox.address, "other": resting.address if resting else ""}
    if resting is None:
        messages.success(request, _("%(address)s is at work.") % words)
    else:
        messages.success(
            request, _("%(address)s is at work again. %(other)s rests; its settings and mail stay.") % words
        )
    return redirect("mail:mailboxes")


@login_required
@require_POST
def fetch_again(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Reach as far back as the plan allows now; the page shows the progress."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    account = request.user.account
    limits = limits_for(account, account.today())
    if windows.can_widen(mailbox, limits):
        windows.widen(mailbox, limits, by=request.user)
        messages.success(request, _("Older mail of %(address)s arrives now.") % {"address": mailbox.address})
    else:
        messages.error(
            request,
            _("Your plan %(plan)s reaches no further back than what is here.")
            % {"plan": plan_name(limits.plan)},
        )
    return redirect("mail:mailbox-settings", mailbox.pk)


@login_required
@require_POST
def ask_again(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Try once more what could not be fetched."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    tried = windows.ask_again(mailbox)
    words = ngettext("%(n)d message is tried again.", "%(n)d messages are tried again.", tried)
    messages.success(request, words % {"n": tried})
    return redirect("mail:mailbox-settings", mailbox.pk)


urls = [
    path("mailboxes/<int:mailbox_id>/back/", bring_back, name="mailbox-bring-back"),
    path("mailboxes/<int:mailbox_id>/fetch-again/", fetch_again, name="mailbox-fetch-again"),
    path("mailboxes/<int:mailbox_id>/ask-again/", ask_again, name="mailbox-ask-again"),
]
