"""My mailboxes, and the settings of one: door, form, one verb, response."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.views import RequestOfEmployee
from mailsync import (
    access,
    composing,
    connecting,
    emergencies,
    enrolling,
    oauth,
    parking,
    presets,
    progress,
    secrets,
    settling,
    sharing,
    windows,
)
from mailsync.connecting import CannotConnect
from mailsync.forms import FoldersForm, RepairForm, SenderForm
from mailsync.models import (
    Folder,
    GrantLevel,
    Mailbox,
    Message,
    SkippedMessage,
)
from mailsync.settling import OtherServer
from mailsync.views.connecting import get_test
from mailsync.views.sharing import would_change
from mailsync.views.trees import stored_tree
from plans.limits import Limits
from plans.offers import plan_name
from plans.subscriptions import limits_for

SKIPPED_SHOWN = 50
SECTION = {"section": "mailboxes"}


@login_required
@require_GET
def mailboxes(request: RequestOfEmployee) -> HttpResponse:
    """My mailboxes, those shared with me, and those I let go."""
    today = request.user.account.today()
    mine = _with_people(Mailbox.objects.filter(owner=request.user))
    limits = limits_for(request.user.account, today)
    shared = _with_people(access.visible_mailboxes(request.user)).exclude(owner=request.user)
    at_work = parking.in_order(request.user)[: limits.mailboxes_per_employee]
    context = {
        **SECTION,
        "last_at_work": at_work[-1] if at_work else None,
        "mine": [box for box in mine if box.disconnected_at is None],
        "gone": [box for box in mine if box.disconnected_at],
        "shared": shared,
        "manageable": set(
            access.visible_mailboxes(request.user, GrantLevel.MANAGE).values_list("pk", flat=True)
        ),
        "limits": limits,
        "plan": plan_name(limits.plan),
        "parked": parking.parked(limits, account_id=request.user.account_id),
        "asked": enrolling.invitations(request.user),
        "refusal": connecting.why_not(request.user, today),
    }
    return render(request, "mail/connect/mailboxes.html", context)


def _with_people(boxes: QuerySet[Mailbox]) -> QuerySet[Mailbox]:
    """With what the list says: folders in step, messages in them, people who share it."""
    in_step = Folder.objects.filter(mailbox=OuterRef("pk"), syncing=True, selectable=True)
    of_each = in_step.order_by().values("mailbox")
    return (
        boxes.select_related("owner", "consent")
        .annotate(
            people=Count("grants"),
            syncing_folders=Coalesce(Subquery(of_each.annotate(n=Count("pk")).values("n")), 0),
            placed=Coalesce(Subquery(of_each.annotate(n=Sum("total")).values("n")), 0),
        )
        .order_by("connected_at")
    )


@login_required
@require_GET
def mailbox_settings(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    return _settings_page(request, access.get_settings_of(request.user, mailbox_id))


def _settings_page(
    request: RequestOfEmployee, mailbox: Mailbox, *, status: int = 200, **forms: Any
) -> HttpResponse:
    """The page, with the form that failed where one did."""
    rows = _folder_rows(mailbox)
    folders = forms.get("folders_form") or FoldersForm(rows=rows)
    noted = SkippedMessage.objects.filter(folder__mailbox=mailbox)
    skipped = noted.exclude(pk__in=noted.arrived())
    limits = limits_for(request.user.account, request.user.account.today())
    seers = sharing.preview(mailbox, {})
    context = {
        **SECTION,
        "mailbox": mailbox,
        "limits": limits,
        "plan": plan_name(limits.plan),
        **_room(mailbox, limits),
        "since": windows.window_of(mailbox, limits, now=timezone.now()),
        "reach": windows.reach_of(limits) if windows.can_widen(mailbox, limits) else None,
        "progress": progress.of(mailbox, timezone.now()),
        "folders_form": folders,
        "tree": stored_tree(rows, folders.ticked()),
        "sender_form": SenderForm(
            initial={
                "sender_name": mailbox.sender_name,
                "aliases": "\n".join(composing.str_of(name, address) for name, address in mailbox.aliases),
                "signature": mailbox.signature,
            }
        ),
        "seers": seers,
        "would_change": would_change(mailbox, seers),
        "emergencies": emergencies.running().filter(mailbox=mailbox),
        "may_manage": access.may(request.user, mailbox, GrantLevel.MANAGE),
        "may_read": access.may(request.user, mailbox, GrantLevel.READ),
        "skipped": skipped.select_related("folder").order_by("-last_at")[:SKIPPED_SHOWN],
        "skipped_count": skipped.count(),
    }
    return render(request, "mail/connect/settings.html", {**context, **forms}, status=status)


def _room(mailbox: Mailbox, limits: Limits) -> dict[str, Any]:
    """Whether it is parked, and which of its owner's could rest instead, the newest first."""
    if not parking.is_parked(mailbox, limits):
        return {"parked": set()}
    at_work = parking.in_order(mailbox.owner)[: limits.mailboxes_per_employee]
    return {"parked": {mailbox.pk}, "at_work": at_work[::-1]}


@login_required
@require_POST
def folders(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Folders on and off, and their roles."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    form = FoldersForm(request.POST, rows=_folder_rows(mailbox))
    if form.is_valid():
        try:
            settling.set_folders(mailbox, form.chosen(), form.role_ids(), shown=form.shown, by=request.user)
        except CannotConnect as refusal:
            form.add_error(None, refusal.sentence)
    if form.errors:
        return _settings_page(request, mailbox, status=422, folders_form=form)
    messages.success(request, _("The folders are saved."))
    return redirect("mail:mailbox-settings", mailbox.pk)


@login_required
@require_POST
def sender(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Under which names and addresses the mailbox writes, and its signature."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    form = SenderForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, mailbox, status=422, sender_form=form)
    said = form.cleaned_data
    settling.introduce(
        mailbox,
        name=said["sender_name"],
        aliases=said["aliases"],
        signature=said["signature"],
        by=request.user,
    )
    messages.success(request, _("Name and signature are saved."))
    return redirect("mail:mailbox-settings", mailbox.pk)


@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def repair(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Servers, login, password; tested first, then taken over by `repaired`."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    form = RepairForm(request.POST or None, mailbox=mailbox)
    if request.method == "POST" and form.is_valid():
        test = connecting.start_test(
            by=request.user,
            address=mailbox.address,
            settings=form.servers(),
            sealed=secrets.seal(form.cleaned_data["password"], account_id=request.user.account_id),
            mailbox=mailbox,
        )
        return redirect("mail:connect-test", test.pk)
    context = {
        **SECTION,
        "form": form,
        "mailbox": mailbox,
        "preset": presets.for_host(mailbox.imap_host) or presets.for_address(mailbox.address),
        "offered": oauth.for_mailbox(mailbox),
    }
    return render(request, "mail/connect/repair.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def check(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Test the mailbox with what it has."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    return redirect("mail:connect-test", connecting.test_as_it_is(mailbox, by=request.user).pk)


@login_required
@require_POST
def repaired(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """Take over what a passed test of a repair has proven."""
    test = get_test(request.user, test_id)
    if test.mailbox is None:
        raise Http404
    mailbox = access.get_settings_of(request.user, test.mailbox.pk)
    even_if_other = request.POST.get("even_if_other") == "1"
    try:
        settling.repair(mailbox, test, by=request.user, even_if_other=even_if_other)
    except OtherServer as other:
        context = {**SECTION, "mailbox": mailbox, "test": test, "other": other, "shown": other.differing[:8]}
        return render(request, "mail/connect/other_server.html", context)
    except CannotConnect as refusal:
        messages.error(request, refusal.sentence)
        return redirect("mail:connect-test", test.pk)
    messages.success(request, _("%(address)s works again. Nothing was lost.") % {"address": mailbox.address})
    return redirect("mail:mailbox-settings", mailbox.pk)


@login_required
@require_http_methods(["GET", "POST"])
def disconnect(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Ask with the numbers, then let go."""
    mailbox = access.get_settings_of(request.user, mailbox_id)
    if request.method == "POST":
        gone = settling.disconnect(mailbox, by=request.user)
        messages.success(
            request,
            ngettext(
                "%(address)s is disconnected; %(gone)d message leaves Mailbound. The mail server keeps it.",
                "%(address)s is disconnected; %(gone)d messages leave Mailbound. The mail server keeps them.",
                gone,
            )
            % {"address": mailbox.address, "gone": gone},
        )
        return redirect("mail:mailboxes")
    leaving = Message.objects.filter(mailbox=mailbox).free().count()
    context = {
        **SECTION,
        "mailbox": mailbox,
        "count": leaving,
        "bound": Message.objects.filter(mailbox=mailbox).count() - leaving,
        "people": len(sharing.preview(mailbox, {})),
    }
    return render(request, "mail/connect/disconnect.html", context)


@login_required
@require_GET
def show_progress(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """How far the first fetch is; asks again every two seconds until it is over."""
    mailbox = access.get_mailbox(request.user, mailbox_id, GrantLevel.READ)
    shown = progress.of(mailbox, timezone.now())
    template = (
        "mail/connect/_progress.html" if request.headers.get("HX-Request") else "mail/connect/progress.html"
    )
    return render(request, template, {**SECTION, "progress": shown, "mailbox": mailbox})


def _folder_rows(mailbox: Mailbox) -> list[Folder]:
    return list(mailbox.folders.filter(deleting=False))


urls = [
    path("mailboxes/", mailboxes, name="mailboxes"),
    path("mailboxes/connect/<int:test_id>/repaired/", repaired, name="mailbox-repaired"),
    path("mailboxes/<int:mailbox_id>/", mailbox_settings, name="mailbox-settings"),
    path("mailboxes/<int:mailbox_id>/folders/", folders, name="mailbox-folders"),
    path("mailboxes/<int:mailbox_id>/sender/", sender, name="mailbox-sender"),
    path("mailboxes/<int:mailbox_id>/server/", repair, name="mailbox-repair"),
    path("mailboxes/<int:mailbox_id>/check/", check, name="mailbox-check"),
    path("mailboxes/<int:mailbox_id>/disconnect/", disconnect, name="mailbox-disconnect"),
    path("mailboxes/<int:mailbox_id>/progress/", show_progress, name="progress"),
]
