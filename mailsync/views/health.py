"""What a person says to trouble with a mailbox."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.views import RequestOfEmployee
from mailsync import access, holding, schedule
from mailsync.models import GrantLevel, Mailbox, MailboxState
from mailsync.sync.brake import Brake
from mailsync.views.acting import came_from


@login_required
@require_POST
def retry(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Try a mailbox in trouble now, unless its server asked to be left alone."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    if mailbox.state == MailboxState.BUSY:
        messages.error(
            request,
            _("The server of %(address)s asked to be left alone for a while.") % {"address": mailbox.address},
        )
    else:
        schedule.start_anew(mailbox.pk)
        messages.success(request, _("%(address)s is tried now.") % {"address": mailbox.address})
    return redirect(came_from(request))


@login_required
@require_POST
def held(request: RequestOfEmployee, folder_id: int) -> HttpResponse:
    """What to do about messages that the server suddenly no longer shows: keep them, or follow the server."""
    folder = access.get_folder(request.user, folder_id, GrantLevel.MANAGE)
    choice = {"keep": Brake.KEEP, "follow": Brake.FOLLOW}.get(request.POST.get("answer", ""))
    if choice is None:
        raise Http404
    if not holding.answer(folder, choice, by=request.user):
        messages.success(request, _("The server shows these messages again; nothing was removed."))
    elif choice == Brake.KEEP:
        messages.success(request, _("They are kept here until the server shows them again."))
    else:
        messages.success(request, _("“%(folder)s” follows its server now.") % {"folder": folder.path})
    return redirect(came_from(request))


@login_required
@require_POST
def dismiss_missing(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """The owner has read that mail was missing."""
    mailbox = access.get_mailbox(request.user, mailbox_id, GrantLevel.MANAGE)
    Mailbox.objects.filter(pk=mailbox.pk).update(missing=0, missing_at=None)
    return HttpResponse() if request.headers.get("HX-Request") else redirect(came_from(request))


urls = [
    path("mailboxes/<int:mailbox_id>/retry/", retry, name="mailbox-retry"),
    path("mailboxes/<int:mailbox_id>/missing/dismiss/", dismiss_missing, name="dismiss-missing"),
    path("folders/<int:folder_id>/held/", held, name="folder-held"),
]
