"""Connecting a mailbox and its settings: door, form, one verb, response.

No view talks to a mail server: a test is handed to a worker, and the page asks for its row every half second.
"""

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import Employee
from accounts.requests import id_or_none
from accounts.views import RequestOfEmployee
from mailsync import (
    access,
    composing,
    connecting,
    foldertree,
    oauth,
    parking,
    presets,
    progress,
    secrets,
    windows,
)
from mailsync.connecting import CannotConnect, OtherServer
from mailsync.forms import AddressForm, ChooseForm, FoldersForm, RepairForm, SenderForm, ShareForm
from mailsync.models import (
    ConnectionTest,
    Folder,
    GrantLevel,
    Mailbox,
    Message,
    SkippedMessage,
    SpecialUse,
)
from mailsync.roles import FoundFolder
from plans.limits import Limits
from plans.offers import plan_name
from plans.subscriptions import limits_for

# A test that waits longer has no worker; one that runs longer has lost it.
WAITING_TOO_LONG = timedelta(seconds=15)
RUNNING_TOO_LONG = timedelta(seconds=300)
SKIPPED_SHOWN = 50
STEP_NAMES = {
    "consent": gettext_lazy("Your consent"),
    "name": gettext_lazy("Find the server"),
    "connect": gettext_lazy("Reach it"),
    "tls": gettext_lazy("Protect the connection"),
    "login": gettext_lazy("Sign in"),
    "folders": gettext_lazy("List the folders"),
    "smtp": gettext_lazy("Outgoing mail"),
}
SECTION = {"section": "mailboxes"}


# Connecting


@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def connect(request: RequestOfEmployee) -> HttpResponse:
    """Page 1: address and password, or the way to a provider. Where the plan has no room, the reason instead."""
    refusal = connecting.why_not(request.user, request.user.account.today())
    form = AddressForm(request.POST or None, owner=request.user, initial=_typed_before(request))
    if request.method == "POST" and not refusal and form.is_valid():
        if provider := form.consents_at():
            typed = form.cleaned_data
            asked = connecting.ask_consent(
                by=request.user, address=typed["address"], provider=provider, login=typed["login"]
            )
            return redirect("mail:connect-consent", asked.pk)
        test = connecting.start_test(
            by=request.user,
            address=form.cleaned_data["address"],
            settings=form.servers(),
            sealed=secrets.seal(form.cleaned_data["password"], account_id=request.user.account_id),
        )
        return redirect("mail:connect-test", test.pk)
    return render(
        request,
        "mail/connect/address.html",
        {
            **SECTION,
            "form": form,
            "refusal": refusal,
            **_hint(form["address"].value() or ""),
        },
        status=422 if form.errors else 200,
    )


def _typed_before(request: RequestOfEmployee) -> dict[str, Any]:
    """What one's own failed test was about, all but the password."""
    number = id_or_none(request.GET.get("from"))
    test = None if number is None else ConnectionTest.objects.filter(by=request.user, pk=number).first()
    if test is None:
        return {}
    return {"address": test.address, **connecting.settings_of(test).columns()}


@login_required
@require_GET
def hint(request: RequestOfEmployee) -> HttpResponse:
    """What the provider of the address asks for, while the address is being typed."""
    return render(request, "mail/connect/_hint.html", _hint(request.GET.get("address", "")))


def _hint(address: str) -> dict[str, Any]:
    """The provider, and where one can consent; a company's own domain may live at any of them."""
    preset, provider = presets.for_address(address), oauth.for_address(address)
    known = preset or provider
    return {"preset": preset, "provider": provider, "providers": [] if known else oauth.configured()}


@login_required
@require_GET
def test_page(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """Page 2: each step as the worker makes it."""
    test = _get_test(request.user, test_id)
    return render(request, "mail/connect/test.html", {**SECTION, **_test_context(test)})


@login_required
@require_GET
def steps(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """The part that the page asks for; 204 while nothing is new, so that nothing flickers or is read twice."""
    context = _test_context(_get_test(request.user, test_id))
    if request.GET.get("seen") == context["seen"]:
        return HttpResponse(status=204)
    return render(request, "mail/connect/_steps.html", context)


@login_required
@require_POST
def test_again(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """The same once more, with nothing typed anew."""
    test = connecting.test_again(_get_test(request.user, test_id), by=request.user)
    return redirect("mail:connect-test", test.pk)


@login_required
@require_http_methods(["GET", "POST"])
def choose(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """Page 3: folders, roles, days; then the mailbox exists and its first fetch begins."""
    test = _get_test(request.user, test_id)
    if test.state != "passed" or test.mailbox_id:
        return redirect("mail:connect-test", test.pk)
    found = [FoundFolder.from_json(kept) for kept in test.found]
    limits = limits_for(request.user.account, request.user.account.today())
    form = ChooseForm(
        request.POST or None, found=found, fetch_days=limits.fetch_days, sender_name=request.user.name
    )
    if request.method == "POST" and form.is_valid() and _connected(request, test, form):
        return redirect("mail:inbox")
    context = {
        **SECTION,
        "form": form,
        "test": test,
        "limits": limits,
        "plan": plan_name(limits.plan),
        "tree": _found_tree(found, set(form["folders"].value() or [])),
        "since": request.user.account.today() - timedelta(days=limits.fetch_days),
    }
    return render(request, "mail/connect/choose.html", context, status=422 if form.errors else 200)


def _connected(request: RequestOfEmployee, test: ConnectionTest, form: ChooseForm) -> bool:
    try:
        mailbox = connecting.connect(
            owner=request.user,
            address=test.address,
            settings=connecting.settings_of(test),
            sealed=bytes(test.secret),
            consent=test.consent,
            found=form.found,
            choice=form.choice(),
            fetch_days=form.cleaned_data["fetch_days"],
            by=request.user,
            sender_name=form.cleaned_data["sender_name"],
        )
    except CannotConnect as refusal:
        form.add_error(None, refusal.sentence)
        return False
    connecting.use_up(test)
    messages.success(
        request, _("%(address)s is connected. Its mail arrives now.") % {"address": mailbox.address}
    )
    return True


def _get_test(employee: Employee, test_id: int) -> ConnectionTest:
    """Door: one's own test that has not served yet."""
    mine = ConnectionTest.objects.filter(by=employee).exclude(state="used")
    return get_object_or_404(mine.select_related("mailbox", "consent"), pk=test_id)


def _test_context(test: ConnectionTest) -> dict[str, Any]:
    told = {step["key"]: step for step in test.steps}
    shown = [
        {"name": name, **told.get(key, {"key": key, "state": "waiting", "text": ""})}
        for key, name in STEP_NAMES.items()
        if key != "consent" or test.provider
    ]
    late = _late(test)
    state = "failed" if late == "lost" else test.state
    said = next((step for step in reversed(shown) if step["state"] not in ("waiting", "ok")), None)
    return {
        "test": test,
        "state": state,
        "late": late,
        "steps": shown,
        "unfinished": state in ("waiting", "running"),
        # Trying the same again makes sense where the server was at fault, not what was typed.
        "typed": not test.provider
        and any(step["state"] == "failed" and step["key"] in ("name", "tls", "login") for step in shown),
        "warned": any(step["state"] == "warning" for step in shown),
        "said": said or next((step for step in reversed(shown) if step["state"] == "ok"), None),
        "seen": hashlib.sha256(json.dumps([state, late, test.steps]).encode()).hexdigest()[:16],
        "preset": presets.for_address(test.address),
        "provider": oauth.by_key(test.provider),
    }


def _late(test: ConnectionTest) -> str:
    age = timezone.now() - test.created_at
    if test.state == "waiting" and age > WAITING_TOO_LONG:
        return "waiting"
    return "lost" if test.state == "running" and age > RUNNING_TOO_LONG else ""


# Mailboxes


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
    return _settings_page(request, _get_managed(request.user, mailbox_id))


def _settings_page(
    request: RequestOfEmployee, mailbox: Mailbox, *, status: int = 200, **forms: Any
) -> HttpResponse:
    """The page, with the form that failed where one did."""
    rows = _folder_rows(mailbox)
    folders = forms.get("folders_form") or FoldersForm(rows=rows)
    skipped = SkippedMessage.objects.filter(folder__mailbox=mailbox)
    limits = limits_for(request.user.account, request.user.account.today())
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
        "tree": _stored_tree(rows, set(folders["folders"].value() or [])),
        "sender_form": SenderForm(
            initial={
                "sender_name": mailbox.sender_name,
                "aliases": "\n".join(composing.str_of(name, address) for name, address in mailbox.aliases),
                "signature": mailbox.signature,
            }
        ),
        "share_form": ShareForm(mailbox=mailbox),
        "share_refusal": ""
        if mailbox.grants.exists()
        else connecting.why_not_share(request.user.account, request.user.account.today()),
        "grants": mailbox.grants.select_related("employee").order_by("employee__name"),
        "levels": GrantLevel.choices,
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
    mailbox = _get_managed(request.user, mailbox_id)
    form = FoldersForm(request.POST, rows=_folder_rows(mailbox))
    if form.is_valid():
        try:
            connecting.set_folders(mailbox, form.chosen(), form.role_ids(), by=request.user)
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
    mailbox = _get_managed(request.user, mailbox_id)
    form = SenderForm(request.POST)
    if not form.is_valid():
        return _settings_page(request, mailbox, status=422, sender_form=form)
    said = form.cleaned_data
    connecting.introduce(
        mailbox,
        name=said["sender_name"],
        aliases=said["aliases"],
        signature=said["signature"],
        by=request.user,
    )
    messages.success(request, _("Name and signature are saved."))
    return redirect("mail:mailbox-settings", mailbox.pk)


@login_required
@require_POST
def share(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Give a colleague a right, or change it."""
    mailbox = _get_managed(request.user, mailbox_id)
    form = ShareForm(request.POST, mailbox=mailbox)
    if form.is_valid():
        colleague, level = form.cleaned_data["employee"], form.cleaned_data["level"]
        try:
            connecting.share(mailbox, colleague, level, by=request.user)
        except CannotConnect as refusal:
            form.add_error(None, refusal.sentence)
        else:
            messages.success(request, _("%(name)s has access now.") % {"name": colleague})
            return redirect("mail:mailbox-settings", mailbox.pk)
    return _settings_page(request, mailbox, status=422, share_form=form)


@login_required
@require_POST
def unshare(request: RequestOfEmployee, mailbox_id: int, employee_id: int) -> HttpResponse:
    """Take a right back."""
    mailbox = _get_managed(request.user, mailbox_id)
    grant = get_object_or_404(mailbox.grants.select_related("employee"), employee_id=employee_id)
    connecting.unshare(mailbox, grant.employee, by=request.user)
    messages.success(request, _("%(name)s has no access any more.") % {"name": grant.employee})
    if employee_id == request.user.pk:
        return redirect("mail:mailboxes")
    return redirect("mail:mailbox-settings", mailbox.pk)


@login_required
@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
def repair(request: RequestOfEmployee, mailbox_id: int) -> HttpResponse:
    """Servers, login, password; tested first, then taken over by `repaired`."""
    mailbox = _get_managed(request.user, mailbox_id)
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
    mailbox = _get_managed(request.user, mailbox_id)
    return redirect("mail:connect-test", connecting.test_as_it_is(mailbox, by=request.user).pk)


@login_required
@require_POST
def repaired(request: RequestOfEmployee, test_id: int) -> HttpResponse:
    """Take over what a passed test of a repair has proven."""
    test = _get_test(request.user, test_id)
    if test.mailbox is None:
        raise Http404
    mailbox = _get_managed(request.user, test.mailbox.pk)
    even_if_other = request.POST.get("even_if_other") == "1"
    try:
        connecting.repair(mailbox, test, by=request.user, even_if_other=even_if_other)
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
    mailbox = _get_managed(request.user, mailbox_id)
    if request.method == "POST":
        gone = connecting.disconnect(mailbox, by=request.user)
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
        "people": mailbox.grants.count(),
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


def _get_managed(employee: Employee, mailbox_id: int) -> Mailbox:
    """Door: a connected mailbox whose settings the employee may change."""
    return access.get_mailbox(employee, mailbox_id, GrantLevel.MANAGE)


def _folder_rows(mailbox: Mailbox) -> list[Folder]:
    return list(mailbox.folders.filter(deleting=False))


# Trees of folders


def _found_tree(found: list[FoundFolder], chosen: set[str]) -> list[dict[str, Any]]:
    numbered = {folder.name: str(n) for n, folder in enumerate(found)}
    return [
        {
            "key": numbered[line.folder.name],
            "label": _label(line),
            "depth": line.depth,
            "selectable": line.folder.selectable,
            "checked": numbered[line.folder.name] in chosen,
            "count": line.folder.messages,
            "virtual": line.folder.is_virtual,
        }
        for line in foldertree.tree(found, lambda one: foldertree.split(one.path, one.delimiter))
    ]


def _stored_tree(rows: list[Folder], chosen: set[str]) -> list[dict[str, Any]]:
    return [
        {
            "key": str(line.folder.pk),
            "label": _label(line),
            "depth": line.depth,
            "selectable": line.folder.selectable,
            "checked": str(line.folder.pk) in chosen,
            "count": line.folder.total if line.folder.syncing else None,
            "virtual": line.folder.special_use in (SpecialUse.ALL, SpecialUse.FLAGGED)
            and not line.folder.syncing,
            "error": line.folder.error,
        }
        for line in foldertree.tree(rows, lambda one: foldertree.split(one.path, one.delimiter))
    ]


def _label(line: foldertree.Line[Any]) -> str:
    """The inbox in the reader's language; every other folder as it is called."""
    return _("Inbox") if line.depth == 0 and line.label.upper() == "INBOX" else line.label


urls = [
    path("mailboxes/", mailboxes, name="mailboxes"),
    path("mailboxes/connect/", connect, name="connect"),
    path("mailboxes/connect/hint/", hint, name="connect-hint"),
    path("mailboxes/connect/<int:test_id>/", test_page, name="connect-test"),
    path("mailboxes/connect/<int:test_id>/steps/", steps, name="connect-steps"),
    path("mailboxes/connect/<int:test_id>/again/", test_again, name="connect-again"),
    path("mailboxes/connect/<int:test_id>/choose/", choose, name="connect-choose"),
    path("mailboxes/connect/<int:test_id>/repaired/", repaired, name="mailbox-repaired"),
    path("mailboxes/<int:mailbox_id>/", mailbox_settings, name="mailbox-settings"),
    path("mailboxes/<int:mailbox_id>/folders/", folders, name="mailbox-folders"),
    path("mailboxes/<int:mailbox_id>/sender/", sender, name="mailbox-sender"),
    path("mailboxes/<int:mailbox_id>/share/", share, name="mailbox-share"),
    path("mailboxes/<int:mailbox_id>/share/<int:employee_id>/end/", unshare, name="mailbox-unshare"),
    path("mailboxes/<int:mailbox_id>/server/", repair, name="mailbox-repair"),
    path("mailboxes/<int:mailbox_id>/check/", check, name="mailbox-check"),
    path("mailboxes/<int:mailbox_id>/disconnect/", disconnect, name="mailbox-disconnect"),
    path("mailboxes/<int:mailbox_id>/progress/", show_progress, name="progress"),
]
